"""Snapshots polled in place of a stream, as bars: docs/columns.md ("polling"). Imports nothing of the product.

A poll shows each ticker's last minute so far (`min`, with `av`, all shares since
04:00) and its last trade. Times are seconds since 04:00.
"""

import math
from typing import Any, NamedTuple

from tests.reference.hours import Hours
from tests.reference.today import Bar

Row = dict[str, Any]
CLEARED = 23.5 * 3600  # the vendor forgets a session at 03:30


class Minute(NamedTuple):
    bar: Bar
    vwap: float
    size: float | None  # shares a trade
    accumulated: float


class Shown:
    """What was shown of one ticker."""

    def __init__(self) -> None:
        self.minute: Minute | None = None
        self.trade: Bar | None = None  # beyond the minute
        self.prices: list[float] = []  # of last trades in that bar's minute


class Polls:
    def __init__(self, hours: Hours) -> None:
        self.hours = hours
        self.shown: dict[str, Shown] = {}
        self.is_first = True

    def bars(self, rows: list[Row]) -> list[tuple[str, Bar]]:
        """What is new in a poll."""
        found = [(row["ticker"], bar) for row in rows if self.is_of_session(row) for bar in self.new_of(row)]
        self.is_first = False
        return found

    def at(self, row: Row, *path: str) -> float | None:
        """A time of the row; None where the vendor says none. `min` counts milliseconds, the others nanoseconds."""
        value: Any = row
        for name in path:
            value = (value or {}).get(name)
        milliseconds = value if path[0] == "min" else (value or 0) // 10**6
        return milliseconds / 1000 - self.hours.pre_open if milliseconds else None

    def is_of_session(self, row: Row) -> bool:
        told = [at for at in (self.at(row, "min", "t"), self.at(row, "lastTrade", "t"), self.at(row, "updated")) if at is not None]
        return bool(told) and all(0 <= at < CLEARED for at in told)

    def new_of(self, row: Row) -> list[Bar]:
        shown, found = self.shown.setdefault(row["ticker"], Shown()), []
        now, before = self.minute_of(row), shown.minute
        if now is not None and now != before and (before is None or now.bar.start >= before.bar.start):
            if before is None or now.bar.start > before.bar.start:
                unseen = now.accumulated - now.bar.volume - (0 if before is None else before.accumulated)
                if unseen > 0.5 and not self.is_first:  # traded between two polls; before the first one it is recovery's
                    last, start, seen = (now, now.bar.start - 60, 0) if before is None else (before, before.bar.start, before.bar.volume)
                    found.append(counting(last, start, seen + unseen))
            found.append(now.bar)
            shown.minute = now
        trade = self.trade_of(row, shown)
        if trade is not None and trade != shown.trade:
            found.append(trade)
        shown.trade = trade
        return found

    def minute_of(self, row: Row) -> Minute | None:
        told = row["min"]
        start, close = self.at(row, "min", "t"), told.get("c")
        if start is None or not close:
            return None
        newest = self.at(row, "lastTrade", "t")
        if newest is None:
            newest = self.at(row, "updated")
        end = int(start) + 60
        if newest is not None:  # while it runs, with the second of the last trade
            end = min(math.floor(max(newest, start)) + 1, end)
        prices = [told.get(name) or close for name in "ohl"]
        volume, vwap, so_far = told["v"], told.get("vw") or close, told.get("av") or 0
        size = volume / told["n"] if told.get("n") else None
        bar = Bar(int(start), end, *prices, close, volume, vwap * volume, told.get("n"), row["day"].get("o") or None, so_far or None)
        return Minute(bar, vwap, size, so_far)

    def trade_of(self, row: Row, shown: Shown) -> Bar | None:
        """The last trade, where the minute shown does not reach it."""
        at, price = self.at(row, "lastTrade", "t"), (row.get("lastTrade") or {}).get("p")
        if at is None or not price or (shown.minute is not None and at < shown.minute.bar.start + 60):
            shown.prices = []
            return None
        start = int(at) // 60 * 60
        if shown.trade is None or shown.trade.start != start:
            shown.prices = []
        shown.prices.append(price)
        first = shown.prices[0]
        return Bar(start, math.floor(at) + 1, first, max(shown.prices), min(shown.prices), price, 0.0, 0.0, None)


def counting(minute: Minute, start: int, shares: float) -> Bar:
    """A minute's bar of so many shares, at the prices and of the size of trades that ``minute`` shows."""
    trades = round(shares / minute.size) if minute.size else None
    return minute.bar._replace(start=start, end=start + 60, volume=shares, dollars=minute.vwap * shares, trades=trades)
