"""Today, one row per symbol: bars in, totals and extremes kept, frames out (`frames.py` makes the columns).

    StreamBatch -> read -> Heard -> take: arrivals.py (checks, waves) -> minutes.py (what is new) -> totals here, windows.py (half an hour)
    REST minutes --------------------------------------------------------^

Between `read` and `take` lies the tape (`tape.py`).

Bars are taken in the order of arrival, those of one frame in the order of their
ends; the result does not depend on how frames are batched. A bars build the running minute; an AM replaces the sum of its
minute's A bars, and an earlier AM of the same start; the difference, if any,
counts at the minute's end. An A of a closed minute is ignored.

Rules for what arrives late:
  - sums, windows and last prices are as if it had come in time;
  - high and low follow replacements down too (recomputed from the kept minutes),
    except an A corrected within its running minute: its AM puts that right;
  - `high_at` is the end of the bar that set the high; what later, lower bars had
    counted until then stays counted, and VWAP is not crossed by a bar older than the newest.

All calls come from one thread. It reads no clock and awaits nothing.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from tradeul.analytics.extremes import vwap_side
from tradeul.analytics.windows import ratio
from tradeul.live import beside_bars
from tradeul.live.arrivals import Arrivals, Heard, Minutes, checked, rest_bars, stream_bars
from tradeul.live.minutes import MinuteStore, SecondRing
from tradeul.live.windows import Windows
from tradeul.market_calendar import SessionHours
from tradeul.records.bars import IntradayBar, StreamBar, StreamBatch
from tradeul.records.frame import FloatArray
from tradeul.records.tickers import Ticker

IntArray = npt.NDArray[np.int64]

ROOM = 16_384  # symbols; more make it grow, which costs a pause
AM_DELAY_SECONDS = 5.0  # the vendor holds a minute's bar some 2 s
HALT_PRINTS_SECONDS = 10  # who trades later than this after a halt was told has resumed, told or not (a lost connection)
# Who said the open, by rank: a later word of the same rank replaces.
OPEN_OF_BAR, OPEN_OF_SNAPSHOT, OPEN_OFFICIAL = 1.0, 2.0, 3.0

# Kept per symbol, and what it begins as. Times are seconds since 04:00.
ZERO = ("volume", "dollars", "trades", "pm_volume", "post_volume", "post_dollars", "post_trades", "side", "open_rank", "partial", "filled")
UNKNOWN = (
    *("price", "last_end", "first_end", "high", "low", "pm_high", "pm_low", "open", "open_start", "close", "close_end", "regular_low"),
    *("high_at", "low_at", "cross_at", "halted", "halt_told", "lowest_since_open", "highest_since_open", "atr"),
    *("prev_close", "accumulated", "session_vwap", "unexplained", "bid", "ask", "quote_at"),
    *("snap_price", "snap_end", "snap_volume", "snap_vwap", "snap_regular_low", "snap_close"),
)
COUNTED = (
    *("bars", "other_session", "malformed", "closed_minute", "too_old", "unknown_symbols", "too_many_symbols"),
    *("snapshots_refused", "differences", "healed"),
)


class TodayTable:
    def __init__(self, hours: SessionHours, capacity: int = ROOM) -> None:
        self.hours = hours
        self.session = hours.session
        self.pre_open_s = hours.pre_open_at.timestamp()
        self.open_s = int(hours.open_at.timestamp() - self.pre_open_s)
        self.close_s = int(hours.close_at.timestamp() - self.pre_open_s)
        self.symbols: list[str] = []
        self.index: dict[str, int] = {}
        self.universe: frozenset[str] = frozenset()  # of the baselines
        self.newcomers: Mapping[str, Ticker] = {}  # what the reference says of symbols beyond it
        self._sorted: list[str] = []
        self._order: IntArray = np.zeros(0, np.int64)
        self.columns: dict[str, FloatArray] = {name: np.zeros(capacity) for name in ZERO}
        self.columns.update({name: np.full(capacity, np.nan) for name in UNKNOWN})
        self.minutes = MinuteStore(capacity)
        self.seconds = SecondRing(capacity)
        self.windows = Windows(capacity)
        self.length_s = int((hours.post_close_at - hours.pre_open_at).total_seconds())
        self.live_from_s = 0.0  # windows are seen from here on; 0: from the session's first bar
        self.subscribed_s: float | None = None  # None: since before the session's first bar
        self.whole_from_s = 0.0
        self.seeded = False  # a snapshot has said who traded before we listened
        self.tells_trades = False
        self.newest_end_s = 0
        self.counts = dict.fromkeys(COUNTED, 0)
        self._most_symbols = 2 * capacity  # that the stream may bring: names made up by a sender must not fill the memory

    # --- symbols -----------------------------------------------------------------------------------------------------

    def add_symbols(self, symbols: Sequence[str]) -> None:
        new = [symbol for symbol in dict.fromkeys(symbols) if symbol not in self.index]
        if not new:
            return
        first = len(self.symbols)
        capacity = len(self.columns["price"])
        if first + len(new) > capacity:
            self._grow(max(first + len(new), 2 * capacity))
        self.index.update({symbol: first + place for place, symbol in enumerate(new)})
        self.symbols += new
        if self.subscribed_s is not None and not self.seeded:
            self.columns["partial"][first : len(self.symbols)] = 1.0

    def _grow(self, capacity: int) -> None:
        for name, old in self.columns.items():
            self.columns[name] = np.full(capacity, 0.0 if name in ZERO else np.nan)
            self.columns[name][: len(old)] = old
        for part in (self.minutes, self.seconds, self.windows):
            part.grow(capacity)

    def set_levels(self, symbols: Sequence[str], atr: FloatArray, prev_close: FloatArray) -> None:
        """Take the universe and the levels that paths are judged by (dollars, split-adjusted; NaN unknown)."""
        self.add_symbols(symbols)
        self.universe = frozenset(symbols)
        self._most_symbols = max(self._most_symbols, len(self.symbols) + ROOM)
        rows = [self.index[symbol] for symbol in symbols]
        self.columns["atr"][rows] = atr
        # What a snapshot said stands where the levels know nothing, whichever comes first.
        self.columns["prev_close"][rows] = np.where(np.isnan(prev_close), self.columns["prev_close"][rows], prev_close)

    def in_order(self) -> tuple[list[str], IntArray]:
        """The symbols sorted, and their rows: kept until a symbol is added."""
        if len(self._order) != len(self.symbols):
            self._order = np.array(sorted(range(len(self.symbols)), key=self.symbols.__getitem__), np.int64)
            self._sorted = [self.symbols[row] for row in self._order]
        return self._sorted, self._order

    def _rows(self, bars: Sequence[StreamBar]) -> list[int]:
        index = self.index
        try:
            return [index[bar.symbol] for bar in bars]
        except KeyError:
            # Only a bar that will be counted may bring its symbol in; the others' row is never used.
            unknown = [bar for bar in bars if bar.symbol not in index]
            good = checked(stream_bars(unknown, range(len(unknown)), np.zeros(len(unknown), np.bool_)), self.hours).symbol
            self.admit([unknown[place].symbol for place in good])
            return [index.get(bar.symbol, -1) for bar in bars]

    def admit(self, symbols: Sequence[str]) -> None:
        """Symbols that only the stream knows, as far as there is room."""
        new = [symbol for symbol in dict.fromkeys(symbols) if symbol not in self.index]
        admitted = new[: max(self._most_symbols - len(self.symbols), 0)]
        self.add_symbols(admitted)
        self.counts["unknown_symbols"] += len(admitted)
        self.counts["too_many_symbols"] += len(new) - len(admitted)

    # --- bars --------------------------------------------------------------------------------------------------------

    def apply(self, *batches: StreamBatch) -> None:
        """Take batches, in order; within one, bars by their end, a minute's seconds before its AM."""
        self.take(self.read(*batches))

    def read(self, *batches: StreamBatch) -> Heard:
        """Batches as columns, for `take`; their symbols are found or added, nothing is counted yet."""
        bars: list[StreamBar] = []
        kinds: list[npt.NDArray[np.bool_]] = [np.zeros(0, np.bool_)]
        frames: list[IntArray] = [np.zeros(0, np.int64)]
        for frame, batch in enumerate(batches):
            bars += batch.seconds
            bars += batch.minutes
            kinds += [np.zeros(len(batch.seconds), np.bool_), np.ones(len(batch.minutes), np.bool_)]
            frames.append(np.full(len(batch.seconds) + len(batch.minutes), frame))
        ends = np.fromiter((bar.end_ms for bar in bars), np.int64, len(bars))
        order = np.lexsort((ends, np.concatenate(frames)))
        bars = [bars[place] for place in order.tolist()]
        halts = [change for batch in batches for change in batch.halts]
        quotes = [quote for batch in batches for quote in batch.quotes]
        return Heard(stream_bars(bars, self._rows(bars), np.concatenate(kinds)[order]), halts, quotes)

    def take(self, heard: Heard) -> None:
        beside_bars.take_halts(self, heard.halts)
        beside_bars.take_quotes(self, heard.quotes)
        if not len(heard.bars):
            return
        arrivals = checked(heard.bars, self.hours)
        self._note(arrivals)
        if not len(arrivals):
            return
        for wave in arrivals.waves():
            minutes = np.count_nonzero(wave.is_minute)
            if minutes < len(wave):
                self._take_seconds(wave.take(~wave.is_minute) if minutes else wave)
            if minutes:
                self._take_minutes(wave.take(wave.is_minute) if minutes < len(wave) else wave)

    def _note(self, arrivals: Arrivals) -> None:
        self.counts["bars"] += len(arrivals)
        self.counts["other_session"] += arrivals.other_session
        self.counts["malformed"] += arrivals.malformed
        self.tells_trades |= arrivals.tells_trades
        if len(arrivals):
            self.newest_end_s = max(self.newest_end_s, int(arrivals.end_s.max()))

    def _take_seconds(self, wave: Arrivals) -> None:
        closed = self.minutes.closed[self.minutes.find(wave.start_s // 60, wave.symbol)]
        forgotten = self.seconds.too_old(wave.start_s, wave.symbol) & ~closed
        if closed.any() or forgotten.any():
            self.counts["closed_minute"] += int(closed.sum())
            self.counts["too_old"] += int(forgotten.sum())
            wave = wave.take(~(closed | forgotten))
            if not len(wave):
                return
        kept, rows = self.minutes, self.minutes.find_or_add(wave.start_s // 60, wave.symbol)
        volume, dollars, trades = self.seconds.replace(wave.start_s, wave.symbol, wave.volume, wave.dollars, wave.trades)
        kept.volume[rows] += volume
        kept.dollars[rows] += dollars
        kept.trades[rows] += trades
        kept.high[rows] = np.maximum(kept.high[rows], wave.high)
        kept.low[rows] = np.minimum(kept.low[rows], wave.low)
        kept.see(rows, wave.start_s, wave.open, wave.close)
        self._count(wave, volume, dollars, trades)

    def _take_minutes(self, wave: Arrivals) -> None:
        rows = self.minutes.find_or_add(wave.start_s // 60, wave.symbol)
        high, low, c, who = self.minutes.high[rows], self.minutes.low[rows], self.columns, wave.symbol
        before = wave.start_s < self.open_s
        during = ~before & (wave.start_s < self.close_s)
        lost = (high > wave.high) & ((high >= c["high"][who]) | (before & (high >= c["pm_high"][who])))
        lost |= (low < wave.low) & ((low <= c["low"][who]) | (before & (low <= c["pm_low"][who])))
        lost |= (low < wave.low) & during & (low <= c["regular_low"][who])
        self._count(wave, *self._close_minutes(rows, wave))
        for symbol in who[lost]:
            self._recompute_extremes(int(symbol))

    def _close_minutes(self, rows: npt.NDArray[np.int32], bars: Arrivals) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Let ``bars`` stand in the kept rows; return by how much they differ from what was counted."""
        kept = self.minutes
        differences = bars.volume - kept.volume[rows], bars.dollars - kept.dollars[rows], bars.trades - kept.trades[rows]
        kept.volume[rows], kept.dollars[rows], kept.trades[rows] = bars.volume, bars.dollars, bars.trades
        kept.high[rows], kept.low[rows], kept.closed[rows] = bars.high, bars.low, True
        kept.open[rows], kept.close[rows] = bars.open, bars.close
        return differences

    def _count(self, wave: Arrivals, volume: FloatArray, dollars: FloatArray, trades: FloatArray) -> None:
        """Add one wave's differences to the totals and windows, then judge extremes, price and paths."""
        c, who = self.columns, wave.symbol
        c["volume"][who] += volume
        c["dollars"][who] += dollars
        c["trades"][who] += trades
        before, after = wave.start_s < self.open_s, wave.start_s >= self.close_s
        if before.any():
            early = who[before]
            c["pm_volume"][early] += volume[before]
            c["pm_high"][early] = np.fmax(c["pm_high"][early], wave.high[before])
            c["pm_low"][early] = np.fmin(c["pm_low"][early], wave.low[before])
        if after.any():
            late = who[after]
            c["post_volume"][late] += volume[after]
            c["post_dollars"][late] += dollars[after]
            c["post_trades"][late] += trades[after]
        self.windows.add(who, wave.end_s, wave.close, volume, dollars, trades)
        whole = c["partial"][who] == 0
        self._judge_extremes(wave, whole)
        if not after.all():
            self._judge_close(wave.take(~after) if after.any() else wave)
        if not before.all():
            self._judge_open(wave.take(~before) if before.any() else wave)
        self._judge_newest(wave, whole)

    def _judge_extremes(self, wave: Arrivals, whole: npt.NDArray[np.bool_]) -> None:
        c, who = self.columns, wave.symbol
        for low, (name, values) in enumerate((("high", wave.high), ("low", wave.low))):
            known = c[name][who]
            # NaN, before the first print, is not exceeded: no comparison with it holds.
            exceeded = (values < known if low else values > known) & whole
            if exceeded.any():
                c[f"{name}_at"][who[exceeded]] = wave.end_s[exceeded]
                self.windows.mark(low, who[exceeded], wave.end_s[exceeded])
            c[name][who] = np.fmin(known, values) if low else np.fmax(known, values)

    def _judge_close(self, wave: Arrivals) -> None:
        """Bars that begin before the close. One of the pre-market, too: who never opens has that price at the close."""
        c, who = self.columns, wave.symbol
        last = ~(wave.end_s < c["close_end"][who])
        c["close"][who[last]], c["close_end"][who[last]] = wave.close[last], wave.end_s[last]

    def _judge_open(self, wave: Arrivals) -> None:
        """Bars that begin at or after the open."""
        c, who = self.columns, wave.symbol
        c["lowest_since_open"][who] = np.fmin(c["lowest_since_open"][who], wave.close)
        c["highest_since_open"][who] = np.fmax(c["highest_since_open"][who], wave.close)
        regular = wave.start_s < self.close_s
        c["regular_low"][who[regular]] = np.fmin(c["regular_low"][who[regular]], wave.low[regular])
        first = regular & (c["open_rank"][who] <= OPEN_OF_BAR) & ~(wave.start_s > c["open_start"][who])
        self._set_open(who[first], wave.open[first], OPEN_OF_BAR)
        c["open_start"][who[first]] = wave.start_s[first]
        official = ~np.isnan(wave.official_open)
        self._set_open(who[official], wave.official_open[official], OPEN_OFFICIAL)

    def _set_open(self, who: IntArray, opens: FloatArray, rank: float) -> None:
        self.columns["open"][who] = opens
        self.columns["open_rank"][who] = rank

    def _judge_newest(self, wave: Arrivals, whole: npt.NDArray[np.bool_]) -> None:
        c, who = self.columns, wave.symbol
        c["first_end"][who] = np.fmin(c["first_end"][who], wave.end_s)
        newest = ~(wave.end_s < c["last_end"][who])
        if not newest.all():
            wave, whole, who = wave.take(newest), whole[newest], who[newest]
        resumed = (c["halted"][who] == 1) & (wave.start_s > c["halt_told"][who] + HALT_PRINTS_SECONDS)
        c["halted"][who[resumed]], c["halt_told"][who[resumed]] = 0.0, wave.start_s[resumed] - HALT_PRINTS_SECONDS
        c["price"][who], c["last_end"][who] = wave.close, wave.end_s
        more = wave.accumulated >= np.where(np.isnan(c["accumulated"][who]), 0.0, c["accumulated"][who])
        c["accumulated"][who[more]] = wave.accumulated[more]
        c["session_vwap"][who[more]] = np.where(np.isnan(wave.session_vwap), wave.close, wave.session_vwap)[more]
        side = np.where(whole, vwap_side(wave.close, ratio(c["dollars"][who], c["volume"][who]), c["atr"][who]), 0.0)
        crossed = side * c["side"][who] < 0
        c["cross_at"][who[crossed]] = wave.end_s[crossed]
        c["side"][who] = np.where(side != 0, side, c["side"][who])

    def _recompute_extremes(self, symbol: int) -> None:
        """From the kept minutes: a replacement took an extreme away."""
        c = self.columns
        c["high"][symbol], c["low"][symbol] = self.minutes.extremes(symbol)
        c["pm_high"][symbol], c["pm_low"][symbol] = self.minutes.extremes(symbol, 0, self.open_s // 60)
        c["regular_low"][symbol] = self.minutes.extremes(symbol, self.open_s // 60, self.close_s // 60)[1]

    # --- a start inside the session ----------------------------------------------------------------------------------

    def begin_live(self, since_s: float) -> None:
        """The stream is heard from ``since_s`` (seconds since 04:00) on: what came before must be recovered.

        Windows count as seen from the first whole minute; the running minute is
        whole once its AM bar has come.
        """
        if since_s > 0:
            self.reconnected(since_s)
            self.live_from_s = math.ceil(since_s / 60) * 60.0
            self.columns["partial"][:] = 1.0

    def touch(self, t: float) -> None:
        """Have the memory at hand that recovery reaches into: the first touch of its pages takes 0.3 s. Only before the first bar."""
        if not self.counts["bars"]:
            self.windows.touch()
            self.minutes.touch(math.ceil(t / 60))

    def reconnected(self, since_s: float) -> None:
        """The stream is heard again: what was missed comes by REST to the minute, so windows stay known."""
        self.subscribed_s = since_s
        beside_bars.forget_quotes(self)
        self.whole_from_s = math.ceil(since_s / 60) * 60 + AM_DELAY_SECONDS

    def apply_minutes(self, symbol: str, bars: Sequence[IntradayBar]) -> None:
        self.take_minutes(self.read_minutes(symbol, bars))

    def read_minutes(self, symbol: str, bars: Sequence[IntradayBar]) -> Minutes:
        """The answer of REST as columns, for `take_minutes`."""
        self.add_symbols([symbol])
        row = self.index[symbol]
        return Minutes(row, rest_bars(bars, row))

    def take_minutes(self, minutes: Minutes) -> None:
        """Each minute replaces what was counted for its start. Nothing is exceeded or crossed by the past."""
        row = minutes.symbol
        self.columns["filled"][row] = 1.0
        if not len(minutes.bars):
            return
        arrivals = checked(minutes.bars, self.hours)
        self._note(arrivals)
        if not len(arrivals):
            return
        rows = self.minutes.find_or_add(arrivals.start_s // 60, arrivals.symbol)
        volume, dollars, trades = self._close_minutes(rows, arrivals)
        c, starts = self.columns, arrivals.start_s
        before, after = starts < self.open_s, starts >= self.close_s
        for name, amount in (("volume", volume), ("dollars", dollars), ("trades", trades), ("pm_volume", volume[before])):
            c[name][row] += amount.sum()
        for name, amount in (("post_volume", volume), ("post_dollars", dollars), ("post_trades", trades)):
            c[name][row] += amount[after].sum()
        self.windows.spread(row, arrivals.end_s, arrivals.close, volume, dollars, trades)
        self._recompute_extremes(row)
        if not after.all():
            self._judge_close(arrivals.take(np.flatnonzero(~after)[-1:]))
        if not before.all():
            self._take_regular(row, arrivals.take(~before))
        c["first_end"][row] = np.fmin(c["first_end"][row], arrivals.end_s[0])
        if not arrivals.end_s[-1] < c["last_end"][row]:
            c["price"][row], c["last_end"][row] = arrivals.close[-1], arrivals.end_s[-1]

    def _take_regular(self, row: int, minutes: Arrivals) -> None:
        """What `_judge_open` does bar by bar, for minutes of one symbol, oldest first: of opens only the first matters."""
        c = self.columns
        c["lowest_since_open"][row] = np.fmin(c["lowest_since_open"][row], minutes.close.min())
        c["highest_since_open"][row] = np.fmax(c["highest_since_open"][row], minutes.close.max())
        self._judge_open(minutes.take(slice(0, 1)))

    def settles(self, t: float) -> bool:
        """Whether `settle` would change anything."""
        return t >= self.whole_from_s and bool(np.any((self.columns["partial"] > 0) & (self.columns["filled"] > 0)))

    def settle(self, t: float) -> None:
        """Rows whose minutes are in are whole, once the AM bar of the minute in which the stream began has had time to come."""
        if t >= self.whole_from_s:
            self.columns["partial"][self.columns["filled"] > 0] = 0.0
