"""One run: the ledger as it stands, what is done of the plan, and what this run has learnt.

    plan -> for each step still due: prepare (vendor) -> landing (thread) -> lake -> ledger

One step lands at a time, and heavy work is in one thread at a time; meanwhile
the answers for the next steps are already asked for (`ahead`). A step that
fails is noted and the others go on; a refused key ends the run, and so does a
ledger that cannot be written. It judges nothing itself: `tasks/` do, by the
rules of `ledger.py`.
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable, Container, Coroutine, Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any

import msgspec
import structlog

from tradeul import __version__
from tradeul.bus.redis import Bus
from tradeul.bus.topics import MAINTENANCE_PROGRESS
from tradeul.clock import Clock
from tradeul.errors import CorruptPartition, LeadLost, NotEntitled, ProviderError, StoreError, TradeulError, Unauthorized, VendorUnavailable
from tradeul.maintenance import ledger as rules
from tradeul.maintenance import report
from tradeul.maintenance.datasets import DATASETS, MINUTE_BARS, NEW_TRADING_DAY, REDIS_SYNC, VOLUME_SLOTS, Schedule
from tradeul.maintenance.ledger import Key, Landed
from tradeul.maintenance.options import again
from tradeul.maintenance.plan import Step, plan
from tradeul.maintenance.retention import outlived
from tradeul.maintenance.tasks import InThread, Landing, Task
from tradeul.maintenance.tasks.replaced import ReplacedFiles
from tradeul.maintenance.tasks.volume_slots import VolumeSlotsTask
from tradeul.records.events import Progress, TradingSession
from tradeul.records.partitions import LedgerRow, State
from tradeul.records.runs import Run, RunOptions
from tradeul.store.catalog import Catalog
from tradeul.store.lake import Lake

# For each of 260 sessions nobody asks a vendor that is down, nor for a disk that is full.
FAILURES_IN_A_ROW = 3

log = structlog.get_logger()


class Parts(msgspec.Struct, frozen=True):
    """What a run works with: the service's."""

    tasks: Mapping[str, Task]
    slots: VolumeSlotsTask
    replaced: ReplacedFiles
    lake: Lake
    catalog: Catalog
    bus: Bus
    clock: Clock
    schedule: Schedule
    in_thread: InThread
    ahead: Mapping[str, int]  # of a dataset, how many answers are asked for or held, the present step's included
    begin: Callable[[Coroutine[Any, Any, Landing]], asyncio.Task[Landing]]  # work that goes on meanwhile
    requests: Callable[[], int] | None = None  # made with the vendor's key so far


def standing(lake: Lake) -> set[Key]:
    """All partitions that stand."""
    return {(dataset, session) for dataset in DATASETS for session in lake.sessions(dataset)}


def gone(standing: Container[Key], rows: Sequence[LedgerRow]) -> list[LedgerRow]:
    """A completed partition whose file is gone is not complete."""
    lost = [row for row in rows if row.checksum is not None and (row.dataset, row.session) not in standing]
    return [rules.forgotten(row, "its file is gone from the lake") for row in lost]


class Reconciliation:
    """``in_progress``: the partitions of the step under way; ``ended`` is set by the service, when all is noted."""

    def __init__(self, parts: Parts, options: RunOptions) -> None:
        self._lake, self._catalog, self._bus, self._clock = parts.lake, parts.catalog, parts.bus, parts.clock
        self._schedule, self._tasks, self._slots = parts.schedule, parts.tasks, parts.slots
        self._replaced, self._files_said = parts.replaced, dict[tuple[date, str], bool]()
        self._in_thread, self._begin, self._requests = parts.in_thread, parts.begin, parts.requests
        self._requests_before = self._requests() if self._requests else 0
        self._ledger: dict[Key, LedgerRow] = {}
        self._standing: set[Key] = set()  # in the lake
        self._asked, self._ahead = dict[Step, asyncio.Task[Landing]](), parts.ahead
        self._given_up: set[tuple[str, bool]] = set()  # (dataset, ranged) that the vendor refuses or cannot serve now
        self._in_a_row: Counter[tuple[str, bool]] = Counter()
        self._tried: set[tuple[Step, str | None]] = set()
        self._done: Counter[str] = Counter()
        self._corrupt: set[Key] = set()
        self._again: set[Key] = set()  # to be loaded although complete
        self._wanted: set[Key] = set()
        self._to_look_at = {VOLUME_SLOTS, MINUTE_BARS} if options.is_whole else set()  # whether their files were replaced
        self._options = options
        self._id = secrets.token_hex(4)
        self.started_at = self._clock.now()
        self._session = self._schedule.calendar.current_session(self.started_at)
        self._reason: str | None = None
        self._seconds: dict[str, float] = {}
        self._progress: Progress | None = None
        self._progress_since: datetime | None = None
        self.in_progress: frozenset[Key] = frozenset()
        self.ended = asyncio.Event()
        self.was_not_entitled = False  # a 403: what the key may ask should be looked at

    async def go(self) -> Run:
        try:
            await self._read_ledger()
            steps = plan(self._ledger, self._schedule, self.started_at, self._options)
            self._again = again(self._options, steps)
            self._wanted = {(step.dataset, each) for step in steps for each in step.sessions}
            log.info("maintenance_cycle_started", date=str(self._session), due=len({s for s in steps if self._is_due(s)}))
            await self._go_through(steps)
            if self._corrupt:
                await self._go_through(steps)
            await self._in_thread(self._clear_staging)
            if self._options.is_whole:
                await self._in_thread(self._forget_outlived)
        except (Unauthorized, StoreError) as error:
            self._reason = str(error)
            log.error("maintenance_cycle_ended_early", reason=self._reason)
        finally:
            for task in self._asked.values():
                task.cancel()
            await asyncio.gather(*self._asked.values(), return_exceptions=True)
            self.in_progress = frozenset()
        return await self._finish()

    async def _go_through(self, steps: Sequence[Step]) -> None:
        place = 0
        for dataset, group in groupby(steps, key=lambda step: step.dataset):
            count = len(list(group))
            await self._run_group(dataset, steps, place, place + count)
            place += count

    async def _run_group(self, dataset: str, steps: Sequence[Step], first: int, last: int) -> None:
        """The steps of one dataset that follow each other: what people call a task."""
        if dataset in self._to_look_at:
            await self._look_for_replaced_files(dataset)
        due = [step for step in steps[first:last] if self._is_due(step)]
        if not due:
            return
        begun_at, before = self._clock.now(), self._done[dataset]
        log.info("task_started", task=dataset, partitions=len({row.session for step in due for row in self._rows(step)}))
        await self._tell()
        rows: list[LedgerRow] = []
        for number, step in enumerate(due):
            await self._report(dataset, number, len(due), str(step.session))
            self._ask_ahead(steps[steps.index(step, first) :])
            rows += await self._do(step)
            self.in_progress = frozenset()
        await self._report(dataset, len(due), len(due), "")
        good = [row for row in rows if row.state is not State.FAILED]
        counts = {name: sum(getattr(row, name) or 0 for row in rows) for name in ("expected", "got")}
        seconds = round((self._clock.now() - begun_at).total_seconds(), 3)
        self._seconds[dataset] = round(self._seconds.get(dataset, 0.0) + seconds, 3)
        if good:
            log.info("task_completed", task=dataset, **counts, partitions=self._done[dataset] - before, duration_seconds=seconds)

    async def _look_for_replaced_files(self, dataset: str) -> None:
        """Load again what came from a file that has been replaced since; until then the old rows stand, complete.

        Not before its task's turn: a store that hangs must not keep the first lists waiting.
        """
        self._to_look_at.discard(dataset)
        window = self._schedule.window(dataset, self._clock.now())
        try:
            replaced = await self._replaced.among(dataset, rules.completed(self._ledger, dataset, window), self._files_said)
        except ProviderError as error:
            self._to_look_at.clear()
            log.warning("replaced_files_not_known", reason=str(error))
            return
        if replaced:
            log.info("files_replaced", task=dataset, sessions=[str(session) for session in replaced])
        self._again |= {(dataset, session) for session in replaced}

    def _ask_ahead(self, steps: Sequence[Step]) -> None:
        """Ask the vendor for this step and the next that need only the vendor."""
        ahead = (step for step in steps if step.dataset in self._ahead and not step.ranged and self._is_due(step))
        for step in ahead:
            if len(self._asked) >= self._ahead[step.dataset]:
                return
            if step not in self._asked:
                self._asked[step] = self._begin(self._prepare(step))

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
        begun = [rules.started(self._to_begin(row), now, __version__) for row in self._rows(step)]
        self.in_progress = frozenset((row.dataset, row.session) for row in begun)
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
            down = isinstance(error, VendorUnavailable | StoreError) and self._in_a_row[kind] >= FAILURES_IN_A_ROW
            self.was_not_entitled |= isinstance(error, NotEntitled)
            if down or isinstance(error, NotEntitled):
                self._given_up.add(kind)
            rows = await self._fail(begun, error)
            if isinstance(error, Unauthorized):
                raise
            return rows
        self._in_a_row[kind] = 0
        return await self._land(begun, results)

    def _to_begin(self, row: LedgerRow) -> LedgerRow:
        """Killed between write and note, a partition that was complete must not be taken for it."""
        key = (row.dataset, row.session)
        return rules.forgotten(row, "asked for again") if key in self._again and row.state is State.COMPLETED else row

    async def _land(self, begun: list[LedgerRow], results: list[Landed]) -> list[LedgerRow]:
        by_session = {row.session: row for row in begun}
        rows = [rules.landed(by_session[result.session], result, self._schedule, self._clock.now()) for result in results]
        await self._note(rows)
        self._standing |= {(row.dataset, row.session) for row in rows if row.checksum is not None}
        self._again -= {(row.dataset, row.session) for row in rows}
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
        self._again -= {(row.dataset, row.session) for row in rows}
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
        """The ledger, held to what stands."""
        rows = await self._in_thread(self._catalog.ledger)
        self._ledger = {(row.dataset, row.session): row for row in rows}
        self._standing = await self._in_thread(lambda: standing(self._lake))
        await self._note(gone(self._standing, rows))
        for session in self._schedule.served(self._clock.now()):
            row = rules.row_of(self._ledger, REDIS_SYNC, session)
            if row.inputs is not None and await self._bus.has_lost(session, universe=True):
                await self._note([rules.forgotten(row, "the bus was emptied")])
                await self._put_trading_session(session)

    async def _put_trading_session(self, session: date) -> None:
        """The key again, where the bus lost it; what was announced once is not announced twice."""
        if rules.row_of(self._ledger, NEW_TRADING_DAY, session).state is State.COMPLETED:
            await self._bus.put_trading_session(TradingSession(session, self._schedule.calendar.previous(session)))

    async def _note(self, rows: Sequence[LedgerRow]) -> None:
        if rows:
            await self._in_thread(lambda: self._catalog.note(rows))
            self._ledger.update({(row.dataset, row.session): row for row in rows})

    def _rows(self, step: Step) -> list[LedgerRow]:
        now = self._clock.now()
        dataset = step.dataset
        due = [each for each in step.sessions if self._is_asked((dataset, each), now)]
        return [rules.row_of(self._ledger, dataset, each) for each in due if self._needs_stand(dataset, each)]

    def _is_asked(self, key: Key, now: datetime) -> bool:
        return key in self._again or rules.is_due(self._ledger, self._schedule, *key, now)

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
            return all((name, session) in self._standing for name in kind.needs)
        return all(rules.completed(self._ledger, name, [session]) for name in kind.needs)

    def _clear_staging(self) -> None:
        if not any(dataset == VOLUME_SLOTS for dataset, _ in self._wanted):
            return  # not this run's business
        window = self._schedule.window(VOLUME_SLOTS, self._clock.now())
        if len(rules.completed(self._ledger, VOLUME_SLOTS, window)) == len(window):
            self._slots.cleared()

    def _forget_outlived(self) -> None:
        """The partitions first: a row without one is outlived, too. Killed in between, or refused by the disk, it is the next run's."""
        held = {name: [session for dataset, session in self._standing if dataset == name] for name in DATASETS}
        partitions, rows = outlived(self._ledger, held, self._schedule, self._clock.now())
        if not partitions and not rows:
            return
        try:
            for dataset, session in partitions:
                self._lake.drop(dataset, session)
                self._standing.discard((dataset, session))
            self._catalog.forget(rows)
        except LeadLost:
            raise
        except StoreError as error:
            log.warning("history_not_forgotten", reason=str(error))
            return
        for key in rows:
            del self._ledger[key]
        log.info("history_forgotten", partitions=dict(Counter(dataset for dataset, _ in partitions)), rows=len(rows))

    async def _report(self, dataset: str, done: int, total: int, detail: str) -> None:
        earlier, self._progress = self._progress, Progress(dataset, done, total, detail)
        if earlier is None or (earlier.task, earlier.total) != (dataset, total) or done < earlier.done:
            self._progress_since = self._clock.now()
        await self._bus.publish(MAINTENANCE_PROGRESS, self._progress)

    async def _tell(self, run: Run | None = None) -> None:
        """Write the keys that other programs read; of runs that do all."""
        if self._options.is_whole:
            await self._bus.put_run_status(run or self.view())

    def view(self) -> Run:
        return Run(
            id=self._id,
            date=self._session,
            options=self._options,
            started_at=self.started_at,
            reason=self._reason,
            completed=sum(self._done.values()),
            tasks=report.worst(self._ledger, self._wanted, self.in_progress),
            task_seconds=dict(self._seconds),
            progress=self._progress,
            progress_since=self._progress_since,
            requests=self._requests() - self._requests_before if self._requests else None,
        )

    async def _finish(self) -> Run:
        now = self._clock.now()
        settled = self._reason is None and all(
            rules.is_settled(self._ledger, self._schedule, *key, self.started_at) for key in self._wanted
        )
        failed = tuple(self._ledger[key] for key in sorted(self._wanted) if report.state_of(self._ledger, key) is State.FAILED)
        run = msgspec.structs.replace(self.view(), finished_at=now, success=settled, failed=failed, progress=None, progress_since=None)
        await self._tell(run)
        seconds = (now - self.started_at).total_seconds()
        log.info(
            "maintenance_cycle_finished",
            date=str(self._session),
            duration_seconds=round(seconds, 3),
            duration_human=str(timedelta(seconds=round(seconds))),
            completed=run.completed,
            failed=len(failed),
            success=settled,
        )
        return run
