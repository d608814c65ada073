import asyncio
from datetime import date, time, timedelta

import pytest
import structlog

from tradeul.analytics.baselines import Baselines
from tradeul.bus.topics import BASELINES_CHANGED, MAINTENANCE_PROGRESS
from tradeul.errors import NotEntitled, Unauthorized, VendorUnavailable
from tradeul.maintenance.datasets import DATASETS
from tradeul.maintenance.engine import DAILY_AHEAD
from tradeul.market_calendar import at, nyse
from tradeul.records.partitions import State

CALENDAR = nyse()
SESSION, NEXT = date(2026, 3, 9), date(2026, 3, 10)
YESTERDAY = date(2026, 3, 6)
DAILY = CALENDAR.before(SESSION, 24)
NEVER_KILLED = {}  # how a run that nothing disturbed ends; filled by the first test that needs it


class Killed(BaseException):
    """What a process does not catch."""


def standing(house):
    """What counts: states and checksums, and the blob on the bus."""
    return {(row.dataset, row.session): (row.state, row.checksum, row.expected, row.got) for row in house.catalog.ledger()}


async def test_a_run_from_empty_completes_every_partition(house):
    result = await house.service.reconcile()
    assert result.success, result
    assert set(result.tasks.values()) == {State.COMPLETED}
    assert set(house.states("ohlc_daily")) == set(DAILY)
    assert set(house.states("volume_slots")) == set(CALENDAR.before(SESSION, 8))
    baselines = Baselines.from_arrow(await house.bus.get_baselines(SESSION))
    assert (baselines.complete, baselines.rvol_sessions, baselines.table.height) == (True, 5, 40)


async def test_a_second_run_asks_for_nothing(house):
    first = await house.service.reconcile()
    house.restart()
    again = await house.service.reconcile()
    assert first.success and again.success
    assert again.completed == 0
    assert house.market.calls.total() == 0


async def test_the_first_rows_come_before_the_history(house, monkeypatch):
    """After tickers, splits and the last close a first blob stands: previous closes, no profile yet."""
    seen = []
    put = house.bus.put_baselines

    async def noted(session, blob):
        daily = sum(count for name, count in house.market.calls.items() if name[0] == "grouped_daily")
        seen.append((daily, sum(name[0] == "intraday_bars" for name in house.market.calls), Baselines.from_arrow(blob)))
        await put(session, blob)

    monkeypatch.setattr(house.bus, "put_baselines", noted)
    await house.service.reconcile()
    daily, _, early = seen[0]
    assert daily <= 1 + DAILY_AHEAD
    assert (early.complete, early.rvol_sessions, early.table["prev_close"].null_count()) == (False, 0, 0)
    before_rest = [blob for _, rest, blob in seen if rest == 0]
    assert (before_rest[-1].complete, before_rest[-1].rvol_sessions) == (False, 5)
    assert seen[-1][2].complete


@pytest.mark.parametrize("where", ["before the note", "after the note", "before the write", "after the write"])
@pytest.mark.parametrize("count", [3, 12, 36])
async def test_a_kill_costs_nothing(make_house, where, count):
    if not NEVER_KILLED:
        twin = await make_house()
        await twin.service.reconcile()
        NEVER_KILLED.update(standing(twin))
    house = await make_house()
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, house, where, count)
        with pytest.raises(Killed):
            await house.service.reconcile()
    stood = {(row.dataset, row.session) for row in house.catalog.ledger() if row.state is State.COMPLETED}
    house.restart()
    assert (await house.service.reconcile()).success
    asked = {("ohlc_daily" if name[0] == "grouped_daily" else "volume_slots", name[1]) for name in house.market.calls if len(name) == 2}
    assert not asked & stood
    assert standing(house) == NEVER_KILLED


def kill_at(patch, house, where, count):
    """Die at the ``count``-th write or note, before or after it is done."""
    owner, name = (house.catalog, "note") if "note" in where else (house.lake, "write")
    real = getattr(owner, name)
    left = [count]

    def die(*arguments):
        left[0] -= 1
        if left[0] == 0 and "before" in where:
            raise Killed
        result = real(*arguments)
        if left[0] == 0:
            raise Killed
        return result

    patch.setattr(owner, name, die)


async def test_a_refused_key_ends_the_run(house):
    house.market.faults["tickers"] = Unauthorized("401: the key is unknown")
    result = await house.service.reconcile()
    assert not result.success
    assert house.row("tickers", SESSION).error == "401: the key is unknown"
    assert house.market.calls["grouped_daily", DAILY[0]] == 0
    assert house.market.calls["minute_file"] == 0


async def test_what_the_plan_lacks_stops_its_dataset_and_no_other(house):
    house.market.faults["grouped_daily"] = NotEntitled("403: daily bars are not in your plan")
    result = await house.service.reconcile()
    assert not result.success
    assert sum(name[0] == "grouped_daily" for name in house.market.calls) <= 1 + DAILY_AHEAD
    assert {row.session for row in result.failed if row.dataset == "ohlc_daily"} == {YESTERDAY}
    assert house.row("tickers", SESSION).state is State.COMPLETED
    assert house.row("baselines", SESSION).state is State.PROVISIONAL
    house.market.faults.clear()
    assert (await house.service.reconcile()).success


async def test_a_vendor_that_is_down_is_not_asked_for_each_session(house):
    house.market.faults["grouped_daily"] = VendorUnavailable("503")
    assert not (await house.service.reconcile()).success
    assert sum(name[0] == "grouped_daily" for name in house.market.calls) <= 3 + DAILY_AHEAD
    house.market.faults.clear()
    assert (await house.service.reconcile()).success


async def test_a_corrupt_partition_is_named_and_loaded_anew_in_the_same_run(house):
    assert (await house.service.reconcile()).success
    before = standing(house)
    for dataset, session in (("ohlc_daily", DAILY[3]), ("volume_slots", CALENDAR.before(SESSION, 3)[0])):
        path = house.lake.path(dataset, session)
        path.write_bytes(path.read_bytes()[:-50])
    house.catalog.note([row for row in house.catalog.ledger() if row.dataset == "nothing"])
    forget(house, "baselines", SESSION)
    house.restart()
    with structlog.testing.capture_logs() as logs:
        result = await house.service.reconcile()
    assert result.success, result
    assert [log for log in logs if log["event"] == "task_failed" and f"ohlc_daily/session={DAILY[3]}" in log["error"]]
    assert standing(house) == before


def forget(house, dataset, session):
    row = house.row(dataset, session)
    fields = {name: getattr(row, name) for name in row.__struct_fields__}
    house.catalog.note([type(row)(**fields | {"state": State.PENDING, "inputs": None})])


async def test_a_partition_whose_file_is_gone_is_not_complete(house):
    assert (await house.service.reconcile()).success
    before = standing(house)
    house.lake.path("ohlc_daily", DAILY[5]).unlink()
    house.restart()
    assert (await house.service.reconcile()).success
    assert dict(house.market.calls) == {("grouped_daily", DAILY[5]): 1}
    assert standing(house) == before


async def test_an_emptied_bus_gets_its_blob_again_and_the_vendor_is_not_asked(house):
    assert (await house.service.reconcile()).success
    blob = await house.bus.get_baselines(SESSION)
    await house.bus.redis.flushall()
    assert (await house.service.reconcile()).completed == 1
    assert await house.bus.get_baselines(SESSION) == blob
    house.restart()


async def test_metadata_that_one_master_lost_are_there_again_and_the_vendor_is_not_asked(house):
    assert (await house.service.reconcile()).success
    lost = [f"metadata:ticker:{symbol}" for symbol in house.market.symbols[::3]]
    assert await house.bus.redis.delete(*lost) == len(lost)
    house.market.calls.clear()
    assert (await house.service.reconcile()).completed == 1
    assert await house.bus.redis.exists(*lost) == len(lost)
    assert not house.market.calls


async def test_a_day_on_the_clock_does_each_thing_once(house):
    """From one morning to the next: provisional at 17:00, complete at 20:15, the next session's baselines, final at 03:00."""
    running = asyncio.create_task(house.service.run())
    try:
        clock = house.clock
        await clock.advance_to(at(SESSION, time(16, 59)))
        assert house.row("baselines", SESSION).state is State.COMPLETED
        assert SESSION not in house.states("ohlc_daily")
        house.market.calls.clear()

        await clock.advance_to(at(SESSION, time(17, 1)))
        assert house.states("ohlc_daily")[SESSION] is State.PROVISIONAL
        assert house.market.calls == {("grouped_daily", SESSION): 1}

        await clock.advance_to(at(SESSION, time(20, 16)))
        assert house.states("ohlc_daily")[SESSION] is State.COMPLETED
        assert house.states("volume_slots")[SESSION] is State.COMPLETED
        assert house.row("baselines", NEXT).state is State.PROVISIONAL
        assert Baselines.from_arrow(await house.bus.get_baselines(NEXT)).complete
        assert await house.bus.baselines_bytes(SESSION) > 0, "the session is served until 03:00"
        house.market.calls.clear()

        await clock.advance_to(at(NEXT, time(3, 1)))
        assert {state for states in map(house.states, ("tickers", "splits", "baselines", "redis_sync")) for state in states.values()} == {
            State.COMPLETED
        }
        once = {("tickers",): 1, ("delisted",): 1, ("splits",): 1, ("free_floats",): 1, ("short_interest",): 1}
        assert house.market.calls == once | {("ticker_details", symbol): 1 for symbol in house.market.symbols}
        assert not running.done()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_failed_run_is_tried_again_soon(house):
    house.market.faults["tickers"] = VendorUnavailable("503")
    running = asyncio.create_task(house.service.run())
    try:
        await house.clock.settle()
        assert house.row("tickers", SESSION).state is State.FAILED
        house.market.faults.clear()
        await house.clock.advance_to(house.clock.now() + timedelta(minutes=11))
        assert house.row("baselines", SESSION).state is State.COMPLETED
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_machine_that_was_off_for_days_catches_up(house):
    assert (await house.service.reconcile()).success
    monday = date(2026, 3, 16)
    house.clock._now = at(monday, time(12))
    house.restart()
    assert (await house.service.reconcile()).success
    missed = CALENDAR.between(SESSION, date(2026, 3, 13))
    asked = [name[1] for name in house.market.calls if name[0] == "grouped_daily"]
    assert asked == [missed[-1], *missed[:-1]], "the last close first, then oldest first"
    assert {name[1] for name in house.market.calls if name[0] == "minute_file"} == set(missed)
    assert Baselines.from_arrow(await house.bus.get_baselines(monday)).complete


async def test_what_happens_is_logged_and_told(house):
    heard, changed = [], []

    async def hear(topic, into):
        async for record in house.bus.subscribe(topic):
            into.append(record)

    listeners = [asyncio.create_task(hear(MAINTENANCE_PROGRESS, heard)), asyncio.create_task(hear(BASELINES_CHANGED, changed))]
    async with asyncio.timeout(5):
        while [count for _, count in await house.bus.redis.pubsub_numsub("maintenance:progress", "baselines:changed")] != [1, 1]:
            await asyncio.sleep(0.01)
    with structlog.testing.capture_logs() as logs:
        assert (await house.service.reconcile()).success
    for listener in listeners:
        listener.cancel()
    await asyncio.gather(*listeners, return_exceptions=True)
    assert {record.session for record in changed} == {SESSION}
    assert {record.task for record in heard} == set(DATASETS) - {"minute_bars", "timescale_mirror"}  # nobody asked for any
    assert all(0 <= record.done <= record.total for record in heard)
    events = [log["event"] for log in logs]
    assert events[0] == "maintenance_cycle_started" and events[-1] == "maintenance_cycle_finished"
    finished = logs[-1]
    assert (finished["date"], finished["failed"], finished["success"], finished["duration_human"]) == ("2026-03-09", 0, True, "0:00:00")
    for log in logs:
        if log["event"] == "task_completed":
            assert {"task", "expected", "got", "duration_seconds"} <= set(log)


async def test_two_callers_share_no_step(house):
    results = await asyncio.gather(house.service.reconcile(), house.service.reconcile())
    assert all(result.success for result in results)
    assert set(house.market.calls.values()) == {1}
