"""Bars of many issues in columns, ordered by (issue, start), and the few sums that every endpoint is made of. Pure; no market, no wire."""

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tradeul.simulator.hashing import Floats

Ints = NDArray[Any]
TICKS = 10_000.0  # synthetic prices are whole numbers of 1/10,000 dollar
REGULAR_START = 19_800  # 09:30 in seconds since 04:00


class Bars(msgspec.Struct, frozen=True):
    """Intraday bars of one session."""

    issue: Ints
    start: Ints  # seconds since 04:00
    open: NDArray[Any]
    high: NDArray[Any]
    low: NDArray[Any]
    close: NDArray[Any]
    volume: Ints
    trades: Ints | None  # None: the source has neither counts nor volume-weighted prices
    width: int  # seconds
    unit: float = TICKS  # prices / unit = dollars

    def __len__(self) -> int:
        return len(self.issue)

    def take(self, which: Any) -> "Bars":
        """The rows of a mask, a slice or places."""
        columns = {name: getattr(self, name)[which] for name in ("issue", "start", "open", "high", "low", "close", "volume")}
        return msgspec.structs.replace(self, trades=None if self.trades is None else self.trades[which], **columns)

    def ended_by(self, second: float) -> "Bars":
        """Those whose end has passed ``second`` seconds after 04:00."""
        return self.take(self.start + self.width <= second)

    def of(self, number: int) -> "Bars":
        first, last = np.searchsorted(self.issue, [number, number + 1])
        return self.take(slice(int(first), int(last)))

    def dollars(self, name: str) -> Floats:
        return np.asarray(getattr(self, name) / self.unit, np.float64)

    def vwap(self) -> Floats:
        """A bar's volume-weighted price: between its low and high, a function of the bar alone. Recorded bars have their close only."""
        if self.trades is None:
            return self.dollars("close")
        total = self.open.astype(np.float64) + self.high + self.low + self.close
        return np.asarray(np.round(total / (4.0 * self.unit), 4))


class Totals(msgspec.Struct, frozen=True):
    """One row for each issue of the universe; NaN and 0 where nothing traded."""

    open: Floats  # regular hours
    high: Floats
    low: Floats
    close: Floats
    volume: Floats  # all hours
    dollars: Floats
    trades: Floats
    last: Floats  # price of the newest bar, whichever hours
    last_end: NDArray[np.int64]  # seconds since 04:00; 0: none
    regular: NDArray[np.bool_]  # traded in regular hours


def totals(bars: Bars, size: int, close_second: int) -> Totals:
    """What the session's bars add up to. Official open and close: first and last bar that starts in regular hours."""
    volume = _sums(bars, bars.volume, size)
    dollars = _sums(bars, bars.volume * bars.vwap(), size)
    trades = np.full(size, np.nan) if bars.trades is None else _sums(bars, bars.trades, size)
    inside = bars.take((bars.start >= REGULAR_START) & (bars.start < close_second))
    columns = {name: np.full(size, np.nan) for name in ("open", "high", "low", "close", "last")}
    heads, tails, issues = segments(inside.issue)
    if len(issues):
        columns["open"][issues] = inside.dollars("open")[heads]
        columns["close"][issues] = inside.dollars("close")[tails]
        columns["high"][issues] = np.maximum.reduceat(inside.dollars("high"), heads)
        columns["low"][issues] = np.minimum.reduceat(inside.dollars("low"), heads)
    last_end = np.zeros(size, np.int64)
    _, all_tails, all_issues = segments(bars.issue)
    columns["last"][all_issues] = bars.dollars("close")[all_tails]
    last_end[all_issues] = bars.start[all_tails] + bars.width
    return Totals(**columns, volume=volume, dollars=dollars, trades=trades, last_end=last_end, regular=~np.isnan(columns["open"]))


def add(first: Totals, later: Totals) -> Totals:
    """The totals of both; all bars of ``later`` come after those of ``first``."""
    traded = later.last_end > 0
    return Totals(
        open=np.where(first.regular, first.open, later.open),
        high=np.fmax(first.high, later.high),
        low=np.fmin(first.low, later.low),
        close=np.where(later.regular, later.close, first.close),
        volume=first.volume + later.volume,
        dollars=first.dollars + later.dollars,
        trades=first.trades + later.trades,
        last=np.where(traded, later.last, first.last),
        last_end=np.where(traded, later.last_end, first.last_end),
        regular=first.regular | later.regular,
    )


def _sums(bars: Bars, values: Ints, size: int) -> Floats:
    return np.asarray(np.bincount(bars.issue, values, size), np.float64)


def segments(ordered: Ints) -> tuple[NDArray[np.intp], NDArray[np.intp], Ints]:
    """First place, last place and value of each run of equal values."""
    if not len(ordered):
        none = np.zeros(0, np.intp)
        return none, none, ordered
    heads = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    return heads, np.append(heads[1:], len(ordered)) - 1, ordered[heads]


def widen(bars: Bars, width: int) -> Bars:
    """Bars of ``width`` seconds from shorter ones; a multiple of theirs that divides the hour's grid."""
    if not len(bars):
        return msgspec.structs.replace(bars, width=width)
    start = bars.start // width * width
    heads = np.flatnonzero(np.concatenate(([True], (start[1:] != start[:-1]) | (bars.issue[1:] != bars.issue[:-1]))))
    tails = np.append(heads[1:], len(start)) - 1
    return Bars(
        issue=bars.issue[heads],
        start=start[heads],
        open=bars.open[heads],
        high=np.maximum.reduceat(bars.high, heads),
        low=np.minimum.reduceat(bars.low, heads),
        close=bars.close[tails],
        volume=np.add.reduceat(bars.volume, heads),
        trades=None if bars.trades is None else np.add.reduceat(bars.trades, heads),
        width=width,
        unit=bars.unit,
    )
