"""Data maintenance at full size: a first load, one session more, an evening; beside each, only downloading and decoding the same.

    python benchmarks/maintenance.py [--tickers 12400] [--sessions 30] [--daily 30] [--sample 60]

Each figure comes from a process of its own against a fresh simulator, so that
nobody finds what another has warmed up; the simulator's own work is in all of
them alike. At the end a loader that asks ticker by ticker, on a sample.
"""

import argparse
import asyncio
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Iterable
from contextlib import AsyncExitStack
from datetime import UTC, date, datetime
from datetime import time as wall
from pathlib import Path
from typing import TypeVar

import msgspec

from tradeul.bus.embedded import EmbeddedServer
from tradeul.bus.redis import Bus
from tradeul.clock import SimulatedClock
from tradeul.maintenance.datasets import VOLUME_SLOTS, Schedule, Windows
from tradeul.maintenance.engine import DAILY_AHEAD, Here
from tradeul.maintenance.service import MaintenanceService
from tradeul.market_calendar import at, nyse
from tradeul.ops import logs
from tradeul.ops.child import Child
from tradeul.providers.http import HttpClient
from tradeul.providers.polygon.client import PolygonClient
from tradeul.providers.polygon.flat_files import PolygonFlatFiles
from tradeul.providers.polygon.wire_files import decode_minute_file
from tradeul.store.catalog import Catalog
from tradeul.store.lake import Lake

T = TypeVar("T")
CALENDAR = nyse()
SESSION = date(2026, 3, 9)
NEXT = CALENDAR.next(SESSION)
BEFORE = CALENDAR.previous(SESSION)
# Noon: yesterday's file is there. 20:15: it is not yet, and each ticker is asked.
NOON, EVENING, NEXT_NOON = at(SESSION, wall(12)), at(SESSION, wall(20, 15)), at(NEXT, wall(12))
PER_MINUTE = 600_000  # the local simulator sets the pace
MEASURES = ("download", "load", "download more", "more", "download evening", "evening", "by ticker")


class Given(msgspec.Struct, frozen=True):
    measure: str
    folder: str
    tickers: int
    sessions: int
    daily: int
    sample: int


class Measured(msgspec.Struct, frozen=True):
    seconds: float
    cpu_seconds: float
    peak_mb: float
    requests: int
    remark: str = ""


class Place(msgspec.Struct, frozen=True):
    given: Given
    clock: SimulatedClock
    http: HttpClient
    market: PolygonClient
    files: PolygonFlatFiles
    windows: Windows
    stack: AsyncExitStack


async def gathered(work: Iterable[Awaitable[T]], at_once: int) -> list[T]:
    places = asyncio.Semaphore(at_once)

    async def one(each: Awaitable[T]) -> T:
        async with places:
            return await each

    return await asyncio.gather(*map(one, work))


async def download(place: Place, sessions: list[date], files: list[date]) -> str:
    """The same answers as a run asks for, as many at once, decoded and dropped."""

    async def file(session: date) -> int:
        found = await place.files.minute_file(session)
        assert found is not None
        return (await asyncio.to_thread(decode_minute_file, found.data, str(session))).height

    tickers = await place.market.tickers()
    await place.market.splits(CALENDAR.before(SESSION, place.given.daily)[0], SESSION)
    bars = await gathered((_count(place.market.grouped_daily(session)) for session in sessions), DAILY_AHEAD)
    rows = await gathered(map(file, files), Here.ahead)
    return f"{len(tickers):,} tickers, {sum(bars):,} daily bars, {sum(rows):,} minute bars"


async def _count(work: Awaitable[list[T]]) -> int:
    return len(await work)


async def download_evening(place: Place) -> str:
    daily = await place.market.grouped_daily(SESSION)
    await place.market.tickers()
    await place.market.splits(CALENDAR.before(SESSION, place.given.daily)[0], NEXT)
    bars = await asyncio.gather(*(_count(place.market.intraday_bars(bar.symbol, 5, SESSION, SESSION)) for bar in daily))
    return f"{len(daily):,} tickers, {sum(bars):,} five-minute bars"


async def maintain(place: Place) -> str:
    folder = Path(place.given.folder)
    bus_folder = Path(tempfile.mkdtemp(dir=folder))
    server = EmbeddedServer(bus_folder, place.clock)
    await server.start()
    place.stack.push_async_callback(server.stop)
    bus = Bus(server.url, place.clock)
    place.stack.push_async_callback(bus.close)
    catalog = Catalog(f"sqlite:///{folder / 'catalog.db'}")
    place.stack.callback(catalog.close)
    lake = Lake(folder / "lake", "benchmark", simulated=True)
    service = MaintenanceService(place.market, place.files, lake, catalog, bus, place.clock, CALENDAR, place.windows)
    run = await service.reconcile()
    assert run.success, run
    tasks = ", ".join(f"{name} {seconds:.1f}" for name, seconds in run.task_seconds.items() if seconds >= 0.05)
    return f"{run.completed} partitions; seconds of tasks: {tasks}"


async def by_ticker(place: Place) -> str:
    """One ticker after the other, all its sessions by one call: how loaders without grouped answers and files do it."""
    sessions = Schedule(CALENDAR, place.windows).window(VOLUME_SLOTS, NOON)
    listed = [ticker.symbol for ticker in await place.market.tickers()]
    sample = listed[:: max(len(listed) // place.given.sample, 1)][: place.given.sample]
    began = time.monotonic()
    for symbol in sample:
        await place.market.intraday_bars(symbol, 5, sessions[0], sessions[-1])
    seconds = time.monotonic() - began
    return f"{len(sample)} of {len(listed):,} tickers in {seconds:.1f} s: all would take {seconds / len(sample) * len(listed):,.0f} s"


async def measure(given: Given) -> Measured:
    now = {"more": NEXT_NOON, "download more": NEXT_NOON, "evening": EVENING, "download evening": EVENING}.get(given.measure, NOON)
    clock = SimulatedClock(datetime.now(UTC), now, 1.0)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "clock.json").write_text(clock.to_json())
        arguments = ["--clock", str(folder / "clock.json"), "--tickers", str(given.tickers)]
        child = Child("simulator", "tradeul.simulator", arguments, folder / "pid")
        await child.start()
        stack.push_async_callback(child.stop)
        address = f"http://127.0.0.1:{child.ready['port']}"
        http = await stack.enter_async_context(HttpClient(clock, PER_MINUTE, 10, "k"))
        market, files = PolygonClient(http, address), PolygonFlatFiles(clock, address, "flatfiles", "k", "k")
        windows = Windows(given.daily, given.sessions, 20)
        place = Place(given, clock, http, market, files, windows, stack)
        daily, sessions = CALENDAR.before(SESSION, given.daily), CALENDAR.before(SESSION, given.sessions)
        began, cpu = time.monotonic(), time.process_time()
        match given.measure:
            case "download":
                remark = await download(place, daily, sessions)
            case "download more":
                remark = await download(place, [SESSION], [SESSION])
            case "download evening":
                remark = await download_evening(place)
            case "by ticker":
                remark = await by_ticker(place)
            case _:
                remark = await maintain(place)
        seconds, cpu = time.monotonic() - began, time.process_time() - cpu
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
        return Measured(seconds, cpu, peak, http.statuses[200], remark)


def apart(given: Given) -> Measured:
    """In a process of its own."""
    text = msgspec.json.encode(given).decode()
    done = subprocess.run([sys.executable, __file__, "--one", text], capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr[-3000:])
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=Measured)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tickers", type=int, default=12_400)
    parser.add_argument("--sessions", type=int, default=30)
    parser.add_argument("--daily", type=int, default=30, help="sessions of daily bars kept")
    parser.add_argument("--sample", type=int, default=60)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        given = msgspec.json.decode(arguments.one, type=Given)
        logs.configure(Path(given.folder) / "logs", terminal=False)
        print(msgspec.json.encode(asyncio.run(measure(given))).decode())
        return
    print(f"{arguments.tickers:,} tickers, {arguments.sessions} sessions, {os.cpu_count()} cores")
    found: dict[str, Measured] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in MEASURES:
            state = Path(folder) / name.replace(" ", "-")
            if name in ("more", "evening"):
                shutil.copytree(Path(folder) / "load", state)
            state.mkdir(exist_ok=True)
            found[name] = one = apart(Given(name, str(state), arguments.tickers, arguments.sessions, arguments.daily, arguments.sample))
            cost = f"{one.cpu_seconds:6.1f} s of a core, peak {one.peak_mb:6.0f} MB, {one.requests:,} answers of REST"
            print(f"{name:>17}: {one.seconds:7.1f} s, {cost}")
            print(f"{'':>19}{one.remark}", flush=True)
    for name, bare in (("load", "download"), ("more", "download more"), ("evening", "download evening")):
        mine, theirs = found[name].seconds, found[bare].seconds
        print(f"{name}: {mine / theirs:.2f} times the {bare}, {mine - theirs:+.1f} s")
    print(json.dumps({name: msgspec.to_builtins(one) for name, one in found.items()}))


if __name__ == "__main__":
    main()
