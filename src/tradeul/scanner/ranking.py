"""From members of a list to its rows: order, the first N, and the wire's form of each value.

Nulls last, then symbol, so that ties are stable. Values are rounded here,
before anything is compared: what changes below the rounding sends nothing.
Every value is finite or None, whatever live was fed with.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tradeul.records.frame import FloatArray
from tradeul.records.messages import Rows
from tradeul.scanner.columns import COLUMNS, Form, Market

Places: TypeAlias = npt.NDArray[np.intp]  # rows of a market

SIGNIFICANT_DIGITS = 3
LARGEST_ROUNDED = 1e11  # rounding multiplies: beyond it a nonsense price would overflow
LARGEST_WHOLE = 1e15
LAST_SECOND = 253_402_300_799  # of the year 9999


def ranked(members: Places, keys: Sequence[tuple[FloatArray, bool]], symbol_rank: Places, limit: int) -> Places:
    """``members`` in order. ``keys``: a value per member (NaN: null) and whether it descends, the first one first."""
    columns = [-values if descending else values for values, descending in keys]
    order = np.lexsort((symbol_rank[members], *reversed(columns)))  # NaN sorts last
    return members[order[:limit]]


def wire_rows(market: Market, places: Places, cells: Sequence[str]) -> Rows:
    symbols = market.join.symbols
    columns = [wire_values(market, name, places) for name in cells]
    names = ("symbol", "rank", *cells)
    heads = ([symbols[place] for place in places.tolist()], range(len(places)))
    return [dict(zip(names, values, strict=True)) for values in zip(*heads, *columns, strict=True)]


def wire_values(market: Market, name: str, places: Places) -> Sequence[Any]:
    """One column at some rows, as it is sent."""
    form = COLUMNS[name].form
    if form is Form.TEXT:
        return market.texts(name, places.tolist())
    values = market[name][places]
    match form:
        case Form.FLAG:
            return [None if value != value else value != 0 for value in values.tolist()]
        case Form.TIME:
            return [iso_time(value) for value in values.tolist()]
        case Form.SIGNIFICANT:
            return [None if value != value else float(f"{value:.{SIGNIFICANT_DIGITS}g}") for value in values.tolist()]
        case Form.COUNT:
            return [None if value != value else whole(value) for value in values.tolist()]
    decimals = 4 if form is Form.PRICE else 2
    rounded = np.where(np.abs(values) < LARGEST_ROUNDED, np.round(values, decimals), values) + 0.0  # no -0.0
    return [None if value != value else value for value in rounded.tolist()]


def whole(value: float) -> float:
    return round(value) if abs(value) < LARGEST_WHOLE else value


def iso_time(seconds: float) -> str | None:
    """ISO 8601 UTC, to the millisecond."""
    if not 0 <= seconds <= LAST_SECOND:
        return None
    return datetime.fromtimestamp(round(seconds, 3), UTC).isoformat().replace("+00:00", "Z")
