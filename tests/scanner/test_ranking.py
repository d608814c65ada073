import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradeul.scanner.columns import COLUMNS, Form
from tradeul.scanner.ranking import ranked, wire_rows, wire_values

AT_TEN = 1_773_064_800.0  # 2026-03-09 10:00 Eastern


def wire(make, name, *values):
    made = make.frame("10:00", **{f"T{place:02}": {name: value} for place, value in enumerate(values)})
    return wire_values(make.market(made), name, np.arange(len(values)))


@pytest.mark.parametrize(
    ("name", "values", "want"),
    [
        ("price", [1.23456, 0.00004, math.nan, 123456.7891, -0.00001], [1.2346, 0.0, None, 123456.7891, 0.0]),
        ("chg_5m", [1.005001, -2.344999, 0.004, -0.004, math.inf], [1.01, -2.34, 0.0, 0.0, None]),
        ("volume", [1234.4, 1234.6, 0, math.nan, 1e18], [1234, 1235, 0, None, 1e18]),
        (
            "updated_at",
            [AT_TEN, AT_TEN + 0.25, math.nan, -5, 1e18],
            ["2026-03-09T14:00:00Z", "2026-03-09T14:00:00.250000Z", None, None, None],
        ),
        ("halted", [1, 0, math.nan], [True, False, None]),
        ("sector", [1, 2], [None, None]),
    ],
)
def test_a_value_is_written_as_the_contract_says(make, name, values, want):
    got = wire(make, name, *values)
    assert got == want
    assert all(math.copysign(1, value) == 1 for value in got if value == 0 and isinstance(value, float))


@pytest.mark.parametrize(
    ("expected", "want"), [(123_456, 123_000.0), (1.2345, 1.23), (99_960, 100_000.0), (0.000123456, 0.000123), (0, 0.0)]
)
def test_expected_volume_has_three_significant_digits(make, expected, want):
    made = make.frame("04:05", A={"volume": 1})
    assert wire_values(make.market(made, make.baselines(A={"slots": expected})), "expected_volume", np.array([0])) == [want]


def test_whole_numbers_are_whole_on_the_wire(make):
    assert [type(value) for value in wire(make, "volume", 5.0, 7.3)] == [int, int]


def test_a_row_carries_symbol_rank_and_its_lists_cells_in_order(make):
    market = make.market(make.frame("10:00", A={"price": 1}, B={"price": 2}, C={"price": 3}), make.baselines(B={"name": "Bee"}))
    rows = wire_rows(market, np.array([2, 1]), ("price", "name"))
    assert rows == [{"symbol": "C", "rank": 0, "price": 3.0, "name": None}, {"symbol": "B", "rank": 1, "price": 2.0, "name": "Bee"}]
    assert list(rows[0]) == ["symbol", "rank", "price", "name"]


values = st.one_of(st.just(math.nan), st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.5]))


@settings(deadline=None)
@given(st.lists(st.tuples(values, values), max_size=12), st.booleans(), st.booleans(), st.integers(1, 12), st.randoms())
def test_order_is_nulls_last_then_symbol_whatever_the_direction(keys, first_descends, second_descends, limit, random):
    """Against Python's own stable sort, key by key from the last to the first."""
    names = list(range(len(keys)))
    random.shuffle(names)
    members = np.arange(len(keys))

    def place(value, descending):
        return (math.isnan(value), 0.0 if math.isnan(value) else (-value if descending else value))

    want = sorted(range(len(keys)), key=lambda row: (place(keys[row][0], first_descends), place(keys[row][1], second_descends), names[row]))
    columns = np.array(keys, dtype=float).reshape(-1, 2)
    got = ranked(members, [(columns[:, 0], first_descends), (columns[:, 1], second_descends)], np.array(names, dtype=np.intp), limit)
    assert got.tolist() == want[:limit]


@settings(deadline=None)
@given(st.sampled_from(sorted(COLUMNS)), st.lists(st.floats(), min_size=1, max_size=4))
def test_whatever_the_value_the_wire_has_a_finite_one_or_null(make, name, garbage):
    for value in wire(make, name, *garbage):
        assert value is None or isinstance(value, str) or math.isfinite(value)


def test_every_form_is_written(make):
    assert {column.form for column in COLUMNS.values()} == set(Form)
