"""Bars and what the vendor says of one ticker now. Prices are US dollars, volumes shares; nothing is split-adjusted."""

from datetime import date, datetime

import msgspec


class DailyBar(msgspec.Struct, frozen=True, gc=False):
    """One symbol, one session. OHLC of regular hours; ``volume`` of 04:00-20:00."""

    symbol: str
    session: date  # the exchange's session label, not the UTC date
    open: float
    high: float
    low: float
    close: float
    volume: float
    vwap: float | None = None  # the vendor leaves it out on some 60 rows a session
    trades: int | None = None


class IntradayBar(msgspec.Struct, frozen=True, gc=False):
    """One symbol, some minutes, from REST. Missing minutes mean no trade."""

    symbol: str
    start_ms: int  # epoch milliseconds of the first instant
    open: float
    high: float
    low: float
    close: float
    volume: float
    vwap: float | None = None
    trades: int | None = None


class StreamBar(msgspec.Struct, frozen=True, gc=False):
    """A second (A) or minute (AM) bar from the stream. Same symbol and start: a replacement."""

    symbol: str
    start_ms: int
    end_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    vwap: float | None = None
    average_size_shares: float | None = None  # trades = round(volume / this)
    accumulated_volume: float | None = None  # since 04:00
    official_open: float | None = None
    session_vwap: float | None = None  # since 04:00


class HaltChange(msgspec.Struct, frozen=True, gc=False):
    """Trading in a symbol was halted or resumed."""

    symbol: str
    halted: bool
    at_ms: int


class Quote(msgspec.Struct, frozen=True, gc=False):
    """The best bid and ask of a symbol. None: nobody bids, or asks."""

    symbol: str
    bid: float | None
    ask: float | None
    at_ms: int


class StreamBatch(msgspec.Struct, frozen=True):
    """What one stream frame held, in its order, split by kind."""

    received_ms: int
    seconds: list[StreamBar] = []
    minutes: list[StreamBar] = []
    halts: list[HaltChange] = []
    resubscribed: bool = False  # the connection is new: something may be missing before this batch
    quotes: list[Quote] = []  # the last of each symbol


class TickerSnapshot(msgspec.Struct, frozen=True, gc=False):
    """What the vendor's full snapshot says of one symbol. None: the vendor said nothing, or zero where zero means nothing.

    ``day_*`` is regular hours only and None before the first regular trade;
    ``minute_*`` is the last minute bar, pre- and post-market included.
    """

    symbol: str
    updated_ms: int | None = None
    day_open: float | None = None
    day_high: float | None = None
    day_low: float | None = None
    day_close: float | None = None
    day_volume: float | None = None
    day_vwap: float | None = None
    minute_start_ms: int | None = None
    minute_open: float | None = None
    minute_high: float | None = None
    minute_low: float | None = None
    minute_close: float | None = None
    minute_volume: float | None = None
    minute_vwap: float | None = None
    minute_trades: int | None = None
    accumulated_volume: float | None = None  # min.av: shares since 04:00
    last_price: float | None = None
    last_ms: int | None = None
    bid: float | None = None
    ask: float | None = None
    previous_close: float | None = None
    unreadable: str | None = None  # why nothing else is known: the vendor's row was of a wrong form


class MinutesRequest(msgspec.Struct, frozen=True):
    """Live is asked for a symbol's minutes of the running session."""

    reply_to: str  # the key that the answer is pushed to
    symbol: str


class SessionMinutes(msgspec.Struct, frozen=True):
    """A symbol's minutes of the session that live hears, oldest first; the last one may still run."""

    symbol: str
    session: date
    as_of: datetime  # market time
    partial: bool  # what was traded before live listened is not all there yet
    bars: tuple[IntradayBar, ...]
