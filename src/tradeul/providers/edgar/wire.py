"""EDGAR's bytes into our records. Pure: no socket, no clock, no guess.

    decode_current        one page of the Atom feed of current filings
    decode_submissions    one company's filings
    decode_companies      the SEC's list of tickers, each with its company's number (CIK)

A body of a wrong form (cut, the SEC's HTML page for any trouble, an entry
without its number) is a `MalformedResponse`, never a shorter list. The feed is
read by the standard library's XML parser; a document type is refused, which is
all that its known attacks need. It does not know the addresses (`client.py`).
"""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from tradeul.errors import MalformedResponse
from tradeul.records.filings import Company, Filer, FilingEntry

FEED, SUBMISSIONS, COMPANIES = "EDGAR's current filings", "EDGAR's submissions", "the SEC's tickers"
ARCHIVE = "https://www.sec.gov/Archives/edgar/data"
EASTERN = ZoneInfo("America/New_York")
ACCEPTS_FROM, ACCEPTS_UNTIL = 6, 22  # EDGAR's hours, Eastern
_ATOM = "{http://www.w3.org/2005/Atom}"
_ACCESSION = re.compile(r"^\d{10}-\d{2}-\d{6}$")
_ID = re.compile(r"accession-number=(\S+)$")
_NAMED = re.compile(r"^(?P<name>.*) \((?P<cik>\d{10})\) \((?P<role>[^()]+)\)$", re.DOTALL)
_FILED = re.compile(r"<b>Filed:</b>\s*(\d{4}-\d\d-\d\d)")
_ITEM = re.compile(r"<br>\s*Item ([0-9A-Z.]+):")
# How the SEC spells the suffixes of our vendor's symbols: BAC-PE is BACpE, MSFT-WT would be MSFT.WS.
_PREFERRED, _WARRANT = re.compile(r"^(\w+)-P(\w?)$"), re.compile(r"^(\w+)-WT(\w?)$")


def decode_current(body: bytes) -> list[FilingEntry]:
    """One page, newest first, one entry for each filer.

    <entry><title>8-K - Biohaven Ltd. (0001935979) (Filer)</title>
      <link rel="alternate" type="text/html" href="https://www.sec.gov/Archives/.../0001935979-26-000005-index.htm"/>
      <summary type="html"> &lt;b&gt;Filed:&lt;/b&gt; 2026-01-12 &lt;b&gt;AccNo:&lt;/b&gt; 0001935979-26-000005
        &lt;br&gt;Item 7.01: Regulation FD Disclosure</summary>
      <updated>2026-01-12T11:19:08-05:00</updated><category scheme="https://www.sec.gov/" label="form type" term="8-K"/>
      <id>urn:tag:sec.gov,2008:accession-number=0001935979-26-000005</id></entry>
    """
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        raise MalformedResponse(FEED, f"it is no feed ({len(body)} bytes, beginning with {body[:40]!r})")
    try:
        root = ElementTree.fromstring(body)  # noqa: S314 without a document type
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise MalformedResponse(FEED, f"{error} ({len(body)} bytes, beginning with {body[:40]!r})") from error
    if root.tag != f"{_ATOM}feed":
        raise MalformedResponse(FEED, f"it is no feed but {root.tag[:60]!r}")
    return [_entry(found, number) for number, found in enumerate(root.iter(f"{_ATOM}entry"), 1)]


def _entry(found: ElementTree.Element, number: int) -> FilingEntry:
    def text(name: str) -> str:
        return (found.findtext(_ATOM + name) or "").strip()

    category, link, summary = found.find(f"{_ATOM}category"), found.find(f"{_ATOM}link"), text("summary")
    form = "" if category is None else category.get("term", "")
    named = _NAMED.match(text("title").removeprefix(f"{form} - "))
    accession, filed, accepted_at = _ID.search(text("id")), _FILED.search(summary), _instant(text("updated"))
    if not form or named is None or accession is None or not _ACCESSION.match(accession[1]) or filed is None or accepted_at is None:
        raise MalformedResponse(FEED, f"entry {number} lacks form, filer, number or date: {text('title')[:80]!r}")
    filer = Filer(named["cik"], named["name"], named["role"])
    url = None if link is None else link.get("href")
    return FilingEntry(accession[1], form, _date(filed[1], number), accepted_at, (filer,), tuple(_ITEM.findall(summary)), url)


def _instant(text: str) -> datetime | None:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if instant.tzinfo is None else instant.astimezone(UTC)


def _date(text: str, number: int) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise MalformedResponse(FEED, f"entry {number} is dated {text!r}") from error


class _Columns(msgspec.Struct, rename="camel"):
    """Of parallel lists, those that we read."""

    accession_number: list[str]
    filing_date: list[date]
    acceptance_date_time: list[datetime]
    form: list[str]
    items: list[str]
    primary_document: list[str]


class _Recent(msgspec.Struct):
    recent: _Columns


class _Submissions(msgspec.Struct):
    cik: str
    name: str
    filings: _Recent


_submissions = msgspec.json.Decoder(_Submissions)


def decode_submissions(body: bytes, cik: str) -> list[FilingEntry]:
    """A company's last thousand filings, newest first.

    {"cik":"0001677077","name":"Alzamend Neuro, Inc.","tickers":["ALZN"],"filings":{"recent":{"accessionNumber":["0001214659-26-004806"],
      "filingDate":["2026-04-17"],"acceptanceDateTime":["2026-04-17T20:30:26.000Z"],"form":["8-K"],"items":["5.07,9.01"],
      "primaryDocument":["p4172668k.htm"]},"files":[]}}
    """
    said = _json(_submissions, body, SUBMISSIONS)
    columns = said.filings.recent
    lengths = {len(getattr(columns, name)) for name in columns.__struct_fields__}
    if said.cik.zfill(10) != cik or len(lengths) != 1:
        raise MalformedResponse(SUBMISSIONS, f"they are of {said.cik[:20]!r} instead of {cik}, or their columns differ in length")
    accepted = accepted_instants(columns.acceptance_date_time)
    filer = (Filer(cik, said.name, "Filer"),)
    rows = zip(columns.accession_number, columns.form, columns.filing_date, accepted, columns.items, columns.primary_document, strict=True)
    found = []
    for accession, form, filed, accepted_at, items, document in rows:
        if not _ACCESSION.match(accession) or not form:
            raise MalformedResponse(SUBMISSIONS, f"{cik}: {accession[:40]!r} ({form[:20]!r}) is no filing's number")
        url = f"{ARCHIVE}/{int(cik)}/{accession.replace('-', '')}/{document or accession + '-index.htm'}"
        found.append(FilingEntry(accession, form, filed, accepted_at, filer, tuple(filter(None, items.split(","))), url))
    return found


def accepted_instants(written: Sequence[datetime]) -> list[datetime]:
    """The instants of one company's acceptance times, which all say UTC and in some answers are Eastern wall time.

    The same filings were seen written both ways, weeks apart. EDGAR accepts from
    06:00 to 22:00 Eastern: the reading by which fewer fell outside of it is right.
    """
    as_utc = [instant.astimezone(UTC) for instant in written]
    as_eastern = [instant.replace(tzinfo=EASTERN).astimezone(UTC) for instant in as_utc]
    return min((as_utc, as_eastern), key=_outside_hours)  # the first of equals


def _outside_hours(instants: Sequence[datetime]) -> int:
    walls = [instant.astimezone(EASTERN) for instant in instants]
    return sum(not timedelta(hours=ACCEPTS_FROM) <= _since_midnight(wall) <= timedelta(hours=ACCEPTS_UNTIL, minutes=1) for wall in walls)


def _since_midnight(wall: datetime) -> timedelta:
    return timedelta(hours=wall.hour, minutes=wall.minute, seconds=wall.second)


class _CompanyRow(msgspec.Struct, gc=False):
    cik_str: Annotated[int, Meta(ge=1, lt=10**10)]
    ticker: Annotated[str, Meta(min_length=1, max_length=24)]
    title: str


_companies = msgspec.json.Decoder(dict[str, _CompanyRow])


def decode_companies(body: bytes) -> list[Company]:
    """Every ticker that the SEC knows.

    {"0":{"cik_str":1067983,"ticker":"BRK-B","title":"BERKSHIRE HATHAWAY INC"}}
    """
    rows = _json(_companies, body, COMPANIES).values()
    if not rows:
        raise MalformedResponse(COMPANIES, "it is empty")
    return [Company(f"{row.cik_str:010}", symbol_of(row.ticker), row.title) for row in rows]


def symbol_of(ticker: str) -> str:
    """The vendor's spelling of the SEC's: BRK-B is BRK.B, BAC-PE is BACpE, -WT is .WS, -UN is .U."""
    if preferred := _PREFERRED.match(ticker):
        return f"{preferred[1]}p{preferred[2]}"
    if warrant := _WARRANT.match(ticker):
        return f"{warrant[1]}.WS" + (f".{warrant[2]}" if warrant[2] else "")
    root, _, suffix = ticker.partition("-")
    return f"{root}.{'U' if suffix == 'UN' else suffix}" if suffix else ticker


def _json(decoder: "msgspec.json.Decoder[Any]", body: bytes, endpoint: str) -> Any:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedResponse(endpoint, f"{error} ({len(body)} bytes, beginning with {body[:40]!r})") from error
