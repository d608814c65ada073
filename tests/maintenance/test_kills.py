"""The kill matrix: SIGKILL at every point of every task and at random instants; it ends as a run that was never killed."""

import asyncio
import random
import signal
from datetime import date, time

import pytest

from tests.maintenance.conftest import CALENDAR, START
from tests.maintenance.dying import BATCH, FEW, POINTS, PROCESSES, cycle, die_at
from tests.maintenance.simulated import SMALL, complete, misbehaves, standing, supplied
from tradeul.maintenance.datasets import DATASETS, MINUTE_BARS, TIMESCALE_MIRROR, Schedule
from tradeul.maintenance.tasks import volume_slots
from tradeul.market_calendar import at

SESSION, NEXT = date(2026, 3, 9), date(2026, 3, 10)
ELSEWHERE = (MINUTE_BARS, TIMESCALE_MIRROR)  # tasks/ kills them
NEVER_KILLED = {}  # filled by the first test that needs it
# One dataset has many steps: its first, one in the middle; and ticker by ticker.
PLACES = [(dataset, 1, False) for dataset in DATASETS if dataset not in ELSEWHERE]
PLACES += [
    ("ohlc_daily", 4, False),
    ("volume_slots", 2, False),
    ("volume_slots", 1, True),
    ("baselines", 3, False),
    ("redis_sync", 3, False),
]
# A whole cycle: the first load, the evening's two wake-ups, the new day, and its noon with yesterday's file.
WAKES = (START, at(SESSION, time(17)), at(SESSION, time(20, 15)), at(NEXT, time(3)), at(NEXT, time(12)))


async def ends(house):
    """What counts, the bus included."""
    blobs = {session: await house.bus.get_baselines(session) for session in (SESSION, NEXT) if await house.bus.baselines_bytes(session)}
    keys = sorted(await house.bus.redis.keys("*"))
    return standing(house), blobs, keys


async def killed(target, *arguments):
    process = PROCESSES.Process(target=target, args=arguments)
    process.start()
    await asyncio.to_thread(process.join, 60)
    assert process.exitcode == -signal.SIGKILL
    process.close()


CASES = [(*place, point, "sqlite") for place in PLACES for point in POINTS]
SAMPLE = [case for number, case in enumerate(CASES) if number // len(POINTS) % len(POINTS) == number % len(POINTS)]
CASES += [(*case[:-1], kind) for kind in ("postgresql", "bucket") for case in CASES]
SAMPLE += [("ohlc_daily", 4, False, "during its note", "postgresql")]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(volume_slots, "BATCH_TICKERS", BATCH)


@pytest.fixture
def stores(request):
    """Where the house's catalog and lake are, if not in its folder."""

    def chosen(kind):
        if kind == "postgresql":
            return {"catalog_url": request.getfixturevalue("postgres").new_database()}
        return {"bucket": request.getfixturevalue("s3").bucket()} if kind == "bucket" else {}

    return chosen


@pytest.mark.parametrize(
    ("dataset", "count", "ranged", "point", "kind"),
    [case if case in SAMPLE else pytest.param(*case, marks=pytest.mark.long) for case in CASES],
)
async def test_a_task_killed_at_any_point_is_taken_up_there(make_house, stores, dataset, count, ranged, point, kind):
    if "points" not in NEVER_KILLED:
        twin = await make_house(windows=SMALL, tickers=FEW)
        assert (await twin.service.reconcile()).success
        NEVER_KILLED["points"] = await ends(twin)
    house = await make_house(windows=SMALL, tickers=FEW, **stores(kind))
    await killed(die_at, house.root, house.bus_url, START, dataset, point, count, ranged)
    stood = complete(house)
    assert len(stood) < len(NEVER_KILLED["points"][0])
    assert point == "in its middle" or house.lake.sessions(dataset) or dataset in ("redis_sync", "new_trading_day")
    run = await house.service.reconcile()
    assert run.success, run
    asked = {called(name) for name in house.market.calls}
    assert not asked & stood
    if ranged and point == "in its middle":
        by_ticker = [name for name in house.market.calls if name[0] == "intraday_bars"]
        assert 0 < len(by_ticker) < FEW, "what was staged is not asked for again"
    assert not [name for name, count in house.market.calls.items() if count > 1]
    assert await ends(house) == NEVER_KILLED["points"]


def called(name):
    names = {"grouped_daily": "ohlc_daily", "minute_file": "volume_slots"}
    return (names.get(name[0], name[0]), name[1] if len(name) > 1 else SESSION)


async def lives_through(house, simulator, lasted, dice=None, kills=0):
    """A whole cycle by other processes, each wake-up's killed so often at random instants. ``lasted``: seconds, if nobody kills."""
    loop, died = asyncio.get_running_loop(), 0
    address = f"http://127.0.0.1:{simulator.port}"
    for wake in WAKES:
        house.clock._now = wake
        for left in range(kills, -1, -1):
            stood = complete(house)
            misbehaves(simulator, "")
            mine, theirs = PROCESSES.Pipe()
            process = PROCESSES.Process(target=cycle, args=(house.root, house.bus_url, address, wake, theirs))
            process.start()
            theirs.close()
            assert await asyncio.to_thread(mine.recv) == "begun"
            began = loop.time()
            if left and not await asyncio.to_thread(mine.poll, dice.uniform(0, lasted[wake])):
                process.kill()
            else:
                assert await asyncio.to_thread(mine.recv)
                lasted.setdefault(wake, loop.time() - began)
            await asyncio.to_thread(process.join, 60)
            died += process.exitcode == -signal.SIGKILL
            mine.close()
            assert not simulator.asked(Schedule(CALENDAR, SMALL).served(wake)[-1]) & stood
    assert (died > 0) == (kills > 0)
    return await ends(house)


@pytest.mark.parametrize(
    ("seed", "kind"),
    [
        (0, "sqlite"),
        *(pytest.param(seed, kind, marks=pytest.mark.long) for kind in ("sqlite", "postgresql", "bucket") for seed in range(1, 6)),
    ],
)
async def test_a_cycle_killed_ten_times_at_random_ends_as_if_never_killed(make_house, stores, seed, kind):
    lasted = {}
    if "cycle" not in NEVER_KILLED:
        twin = await make_house(windows=SMALL)
        async with supplied(twin) as simulator:
            NEVER_KILLED["cycle"] = await lives_through(twin, simulator, lasted), lasted
    house = await make_house(windows=SMALL, **stores(kind))
    undisturbed, lasted = NEVER_KILLED["cycle"]
    async with supplied(house) as simulator:
        assert await lives_through(house, simulator, lasted, random.Random(seed), kills=2) == undisturbed
