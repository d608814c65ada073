"""What a person or a program sees of maintenance: rich on a terminal, JSON lines elsewhere."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from tradeul.maintenance.report import Partition, Status
from tradeul.maintenance.server import Foreseen, Triggered
from tradeul.market_calendar import NEW_YORK
from tradeul.records import events
from tradeul.records.partitions import State
from tradeul.records.runs import Run

SHOWN_PARTITIONS = 20
SHOWN_MISSING = 5
MARKS = {State.COMPLETED: "green", State.PROVISIONAL: "cyan", State.IN_PROGRESS: "yellow", State.PENDING: "default", State.FAILED: "red"}


class JsonLines:
    """One JSON object a line: started, step, nothing_due, progress, finished."""

    def __init__(self) -> None:
        self._last: events.Progress | None = None

    def steps(self, steps: Sequence[Foreseen]) -> None:
        if not steps:
            self._say("nothing_due", {})
        for step in steps:
            self._say("step", step)

    @contextmanager
    def following(self, answer: Triggered) -> Iterator[None]:
        self._say("joined" if answer.joined else "started", answer.run)
        yield

    def progress(self, run: Run) -> None:
        if run.progress is not None and run.progress != self._last:
            self._last = run.progress
            self._say("progress", run.progress)

    def finished(self, run: Run) -> None:
        self._say("finished", run)

    def _say(self, event: str, body: object) -> None:
        print(msgspec.json.encode({"event": event, **msgspec.to_builtins(body)}).decode(), flush=True)  # noqa: T201


class Terminal:
    """A bar for each task, then what came of it."""

    def __init__(self) -> None:
        self._console = Console()
        columns = (TextColumn("{task.description:<16}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[detail]}"))
        self._bars = Progress(*columns, TimeElapsedColumn(), console=self._console)
        self._tasks: dict[str, TaskID] = {}
        self._shown: str | None = None

    def steps(self, steps: Sequence[Foreseen]) -> None:
        if not steps:
            self._console.print("Nothing is due.")
        for step in steps:
            span = str(step.sessions[0]) if len(step.sessions) == 1 else f"{min(step.sessions)} to {max(step.sessions)}, ticker by ticker"
            self._console.print(f"{step.task:<16} {span}")

    @contextmanager
    def following(self, answer: Triggered) -> Iterator[None]:
        if answer.joined:
            self._console.print("A run is under way; following it.")
        with self._bars:
            yield
            for bar in self._tasks.values():
                self._fill(bar)

    def progress(self, run: Run) -> None:
        now = run.progress
        if now is None:
            return
        if self._shown not in (None, now.task):
            self._fill(self._tasks[str(self._shown)])
        self._shown = now.task
        if now.task not in self._tasks:
            self._tasks[now.task] = self._bars.add_task(now.task, total=now.total, detail="")
        self._bars.update(self._tasks[now.task], completed=now.done, total=now.total, detail=now.detail)

    def _fill(self, bar: TaskID) -> None:
        """We look four times a second; a task that was left is at its end."""
        self._bars.update(bar, completed=self._bars.tasks[bar].total, detail="")

    def finished(self, run: Run) -> None:
        seconds = run.duration_seconds or 0
        self._console.print(f"{'Completed' if run.success else 'Not complete'}: {run.completed:,} partitions in {seconds:,.1f} s.")
        if run.reason:
            self._console.print(run.reason, style="red")
        for row in run.failed[:SHOWN_PARTITIONS]:
            self._console.print(f"{row.dataset} {row.session}: {row.error}", style="red", markup=False)
        for task, state in run.tasks.items():
            if state is State.PENDING:
                self._console.print(f"{task}: not begun; what it needs is not complete (`tradeul status`).")


async def show_status(ask: Callable[[], Awaitable[Status]], every_seconds: float | None) -> None:
    """Once, or again and again until cancelled."""
    if not sys.stdout.isatty():
        await _print_status(ask, every_seconds)
        return
    if every_seconds is None:
        Console().print(status_view(await ask()))
        return
    with Live(status_view(await ask()), auto_refresh=False, screen=False) as live:
        while True:
            await asyncio.sleep(every_seconds)
            live.update(status_view(await ask()), refresh=True)


async def _print_status(ask: Callable[[], Awaitable[Status]], every_seconds: float | None) -> None:
    last: Status | None = None
    while True:
        status = await ask()
        if last is None or msgspec.structs.replace(status, now=last.now) != last:
            last = status
            print(msgspec.json.encode(status).decode(), flush=True)  # noqa: T201
        if every_seconds is None:
            return
        await asyncio.sleep(every_seconds)


def status_view(status: Status) -> Group:
    head = Text(f"{status.summary[0].upper()}{status.summary[1:]}.", style="bold")
    when = "nobody maintains it now: `tradeul up`, or `tradeul maintain`"
    if status.next_run_at is not None:
        when = f"next wake-up {status.next_run_at.astimezone(NEW_YORK):%a %H:%M} ET"
    wall = status.now.astimezone(NEW_YORK)
    lines = [head, Text(f"{status.mode} · session {status.session} · {wall:%Y-%m-%d %H:%M} ET · {when}")]
    if status.run is not None:
        now = status.run.progress
        lines.append(Text(f"A run is under way: {f'{now.task} {now.done:,} of {now.total:,} {now.detail}' if now else 'just begun'}"))
    return Group(*lines, _datasets(status), *_unfinished(status.partitions))


def _datasets(status: Status) -> Table:
    table = Table("dataset", *(state.value for state in MARKS))
    for name, counts in status.datasets.items():
        table.add_row(name, *(Text(f"{counts[state]:,}" if state in counts else "", style=style) for state, style in MARKS.items()))
    return table


def _unfinished(partitions: Sequence[Partition]) -> list[Table | Text]:
    open_ones = [each for each in partitions if each.state is not State.COMPLETED]
    if not open_ones:
        return []
    table = Table("session", "dataset", "state", "got", "expected", "missing", "why", "attempts")
    for each in open_ones[:SHOWN_PARTITIONS]:
        missing = ", ".join(each.missing[:SHOWN_MISSING]) + (" …" if len(each.missing) > SHOWN_MISSING else "")
        got, expected = (f"{count:,}" if count is not None else "" for count in (each.got, each.expected))
        words = (each.dataset, each.state.value, got, expected, missing, each.error or "", str(each.attempts))
        table.add_row(str(each.session), *(Text(word, style=MARKS[each.state]) for word in words))
    more = len(open_ones) - SHOWN_PARTITIONS
    return [table, *([Text(f"and {more:,} more")] if more > 0 else [])]
