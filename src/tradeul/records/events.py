"""What services tell each other besides frames."""

from datetime import date
from typing import TypeAlias

import msgspec

SessionDate: TypeAlias = date  # where a field is named as the type


class StreamHealth(msgspec.Struct, frozen=True):
    """How a stream is. Counts are since its start."""

    trouble: str | None = None  # why nothing can come, in words for people; None: connected
    lag_p50_ms: int | None = None  # arrival - bar end, over the last minute
    lag_p99_ms: int | None = None
    dropped: int = 0  # messages that a full queue cost
    problems: dict[str, int] = {}  # kind -> messages that could not be used


class FeedStatus(msgspec.Struct, frozen=True):
    """The live feed's health, published by live every few seconds, and at once when it becomes stale or well."""

    session: date
    phase: str
    mode: str  # LIVE, DELAYED, END_OF_DAY, SIMULATED
    feed_age_ms: int | None  # market time now - end of the newest bar; None before the first
    feed_lag_p99_ms: int | None  # arrival - bar end, over the last minute
    stale: bool
    messages: int  # since start
    symbols: int
    feed_lag_p50_ms: int | None = None
    trouble: str | None = None  # why nothing can come, in words for people
    dropped: int = 0  # messages that a full queue cost, since start
    problems: dict[str, int] = {}  # kind -> messages and bars that could not be used, since start
    differences: int = 0  # rows that the vendor's snapshot said otherwise, this session
    healed: int = 0  # of them, rows that agree after their minutes were asked again


class BaselinesChanged(msgspec.Struct, frozen=True):
    """A new ``baselines:{session}`` blob stands."""

    session: date


class Progress(msgspec.Struct, frozen=True):
    """How far a maintenance step is; for people."""

    task: str
    done: int
    total: int
    detail: str = ""


class TradingSession(msgspec.Struct, frozen=True):
    """The value of key ``trading:session``: for programs without a calendar."""

    date: date
    previous_date: SessionDate  # the session before, not the day before


class NewTradingDay(msgspec.Struct, frozen=True, kw_only=True):
    """What ``trading:new_day`` says, once a session, at its 03:00 ET."""

    event: str = "new_trading_day"
    date: date
    timestamp: int  # epoch milliseconds
    action: str = "clear_caches"
    previous_date: SessionDate


class VariantsWatched(msgspec.Struct, frozen=True):
    """Which lists in another class somebody watches at this gateway; repeated every few seconds."""

    names: tuple[str, ...]  # as winners~etf
