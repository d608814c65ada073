"""The maintenance service: wakes and runs; one run at a time.

    wake-up (start, three times a session; after a failed run: soon)  -> waits for the run under way
    emptied bus                                                       -> nothing, if a run is under way
    asked for (HTTP)                                                  -> joins the run under way

What a run does is `run.py`'s; what it should do, `plan.py`'s.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta
from typing import Any, TypeVar

import structlog

from tradeul.bus.redis import Bus
from tradeul.clock import Clock
from tradeul.errors import RunRefused, StoreError, Unauthorized
from tradeul.maintenance import report
from tradeul.maintenance.access import Access
from tradeul.maintenance.client import GatewayClient
from tradeul.maintenance.datasets import (
    BASELINES,
    DATASETS,
    METADATA_ENRICH,
    MINUTE_BARS,
    NEW_TRADING_DAY,
    OHLC_DAILY,
    REDIS_SYNC,
    SPLITS,
    TICKERS,
    TIMESCALE_MIRROR,
    VOLUME_SLOTS,
    Schedule,
    Windows,
)
from tradeul.maintenance.engine import Engine, Here, ahead_of
from tradeul.maintenance.forecast import forecast
from tradeul.maintenance.ledger import Key
from tradeul.maintenance.options import again, check
from tradeul.maintenance.plan import Step, plan
from tradeul.maintenance.run import Parts, Reconciliation, gone, standing
from tradeul.maintenance.tasks import Landing, Task
from tradeul.maintenance.tasks.baselines import BaselinesTask
from tradeul.maintenance.tasks.metadata_enrich import MetadataEnrichTask
from tradeul.maintenance.tasks.minute_bars import MinuteBarsTask
from tradeul.maintenance.tasks.new_trading_day import NewTradingDayTask
from tradeul.maintenance.tasks.ohlc_daily import OhlcDailyTask
from tradeul.maintenance.tasks.redis_sync import RedisSyncTask
from tradeul.maintenance.tasks.replaced import ReplacedFiles
from tradeul.maintenance.tasks.splits import SplitsTask
from tradeul.maintenance.tasks.tickers import TickersTask
from tradeul.maintenance.tasks.timescale_mirror import TimescaleMirrorTask
from tradeul.maintenance.tasks.volume_slots import VolumeSlotsTask
from tradeul.maintenance.trouble import trouble
from tradeul.market_calendar import Calendar
from tradeul.ops.alarms import Alarms
from tradeul.providers.ports import MarketData, MinuteFiles
from tradeul.records.runs import WHOLE, Run, RunOptions
from tradeul.store.catalog import Catalog
from tradeul.store.disk import Disk
from tradeul.store.lake import Lake
from tradeul.store.timescale import Mirror

__all__ = ["MaintenanceService", "Windows"]

T = TypeVar("T")
NOT_LEADING = "Maintenance has not started yet, or stands by while another process leads: ask again in a second, or ask that one."
RETRY_RUN = timedelta(minutes=10)
BUS_LOOK_SECONDS = 10.0  # wall time: an emptied bus is whole again within 30 s

log = structlog.get_logger()


class MaintenanceService:
    def __init__(
        self,
        market: MarketData,
        files: MinuteFiles,
        lake: Lake,
        catalog: Catalog,
        bus: Bus,
        clock: Clock,
        calendar: Calendar,
        windows: Windows,
        gateway_address: Callable[[], str | None] = lambda: None,
        access: Access | None = None,
        alarms: Alarms | None = None,
        credentials: Mapping[str, str] | None = None,
        mirror: Mirror | None = None,
        requests: Callable[[], int] | None = None,
        disk: Callable[[], Disk] | None = None,
        engine: Engine | None = None,
    ) -> None:
        """``credentials``: the headers that the gateway asks for. ``mirror``: where ``windows`` want one.

        ``requests``: made with the vendor's key so far. ``engine``: who computes, if not this process.
        """
        self.mirror = mirror
        self._requests = requests
        self._disk = disk
        self._engine = engine or Here()
        self._lake = lake
        self._catalog = catalog
        self._bus = bus
        self._clock = clock
        self._access = access
        self._alarms = alarms
        self._borders = market, files, calendar, GatewayClient(gateway_address, clock, credentials)
        self.adopt(windows)
        self._current: Reconciliation | None = None
        self._group: asyncio.TaskGroup | None = None
        self.next_run_at: datetime | None = None
        # One thread of our own, not a pool's next one: each thread that once sorted 1.7 million rows keeps memory for it.
        self._thread = ThreadPoolExecutor(1, "maintenance")

    def adopt(self, windows: Windows) -> None:
        """What is wanted from the next run on."""
        market, files, calendar, gateway = self._borders
        lake, catalog, bus, clock = self._lake, self._catalog, self._bus, self._clock
        self._schedule = Schedule(calendar, windows)
        slots = VolumeSlotsTask(market, files, lake, calendar, self._in_thread, self._engine)
        tasks: dict[str, Task] = {
            TICKERS: TickersTask(market, lake, self._schedule),
            SPLITS: SplitsTask(market, lake, self._schedule),
            OHLC_DAILY: OhlcDailyTask(market, lake, windows.reference_tickers),
            VOLUME_SLOTS: slots,
            BASELINES: BaselinesTask(lake, self._schedule),
            METADATA_ENRICH: MetadataEnrichTask(market, lake, self._schedule, self._in_thread),
            REDIS_SYNC: RedisSyncTask(lake, bus, self._schedule, self._in_thread),
            NEW_TRADING_DAY: NewTradingDayTask(bus, self._schedule, gateway),
            MINUTE_BARS: MinuteBarsTask(files, lake, calendar, windows.minute_sessions, self._engine),
        }
        if self.mirror is not None:
            tasks[TIMESCALE_MIRROR] = TimescaleMirrorTask(self.mirror, lake, self._schedule, self._in_thread)
        replaced, ways = ReplacedFiles(files, lake, self._in_thread), (self._in_thread, ahead_of(self._engine), self._begin, self._requests)
        self._parts = Parts(tasks, slots, replaced, lake, catalog, bus, clock, self._schedule, *ways)

    async def run(self) -> None:
        """Until cancelled; it may be run again then, and is as new."""
        async with self.on_demand() as group:
            group.create_task(self._wake())
            group.create_task(self._watch_bus())
            group.create_task(self._herald())
            group.create_task(self._look_daily())
            group.create_task(self._watch_deadlines())

    @asynccontextmanager
    async def on_demand(self) -> AsyncIterator[asyncio.TaskGroup]:
        """No wake-ups: only runs that are asked for."""
        try:
            async with asyncio.TaskGroup() as group:
                await self._in_thread(self._clear_drafts)
                self._group = group
                yield group
        finally:
            self._group = self.next_run_at = None

    def _clear_drafts(self) -> None:
        for dataset in DATASETS:
            self._lake.clear_drafts(dataset)

    @property
    def leads(self) -> bool:
        """Not while it starts, or stands by for another process."""
        return self._group is not None

    async def _wake(self) -> None:
        while True:
            begun_at = self._clock.now()
            self.next_run_at = self._schedule.wake_after(begun_at)
            run = await self.reconcile()
            # From the start, not the end: an instant that passed meanwhile was not in the plan.
            if not run.success:
                self.next_run_at = min(self.next_run_at, self._clock.now() + RETRY_RUN)
            await self._clock.sleep_until(self.next_run_at)

    async def _herald(self) -> None:
        """Announce a session when it is due even while a long run, begun before it, is under way; else `_wake` does."""
        while True:
            session, due_at = self._schedule.new_day_after(self._clock.now())
            log.info("cache_clear_scheduler_started", next_at=due_at.isoformat(), date=str(session))
            await self._clock.sleep_until(due_at)
            if self._current is not None and self._current.started_at < due_at:
                await Reconciliation(self._parts, RunOptions(only=NEW_TRADING_DAY)).go()

    async def _look_daily(self) -> None:
        """Ask what the key may ask, with each session's announcement."""
        while self._access is not None:
            await self._clock.sleep_until(self._schedule.new_day_after(self._clock.now())[1])
            await self._look()

    async def _watch_deadlines(self) -> None:
        """When a session opens, the one before it should be complete, whatever a run is still doing."""
        while self._alarms is not None:
            calendar, now = self._schedule.calendar, self._clock.now()
            current = calendar.current_session(now)
            opens_at = [calendar.hours(session).open_at for session in (current, calendar.next(current))]
            await self._clock.sleep_until(next(instant for instant in opens_at if instant > now))
            await self._sound()

    async def _sound(self) -> None:
        """Tell a person what has gone wrong since, and what is well again."""
        if self._alarms is not None:
            try:
                rows, runs = await asyncio.to_thread(lambda: (self._catalog.ledger(), self._catalog.runs()))
            except StoreError as error:
                log.warning("trouble_not_known", reason=str(error))
                return
            ledger = {(row.dataset, row.session): row for row in rows}
            last = next((run for run in runs if run.options.is_whole and run.finished_at is not None), None)
            await self._alarms.hold(trouble(ledger, self._schedule, self._clock.now(), last, self._lake.free_bytes()))

    async def _look(self) -> None:
        try:
            if self._access is not None:
                await self._access.look()
        except Unauthorized as error:
            log.error("key_refused", reason=str(error))  # the next run says so, too

    async def _watch_bus(self) -> None:
        """A bus that was emptied, or one master of it, while nothing else is due gets its keys again."""
        universe = False
        while True:
            await asyncio.sleep(BUS_LOOK_SECONDS)
            current = self._schedule.calendar.current_session(self._clock.now())
            if self._current is None and await self._bus.has_lost(current, universe=universe) and await self._stands(BASELINES, current):
                await self.reconcile()
            universe = await self._bus.count_universe() > 0

    async def _stands(self, dataset: str, session: date) -> bool:
        try:
            return await asyncio.to_thread(self._lake.has, dataset, session)
        except StoreError as error:
            log.warning("lake_not_known", reason=str(error))
            return False

    async def reconcile(self, options: RunOptions = WHOLE) -> Run:
        """Bring every wanted partition up to date; after the run under way, if there is one.

        Raises:
            RunRefused: what ``options`` ask cannot be done.
        """
        check(options, self._schedule, self._clock.now())
        while self._current is not None:
            await self._current.ended.wait()
        self._current = Reconciliation(self._parts, options)
        return await self._carry_out(self._current)

    def trigger(self, options: RunOptions) -> tuple[Run, bool]:
        """Begin a run, or join the one under way; and whether it is new.

        Raises:
            RunRefused: what ``options`` ask cannot be done.
        """
        check(options, self._schedule, self._clock.now())
        if self._current is not None:
            return self._current.view(), False
        if self._group is None:
            raise RunRefused(NOT_LEADING)
        self._current = Reconciliation(self._parts, options)
        self._group.create_task(self._carry_out(self._current))
        return self._current.view(), True

    async def _carry_out(self, run: Reconciliation) -> Run:
        try:
            done = await run.go()
            if run.was_not_entitled:
                await self._look()
            await self._in_thread(lambda: self._keep(done))
        finally:
            self._current = None
            run.ended.set()
        if done.options.is_whole:  # after the run's end: a receiver may take its time
            await self._sound()
            if done.success and self._alarms is not None:
                await self._alarms.beat()
        return done

    def _keep(self, run: Run) -> None:
        try:
            self._catalog.add_run(run)
        except StoreError as error:
            log.warning("run_not_kept", reason=str(error))  # the ledger is what counts

    async def announce_again(self) -> Run:
        """The announcement of the current session once more, beside the run under way.

        Raises:
            RunRefused: we do not lead.
        """
        if not self.leads:
            raise RunRefused(NOT_LEADING)
        return await Reconciliation(self._parts, RunOptions(only=NEW_TRADING_DAY, force=True)).go()

    async def foresee(self, options: RunOptions) -> list[Step]:
        """The steps that a run would take now.

        Raises:
            RunRefused: what ``options`` ask cannot be done.
        """
        now = self._clock.now()
        check(options, self._schedule, now)
        rows = await asyncio.to_thread(self._catalog.ledger)
        rows += gone(await asyncio.to_thread(standing, self._lake), rows)
        ledger = {(row.dataset, row.session): row for row in rows}
        steps = plan(ledger, self._schedule, now, options)
        return forecast(steps, ledger, self._schedule, now, again(options, steps))

    async def status(self, mode: str) -> report.Status:
        rows = await asyncio.to_thread(self._catalog.ledger)
        ledger = {(row.dataset, row.session): row for row in rows}
        run, missing = self._current, self._access.missing if self._access else ()
        view, in_progress = (None, frozenset[Key]()) if run is None else (run.view(), run.in_progress)
        disk = await asyncio.to_thread(self._disk) if self._disk else None
        return report.status(ledger, self._schedule, self._clock.now(), mode, view, in_progress, self.next_run_at, missing, disk)

    async def runs(self) -> list[Run]:
        """The run under way and the last ones, newest first."""
        last = await asyncio.to_thread(self._catalog.runs)
        return last if self._current is None else [self._current.view(), *last]

    def _begin(self, work: Coroutine[Any, Any, Landing]) -> asyncio.Task[Landing]:
        return asyncio.create_task(work)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        with self._clock.busy():
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
