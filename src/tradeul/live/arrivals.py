"""Stream and REST bars as columns, and checked ones: the border between records and numpy.

    StreamBatch, REST minutes -> Bars (what the vendor said) -> Arrivals (what counts)

A bar of another session, or with a number that cannot be, is refused and
counted here, so that nothing behind this file has to doubt a value. Rows keep
the order of arrival; `waves` cuts them so that each symbol stands once in each.
"""

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from tradeul.market_calendar import SessionHours
from tradeul.records.bars import HaltChange, IntradayBar, Quote, StreamBar
from tradeul.records.frame import FloatArray

LEAST_DOLLARS = 1e-6
LEAST_SIZE_SHARES = 1e-3  # fractional shares are traded; a smaller average is no number of trades

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


class Bars(msgspec.Struct, frozen=True):
    """What the vendor said, one row per bar, nothing judged. NaN: it did not say."""

    symbol: IntArray  # index into the table; -1: of an unknown symbol, and none that counts
    is_minute: BoolArray
    start_ms: IntArray
    end_ms: IntArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    vwap: FloatArray
    trades: FloatArray
    accumulated: FloatArray
    official_open: FloatArray
    session_vwap: FloatArray

    def __len__(self) -> int:
        return len(self.symbol)

    def take(self, rows: BoolArray) -> "Bars":
        return Bars(*(getattr(self, name)[rows] for name in SAID))


class Heard(msgspec.Struct, frozen=True):
    """What the stream said, in order."""

    bars: Bars
    halts: list[HaltChange]
    quotes: Sequence[Quote] = ()  # of the moment: not on the tape


class Minutes(msgspec.Struct, frozen=True):
    """The answer of REST for one symbol: minutes, oldest first, each start once."""

    symbol: int  # index into the table
    bars: Bars


class Arrivals(msgspec.Struct, frozen=True):
    """Bars that count, one row each. NaN: the vendor did not say."""

    symbol: IntArray  # index into the table
    is_minute: BoolArray
    start_s: IntArray  # seconds since 04:00
    end_s: IntArray
    open: FloatArray
    high: FloatArray
    low: FloatArray
    close: FloatArray
    volume: FloatArray
    dollars: FloatArray  # (vwap, else close) x volume
    trades: FloatArray  # 0 where not told
    accumulated: FloatArray  # shares since 04:00, by the vendor's count
    session_vwap: FloatArray
    official_open: FloatArray
    tells_trades: bool
    other_session: int = 0  # refused
    malformed: int = 0  # refused

    def __len__(self) -> int:
        return len(self.symbol)

    def take(self, rows: IntArray | BoolArray | slice) -> "Arrivals":
        return Arrivals(**{name: getattr(self, name)[rows] for name in COLUMNS}, tells_trades=self.tells_trades)

    def waves(self) -> Iterator["Arrivals"]:
        """The rows in order, cut so that within a wave each symbol stands once."""
        order = np.argsort(self.symbol, kind="stable")
        ordered = self.symbol[order]
        places = np.arange(len(ordered))
        begins = np.concatenate(([True], ordered[1:] != ordered[:-1]))
        turn = np.empty(len(ordered), np.int64)
        turn[order] = places - np.maximum.accumulate(np.where(begins, places, 0))
        last = int(turn.max(initial=-1))
        if last == 0:
            yield self
            return
        by_turn = np.argsort(turn, kind="stable")
        ends = np.searchsorted(turn[by_turn], np.arange(last + 2))
        for wave in range(last + 1):
            yield self.take(by_turn[ends[wave] : ends[wave + 1]])


COLUMNS = Arrivals.__struct_fields__[:14]


def joined(parts: Sequence[Bars]) -> Bars:
    return parts[0] if len(parts) == 1 else Bars(*(np.concatenate([getattr(part, name) for part in parts]) for name in SAID))


SAID = Bars.__struct_fields__


def stream_bars(bars: Sequence[StreamBar], symbols: Sequence[int], is_minute: BoolArray) -> Bars:
    """``symbols[i]`` is the table's index of ``bars[i]``; of a negative one the bar is left out later, not counted as refused."""
    _, start_ms, end_ms, *rest = zip(*map(msgspec.structs.astuple, bars), strict=True) if bars else [()] * len(StreamBar.__struct_fields__)
    # None becomes NaN in a float array.
    told = (np.array(column, np.float64) for column in rest)
    open_, high, low, close, volume, vwap, average_size, accumulated, official, session_vwap = told
    trades = np.rint(np.divide(volume, average_size, out=np.full(len(volume), np.nan), where=average_size >= LEAST_SIZE_SHARES))
    which = (np.array(symbols, np.int64), is_minute, np.array(start_ms, np.int64), np.array(end_ms, np.int64))
    return Bars(*which, open_, high, low, close, volume, vwap, trades, accumulated, official, session_vwap)


def rest_bars(bars: Sequence[IntradayBar], symbol: int, seconds: int = 60) -> Bars:
    """Bars of so many seconds (60 or 1) of one symbol, oldest first, each start once (the last of equal ones)."""
    bars = [*{bar.start_ms: bar for bar in sorted(bars, key=lambda bar: bar.start_ms)}.values()]
    _, start_ms, *rest = zip(*map(msgspec.structs.astuple, bars), strict=True) if bars else [()] * len(IntradayBar.__struct_fields__)
    open_, high, low, close, volume, vwap, trades = (np.array(column, np.float64) for column in rest)
    unknown = np.full(len(bars), np.nan)
    starts = np.array(start_ms, np.int64)
    which = (np.full(len(bars), symbol, np.int64), np.full(len(bars), seconds == 60), starts, starts + 1000 * seconds)
    return Bars(*which, open_, high, low, close, volume, vwap, trades, unknown, unknown, unknown)


def checked(bars: Bars, hours: SessionHours) -> Arrivals:
    """What counts of ``bars``; the rest is refused, and how many that is."""
    open_, high, low, close, volume, vwap = bars.open, bars.high, bars.low, bars.close, bars.volume, bars.vwap
    opens_ms = int(hours.pre_open_at.timestamp() * 1000)
    start, end = bars.start_ms - opens_ms, bars.end_ms - opens_ms
    length_ms = int((hours.post_close_at - hours.pre_open_at).total_seconds()) * 1000
    ours = (start >= 0) & (start < length_ms)
    sane = (end > start) & (end - start <= 60_000) & (volume >= 0) & np.isfinite(volume) & (low > 0)
    # Open and close may lie outside high and low: the vendor's trade conditions update them apart.
    sane &= (high >= low) & np.isfinite(high) & (open_ > 0) & np.isfinite(open_) & (close > 0) & np.isfinite(close)
    # A mean that lies far outside the bar's own prices is none.
    dollars = np.where((vwap >= low / 2) & (vwap <= high * 2), vwap, close) * volume
    sane &= np.isfinite(dollars)
    kept = ours & sane & (bars.symbol >= 0)
    counted = bars.trades >= 0
    arrivals = Arrivals(
        symbol=bars.symbol,
        is_minute=bars.is_minute,
        start_s=start // 1000,
        end_s=-(-end // 1000),
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=volume,
        dollars=dollars,
        trades=np.where(counted, bars.trades, 0.0),
        accumulated=bars.accumulated,
        session_vwap=bars.session_vwap,
        official_open=np.where(bars.official_open >= LEAST_DOLLARS, bars.official_open, np.nan),
        tells_trades=bool(counted.any()),
    )
    if kept.all():
        return arrivals
    refused = {"other_session": int((~ours).sum()), "malformed": int((ours & ~sane).sum())}
    return msgspec.structs.replace(arrivals.take(kept), **refused)
