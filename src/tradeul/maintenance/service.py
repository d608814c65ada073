"""The maintenance service: wakes, asks the plan what is due, and brings it up to date, step by step.

    wake-up (start, 17:00, 20:15, 03:00 ET of sessions; after a failed run: soon)
      -> plan -> for each step still due: prepare (vendor) -> landing (thread) -> lake -> ledger

One step lands at a time, and heavy work is in one thread at a time; meanwhile
the answers for the next steps are already asked for (`AHEAD`).
A step that fails is noted and the others go on; a refused key ends the run. It
judges nothing itself: `tasks/` do, by the rules of `ledger.py`.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import TypeVar

import msgspec
import structlog

from tradeul import __version__
from tradeul.bus.redis import Bus
from tradeul.bus.topics import MAINTENANCE_PROGRESS
from tradeul.clock import Clock
from tradeul.errors import CorruptPartition, NotEntitled, TradeulError, Unauthorized, VendorUnavailable
from tradeul.maintenance import ledger as rules
from tradeul.maintenance.datasets import (
    BASELINES,
    DATASETS,
    OHLC_DAILY,
    REDIS_SYNC,
    SPLITS,
    TICKERS,
    VOLUME_SLOTS,
    Schedule,
    Windows,
)
from tradeul.maintenance.ledger import Key, Landed
from tradeul.maintenance.plan import Step, plan
from tradeul.maintenance.tasks import Landing, Task
from tradeul.maintenance.tasks.baselines import BaselinesTask
from tradeul.maintenance.tasks.ohlc_daily import OhlcDailyTask
from tradeul.maintenance.tasks.redis_sync import RedisSyncTask
from tradeul.maintenance.tasks.splits import SplitsTask
from tradeul.maintenance.tasks.tickers import TickersTask
from tradeul.maintenance.tasks.volume_slots import VolumeSlotsTask
from tradeul.market_calendar import Calendar
from tradeul.providers.ports import MarketData, MinuteFiles
from tradeul.records.events import Progress
from tradeul.records.partitions import LedgerRow, State
from tradeul.store.catalog import Catalog
from tradeul.store.lake import Lake

__all__ = ["MaintenanceService", "RunResult", "Windows"]

T = TypeVar("T")
# How many answers are asked for or held, the present step's included: a daily one is 1 MB, a file 20 MB.
AHEAD = {OHLC_DAILY: 3, VOLUME_SLOTS: 2}
# A vendor that is down is not asked for each of 260 sessions.
FAILURES_IN_A_ROW = 3
RETRY_RUN = timedelta(minutes=10)
BUS_LOOK_SECONDS = 10.0  # wall time: an emptied bus is whole again within 30 s

log = structlog.get_logger()


class RunResult(msgspec.Struct, frozen=True):
    date: date
    started_at: datetime
    finished_at: datetime
    success: bool
    completed: int  # partitions brought up to date by this run
    failed: tuple[LedgerRow, ...]
    tasks: dict[str, State]  # of each dataset, the worst of its wanted partitions


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
    ) -> None:
        self._lake = lake
        self._catalog = catalog
        self._bus = bus
        self._clock = clock
        self._schedule = Schedule(calendar, windows)
        self._slots = VolumeSlotsTask(market, files, lake, calendar, self._in_thread)
        self._tasks: dict[str, Task] = {
            TICKERS: TickersTask(market, lake),
            SPLITS: SplitsTask(market, lake, self._schedule),
            OHLC_DAILY: OhlcDailyTask(market, lake),
            VOLUME_SLOTS: self._slots,
            BASELINES: BaselinesTask(lake, self._schedule),
            REDIS_SYNC: RedisSyncTask(lake, bus, self._schedule, self._in_thread),
        }
        self._running = asyncio.Lock()
        # One thread of our own, not a pool's next one: each thread that once sorted 1.7 million rows keeps memory for it.
        self._thread = ThreadPoolExecutor(1, "maintenance")

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._wake())
            group.create_task(self._watch_bus())

    async def _wake(self) -> None:
        while True:
            begun_at = self._clock.now()
            result = await self.reconcile()
            # From the start, not the end: an instant that passed meanwhile was not in the plan.
            wake_at = self._schedule.wake_after(begun_at)
            if not result.success:
                wake_at = min(wake_at, self._clock.now() + RETRY_RUN)
            await self._clock.sleep_until(wake_at)

    async def _watch_bus(self) -> None:
        """A bus that was emptied while nothing else is due gets its keys again."""
        while True:
            await asyncio.sleep(BUS_LOOK_SECONDS)
            current = self._schedule.served(self._clock.now())[0]
            if not self._running.locked() and self._lake.has(BASELINES, current) and not await self._bus.baselines_bytes(current):
                await self.reconcile()

    async def reconcile(self) -> RunResult:
        """Bring every wanted partition up to date; one run at a time."""
        async with self._running:
            return await _Run(self).go()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        with self._clock.busy():
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)


class _Run:
    """One run: the ledger as it stands, and what this run has learnt."""

    def __init__(self, service: MaintenanceService) -> None:
        self._lake, self._catalog, self._bus, self._clock = service._lake, service._catalog, service._bus, service._clock
        self._schedule, self._tasks, self._slots = service._schedule, service._tasks, service._slots
        self._in_thread = service._in_thread
        self._ledger: dict[Key, LedgerRow] = {}
        self._asked: dict[Step, asyncio.Task[Landing]] = {}
        self._given_up: set[tuple[str, bool]] = set()  # (dataset, ranged) that the vendor refuses or cannot serve now
        self._in_a_row: Counter[tuple[str, bool]] = Counter()
        self._tried: set[tuple[Step, str | None]] = set()
        self._done: Counter[str] = Counter()
        self._corrupt: set[Key] = set()

    async def go(self) -> RunResult:
        started_at = self._clock.now()
        await self._read_ledger()
        steps = plan(self._ledger, self._schedule, started_at)
        session = self._schedule.calendar.current_session(started_at)
        log.info("maintenance_cycle_started", date=str(session), due=len({s for s in steps if self._is_due(s)}))
        try:
            await self._go_through(steps)
            if self._corrupt:
                await self._go_through(steps)
            await self._in_thread(self._clear_staging)
        except Unauthorized as error:
            log.error("maintenance_cycle_ended_early", reason=str(error))
        finally:
            for task in self._asked.values():
                task.cancel()
            await asyncio.gather(*self._asked.values(), return_exceptions=True)
        return self._result(session, started_at, steps)

    async def _go_through(self, steps: Sequence[Step]) -> None:
        place = 0
        for dataset, group in groupby(steps, key=lambda step: step.dataset):
            count = len(list(group))
            await self._run_group(dataset, steps, place, place + count)
            place += count

    async def _run_group(self, dataset: str, steps: Sequence[Step], first: int, last: int) -> None:
        """The steps of one dataset that follow each other: what people call a task."""
        due = [step for step in steps[first:last] if self._is_due(step)]
        if not due:
            return
        begun_at, before = self._clock.now(), self._done[dataset]
        log.info("task_started", task=dataset, partitions=len({row.session for step in due for row in self._rows(step)}))
        rows: list[LedgerRow] = []
        for number, step in enumerate(due):
            await self._report(dataset, number, len(due), str(step.session))
            self._ask_ahead(steps[steps.index(step, first) :])
            rows += await self._do(step)
        await self._report(dataset, len(due), len(due), "")
        good = [row for row in rows if row.state is not State.FAILED]
        counts = {name: sum(getattr(row, name) or 0 for row in rows) for name in ("expected", "got")}
        seconds = round((self._clock.now() - begun_at).total_seconds(), 3)
        if good:
            log.info("task_completed", task=dataset, **counts, partitions=self._done[dataset] - before, duration_seconds=seconds)

    def _ask_ahead(self, steps: Sequence[Step]) -> None:
        """Ask the vendor for this step and the next that need only the vendor."""
        ahead = (step for step in steps if step.dataset in AHEAD and not step.ranged and self._is_due(step))
        for step in ahead:
            if len(self._asked) >= AHEAD[step.dataset]:
                return
            if step not in self._asked:
                self._asked[step] = asyncio.create_task(self._prepare(step))

    async def _prepare(self, step: Step) -> Landing:
        async def report(done: int, total: int, detail: str) -> None:
            await self._report(step.dataset, done, total, detail)

        return await self._tasks[step.dataset].prepare(step, self._ledger, report)

    async def _do(self, step: Step) -> list[LedgerRow]:
        """Prepare and land one step, and note what came of it."""
        if not self._is_due(step):  # what an earlier step of this run found out may have settled it
            return []
        now = self._clock.now()
        self._tried.add((step, self._inputs(step)))
        begun = [rules.started(row, now, __version__) for row in self._rows(step)]
        await self._note(begun)
        kind = (step.dataset, step.ranged)
        try:
            asked = self._asked.pop(step, None)
            landing = await (asked if asked is not None else self._prepare(step))
            results = await self._in_thread(landing)
        except CorruptPartition as error:
            rows = await self._fail(begun, error)
            await self._forget(error, step)
            return rows
        except TradeulError as error:
            self._in_a_row[kind] += 1
            down = isinstance(error, VendorUnavailable) and self._in_a_row[kind] >= FAILURES_IN_A_ROW
            if down or isinstance(error, NotEntitled):
                self._given_up.add(kind)
            rows = await self._fail(begun, error)
            if isinstance(error, Unauthorized):
                raise
            return rows
        self._in_a_row[kind] = 0
        return await self._land(begun, results)

    async def _land(self, begun: list[LedgerRow], results: list[Landed]) -> list[LedgerRow]:
        by_session = {row.session: row for row in begun}
        rows = [rules.landed(by_session[result.session], result, self._schedule, self._clock.now()) for result in results]
        await self._note(rows)
        for row in rows:
            if row.state is State.FAILED:
                self._log_failure(row)
            else:
                self._done[row.dataset] += 1
                if row.error:
                    log.warning("partition_remark", task=row.dataset, session=str(row.session), remark=row.error)
        return rows

    async def _fail(self, begun: list[LedgerRow], error: TradeulError) -> list[LedgerRow]:
        rows = [rules.failed(row, error, self._clock.now()) for row in begun]
        await self._note(rows)
        for row in rows:
            self._log_failure(row)
        return rows

    def _log_failure(self, row: LedgerRow) -> None:
        log.warning("task_failed", task=row.dataset, session=str(row.session), expected=row.expected, got=row.got, error=row.error)

    async def _forget(self, error: CorruptPartition, step: Step) -> None:
        """Have the partition loaded anew, and the step that needed it done again, by a second pass of this run."""
        key = (error.dataset, error.session)
        await self._note([rules.forgotten(rules.row_of(self._ledger, *key), str(error))])
        if key not in self._corrupt:
            self._corrupt.add(key)
            self._tried = {(tried, inputs) for tried, inputs in self._tried if tried != step}

    async def _read_ledger(self) -> None:
        """The ledger, held to what stands: a completed partition whose file is gone is not complete."""
        rows = await self._in_thread(self._catalog.ledger)
        self._ledger = {(row.dataset, row.session): row for row in rows}
        held = [row for row in rows if row.checksum is not None]
        gone = await self._in_thread(lambda: [row for row in held if not self._lake.has(row.dataset, row.session)])
        await self._note([rules.forgotten(row, "its file is gone from the lake") for row in gone])
        for session in self._schedule.served(self._clock.now()):
            row = rules.row_of(self._ledger, REDIS_SYNC, session)
            if row.inputs is not None and not await self._bus.baselines_bytes(session):
                await self._note([rules.forgotten(row, "the bus was emptied")])

    async def _note(self, rows: Sequence[LedgerRow]) -> None:
        if rows:
            await self._in_thread(lambda: self._catalog.note(rows))
            self._ledger.update({(row.dataset, row.session): row for row in rows})

    def _rows(self, step: Step) -> list[LedgerRow]:
        now = self._clock.now()
        dataset = step.dataset
        due = [each for each in step.sessions if rules.is_due(self._ledger, self._schedule, dataset, each, now)]
        return [rules.row_of(self._ledger, dataset, each) for each in due if self._needs_stand(dataset, each)]

    def _inputs(self, step: Step) -> str | None:
        return rules.inputs_of(self._ledger, self._schedule, step.dataset, step.session)

    def _is_due(self, step: Step) -> bool:
        """Due, not given up or already tried by this run, and what it needs stands."""
        if (step.dataset, step.ranged) in self._given_up or (step, self._inputs(step)) in self._tried:
            return False
        return bool(self._rows(step))

    def _needs_stand(self, dataset: str, session: date) -> bool:
        """A served session goes on with what an earlier try brought; a traded one is judged only by what is complete."""
        kind = DATASETS[dataset]
        if kind.served:
            return all(self._lake.has(name, session) for name in kind.needs)
        return all(rules.completed(self._ledger, name, [session]) for name in kind.needs)

    def _clear_staging(self) -> None:
        window = self._schedule.window(VOLUME_SLOTS, self._clock.now())
        if len(rules.completed(self._ledger, VOLUME_SLOTS, window)) == len(window):
            self._slots.cleared()

    async def _report(self, dataset: str, done: int, total: int, detail: str) -> None:
        await self._bus.publish(MAINTENANCE_PROGRESS, Progress(dataset, done, total, detail))

    def _result(self, session: date, started_at: datetime, steps: Sequence[Step]) -> RunResult:
        now = self._clock.now()
        wanted = {(step.dataset, each) for step in steps for each in step.sessions}
        settled = all(rules.is_settled(self._ledger, self._schedule, *key, started_at) for key in wanted)
        failed = tuple(self._ledger[key] for key in sorted(wanted) if key in self._ledger and self._ledger[key].state is State.FAILED)
        worst = [State.FAILED, State.PENDING, State.PROVISIONAL, State.COMPLETED]
        states: dict[str, State] = {}
        for dataset, each in wanted:
            state = rules.row_of(self._ledger, dataset, each).state
            states[dataset] = min(state, states.get(dataset, state), key=worst.index)
        result = RunResult(session, started_at, now, settled, sum(self._done.values()), failed, states)
        seconds = (now - started_at).total_seconds()
        log.info(
            "maintenance_cycle_finished",
            date=str(session),
            duration_seconds=round(seconds, 3),
            duration_human=str(timedelta(seconds=round(seconds))),
            completed=result.completed,
            failed=len(failed),
            success=settled,
        )
        return result
