"""What other programs find on the bus, by its outward names."""

import json
from datetime import date, time

import numpy as np
import pytest

from tests.maintenance.conftest import SESSION
from tradeul.analytics.baselines import Baselines
from tradeul.errors import VendorUnavailable
from tradeul.maintenance.datasets import REDIS_SYNC
from tradeul.maintenance.plan import Step
from tradeul.market_calendar import at
from tradeul.records.partitions import State

NEXT = date(2026, 3, 10)


async def keys(house, pattern):
    return {key.decode() async for key in house.bus.redis.scan_iter(pattern)}


@pytest.fixture
async def loaded(house):
    assert (await house.service.reconcile()).success
    return house


async def test_every_ticker_can_be_looked_up(loaded):
    redis, symbols = loaded.bus.redis, set(loaded.market.symbols)
    assert {symbol.decode() for symbol in await redis.smembers("ticker:universe")} == symbols
    assert await keys(loaded, "metadata:ticker:*") == {f"metadata:ticker:{symbol}" for symbol in symbols}
    assert await keys(loaded, "rvol:hist:avg:*") == {f"rvol:hist:avg:{symbol}" for symbol in symbols}
    document = json.loads(await redis.get("metadata:ticker:T001"))
    assert (document["symbol"], document["name"], document["class"], document["session"]) == ("T001", "T001 Inc", "CS", "2026-03-09")
    assert (document["sector"], document["industry"]) == ("Manufacturing", "ELECTRONIC COMPUTERS")
    assert document["market_cap"] == pytest.approx(document["shares"] * document["prev_close"])
    assert await redis.get("baselines:current") == b"2026-03-09"


async def test_a_slot_average_is_the_mean_volume_by_the_end_of_that_slot(loaded):
    baselines = Baselines.from_arrow(await loaded.bus.get_baselines(SESSION))
    row = baselines.table["symbol"].to_list().index("T007")
    found = await loaded.bus.redis.hgetall("rvol:hist:avg:T007")
    assert {int(slot): int(value) for slot, value in found.items()} == dict(enumerate(np.rint(baselines.cumulative[row]).tolist()))


async def test_nothing_that_is_needed_tomorrow_expires(loaded):
    for key in await keys(loaded, "*"):
        if not key.startswith("maintenance:status:"):
            assert await loaded.bus.redis.ttl(key) == -1, key


async def test_what_is_listed_no_more_is_forgotten_and_the_others_stand(loaded):
    loaded.clock._now = at(SESSION, time(20, 15))
    loaded.market.symbols = loaded.market.symbols[:-1]
    assert (await loaded.service.reconcile()).success
    redis = loaded.bus.redis
    # It traded today; from tomorrow's evening on nobody knows it any more.
    loaded.clock._now = at(NEXT, time(20, 15))
    assert (await loaded.service.reconcile()).success
    assert not await redis.exists("metadata:ticker:T039", "rvol:hist:avg:T039")
    assert not await redis.sismember("ticker:universe", "T039")
    assert await redis.scard("ticker:universe") == 39


async def test_the_pointer_never_goes_back(loaded):
    loaded.clock._now = at(SESSION, time(20, 15))
    assert (await loaded.service.reconcile()).success
    assert await loaded.bus.redis.get("baselines:current") == b"2026-03-10"
    await loaded.service._parts.tasks["redis_sync"].prepare(
        Step(REDIS_SYNC, (SESSION,)), {(r.dataset, r.session): r for r in loaded.catalog.ledger()}, None
    )
    assert await loaded.bus.redis.get("baselines:current") == b"2026-03-10"


async def test_the_pointer_moves_last(house, monkeypatch):
    """Whatever fails on the way, the pointer still names what stands, and the task is not completed."""
    put = house.bus.put_universe

    async def lossy():
        await put()
        await house.bus.redis.delete("metadata:ticker:T003", "rvol:hist:avg:T004")

    monkeypatch.setattr(house.bus, "put_universe", lossy)
    assert not (await house.service.reconcile()).success
    row = house.row("redis_sync", SESSION)
    assert (row.state, row.expected, row.got, row.missing) == (State.FAILED, 40, 38, ("T003", "T004"))
    assert not await house.bus.redis.exists("baselines:current")
    monkeypatch.undo()
    assert (await house.service.reconcile()).success
    assert house.row("redis_sync", SESSION).got == 40


async def test_an_emptied_bus_is_whole_again(loaded):
    before = {key: await loaded.bus.redis.dump(key) for key in await keys(loaded, "*") if not key.startswith("maintenance:")}
    await loaded.bus.redis.flushall()
    assert (await loaded.service.reconcile()).success
    assert {key: await loaded.bus.redis.dump(key) for key in before if ":universe" not in key} == {
        key: value for key, value in before.items() if ":universe" not in key
    }
    assert await loaded.bus.redis.scard("ticker:universe") == 40


async def test_lookup_keys_are_written_once_history_is_whole_and_not_after_each_stage(house, monkeypatch):
    """Until then the run's last publication writes them, so that a run which cannot complete leaves them too."""
    counts, put = [], house.bus.put_universe

    async def counted():
        baselines = Baselines.from_arrow(await house.bus.get_baselines(SESSION))
        counts.append(baselines.complete)
        await put()

    monkeypatch.setattr(house.bus, "put_universe", counted)
    house.market.faults["minute_file"] = house.market.faults["intraday_bars"] = VendorUnavailable("503")
    assert not (await house.service.reconcile()).success
    assert counts == [False]
    assert (house.row("redis_sync", SESSION).state, await house.bus.redis.scard("ticker:universe")) == (State.COMPLETED, 40)
    house.market.faults.clear()
    house.restart()
    monkeypatch.setattr(house.bus, "put_universe", counted)
    assert (await house.service.reconcile()).success
    assert counts == [False, True]
