"""Filings on a real bus and a real catalog, and a feed that appears by a plan: what EDGAR does to a reader, in small."""

import asyncio
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta

import msgspec

from tradeul.bus.embedded import EmbeddedServer
from tradeul.bus.redis import Bus
from tradeul.bus.topics import FILINGS, NEWS
from tradeul.clock import SteppedClock, SystemClock
from tradeul.filings.service import FilingsService
from tradeul.market_calendar import at, nyse
from tradeul.records.filings import Company, Filer, FilingEntry
from tradeul.store.catalog import Catalog
from tradeul.store.filings import FilingsStore

SESSION = date(2026, 3, 9)
COMPANIES = [Company("0000000001", "A", "A Inc."), Company("0000000001", "A.WS", "A Inc."), Company("0000000002", "B", "B Inc.")]


class Killed(BaseException):
    """The process ends here: nothing that follows is done."""


class Quiet:
    """A vendor without news."""

    async def news(self, since):
        return []


def entry_of(number, accepted_at, filers=1, form="8-K"):
    """A filing's entries, one a filer."""
    accession = f"0000000009-26-{number:06}"
    people = [Filer(f"{cik:010}", f"N{cik}", "Filer") for cik in range(1, filers + 1)]
    return [FilingEntry(accession, form, accepted_at.date(), accepted_at, (filer,), ("8.01",)) for filer in people]


class PlannedFeed:
    """``plan``: (instant from which it is shown, its entries). ``between(page)`` is called before each page is given."""

    def __init__(self, clock, plan, between=lambda start: None):
        self.clock, self.plan, self.between = clock, plan, between
        self.submitted = {}

    async def current(self, start, count):
        self.between(start)
        shown = [entries for since, entries in self.plan if since <= self.clock.now()]
        shown.sort(key=lambda entries: (entries[0].accepted_at, entries[0].accession), reverse=True)
        return [entry for entries in shown for entry in entries][start : start + count]

    async def submissions(self, cik):
        return self.submitted[cik]

    async def companies(self):
        return COMPANIES


class House:
    def __init__(self, root, bus, clock):
        self.root, self.bus, self.clock = root, bus, clock
        self.catalog = Catalog(f"sqlite:///{root / 'catalog.db'}")
        self.store = FilingsStore(self.catalog)

    def service(self, register, news=None):
        service = FilingsService(register, news or Quiet(), self.store, self.bus, self.clock, nyse())
        service._adopt(COMPANIES)
        return service

    async def told(self, stream=FILINGS):
        """The stream's records in order."""
        return [stream.decode(fields[stream.field.encode()]) for _, fields in await self.bus.redis.xrange(stream.key)]

    def kept(self):
        found = self.store.find_filings(most=100_000)
        assert len(found.documents) == found.total
        return [FILINGS.decode(document) for document in found.documents]

    def kept_news(self):
        return [NEWS.decode(document) for document in self.store.find_news(None, None, 100_000).documents]


@asynccontextmanager
async def housed(root, wall=(10, 0)):
    clock = SteppedClock(at(SESSION, datetime.min.replace(hour=wall[0], minute=wall[1]).time()))
    server = EmbeddedServer(root, SystemClock())
    await server.start()
    bus = Bus(server.url, clock)
    house = House(root, bus, clock)
    try:
        yield house
    finally:
        house.catalog.close()
        await bus.close()
        await server.stop()


@asynccontextmanager
async def running(*services):
    tasks = [asyncio.create_task(service.run()) for service in services]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def later(clock, seconds):
    clock._now += timedelta(seconds=seconds)


def as_told(filing):
    """Without when it was seen."""
    return msgspec.structs.replace(filing, seen_at=filing.accepted_at)
