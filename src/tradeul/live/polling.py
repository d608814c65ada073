"""Bars out of snapshots, for plans without a stream: what changed from one poll to the next. Pure; `service.py` polls.

    min        -> the minute's bar, again whenever it grew (a bar with a known start replaces the earlier); while the minute
                  runs it ends with the last trade, so that windows count what is known and no bar ends in the future
    lastTrade  -> beyond `min`: a bar of the running minute, of no volume yet, so that the price is the last trade's
    min.av     -> what it grew by more than its bars tell was traded between two polls: it is added to the minute before

So volumes are the vendor's own, and windows are right to the poll.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from tradeul.live.recovery import SAME_SHARES, is_of_session
from tradeul.records.bars import StreamBar, StreamBatch, TickerSnapshot

MINUTE_MS = 60_000


class _Shown(NamedTuple):
    """What a ticker's last polls said."""

    bar: StreamBar | None  # of `min`
    before: float  # shares traded before it
    trade: StreamBar | None  # of lastTrade, in a later minute


class SnapshotBars:
    """For one session, which began (04:00) at ``first_ms``; at most one bar's memory a ticker."""

    def __init__(self, first_ms: int) -> None:
        self._first_ms = first_ms
        self._shown: dict[str, _Shown] = {}
        self._is_first = True

    def take(self, rows: Sequence[TickerSnapshot], received_ms: int) -> StreamBatch:
        """Some 40 ms at 12,400 rows, so not in the event loop."""
        minutes: list[StreamBar] = []
        for row in rows:
            if is_of_session(row, self._first_ms):
                shown = self._shown.get(row.symbol, _Shown(None, 0.0, None))
                self._shown[row.symbol] = _follow(shown, row, minutes, is_first=self._is_first)
        self._is_first = False
        return StreamBatch(received_ms, [], minutes)


def _follow(shown: _Shown, row: TickerSnapshot, minutes: list[StreamBar], *, is_first: bool) -> _Shown:
    """What is shown now; bars that are new go to ``minutes``. What was traded before the first poll is left to recovery."""
    bar, before = shown.bar, shown.before
    now = _minute_of(row)
    if now is not None and now != bar and (bar is None or now.start_ms >= bar.start_ms):
        accumulated = now.accumulated_volume or 0.0
        if bar is None or now.start_ms > bar.start_ms:
            seen = before + (bar.volume if bar is not None else 0.0)
            unseen = accumulated - now.volume - seen
            if unseen > SAME_SHARES and not is_first:
                earlier = bar or msgspec.structs.replace(now, start_ms=now.start_ms - MINUTE_MS, volume=0.0)
                ended = {"end_ms": earlier.start_ms + MINUTE_MS, "volume": earlier.volume + unseen}
                minutes.append(msgspec.structs.replace(earlier, **ended))
        minutes.append(now)
        bar, before = now, accumulated - now.volume
    trade = _trade_of(row, bar, shown.trade)
    if trade is not None and trade != shown.trade:
        minutes.append(trade)
    return _Shown(bar, before, trade)


def _minute_of(row: TickerSnapshot) -> StreamBar | None:
    start, close, volume = row.minute_start_ms, row.minute_close, row.minute_volume
    if start is None or close is None or volume is None:
        return None
    newest = row.last_ms or row.updated_ms
    end = start + MINUTE_MS if newest is None else min(max(newest, start) + 1, start + MINUTE_MS)
    prices = row.minute_open or close, row.minute_high or close, row.minute_low or close, close
    size = volume / row.minute_trades if row.minute_trades else None
    return StreamBar(row.symbol, start, end, *prices, volume, row.minute_vwap, size, row.accumulated_volume, row.day_open)


def _trade_of(row: TickerSnapshot, minute: StreamBar | None, earlier: StreamBar | None) -> StreamBar | None:
    """A bar of the minute of the last trade, if `min` does not reach it yet."""
    at, price = row.last_ms, row.last_price
    if at is None or price is None or (minute is not None and at < minute.start_ms + MINUTE_MS):
        return None
    start = at // MINUTE_MS * MINUTE_MS
    opens, high, low = price, price, price
    if earlier is not None and earlier.start_ms == start:
        opens, high, low = earlier.open, max(earlier.high, price), min(earlier.low, price)
    return StreamBar(row.symbol, start, at + 1, opens, high, low, price, 0.0)
