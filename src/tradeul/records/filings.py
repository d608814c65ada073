"""Filings at the SEC, and news: what was told, and when we saw it. Both are also what a browser gets.

`filed` is the SEC's date: a filing accepted after 17:30 ET usually bears the
next one. Codes only are the SEC's; their words are `filings/words.py`'s.
"""

from datetime import date, datetime

import msgspec

FILINGS_STREAM, NEWS_STREAM = "stream:sec:filings", "stream:news"  # on the bus, and how a gateway's answers name them


class Filer(msgspec.Struct, frozen=True, gc=False):
    """Someone whom a filing names. ``role``: Filer, Issuer, Reporting, Subject, Filed by ..."""

    cik: str  # ten digits
    name: str
    role: str


class FilingEntry(msgspec.Struct, frozen=True):
    """A filing as EDGAR tells of it; its feed has one entry for each filer."""

    accession: str  # 0001214659-26-002941: its number, the same for ever
    form: str  # 8-K, S-3/A ...
    filed: date
    accepted_at: datetime
    filers: tuple[Filer, ...]
    items: tuple[str, ...] = ()  # 2.02 ...
    url: str | None = None


class Company(msgspec.Struct, frozen=True, gc=False):
    """One ticker of a company; a company may have several."""

    cik: str
    symbol: str
    name: str


class Item(msgspec.Struct, frozen=True, gc=False):
    code: str
    words: str | None = None


class Filing(msgspec.Struct, frozen=True, tag_field="type", tag="filing"):
    """A filing once we saw it. ``tickers``: of the companies that it is of, not of who only reports."""

    accession: str
    form: str
    words: str | None  # what the form is
    amends: bool
    dilutes: bool  # it may bring new shares to the market
    filed: date
    accepted_at: datetime
    seen_at: datetime
    tickers: tuple[str, ...]
    filers: tuple[Filer, ...]
    items: tuple[Item, ...]
    url: str | None


class Article(msgspec.Struct, frozen=True, tag_field="type", tag="news"):
    """A piece of news as the vendor tells of it; ``seen_at`` is ours, None before."""

    id: str
    published_at: datetime
    headline: str
    tickers: tuple[str, ...]
    publisher: str | None = None
    url: str | None = None
    seen_at: datetime | None = None
