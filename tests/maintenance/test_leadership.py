"""Processes that race for the lead of one PostgreSQL catalog, killed, frozen or cut off in the midst: it ends as one run by one."""

import asyncio
import os
import random
import signal
from contextlib import asynccontextmanager
from datetime import date
from multiprocessing import connection as pipes

import pytest

from tests.maintenance.conftest import CALENDAR, START
from tests.maintenance.dying import BATCH, PROCESSES, lead
from tests.maintenance.simulated import SMALL, complete, misbehaves, reconciled, supplied
from tests.maintenance.test_kills import ends
from tradeul.maintenance.datasets import Schedule
from tradeul.maintenance.tasks import volume_slots

SESSION = date(2026, 3, 9)
RACERS = 4
NEVER_DISTURBED = {}


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(volume_slots, "BATCH_TICKERS", BATCH)


class Racer:
    def __init__(self, house, address):
        self.mine, theirs = PROCESSES.Pipe()
        self.process = PROCESSES.Process(target=lead, args=(house.root, house.bus_url, address, START, theirs))
        self.process.start()
        theirs.close()

    async def says(self):
        return await asyncio.to_thread(self.mine.recv)

    def send(self, number):
        os.kill(self.process.pid, number)

    def end(self):
        self.process.kill()
        self.process.join(60)
        self.mine.close()


@asynccontextmanager
async def racing(house, simulator, count):
    racers = [Racer(house, f"http://127.0.0.1:{simulator.port}") for _ in range(count)]
    try:
        yield racers
    finally:
        for racer in racers:
            racer.end()


async def next_leader(racers):
    """Whoever says something first; it must be that it leads."""
    ready = await asyncio.to_thread(pipes.wait, [racer.mine for racer in racers], 60)
    (leader,) = [racer for racer in racers if racer.mine in ready]
    assert leader.mine.recv() == "leads"
    return leader


async def undisturbed(make_house):
    """How one run by one ends, and how long it took."""
    if not NEVER_DISTURBED:
        twin = await make_house(windows=SMALL)
        async with supplied(twin):
            begun = asyncio.get_running_loop().time()
            assert (await reconciled(twin)).success
            NEVER_DISTURBED["seconds"] = asyncio.get_running_loop().time() - begun
            NEVER_DISTURBED["ends"] = await ends(twin)
    return NEVER_DISTURBED["ends"], NEVER_DISTURBED["seconds"]


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 8))])
async def test_four_race_for_the_lead_and_leaders_are_killed_or_frozen(make_house, postgres, seed):
    dice = random.Random(seed)
    expected, seconds = await undisturbed(make_house)
    house = await make_house(windows=SMALL, catalog_url=postgres.new_database())
    served = Schedule(CALENDAR, SMALL).served(START)[-1]
    async with supplied(house) as simulator, racing(house, simulator, RACERS) as racers:
        standing_by = list(racers)
        leader = await next_leader(standing_by)
        for disturbance in dice.sample([signal.SIGKILL, signal.SIGKILL, signal.SIGSTOP], 3):
            stood = complete(house)
            misbehaves(simulator, "")
            await asyncio.to_thread(leader.mine.poll, dice.uniform(0, seconds / 3))
            leader.send(disturbance)
            standing_by.remove(leader)
            assert not simulator.asked(served) & stood, "no step twice"
            before, leader = leader, await next_leader(standing_by)
            if disturbance == signal.SIGSTOP:
                before.send(signal.SIGCONT)
                while (said := await before.says()) != "lost":
                    assert said in (True, False)
                standing_by.append(before)
        assert await leader.says() is True
        assert await ends(house) == expected


async def test_the_server_is_restarted_in_the_midst_and_the_run_is_resumed(make_house, postgres):
    expected, _ = await undisturbed(make_house)
    house = await make_house(windows=SMALL, catalog_url=postgres.new_database())
    served = Schedule(CALENDAR, SMALL).served(START)[-1]
    async with supplied(house) as simulator, racing(house, simulator, 1) as (racer,):
        assert await racer.says() == "leads"
        while len(complete(house)) < 4:
            await asyncio.sleep(0)
        await asyncio.to_thread(postgres.stop)
        misbehaves(simulator, "")
        await asyncio.to_thread(postgres.start)
        stood = complete(house)
        while (said := await racer.says()) != "leads":
            assert said in (False, "lost")
        assert await racer.says() is True
        assert not simulator.asked(served) & stood
        assert await ends(house) == expected
