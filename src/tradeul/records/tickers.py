"""What is listed, and splits."""

from datetime import date

import msgspec


class Ticker(msgspec.Struct, frozen=True, gc=False):
    """One listed issue. ``kind`` is the vendor's class code: CS, ADRC, ETF, WARRANT, UNIT, RIGHT, PFD ..."""

    symbol: str
    name: str | None = None
    kind: str | None = None
    exchange: str | None = None  # MIC, as XNAS
    cik: str | None = None
    list_date: date | None = None
    figi: str | None = None  # composite: the issue's own, which a new ticker does not change


class Tenure(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The sessions in which one issue bears a ticker. Tenures of a ticker never overlap."""

    symbol: str
    name: str | None = None
    kind: str | None = None
    exchange: str | None = None
    cik: str | None = None
    figi: str | None = None
    list_date: date | None = None
    since: date | None = None  # the first date; None: nothing is known of another bearer before
    until: date | None = None  # the last date; None: it bears it still


class Split(msgspec.Struct, frozen=True, gc=False):
    """``split_to`` new shares for ``split_from`` old ones, effective from the pre-market of ``session``.

    A 1:8 reverse split has split_from=8, split_to=1. Earlier prices are
    multiplied by split_from/split_to, earlier volumes divided by it.
    """

    symbol: str
    session: date
    split_from: float
    split_to: float


class TickerDetails(msgspec.Struct, frozen=True, gc=False):
    """What is told of one ticker alone."""

    symbol: str
    shares: float | None = None  # outstanding, of its class
    sic_code: str | None = None
    industry: str | None = None
    list_date: date | None = None  # the list of all tickers does not tell it


class FreeFloat(msgspec.Struct, frozen=True, gc=False):
    symbol: str
    shares: float
    effective: date


class ShortInterest(msgspec.Struct, frozen=True, gc=False):
    symbol: str
    shares: float
    settled: date
