"""Filings and news as they appear: read, kept, then told.

    EDGAR's feed, every few seconds ----\\
    submissions of companies on lists ---+--> catalog (each once) --> streams of the bus --> gateway, scanner
    the vendor's news, every minute ----/

The catalog is first and durable. What the bus lacks of it is found out by the
numbers of both, after each reading: killed in between, or the bus emptied, the
next reading tells the rest, and never twice. How far the feed was read stands in
the catalog and moves when a reading is whole; a killed one is done again.

Decisions are elsewhere: where a reading ends in `reading.py`, what a form means
in `words.py`. It serves no HTTP (`server.py`).
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import ParamSpec, TypeVar

import msgspec
import structlog

from tradeul.bus.redis import Bus
from tradeul.bus.topics import FILINGS, NEWS, STREAM_LENGTH
from tradeul.clock import Clock
from tradeul.errors import (
    Blocked,
    BusUnavailable,
    LeadLost,
    NotEntitled,
    ProviderError,
    RateLimited,
    StoreError,
    Unauthorized,
    VendorUnavailable,
)
from tradeul.filings.reading import PAGE, Reading
from tradeul.filings.words import described
from tradeul.market_calendar import Calendar
from tradeul.providers.http import waits
from tradeul.providers.ports import News, Register
from tradeul.records.filings import Company, Filing, FilingEntry
from tradeul.store.filings import FilingsStore

T = TypeVar("T")
P = ParamSpec("P")
POLL_SECONDS = 5.0
LONGEST_WAIT_SECONDS = 60.0  # after a failure
BLOCKED_SECONDS = 600.0  # for so long the SEC answers nobody who asked too much
FILL_SECONDS = 10.0
NEWS_SECONDS = 60.0
TELL_SECONDS = 10.0  # an emptied bus is whole again within so long, even while nothing can be read
FORGET_SECONDS = 3600.0
NEWS_LATE = timedelta(minutes=10)  # a piece may be told so long after its own instant
NOT_ENTITLED_SECONDS = 3600.0
COMPANIES_AGAIN = timedelta(minutes=10)  # after a failure; else once a session
KEPT = timedelta(days=400)
LATENCIES = 1_000
FEED_MARK, GAP_MARK, NEWS_MARK = "filings", "filings gap", "news"

log = structlog.get_logger()


class FilingsService:
    def __init__(
        self, register: Register | None, news: News, store: FilingsStore, bus: Bus, clock: Clock, calendar: Calendar, why_not: str = ""
    ) -> None:
        """``register`` None: the SEC is not asked, and ``why_not`` says so to people."""
        self._register, self._news, self._store = register, news, store
        self._bus, self._clock, self._calendar = bus, clock, calendar
        self._tickers_of: dict[str, tuple[str, ...]] = {}
        self._cik_of: dict[str, str] = {}
        self._companies_asked = asyncio.Event()
        self._turn = asyncio.Lock()
        self.trouble: dict[str, str] = {} if register else {"filings": why_not}  # of filings, news ...: why they do not come
        self.read_at: datetime | None = None  # when the feed was last read whole
        self.latencies: deque[float] = deque(maxlen=LATENCIES)  # seconds from acceptance to our sight, of what came while we looked
        self.filings_kept = self.news_kept = 0  # since start

    async def run(self) -> None:
        self._adopt(await self._in_thread(self._store.companies))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._repeat("news", self.read_news, NEWS_SECONDS))
            tasks.create_task(self._repeat("bus", self._tell, TELL_SECONDS))
            tasks.create_task(self._repeat("forgetting", self._forget_old, FORGET_SECONDS))
            if self._register is None:
                log.warning("filings_not_asked", reason=self.trouble["filings"])
                return
            tasks.create_task(self._know_companies(self._register))
            await self._companies_asked.wait()
            tasks.create_task(self._repeat("filings", self.read_feed, POLL_SECONDS))
            tasks.create_task(self._repeat("submissions", self.fill_in, FILL_SECONDS))

    async def _repeat(self, name: str, read: Callable[[], Awaitable[None]], seconds: float) -> None:
        """Read on for ever. The one retry policy is within each request; here is only when to look again after it gave up."""
        failed = waits(LONGEST_WAIT_SECONDS)
        while True:
            wait = seconds
            try:
                await read()
            except LeadLost:  # another process's turn, and no trouble
                raise
            except (ProviderError, StoreError, BusUnavailable) as error:
                wait = max(seconds, _pause(error) or next(failed))
                if self.trouble.get(name) != str(error):
                    log.warning(f"{name}_not_read", reason=str(error), next_in_seconds=round(wait, 1))
                self.trouble[name] = str(error)
            else:
                failed = waits(LONGEST_WAIT_SECONDS)
                if self.trouble.pop(name, None):
                    log.info(f"{name}_read_again")
            await self._clock.sleep(wait)

    # Filings

    async def read_feed(self) -> None:
        """Everything that the feed has above what the last whole reading saw."""
        assert self._register is not None  # noqa: S101 else nobody calls
        mark = await self._in_thread(self._store.mark, FEED_MARK)
        reading = Reading(mark or self._previous_close())
        while not reading.ended:
            page = await self._register.current(reading.start, PAGE)
            seen_at = self._clock.now()
            fresh = await self._keep_filings(reading.take(page), seen_at)
            if mark is not None and reading.pages == 1:
                self.latencies.extend((seen_at - filing.accepted_at).total_seconds() for filing in fresh if filing.accepted_at > mark)
            await self._tell()
        if reading.gap and mark is not None:
            log.warning("filings_gap", since=mark.isoformat(), pages=reading.pages)
            await self._in_thread(self._store.set_mark, GAP_MARK, self._clock.now())
        if mark is None or reading.seen_to > mark:
            await self._in_thread(self._store.set_mark, FEED_MARK, reading.seen_to)
        self.read_at = self._clock.now()

    async def fill_in(self) -> None:
        """The history of companies that came onto a list, from their own pages; again after a gap in the feed."""
        assert self._register is not None  # noqa: S101 else nobody calls
        gap_at = await self._in_thread(self._store.mark, GAP_MARK)
        active = await self._bus.get_active()
        for cik in dict.fromkeys(self._cik_of[symbol] for symbol in sorted(active) if symbol in self._cik_of):
            name = f"submissions {cik}"
            asked_at = await self._in_thread(self._store.mark, name)
            if asked_at is not None and (gap_at is None or asked_at > gap_at):
                continue
            try:
                entries = await self._register.submissions(cik)
            except (Blocked, RateLimited, VendorUnavailable):
                raise
            except ProviderError as error:  # of this company alone: the others need not wait for it
                log.warning("submissions_refused", cik=cik, reason=str(error))
                entries = []
            now = self._clock.now()
            await self._keep_filings([entry for entry in reversed(entries) if entry.accepted_at >= now - KEPT], now)
            await self._in_thread(self._store.set_mark, name, now)
            await self._tell()

    async def _keep_filings(self, entries: Sequence[FilingEntry], seen_at: datetime) -> list[Filing]:
        """Those that were not known. What is older than the previous close is history: nobody is told of it."""
        filings = [described(entry, seen_at, self._tickers_of) for entry in entries]
        since = self._previous_close()
        fresh = await self._in_thread(self._store.add_filings, filings, since)
        self.filings_kept += len(fresh)
        return fresh

    # Companies

    async def _know_companies(self, register: Register) -> None:
        while True:
            now = self._clock.now()
            following = self._calendar.next(self._calendar.current_session(now))
            again_at = self._calendar.hours(following).new_day_at
            try:
                companies = await register.companies()
                await self._in_thread(self._store.put_companies, companies)
                self._adopt(companies)
            except (ProviderError, StoreError) as error:
                log.warning("companies_not_read", reason=str(error))
                again_at = now + COMPANIES_AGAIN
            self._companies_asked.set()
            await self._clock.sleep_until(again_at)

    def _adopt(self, companies: Iterable[Company]) -> None:
        tickers: dict[str, list[str]] = {}
        for company in companies:
            tickers.setdefault(company.cik, []).append(company.symbol)
        self._tickers_of = {cik: tuple(sorted(symbols)) for cik, symbols in tickers.items()}
        self._cik_of = {symbol: cik for cik, symbols in tickers.items() for symbol in symbols}

    # News

    async def read_news(self) -> None:
        mark = await self._in_thread(self._store.mark, NEWS_MARK)
        told = await self._news.news((mark or self._previous_close()) - NEWS_LATE)
        seen_at, since = self._clock.now(), self._previous_close()
        articles = [msgspec.structs.replace(article, seen_at=seen_at) for article in told]
        self.news_kept += len(await self._in_thread(self._store.add_news, articles, since))
        newest = max([article.published_at for article in articles], default=mark)
        if newest is not None and newest != mark:
            await self._in_thread(self._store.set_mark, NEWS_MARK, newest)
        await self._tell()

    # What both need

    async def _tell(self) -> None:
        """Bring the streams up to what the catalog holds."""
        async with self._turn:
            for stream, newest, after in (
                (FILINGS, self._store.last_filing, self._store.filings_after),
                (NEWS, self._store.last_article, self._store.news_after),
            ):
                told, kept = await self._bus.last_number(stream), await self._in_thread(newest)
                if told > kept:  # by another catalog, on the same server
                    await self._bus.drop_stream(stream)
                    told = 0
                if told < kept:
                    entries = await self._in_thread(after, told, STREAM_LENGTH)
                    await self._bus.append(stream, [(entry.number, entry.document) for entry in entries])

    async def _forget_old(self) -> None:
        await self._in_thread(self._store.forget_before, self._clock.now() - KEPT)

    def _previous_close(self) -> datetime:
        current = self._calendar.current_session(self._clock.now())
        return self._calendar.hours(self._calendar.previous(current)).close_at

    async def _in_thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        with self._clock.busy():
            return await asyncio.to_thread(work, *args, **kwargs)


def _pause(error: Exception) -> float | None:
    if isinstance(error, Blocked):
        return BLOCKED_SECONDS
    return NOT_ENTITLED_SECONDS if isinstance(error, NotEntitled | Unauthorized) else None
