"""One reading of the feed of current filings, page by page: what is whole, and whether to read on. Pure.

    newest                                                                  oldest
    | page 1 ................ | page 2 ................ | page 3 ......
                                             ^ what the last whole reading saw, less `LATE`

The feed moves while it is read: what comes in on top pushes the rest down, so
that the next page begins with entries of this one. Each filing has an entry per
filer, side by side; the one that a page ends in is kept until a later page has
told the rest. `LATE`: EDGAR puts some filings in below newer ones.

A page is asked to begin with the last entry of the one before. If it begins with
something new instead, that was put in meanwhile, and where it begins is on no
page that we have: it is left for the next reading, which is sure to reach it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from tradeul.records.filings import FilingEntry

PAGE = 100  # the most that EDGAR gives
MOST_PAGES = 60  # a long day's worth; then the reading is whole with a gap, which is said
LATE = timedelta(minutes=5)


class Reading:
    """``seen_to``: the newest acceptance that the last whole reading saw."""

    def __init__(self, seen_to: datetime) -> None:
        self._until = seen_to - LATE
        self._told: set[tuple[str, str, str]] = set()
        self._kept: list[FilingEntry] = []
        self._left: set[str] = set()  # accessions for the next reading
        self.pages = 0
        self.seen_to = seen_to
        self.ended = False
        self.gap = False  # it ended before it met what was seen before

    @property
    def start(self) -> int:
        """Where the next page begins."""
        return self.pages * (PAGE - 1)

    def take(self, page: Sequence[FilingEntry]) -> list[FilingEntry]:
        """The whole filings of the next page, oldest first."""
        self.pages += 1
        self.seen_to = max([self.seen_to, *(entry.accepted_at for entry in page)])
        if self.pages > 1 and page and self._is_cut(page[0]):
            self._left.add(page[0].accession)
        fresh = [entry for entry in page if _name(entry) not in self._told and entry.accession not in self._left]
        self._told.update(map(_name, page))
        met = bool(page) and page[-1].accepted_at < self._until
        self.ended = met or not page or self.pages == MOST_PAGES
        self.gap = self.ended and not met and self.pages > 1
        found = merged([*self._kept, *fresh])
        here = {entry.accession for entry in page}
        waiting = {entry.accession for entry in self._kept if entry.accession not in here}  # pushed further down
        waiting |= {page[-1].accession} if page else set()
        self._kept = [] if self.ended else [each for each in found if each.accession in waiting]
        return [each for each in reversed(found) if each not in self._kept]

    def _is_cut(self, first: FilingEntry) -> bool:
        is_new = all(first.accession != accession for accession, _, _ in self._told)
        return is_new and first.accepted_at >= self.seen_to - LATE


def _name(entry: FilingEntry) -> tuple[str, str, str]:
    return entry.accession, entry.filers[0].cik, entry.filers[0].role


def merged(entries: Sequence[FilingEntry]) -> list[FilingEntry]:
    """One entry for each filing, with all its filers, in order of first mention."""
    found: dict[str, FilingEntry] = {}
    for entry in entries:
        known = found.get(entry.accession)
        found[entry.accession] = entry if known is None else joined(known, entry)
    return list(found.values())


def joined(known: FilingEntry, entry: FilingEntry) -> FilingEntry:
    """``known`` with the filers and items that only ``entry`` names."""
    filers = known.filers + tuple(filer for filer in entry.filers if filer not in known.filers)
    return msgspec.structs.replace(known, filers=filers, items=known.items or entry.items)
