"""What the stream says in each second of a session: a pure function of the market. No sockets, no clock.

    second bar   [s, s+1)     sent at s + 3      (about 2 s behind the tape)
    minute bar   [m, m+60)    sent at m + 62
    LULD         17 at a halt's start, 18 at its end
    quote        at the end of each second in which an issue traded
    late bars    sent with too little volume first, the true one 20 to 40 s later

REST knows nothing of the preliminary ones: it shows what is true.
"""

from collections import OrderedDict
from collections.abc import Iterator
from datetime import date
from typing import Any

import msgspec
import numpy as np
import orjson
import polars as pl
from numpy.typing import NDArray

from tradeul.simulator.bars import REGULAR_START, Bars, Totals, segments, totals
from tradeul.simulator.hashing import Floats
from tradeul.simulator.market import Market, symbols
from tradeul.simulator.snapshot import quote_of
from tradeul.simulator.wire_out import rows, whole

SECOND_DELAY, MINUTE_DELAY = 3, 62  # from a bar's start to its message
LONGEST_LATENESS = 40
AFTER_CLOSE = MINUTE_DELAY + LONGEST_LATENESS  # the last message after the end of the post-market
FRAME_ROWS = 3_000  # some 280 bytes each: a frame stays below 1 MiB
KEPT_MINUTES = 3
PRELIMINARY = 0.6  # of the true volume
HALTED, RESUMED = 17, 18


class Batch(msgspec.Struct, frozen=True):
    """Messages of one kind in one second, not yet encoded."""

    kind: str  # A, AM, LULD, Q
    numbers: NDArray[Any]
    frame: pl.DataFrame

    def encoded(self, wanted: frozenset[int] | None = None) -> Iterator[bytes]:
        """JSON arrays below 1 MiB; ``wanted``: only these issues."""
        frame = self.frame
        if wanted is not None:
            frame = frame.filter(pl.Series(np.isin(self.numbers, list(wanted))))
        for first in range(0, frame.height, FRAME_ROWS):
            yield rows(frame[first : first + FRAME_ROWS])


class _Minute(msgspec.Struct):
    """One minute of the session, ready to be told: rows in order of start."""

    start: int
    before: Totals
    minutes: Bars
    minute_late: NDArray[np.int64]
    seconds: Bars | None = None
    second_late: NDArray[np.int64] | None = None
    volume_before: Floats | None = None  # accumulated until each second row's end
    dollars_before: Floats | None = None


class StreamFeed:
    def __init__(self, market: Market) -> None:
        self._market = market
        self._minutes: OrderedDict[tuple[date, int], _Minute] = OrderedDict()

    def batches(self, session: date, second: int, kinds: frozenset[str]) -> list[Batch]:
        """What is sent ``second`` seconds after the session's 04:00."""
        found = []
        if "LULD" in kinds:
            found += self._halts(session, second)
        if self._market.source.counts_trades and "Q" in kinds and second > 0:
            found.append(self._quotes(session, second - 1))
        if self._market.source.counts_trades and "A" in kinds:
            found += self._of_seconds(session, second)
        if "AM" in kinds:
            found += self._of_minutes(session, second)
        return [batch for batch in found if batch.frame.height]

    def next_second(self, second: int) -> int:
        """The next in which something may be sent."""
        if self._market.source.counts_trades:
            return second + 1
        return (second - 2) // 60 * 60 + MINUTE_DELAY

    def prepare(self, session: date, start: int) -> None:
        """Make the second bars of a minute before they are due."""
        if 0 <= start < self._market.second(session, self._market.hours(session).post_close_at) and self._market.source.counts_trades:
            self._with_seconds(session, start)

    def _of_seconds(self, session: date, second: int) -> list[Batch]:
        found = []
        due = second - SECOND_DELAY
        for start in {due // 60 * 60, (due - LONGEST_LATENESS) // 60 * 60}:
            if start < 0:
                continue
            minute = self._with_seconds(session, start)
            assert minute.seconds is not None and minute.second_late is not None  # noqa: S101 just made
            own = minute.seconds.start
            first = np.flatnonzero(own == due)
            corrected = np.flatnonzero((minute.second_late > 0) & (own + minute.second_late == due))
            found.append(self._second_batch(session, minute, first, preliminary=True))
            found.append(self._second_batch(session, minute, corrected, preliminary=False))
        return found

    def _second_batch(self, session: date, minute: _Minute, places: NDArray[np.intp], *, preliminary: bool) -> Batch:
        bars, late = minute.seconds, minute.second_late
        assert bars is not None and late is not None and minute.volume_before is not None and minute.dollars_before is not None  # noqa: S101
        missing = _missing(bars.volume[places], late[places]) if preliminary else np.zeros(len(places), np.int64)
        sums = minute.volume_before[places], minute.dollars_before[places]
        return self._batch("A", session, bars.take(places), minute, sums, missing)

    def _quotes(self, session: date, start: int) -> Batch:
        """Around the last prices of the second that began at ``start``."""
        bars = self._with_seconds(session, start // 60 * 60).seconds
        assert bars is not None  # noqa: S101 just made
        traded = bars.take(bars.start == start)
        bid, ask = quote_of(self._market, traded.dollars("close"), traded.issue)
        at_ms = int(self._market.hours(session).pre_open_at.timestamp() * 1000) + (start + 1) * 1000
        sizes = {"bs": 100 * (1 + traded.issue % 7), "as": 100 * (1 + traded.issue % 9)}
        columns = {"sym": symbols(self._market.source, traded.issue, session), "bp": bid, "ap": ask, **sizes}
        constant = {
            "ev": pl.lit("Q"),
            "bx": pl.lit(4),
            "ax": pl.lit(7),
            "c": pl.lit(0),
            "t": pl.lit(at_ms),
            "q": pl.lit(start),
            "z": pl.lit(3),
        }
        return Batch("Q", traded.issue, pl.DataFrame(columns).with_columns(**constant))

    def _of_minutes(self, session: date, second: int) -> list[Batch]:
        found = []
        due = second - MINUTE_DELAY
        for start in {due // 60 * 60, (due - LONGEST_LATENESS) // 60 * 60}:
            if start < 0 or not (start == due or due - LONGEST_LATENESS <= start < due):
                continue
            minute = self._minute(session, start)
            late = minute.minute_late
            places = np.arange(len(late)) if start == due else np.flatnonzero((late > 0) & (start + late == due))
            bars = minute.minutes.take(places)
            missing = _missing(bars.volume, late[places]) if start == due else np.zeros(len(places), np.int64)
            sums = minute.before.volume[bars.issue], minute.before.dollars[bars.issue]
            found.append(self._batch("AM", session, bars, minute, sums, missing))
        return found

    def _batch(
        self, kind: str, session: date, bars: Bars, minute: _Minute, sums: tuple[Floats, Floats], missing: NDArray[np.int64]
    ) -> Batch:
        """``sums``: shares and dollars before each bar; ``missing``: shares that a preliminary bar does not know of yet."""
        start_ms = int(self._market.hours(session).pre_open_at.timestamp() * 1000) + bars.start.astype(np.int64) * 1000
        volume = bars.volume.astype(np.int64) - missing
        accumulated = whole(sums[0]) + volume
        dollars = sums[1] + bars.vwap() * volume
        opening = minute.before.open[bars.issue]
        if minute.start >= REGULAR_START:
            heads, _, issues = segments(minute.minutes.issue)
            first = np.full(len(minute.before.open), np.nan)
            if minute.start < self._market.close_second(session):
                first[issues] = minute.minutes.dollars("open")[heads]
            opening = np.where(np.isnan(opening), first[bars.issue], opening)
        columns: dict[str, Any] = {
            "ev": pl.Series([kind]).extend_constant(kind, max(len(bars) - 1, 0))[: len(bars)],
            "sym": symbols(self._market.source, bars.issue, session),
            "v": volume,
            "av": accumulated,
            "dv": volume.astype(str),
            "dav": accumulated.astype(str),
            "op": opening,
        }
        if bars.trades is not None:
            columns["vw"] = bars.vwap()
            columns["z"] = np.maximum(np.rint(bars.volume / np.maximum(bars.trades, 1)), 1).astype(np.int64)
        late = missing > 0
        top, bottom = np.maximum(bars.open, bars.close), np.minimum(bars.open, bars.close)
        columns |= {
            "o": bars.dollars("open"),
            "c": bars.dollars("close"),
            "h": np.where(late, top, bars.high) / bars.unit,
            "l": np.where(late, bottom, bars.low) / bars.unit,
            "a": np.round(dollars / np.maximum(accumulated, 1), 4),
            "s": start_ms,
            "e": start_ms + bars.width * 1000,
        }
        return Batch(kind, bars.issue, pl.DataFrame(columns))

    def _halts(self, session: date, second: int) -> list[Batch]:
        found = []
        start_ns = int(self._market.hours(session).pre_open_at.timestamp()) * 1_000_000_000
        for halt in self._market.source.halts(session):
            for at, indicator in ((halt.start, HALTED), (halt.end, RESUMED)):
                if halt.announced and at == second:
                    issue = self._market.source.issues[halt.number]
                    tape = 3 if issue.exchange == "XNAS" else 1
                    row = {"ev": "LULD", "T": issue.symbol_on(session), "h": 0.0, "l": 0.0, "i": [indicator], "z": tape}
                    frame = pl.DataFrame([row | {"t": start_ns + second * 1_000_000_000, "q": second * 100 + halt.number % 100}])
                    found.append(Batch("LULD", np.array([halt.number]), frame))
        return found

    def _minute(self, session: date, start: int) -> _Minute:
        key = session, start
        if key not in self._minutes:
            market = self._market
            bars = market.minutes(session)
            size, close = len(market.source.issues), market.close_second(session)
            here = bars.take(bars.start == start)
            minute = _Minute(start, totals(bars.take(bars.start < start), size, close), here, market.source.late(session, here))
            while len(self._minutes) >= KEPT_MINUTES:
                self._minutes.popitem(last=False)
            self._minutes[key] = minute
        return self._minutes[key]

    def _with_seconds(self, session: date, start: int) -> _Minute:
        minute = self._minute(session, start)
        if minute.seconds is None:
            bars = self._market.seconds(session, start)
            minute.volume_before = minute.before.volume[bars.issue] + _before(bars, bars.volume.astype(np.float64))
            minute.dollars_before = minute.before.dollars[bars.issue] + _before(bars, np.round(bars.vwap() * bars.volume * 1e4)) / 1e4
            minute.second_late = self._market.source.late(session, bars)
            minute.seconds = bars
        return minute


def _before(bars: Bars, values: Floats) -> Floats:
    """Sums of an issue's earlier rows; exact, because ``values`` are whole."""
    heads, tails, _ = segments(bars.issue)
    sums = np.cumsum(values) - values
    return sums - np.repeat(sums[heads], tails - heads + 1)


def _missing(volume: NDArray[Any], late: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.where((late > 0) & (volume > 1), np.ceil(volume * (1.0 - PRELIMINARY)), 0).astype(np.int64)


def status(name: str, message: str) -> bytes:
    return orjson.dumps([{"ev": "status", "status": name, "message": message}])
