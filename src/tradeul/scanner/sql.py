"""SQL expressions of lists, read by polars and rebuilt from a whitelist.

    text -> pl.sql_expr -> its tree as JSON -> here: each node checked, typed, written anew -> pl.Expr

Polars takes more than a scan may say (aggregates, windows, sub-queries, and
`x desc` as an alias), turns `IS TRUE` into `= TRUE`, and lets infinity and NaN
out of a division, a logarithm or a root: NaN >= 5 is true there. So nothing of
its expression is kept: a node that is not named here is refused, and what has
no value is null. It does not know lists, nor which rows there are (`scan.py`).
"""

import json
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from enum import StrEnum
from typing import Any, NamedTuple

import polars as pl

from tradeul.errors import ListError

MAX_CHARACTERS = 2_000
LARGEST_LITERAL = 1e15  # beyond it float64 loses whole shares


class Kind(StrEnum):
    NUMBER = "a number"
    TEXT = "a text"
    CONDITION = "a condition"
    NULL = "null"


class Expression(NamedTuple):
    expr: pl.Expr
    inputs: frozenset[str]
    kind: Kind
    text: str  # as the person wrote it
    ready: pl.Expr  # as a scan asks it, each cycle: named by its text, and without null


def compile_condition(text: str, kinds: Mapping[str, Kind], place: str) -> Expression:
    """``place`` names list and key in the message of the `ListError`."""
    found = _compile(text, kinds, place)
    if found.kind is not Kind.CONDITION:
        raise ListError(f"{place}: {text!r} is {found.kind}; write a condition, as change_pct >= 5.")
    return found


def compile_order(text: str, kinds: Mapping[str, Kind], place: str) -> Expression:
    found = _compile(text, kinds, place)
    if found.kind not in (Kind.NUMBER, Kind.TEXT):
        raise ListError(f"{place}: {text!r} is {found.kind}; rows can be ordered by numbers and texts.")
    return found


def _compile(text: str, kinds: Mapping[str, Kind], place: str) -> Expression:
    if len(text) > MAX_CHARACTERS:
        raise ListError(f"{place}: {len(text)} characters; an expression may have {MAX_CHARACTERS}.")
    shown = text if len(text) < 80 else f"{text[:80]} ..."
    try:
        parsed = pl.sql_expr(text)
        tree = json.loads(parsed.meta.serialize(format="json"))
        reader = _Reader(kinds, place)
        reader.refuse_what_is_worse(tree)
        expr, kind = reader.read(tree)
    except (pl.exceptions.PolarsError, RecursionError) as error:
        reason = (
            "it is too deeply nested" if isinstance(error, RecursionError) else REMEDY if "unable to parse" in str(error) else str(error)
        )
        raise ListError(f"{place}: {shown!r} cannot be read: {reason.splitlines()[0]}.") from error
    if not reader.inputs:
        raise ListError(f"{place}: {shown!r} names no column.")
    return Expression(expr, frozenset(reader.inputs), kind, text, _ready(expr, kind).alias(text))


def _ready(expr: pl.Expr, kind: Kind) -> pl.Expr:
    """Null is no member; of numbers it is NaN, once they are numpy's. Texts are ordered by their rank."""
    if kind is Kind.CONDITION:
        return expr.fill_null(value=False)
    return expr.rank("dense").cast(pl.Float64) if kind is Kind.TEXT else expr


REMEDY = "it is no whole SQL expression; write one, as change_pct >= 5 AND rvol > 2"


def unknown_column(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name.lower(), known, n=1)
    return f"unknown column {name!r}{f'; did you mean {near[0]!r}?' if near else '.'}"


Typed = tuple[pl.Expr, Kind]


def _finite(expr: pl.Expr) -> pl.Expr:
    return pl.when(expr.is_finite()).then(expr)


# What people meet, in their words, the worst first; anything else is named as polars does.
REFUSED = {
    "SubPlan": "a sub-query",
    "Over": "a window function",
    "Rank": "a window function",
    "Range": "a window function",
    "Agg": "an aggregate (sum, avg, max ...)",
    "Len": "an aggregate (count)",
    "StringExpr": "a function of texts (LIKE, lower ...)",
    "Rem": "the operator %",
    "Alias": 'a name after an expression ("x desc": write the direction as ["x", "desc"])',
    "Selector": "a choice of columns",
    "Cast": "a cast",
}
COMPARISONS: dict[str, Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
    "Eq": lambda left, right: left == right,
    "NotEq": lambda left, right: left != right,
    "Gt": lambda left, right: left > right,
    "GtEq": lambda left, right: left >= right,
    "Lt": lambda left, right: left < right,
    "LtEq": lambda left, right: left <= right,
}
ARITHMETIC: dict[str, Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
    "Plus": lambda left, right: left + right,
    "Minus": lambda left, right: left - right,
    "Mul": lambda left, right: _finite(left * right),
    "Multiply": lambda left, right: _finite(left * right),
    "Div": lambda left, right: _finite(left / right),
    "TrueDivide": lambda left, right: _finite(left / right),
}


class _Reader:
    """One walk over one tree; collects the columns that it names."""

    def __init__(self, kinds: Mapping[str, Kind], place: str) -> None:
        self._kinds = kinds
        self._place = place
        self.inputs: set[str] = set()

    def refuse_what_is_worse(self, tree: Any) -> None:
        """Polars wraps an aggregate in casts and cases: name what the person wrote."""
        words = set(_leaves(tree))
        for word, name in REFUSED.items():
            if word in words and word != "Cast":
                raise self._refused(name)

    def read(self, node: Any) -> Typed:
        if isinstance(node, dict) and len(node) == 1:
            ((name, body),) = node.items()
            if name == "Column":
                return self._column(body)
            if name == "Literal":
                return self._literal(body)
            if name == "BinaryExpr":
                return self._binary(body["op"], self.read(body["left"]), self.read(body["right"]))
            if name == "Ternary":
                return self._ternary(body)
            if name == "Function":
                return self._function(body["function"], body["input"])
            if name == "Cast" and body["dtype"] == {"Literal": "Boolean"}:
                return self._want(Kind.CONDITION, self.read(body["expr"]))  # NOT x arrives so
        name = next(iter(node)) if isinstance(node, dict) else str(node)
        raise self._refused(REFUSED.get(name, f"{name!r}"))

    def _refused(self, what: str) -> ListError:
        return ListError(
            f"{self._place}: {what} is not allowed. Expressions may use columns, numbers, texts, comparisons, AND, OR, NOT, + - * /, "
            "abs, greatest, least, round, ln, sqrt, COALESCE, CASE, IN, BETWEEN and IS NULL."
        )

    def _want(self, kind: Kind, *values: Typed) -> Typed:
        """The last of ``values``, which are all of ``kind`` or null."""
        for _, found in values:
            if found not in (kind, Kind.NULL):
                raise ListError(f"{self._place}: {found} stands where {kind} is needed.")
        return values[-1]

    def _same(self, *values: Typed) -> Kind:
        kinds = [kind for _, kind in values if kind is not Kind.NULL]
        for kind in kinds[1:]:
            if kind is not kinds[0]:
                raise ListError(f"{self._place}: {kinds[0]} and {kind} cannot be compared or mixed.")
        return kinds[0] if kinds else Kind.NULL

    def _column(self, name: str) -> Typed:
        kind = self._kinds.get(name)
        if kind is None:
            raise ListError(f"{self._place}: {unknown_column(name, self._kinds)}")
        self.inputs.add(name)
        return pl.col(name), kind

    def _literal(self, body: dict[str, Any]) -> Typed:
        ((_, value),) = body.items()
        if isinstance(value, dict) and len(value) == 1:
            ((name, inner),) = value.items()
            if name == "String":
                return pl.lit(inner, pl.String), Kind.TEXT
            if name == "Null":
                return pl.lit(None), Kind.NULL
            if name == "Boolean":
                raise self._refused("TRUE or FALSE (null would not count as it does in SQL: write NOT x, or COALESCE)")
            if name in ("Int", "Float", "Decimal"):
                number = inner[0] / 10 ** inner[2] if name == "Decimal" else inner
                if number is None or abs(number) > LARGEST_LITERAL:
                    raise self._refused(f"a number beyond {LARGEST_LITERAL:.0e}")
                return pl.lit(float(number), pl.Float64), Kind.NUMBER
        raise self._refused("this kind of constant")

    def _binary(self, operator: str, left: Typed, right: Typed) -> Typed:
        if operator in ("And", "Or"):
            self._want(Kind.CONDITION, left, right)
            return (left[0] & right[0] if operator == "And" else left[0] | right[0]), Kind.CONDITION
        if operator in COMPARISONS:
            if self._same(left, right) is Kind.CONDITION:
                raise self._refused("a comparison of conditions")
            return COMPARISONS[operator](left[0], right[0]), Kind.CONDITION
        if operator in ARITHMETIC:
            self._want(Kind.NUMBER, left, right)
            return ARITHMETIC[operator](left[0], right[0]), Kind.NUMBER
        raise self._refused(f"the operator {operator!r}")

    def _ternary(self, body: dict[str, Any]) -> Typed:
        condition = self._want(Kind.CONDITION, self.read(body["predicate"]))
        truthy, falsy = self.read(body["truthy"]), self.read(body["falsy"])
        return pl.when(condition[0]).then(truthy[0]).otherwise(falsy[0]), self._same(truthy, falsy)

    def _function(self, function: Any, nodes: list[Any]) -> Typed:
        if _leaves(function)[:2] == ["Sql", "IsIn"]:
            return self._is_in(self.read(nodes[0]), nodes[1])
        values = [self.read(node) for node in nodes]
        exprs = [expr for expr, _ in values]
        match function:
            case "Coalesce":
                return pl.coalesce(exprs), self._same(*values)
            case {"Boolean": "IsNull"}:
                return exprs[0].is_null(), Kind.CONDITION
            case {"Boolean": "IsNotNull"}:
                return exprs[0].is_not_null(), Kind.CONDITION
            case {"Boolean": "Not"}:
                return ~self._want(Kind.CONDITION, *values)[0], Kind.CONDITION
            case {"Sql": {"Binary": str(operator)}}:  # so says polars where a constant has decimals
                return self._binary(operator, values[0], values[1])
        return self._of_numbers(function, values), Kind.NUMBER

    def _of_numbers(self, function: Any, values: list[Typed]) -> pl.Expr:
        first = values[0][0]
        match function:
            case "MaxHorizontal":
                expr = pl.max_horizontal([expr for expr, _ in values])
            case "MinHorizontal":
                expr = pl.min_horizontal([expr for expr, _ in values])
            case "Abs":
                expr = first.abs()
            case "Log":
                # ln(0) and ln(-1) have no value; the base is polars' own second input.
                expr = pl.when(first > 0).then(first.log() / values[1][0].log())
            case {"Pow": "Sqrt"}:
                expr = pl.when(first >= 0).then(first.sqrt())
            case {"Sql": {"Round": {"decimals": int(decimals)}}}:
                expr = first.round(decimals, mode="half_away_from_zero")
            case _:
                raise self._refused(f"the function {function if isinstance(function, str) else '.'.join(_leaves(function))}")
        self._want(Kind.NUMBER, *values)
        return expr

    def _is_in(self, value: Typed, choices: Any) -> Typed:
        if set(choices) != {"Literal"} or set(choices["Literal"]) != {"Series"}:
            raise self._refused("IN of anything but constants")
        # The constants come as one list in the bytes of polars' own format.
        series = pl.select(pl.Expr.deserialize(json.dumps(choices).encode(), format="json")).to_series().explode()
        kind = Kind.TEXT if series.dtype == pl.String else Kind.NUMBER
        self._want(kind, value)
        constants = series.to_list()
        if None in constants:
            raise self._refused("NULL in IN")
        return value[0].is_in(constants if kind is Kind.TEXT else [float(item) for item in constants]), Kind.CONDITION


def _leaves(node: Any) -> list[str]:
    """The words of a tree, outer ones first, without those of the person."""
    if isinstance(node, dict):
        return [word for key, value in node.items() if key not in ("String", "Column") for word in (key, *_leaves(value))]
    if isinstance(node, list):
        return [word for item in node for word in _leaves(item)]
    return [node] if isinstance(node, str) else []
