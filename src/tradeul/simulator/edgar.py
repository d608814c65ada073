"""EDGAR's stand-in: the feed of current filings, a company's submissions, the list of tickers. No HTTP (`edgar_server.py`).

Invented filings of the simulated companies, or a folder of recorded pages whose
entries appear at the times of their acceptance, letter by letter as they were.
"""

import gzip
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Protocol

import orjson

from tradeul.errors import StartError
from tradeul.market_calendar import NEW_YORK
from tradeul.records.filings import FilingEntry
from tradeul.simulator.invented_filings import InventedFilings
from tradeul.simulator.market import Market

SESSIONS = 2  # how far back the feed goes
HISTORY = 20  # how far back submissions go
CLOSED = b"<!DOCTYPE html>\n<html><head><title>SEC.gov | File Unavailable</title></head><body>Temporarily unavailable.</body></html>"
_ENTRY, _UPDATED = re.compile(rb"<entry>.*?</entry>\n?", re.DOTALL), re.compile(rb"<updated>([^<]+)</updated>")


class Edgar(Protocol):
    unavailable: bytes  # the page that comes with a 503

    def current(self, now: datetime, start: int, count: int) -> bytes: ...

    def submissions(self, cik: str, now: datetime) -> bytes | None: ...

    def companies(self) -> bytes: ...


class InventedEdgar:
    unavailable = CLOSED

    def __init__(self, market: Market, seed: int) -> None:
        self._market, self._invented = market, InventedFilings(market, seed)

    def current(self, now: datetime, start: int, count: int) -> bytes:
        return _feed(now, [_written(entry) for entry in self._visible(now, SESSIONS)[start : start + count]])

    def _visible(self, now: datetime, sessions: int) -> list[FilingEntry]:
        calendar = self._market.calendar
        current = calendar.current_session(now)
        shown = [current, *calendar.before(current, sessions - 1)[::-1]]
        return [entry for session in shown for entry in self._invented.of(session) if entry.accepted_at <= now]

    def submissions(self, cik: str, now: datetime) -> bytes | None:
        issue = next((issue for issue in self._market.source.issues if issue.cik == cik), None)
        if issue is None:
            return None
        found = [entry for entry in self._visible(now, HISTORY) if entry.filers[0].cik == cik]
        columns = {
            "accessionNumber": [entry.accession for entry in found],
            "filingDate": [entry.filed.isoformat() for entry in found],
            "acceptanceDateTime": [f"{entry.accepted_at:%Y-%m-%dT%H:%M:%S}.000Z" for entry in found],
            "form": [entry.form for entry in found],
            "items": [",".join(entry.items) for entry in found],
            "primaryDocument": ["document.htm" for _ in found],
        }
        head = {"cik": cik, "name": issue.name, "tickers": [sec_symbol(issue.symbol)]}
        return orjson.dumps(head | {"filings": {"recent": columns, "files": []}})

    def companies(self) -> bytes:
        listed = [issue for issue in self._market.source.issues if issue.cik is not None and issue.last_date is None]
        rows = [{"cik_str": int(issue.cik or 0), "ticker": sec_symbol(issue.symbol), "title": issue.name} for issue in listed]
        return orjson.dumps({str(number): row for number, row in enumerate(rows)})


class RecordedEdgar:
    def __init__(self, folder: Path) -> None:
        """Raises StartError: the folder holds no recorded pages."""
        pages = sorted(folder.glob("getcurrent_*.atom.xml.gz"))
        if not pages:
            raise StartError(f"{folder} holds no recorded EDGAR pages (getcurrent_*.atom.xml.gz): unset TRADEUL_SIMULATOR_EDGAR.")
        entries = [entry for page in pages for entry in _ENTRY.findall(gzip.decompress(page.read_bytes()))]
        self._entries = [(_at(entry), entry) for entry in entries]
        self._folder = folder
        closed = folder / "getcurrent_http503_body.html.gz"
        self.unavailable = gzip.decompress(closed.read_bytes()) if closed.exists() else CLOSED

    def current(self, now: datetime, start: int, count: int) -> bytes:
        visible = [entry for accepted_at, entry in self._entries if accepted_at <= now]
        return _feed(now, visible[start : start + count])

    def submissions(self, cik: str, now: datetime) -> bytes | None:
        """The newest that was recorded by now."""
        today = now.astimezone(NEW_YORK).date().isoformat()
        found = {path.name.partition("_asof_")[2][:10]: path for path in self._folder.glob(f"submissions_CIK{cik}_asof_*.json.gz")}
        recorded = max((day for day in found if day <= today), default=None)
        return None if recorded is None else gzip.decompress(found[recorded].read_bytes())

    def companies(self) -> bytes:
        return gzip.decompress((self._folder / "company_tickers.json.gz").read_bytes())


def sec_symbol(symbol: str) -> str:
    """The SEC's spelling of the vendor's: BRK.B is BRK-B, BACpE is BAC-PE, .WS is -WT, .U is -UN."""
    symbol = re.sub(r"^([A-Z0-9]+)p([A-Z]?)$", r"\1-P\2", symbol)
    symbol = re.sub(r"\.WS(?:\.(\w))?$", lambda found: f"-WT{found[1] or ''}", symbol)
    return re.sub(r"\.U$", "-UN", symbol).replace(".", "-")


def _at(entry: bytes) -> datetime:
    found = _UPDATED.search(entry)
    if found is None:
        raise StartError(f"A recorded EDGAR entry has no time: {entry[:80]!r}.")
    return datetime.fromisoformat(found[1].decode()).astimezone(UTC)


def _feed(now: datetime, entries: Sequence[bytes]) -> bytes:
    wall = now.astimezone(NEW_YORK)
    address = "/cgi-bin/browse-edgar?action=getcurrent"
    head = f"""<?xml version="1.0" encoding="ISO-8859-1" ?>
<feed xmlns="http://www.w3.org/2005/Atom">
<title>Latest Filings - {wall:%a, %d %b %Y %H:%M:%S} {wall.tzname()}</title>
<link rel="alternate" href="{address}"/>
<link rel="self" href="{address}"/>
<id>https://www.sec.gov{address}</id>
<author><name>Webmaster</name><email>webmaster@sec.gov</email></author>
<updated>{wall.isoformat(timespec="seconds")}</updated>
"""
    return head.encode("latin-1") + b"".join(entries) + b"</feed>\n"


def _written(entry: FilingEntry) -> bytes:
    filer = entry.filers[0]
    summary = f" <b>Filed:</b> {entry.filed} <b>AccNo:</b> {entry.accession} <b>Size:</b> 14 KB\n"
    summary += "".join(f"<br>Item {item}: In words\n" for item in entry.items)
    text = f"""<entry>
<title>{entry.form} - {escape(filer.name)} ({filer.cik}) ({filer.role})</title>
<link rel="alternate" type="text/html" href="{entry.url}"/>
<summary type="html">
{escape(summary, quote=False)}</summary>
<updated>{entry.accepted_at.astimezone(NEW_YORK).isoformat(timespec="seconds")}</updated>
<category scheme="https://www.sec.gov/" label="form type" term="{entry.form}"/>
<id>urn:tag:sec.gov,2008:accession-number={entry.accession}</id>
</entry>
"""
    return text.encode("latin-1", "xmlcharrefreplace")
