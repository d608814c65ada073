import math
from contextlib import suppress

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradeul.errors import ListError
from tradeul.scanner.sql import Kind, compile_condition, compile_order

KINDS = {"a": Kind.NUMBER, "b": Kind.NUMBER, "word": Kind.TEXT, "flag": Kind.CONDITION}
TABLE = pl.DataFrame(
    {"a": [1.0, -1.0, None, 0.5], "b": [0.0, 0.0, 1.0, None], "word": ["x", "y", None, "5"], "flag": [True, False, None, None]},
    schema={"a": pl.Float64, "b": pl.Float64, "word": pl.String, "flag": pl.Boolean},
)


def ask(text, table=TABLE):
    return table.select(compile_condition(text, KINDS, "list 'x', where").expr.alias("it"))["it"].to_list()


def value(text, table=TABLE):
    return table.select(compile_order(text, KINDS, "list 'x', order").expr.alias("it"))["it"].to_list()


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("a >= 0.5", [True, False, None, True]),
        ("NOT a > 0.5", [False, True, None, True]),
        ("a <> 1", [False, True, None, True]),
        ("a BETWEEN 0.1 AND 0.5", [False, False, None, True]),
        ("a NOT BETWEEN 0.1 AND .5", [True, True, None, False]),
        ("a IN (0.5, 1)", [True, False, None, True]),
        ("a NOT IN (1, 2)", [False, True, None, True]),
        ("word IN ('x', 'z')", [True, False, None, False]),
        ("word = 'x' OR a < 0", [True, True, None, False]),
        ("a IS NULL", [False, False, True, False]),
        ("flag", [True, False, None, None]),
        ("NOT flag", [False, True, None, None]),
        ("COALESCE(flag, a = 0.5)", [True, False, None, True]),
        ("CASE WHEN a > 0.7 THEN b = 0 ELSE flag END", [True, False, None, None]),
        ("a = NULL", [None] * 4),
        # three-valued: false AND null is false, true OR null is true, anything else with null is null
        ("b > 5 AND a > 0", [False, False, False, None]),
        ("a > 0 OR b > 0.5", [True, False, True, True]),
        ("a > 0 AND b > 0.5", [False, False, None, None]),
    ],
)
def test_conditions_are_three_valued(text, want):
    assert ask(text) == want


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("a / b", [None, None, None, None]),
        ("a / 0", [None] * 4),
        ("1 / a", [1.0, -1.0, None, 2.0]),
        ("ln(a)", [0.0, None, None, math.log(0.5)]),
        ("sqrt(a)", [1.0, None, None, math.sqrt(0.5)]),
        ("-greatest(1, 0.35 * a)", [-1.0, -1.0, -1.0, -1.0]),
        ("least(a, b)", [0.0, -1.0, 1.0, 0.5]),
        ("round(a * 2.5)", [3.0, -3.0, None, 1.0]),
        ("round(a / 3, 2)", [0.33, -0.33, None, 0.17]),
        ("abs(a - 0.5)", [0.5, 1.5, None, 0.0]),
        ("CASE WHEN a > 0.7 THEN 0.1 WHEN b IS NULL THEN 2 ELSE a END", [0.1, -1.0, None, 2.0]),
        ("COALESCE(b, a)", [0.0, 0.0, 1.0, 0.5]),
        ("(a + 1) * 2 - b", [4.0, 0.0, None, None]),
        ("word", ["x", "y", None, "5"]),
    ],
)
def test_what_has_no_value_is_null(text, want):
    assert value(text) == want


REFUSED = {
    "sum(a) > 3": "aggregate",
    "count(*) > 1": "aggregate",
    "avg(a) > 1": "aggregate",
    "a > max(a) - 1": "aggregate",
    "first(a) > 1": "aggregate",
    "max(a) OVER (PARTITION BY word) > 1": "window",
    "row_number() OVER () > 1": "window",
    "rank() OVER (ORDER BY a) <= 10": "window",
    "a > (SELECT 1)": "sub-query",
    "EXISTS (SELECT 1)": "sub-query",
    "a IN (SELECT 1)": "sub-query",
    "flag IS TRUE": "TRUE or FALSE",
    "(a > 1) IS NOT TRUE": "TRUE or FALSE",
    "flag IS FALSE": "TRUE or FALSE",
    "flag IS NOT FALSE": "TRUE or FALSE",
    "flag = TRUE": "TRUE or FALSE",
    "true": "TRUE or FALSE",
    "nosuch >= 5": "unknown column 'nosuch'",
    "A >= 5": "unknown column 'A'",
    "a": "is a number; write a condition",
    "a desc": "name after an expression",
    "a AS b": "name after an expression",
    "a LIKE 'x%'": "is not allowed",
    "a::int > 1": "a cast",
    "a % 2 = 1": "is not allowed",
    "power(a, 2) > 1": "is not allowed",
    "a[1] > 1": "is not allowed",
    "a.b > 1": "is not allowed",
    "a > INTERVAL '1 day'": "constant",
    "DATE '2020-01-01' > a": "constant",
    "COLUMNS('a') > 1": "choice of columns",
    "a IS NOT DISTINCT FROM b": "EqValidity",
    "a IN (1, NULL)": "NULL in IN",
    "a IN ('x')": "a number stands where a text",
    "word > 5": "a text and a number",
    "a AND b": "where a condition is needed",
    "word + 1 > 2": "where a number is needed",
    "greatest(word, a) > 1": "where a number is needed",
    "COALESCE(a, word) > 1": "cannot be compared or mixed",
    "flag = (a > 1)": "comparison of conditions",
    "a > 1; DROP TABLE x": "cannot be read",
    "a > 1, b > 1": "cannot be read",
    "random() > 0.5": "cannot be read",
    "*": "cannot be read",
    "": "cannot be read",
    "a >": "cannot be read",
    "a IS NAN": "cannot be read",
    "1 > 0": "names no column",
    "1e400 < a": "a number beyond",
    "a > 12345678901234567890": "a number beyond",
    "a+" * 900 + "a > 1": "cannot be read",
    "(" * 60 + "a > 1" + ")" * 60: "cannot be read",
    "NOT " * 300 + "flag": "cannot be read",
    "a > 1 OR " * 300 + "flag": "2000",
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: text[:40] or "empty")
def test_what_a_scan_may_not_say_is_refused_with_its_place_and_reason(text):
    with pytest.raises(ListError) as refused:
        compile_condition(text, KINDS, "list 'mine', where")
    assert "list 'mine', where" in str(refused.value)
    assert REFUSED[text] in str(refused.value)


def test_rows_cannot_be_ordered_by_a_condition():
    with pytest.raises(ListError, match="can be ordered by numbers and texts"):
        compile_order("a > 1", KINDS, "list 'x', order")


def test_an_expression_says_which_columns_it_needs():
    assert compile_condition("a > 1 AND COALESCE(flag, b > a)", KINDS, "").inputs == {"a", "b", "flag"}


def test_a_forbidden_nodes_name_is_a_fine_text():
    assert ask("word = 'Agg' OR word = 'Over' OR a > 0.7") == [True, False, None, False]


numbers = st.one_of(st.none(), st.floats(-1e9, 1e9), st.sampled_from([0.0, -0.0, 1.0]))


@settings(deadline=None)
@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=5))
def test_no_expression_lets_nan_or_infinity_in(pairs):
    table = pl.DataFrame({"a": [a for a, _ in pairs], "b": [b for _, b in pairs]}, schema={"a": pl.Float64, "b": pl.Float64})
    for text in (
        "a / b",
        "ln(a)",
        "sqrt(a)",
        "1 / (a - b)",
        "ln(a / b)",
        "a / b / b",
        "round(a / b, 2)",
        "greatest(a / b, sqrt(b))",
        "a * a * a / b",
    ):
        found = value(text, table)
        assert all(item is None or math.isfinite(item) for item in found), text


@settings(deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_an_expression_or_a_list_error(text):
    with suppress(ListError):
        compile_condition(text, KINDS, "place")
