"""Filings of the simulated companies: what their news would be filed as, and the day's many others. No feed, no HTTP.

A function of seed and session, as the market itself: one filing for each
headline, soon after it; and one of a dozen companies files something else.
"""

from collections.abc import Sequence
from datetime import date, time, timedelta

import msgspec

from tradeul.market_calendar import at
from tradeul.records.filings import Filer, FilingEntry
from tradeul.simulator.hashing import word
from tradeul.simulator.market import Market
from tradeul.simulator.universe import STOCK_KINDS, Issue

_NEWS, _REST = 61, 62  # streams of random words
ONE_OF = 12
OPENS, OPEN_SECONDS = time(6), 16 * 3600  # EDGAR's hours, Eastern
# What a headline says -> form and items.
_FORMS = (
    ("quarterly results", "8-K", ("2.02", "9.01")),
    ("public offering", "424B5", ()),
    ("acquired", "8-K", ("1.01", "8.01", "9.01")),
    ("contract", "8-K", ("1.01",)),
    ("partnership", "8-K", ("1.01", "7.01")),
    ("guidance", "8-K", ("7.01",)),
    ("chief financial officer", "8-K", ("5.02",)),
    ("", "8-K", ("8.01", "9.01")),
)
_OTHERS = (
    "4",
    "4",
    "4",
    "4",
    "4",
    "144",
    "3",
    "SCHEDULE 13G",
    "10-Q",
    "8-K",
    "8-K/A",
    "S-8",
    "S-3",
    "S-3ASR",
    "S-1/A",
    "F-3",
    "EFFECT",
    "424B5",
)
ADDRESS = "https://example.com/edgar/data"  # nobody shall look for them at the SEC


class InventedFilings:
    def __init__(self, market: Market, seed: int) -> None:
        self._market, self._seed = market, seed
        self._of: dict[date, list[FilingEntry]] = {}  # some seven hundred a session; the last few are kept

    def of(self, session: date) -> list[FilingEntry]:
        """The session's entries, one a filer, newest first."""
        if session not in self._of:
            made = self._made(session) if self._market.source.covers(session) else []
            made.sort(key=lambda entry: (entry.accepted_at, entry.accession), reverse=True)
            self._of = dict(list(self._of.items())[-20:]) | {session: made}
        return self._of[session]

    def _made(self, session: date) -> list[FilingEntry]:
        issues, entries = self._market.source.issues, list[FilingEntry]()
        for item in self._market.source.news(session):
            drawn = word(self._seed, _NEWS, session.toordinal(), item.number)
            form, items = next((form, items) for part, form, items in _FORMS if part in item.title)
            accepted_at = item.published_at.replace(microsecond=0) + timedelta(seconds=20 + drawn % 180)
            entries += _entries(
                issues[item.number], FilingEntry(_number(issues[item.number], session, 1), form, session, accepted_at, (), items)
            )
        for issue in issues:
            drawn = word(self._seed, _REST, session.toordinal(), issue.number)
            if issue.kind in STOCK_KINDS and issue.is_listed(session) and drawn % ONE_OF == 0:
                form = _OTHERS[(drawn >> 8) % len(_OTHERS)]
                accepted_at = at(session, OPENS) + timedelta(seconds=(drawn >> 24) % OPEN_SECONDS)
                items = ("7.01",) if form.startswith("8-K") else ()
                entries += _entries(issue, FilingEntry(_number(issue, session, 2), form, session, accepted_at, (), items))
        return entries


def _number(issue: Issue, session: date, which: int) -> str:
    return f"{issue.cik or '':0>10}-{session:%y}-{session.timetuple().tm_yday * 10 + which:06}"


def _entries(issue: Issue, filing: FilingEntry) -> Sequence[FilingEntry]:
    """One for each filer; an insider's report names the insider, too."""
    if issue.cik is None:
        return ()
    url = f"{ADDRESS}/{int(issue.cik)}/{filing.accession.replace('-', '')}/{filing.accession}-index.htm"
    company, insider = issue.name.removesuffix(" Common Stock"), Filer(f"{9_000_000_000 + issue.number:010}", "Doe Jane", "Reporting")
    roles = {"3": "Issuer", "4": "Issuer", "144": "Subject", "SCHEDULE 13G": "Subject"}
    filers = [Filer(issue.cik, company, roles.get(filing.form, "Filer"))]
    if filing.form in ("3", "4", "144"):
        filers.insert(0, insider)
    return [msgspec.structs.replace(filing, filers=(filer,), url=url) for filer in filers]
