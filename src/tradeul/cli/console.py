"""What a person sees while the product runs: on a terminal a few living lines, else the page's address alone."""

import asyncio
import sys

from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from tradeul.assemble import Running
from tradeul.bus.topics import FEED_STATUS, MAINTENANCE_PROGRESS
from tradeul.market_calendar import NEW_YORK
from tradeul.records.events import FeedStatus


async def show(running: Running) -> None:
    """Follow progress and feed until cancelled; the last line is always the page's address."""
    for sentence in running.missing:
        print(f"{running.mode}: {sentence}", file=sys.stderr, flush=True)  # noqa: T201
    if not sys.stdout.isatty():
        print(f"{running.name} is running: {running.page}", flush=True)  # noqa: T201
        return
    columns = (TextColumn("{task.description:<14}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[detail]}"))
    bars = Progress(*columns, TimeElapsedColumn())
    head = Text("Waiting for the first bars ...")
    address = Text(f"{running.name} is running: {running.page} (Ctrl-C stops it)", style="bold")
    with Live(Group(head, bars, address), refresh_per_second=4):
        async with asyncio.TaskGroup() as group:
            group.create_task(_follow_feed(running, head))
            group.create_task(_follow_maintenance(running, bars))


async def _follow_feed(running: Running, head: Text) -> None:
    async for status in running.bus.subscribe(FEED_STATUS):
        head.plain = feed_line(running, status)


def feed_line(running: Running, status: FeedStatus) -> str:
    wall = running.clock.now().astimezone(NEW_YORK)
    age = "no bars yet" if status.feed_age_ms is None else f"feed {status.feed_age_ms / 1000:.0f} s old"
    parts = [status.mode, f"session {status.session}", f"{wall:%H:%M:%S} ET", status.phase, f"{status.symbols:,} tickers"]
    trouble = [*(["STALE"] if status.stale else []), *([status.trouble] if status.trouble else [])]
    return " · ".join([*parts, f"{status.messages:,} messages", age, *trouble])


async def _follow_maintenance(running: Running, bars: Progress) -> None:
    rows: dict[str, TaskID] = {}
    async for progress in running.bus.subscribe(MAINTENANCE_PROGRESS):
        if progress.task not in rows:
            rows[progress.task] = bars.add_task(progress.task, total=progress.total, detail="")
        bars.update(rows[progress.task], completed=progress.done, total=progress.total, detail=progress.detail)
