"""A full disk: the run fails with its reason, what stands is whole, and the next run heals it when there is room."""

import asyncio
from datetime import date

import pytest

from tests.maintenance.conftest import START
from tests.maintenance.dying import FEW, PROCESSES, short_of_room
from tests.maintenance.simulated import SMALL, complete, standing
from tests.maintenance.test_kills import called, ends
from tradeul.records.partitions import State

SESSION = date(2026, 3, 9)


async def run_short_of_room(house, where, size):
    mine, theirs = PROCESSES.Pipe()
    process = PROCESSES.Process(target=short_of_room, args=(house.root, house.bus_url, START, where, size, theirs))
    process.start()
    theirs.close()
    result = await asyncio.to_thread(mine.recv)
    await asyncio.to_thread(process.join, 60)
    assert process.exitcode == 0
    return result


def daily_calls(calls):
    return sum(count for name, count in calls.items() if name[0] == "grouped_daily")


@pytest.mark.parametrize(("where", "size"), [("ohlc_daily", 1_000), ("ledger", 0), ("ledger", 60_000)])
async def test_a_full_disk_fails_the_run_and_room_heals_it(make_house, where, size):
    twin = await make_house(windows=SMALL, tickers=FEW)
    assert (await twin.service.reconcile()).success
    never_full = await ends(twin)
    house = await make_house(windows=SMALL, tickers=FEW)
    run, asked = await run_short_of_room(house, where, size)
    assert not run.success and run.finished_at is not None
    said = {run.reason} if where == "ledger" else {row.error for row in run.failed if row.error and "could not be written" in row.error}
    assert said and all("see to the disk's space" in each and "\n" not in each for each in said), run
    assert State.IN_PROGRESS not in run.tasks.values()
    assert daily_calls(asked) < daily_calls(twin.market.calls), "nobody is asked for all that cannot be kept"
    assert not list(house.root.rglob("*.tmp"))
    stood = complete(house)
    assert bool(stood) == ((where, size) != ("ledger", 0))
    for dataset, session in stood & {(row.dataset, row.session) for row in house.catalog.ledger() if row.checksum}:
        assert standing(house)[dataset, session][1] == never_full[0][dataset, session][1]
    assert (await house.service.reconcile()).success
    assert not {called(name) for name in house.market.calls} & stood
    assert await ends(house) == never_full
