"""Maintenance in a process of its own, to be killed: at a chosen point by itself, or at any instant by its parent; or short of room."""

import asyncio
import multiprocessing
import os
import resource
import signal
from contextlib import asynccontextmanager, contextmanager
from functools import partial

import structlog

from tests.maintenance.conftest import House, SmallMarket
from tests.maintenance.simulated import SMALL, Vendor, reconciled
from tradeul.bus.redis import Bus
from tradeul.clock import SteppedClock
from tradeul.maintenance.tasks import volume_slots
from tradeul.providers.http import HttpClient
from tradeul.store import databases, leadership
from tradeul.store.leadership import Leadership

FEW = 12
BATCH = 5
# Where a task dies, once it has begun its first step, its last, or its ranged one.
POINTS = ("in its middle", "after its write", "during its note")
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.maintenance.dying"])


def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)


class Dying:
    """A task that is killed in the ``count``-th step of a kind."""

    def __init__(self, task, point, count, ranged):
        self._task, self._point, self._left, self._ranged = task, point, count, ranged
        self.notes = False  # the next note of this task is its last

    async def prepare(self, step, ledger, report):
        mine = step.ranged == self._ranged
        self._left -= mine
        ends = mine and self._left == 0
        landing = await self._task.prepare(step, ledger, report)
        if ends and self._point == "in its middle":
            die()
        return partial(self._land, landing, ends)

    def _land(self, landing, ends):
        results = landing()
        if ends and self._point == "after its write":
            die()
        self.notes = ends
        return results


@asynccontextmanager
async def housed(root, url, now, windows=SMALL):
    clock = SteppedClock(now)
    bus = Bus(url, clock)
    house = House(root, bus, clock, SmallMarket(clock, FEW), windows)
    yield house
    house.catalog.close()
    await bus.close()


async def _die_at(root, url, now, dataset, point, count, ranged):
    volume_slots.BATCH_TICKERS = BATCH
    async with housed(root, url, now) as house:
        tasks = house.service._parts.tasks
        tasks[dataset] = dying = Dying(tasks[dataset], point, count, ranged)
        note = house.catalog.note

        def cut(rows):
            yield from rows
            die()

        def noted(rows):
            note(cut(rows) if dying.notes else rows)

        house.catalog.note = noted
        if ranged and point == "in its middle":
            await _die_among_batches(house)
        await house.service.reconcile()


async def _die_among_batches(house):
    """After the first batch is staged and the second half asked for."""
    ask = house.market.intraday_bars

    async def asked(*arguments):
        if house.market.calls.total() and sum(name[0] == "intraday_bars" for name in house.market.calls) > BATCH + 2:
            die()
        return await ask(*arguments)

    house.market.intraday_bars = asked


def die_at(*arguments):
    asyncio.run(_die_at(*arguments))


async def _cycle(root, url, address, now, pipe):
    async with housed(root, url, now) as house, HttpClient(house.clock, 600_000, 10, "k") as http:
        house.market = Vendor(http, house.clock, address)
        house.restart()
        pipe.send("begun")
        pipe.send((await reconciled(house)).success)


def cycle(*arguments):
    asyncio.run(_cycle(*arguments))


async def _lead(root, url, address, now, pipe):
    leadership.LOOK_SECONDS = leadership.BEAT_SECONDS = 0.05
    databases.SILENT_SECONDS = 1
    async with housed(root, url, now) as house, HttpClient(house.clock, 600_000, 10, "k") as http:
        house.market = Vendor(http, house.clock, address)
        house.restart()

        async def work():
            pipe.send("leads")
            try:
                async with house.service.on_demand():
                    pipe.send((await reconciled(house)).success)
                    await asyncio.Event().wait()
            finally:
                pipe.send("lost")

        await Leadership(house.catalog_url, house.catalog, "maintenance").lead(work)


def lead(*arguments):
    """Stand by, lead, do one run, lead on; for ever."""
    asyncio.run(_lead(*arguments))


@contextmanager
def room(size):
    """No file of this process can grow beyond ``size`` bytes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


async def _short_of_room(root, url, now, where, size, pipe):
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())  # what is printed goes to a file, too
    async with housed(root, url, now) as house:
        write = house.lake.write

        def cramped(dataset, *arguments):
            with room(size if dataset == where else resource.RLIM_INFINITY):
                return write(dataset, *arguments)

        if where != "ledger":
            house.lake.write = cramped
            run = await house.service.reconcile()
        else:
            with room(size + (root / "catalog.db-wal").stat().st_size):
                run = await house.service.reconcile()
        pipe.send((run, house.market.calls))


def short_of_room(*arguments):
    asyncio.run(_short_of_room(*arguments))
