"""What history answers (port 8004). Dollars and shares, split-adjusted unless it says otherwise; None is unknown."""

from datetime import date, datetime

import msgspec


class PastDay(msgspec.Struct, frozen=True):
    """A daily bar: prices of regular hours, volume of 04:00-20:00."""

    session: date
    open: float
    high: float
    low: float
    close: float
    volume: float
    vwap: float | None
    trades: int | None


class PastMinute(msgspec.Struct, frozen=True):
    session: date
    start_at: datetime
    open: float
    high: float
    low: float
    close: float
    volume: float
    vwap: float | None
    trades: int | None


class PastSlot(msgspec.Struct, frozen=True):
    """Five minutes in which the ticker traded. ``cumulative``: shares from 04:00 to the slot's end."""

    session: date
    slot: int
    slot_at: datetime  # its start
    volume: float
    cumulative: float
    trades: int | None
    vwap: float | None


class Bearer(msgspec.Struct, frozen=True, kw_only=True):
    """Whose the ticker was on the asked date: an answer holds sessions of this issue alone, from ``since`` to ``until``."""

    name: str | None
    cik: str | None
    figi: str | None
    since: date | None  # None: nothing is known of another bearer before
    until: date | None  # None: it bears the ticker still
    renamed_from: str | None  # the ticker that it bore before
    renamed_to: str | None  # the one that it bore next


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a page of bars or slots is of."""

    symbol: str
    bearer: Bearer | None  # None: of the ticker's bearers nothing is known
    start: date  # the range's first and last date; a page's own start is its first row's
    end: date
    adjusted_for: date | None  # the session whose splits are applied; None: raw
    lacking: tuple[date, ...]  # sessions of the page that history does not hold
    unfinished: tuple[date, ...]  # sessions of the page that may still change, or are known to be short


class DailyBars(Asked, frozen=True, kw_only=True):
    bars: tuple[PastDay, ...]
    next: str | None  # where the next page is


class Running(msgspec.Struct, frozen=True):
    """The running session's minutes, as live holds them: they may still change, and the last one may still run."""

    session: date
    as_of: datetime  # market time
    partial: bool  # what was traded before live listened is not all there yet


class EarlyClose(msgspec.Struct, frozen=True):
    """A session whose regular hours end before 16:00."""

    session: date
    close_at: datetime


class MinuteBars(Asked, frozen=True, kw_only=True):
    """Streamed: no part of it waits for the next."""

    early_closes: tuple[EarlyClose, ...]  # of the range's sessions
    running: Running | None  # None: the range has no running session, or live does not answer
    bars: tuple[PastMinute, ...]


class Slots(Asked, frozen=True, kw_only=True):
    slots: tuple[PastSlot, ...]
    next: str | None


class SlotRvol(msgspec.Struct, frozen=True):
    """As it stood when the slot ended."""

    slot: int
    volume: float | None  # shares since 04:00; None: of the running session, whose slots history does not hold yet
    expected: float | None
    rvol: float | None
    baseline: str  # ready, thin, none


class Rvol(msgspec.Struct, frozen=True, kw_only=True):
    """Relative volume of a session, by the sessions before it; of the running one what is usual."""

    symbol: str
    bearer: Bearer | None
    session: date
    sessions: int  # that the expectation averages over, from the ticker's first on
    slots: tuple[SlotRvol, ...]


class Atr(msgspec.Struct, frozen=True, kw_only=True):
    """Wilder's ATR(14) as lists use it in ``session``: of the last 100 daily bars before it, adjusted for it."""

    symbol: str
    bearer: Bearer | None
    session: date
    atr: float | None  # None: fewer than 15 bars
    bars: int
    newest_bar: date | None
    close: float | None  # of the newest bar


class Listed(msgspec.Struct, frozen=True):
    symbol: str
    name: str | None
    kind: str | None  # the vendor's class code: CS, ETF, WARRANT ...
    exchange: str | None
    cik: str | None
    list_date: date | None
    figi: str | None
    since: date | None  # from when on it is known to bear the ticker
    until: date | None  # the last date; None: it is listed
    renamed_from: str | None
    renamed_to: str | None


class Universe(msgspec.Struct, frozen=True, kw_only=True):
    """What was listed in ``session``, or gone by then, by the list that was loaded for ``listed_on``."""

    session: date
    listed_on: date
    gone: bool  # those that bore a ticker and do no longer
    count: int  # of all
    tickers: tuple[Listed, ...]
    next: str | None


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    """What was known of a ticker in ``session``. Counts are those of their day, not split-adjusted."""

    symbol: str
    bearer: Bearer | None
    session: date
    listed_on: date
    name: str | None
    kind: str | None
    exchange: str | None
    cik: str | None
    list_date: date | None
    sector: str | None
    industry: str | None
    shares: float | None
    details_on: date | None
    free_float: float | None
    float_on: date | None
    short_interest: float | None
    short_on: date | None
