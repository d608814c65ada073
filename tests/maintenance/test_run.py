"""Runs with options, runs that are asked for, and what is kept of them."""

import asyncio
from datetime import date, time

import msgspec
import pytest

from tradeul.errors import RunRefused, Unauthorized, VendorUnavailable
from tradeul.maintenance.datasets import DATASETS
from tradeul.market_calendar import at, nyse
from tradeul.records.partitions import State
from tradeul.records.runs import WHOLE, RunOptions, RunStatus

CALENDAR = nyse()
SESSION = date(2026, 3, 9)
YESTERDAY, EARLIER = date(2026, 3, 6), date(2026, 3, 5)


def standing(house):
    return {(row.dataset, row.session): (row.state, row.checksum, row.expected, row.got) for row in house.catalog.ledger()}


def asked(house):
    return {name: count for name, count in house.market.calls.items() if count}


async def test_one_task_alone_asks_for_nothing_else(house):
    await house.service.reconcile(RunOptions(only="tickers"))  # what daily bars are judged by
    house.market.calls.clear()
    run = await house.service.reconcile(RunOptions(only="ohlc_daily"))
    assert run.success and set(run.tasks) == {"ohlc_daily"}
    assert {name[0] for name in asked(house)} == {"grouped_daily"}


async def test_a_task_without_what_it_needs_is_no_success_and_no_request(house):
    run = await house.service.reconcile(RunOptions(only="volume_slots"))
    assert (run.success, run.tasks) == (False, {"volume_slots": State.PENDING})
    assert not house.market.calls


async def test_force_asks_once_for_what_stands_and_ends_where_it_was(house):
    assert (await house.service.reconcile()).success
    before = standing(house)
    house.restart()
    run = await house.service.reconcile(RunOptions(target_date=EARLIER, force=True))
    assert run.success and run.completed == 2
    assert asked(house) == {("grouped_daily", EARLIER): 1, ("minute_file", EARLIER): 1}
    assert standing(house) == before


async def test_force_asks_every_ticker_again_where_there_is_no_file(house):
    assert (await house.service.reconcile()).success
    before = standing(house)
    house.restart()
    assert (await house.service.reconcile(RunOptions(target_date=YESTERDAY, only="volume_slots", force=True))).success
    assert asked(house) == {("intraday_bars", symbol): 1 for symbol in house.market.symbols}
    assert standing(house) == before


async def test_a_forced_load_that_fails_leaves_what_stood_and_says_so(house):
    assert (await house.service.reconcile()).success
    stood = house.lake.read("ohlc_daily", EARLIER)
    house.market.faults["grouped_daily"] = VendorUnavailable("503")
    run = await house.service.reconcile(RunOptions(target_date=EARLIER, force=True))
    assert [(row.dataset, row.session, row.error) for row in run.failed] == [("ohlc_daily", EARLIER, "503")]
    assert house.lake.read("ohlc_daily", EARLIER).equals(stood)
    house.market.faults.clear()
    assert (await house.service.reconcile()).success


class Killed(BaseException):
    pass


@pytest.mark.parametrize("after_write", [False, True])
async def test_a_kill_while_it_is_loaded_again_does_not_leave_it_complete(house, after_write):
    assert (await house.service.reconcile()).success
    before = standing(house)
    write = house.lake.write

    def die(*arguments):
        if after_write:
            write(*arguments)
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(house.lake, "write", die)
        with pytest.raises(Killed):
            await house.service.reconcile(RunOptions(target_date=EARLIER, force=True))
    assert house.row("ohlc_daily", EARLIER).state is State.PENDING
    house.restart()
    assert (await house.service.reconcile()).success
    assert standing(house) == before


async def test_a_range_is_loaded_before_the_windows_and_only_what_failed_again(house):
    await house.service.reconcile(RunOptions(only="tickers"))
    first, last = date(2025, 6, 2), date(2025, 6, 6)
    house.market.faults["grouped_daily", date(2025, 6, 4)] = VendorUnavailable("503")
    run = await house.service.reconcile(RunOptions(since=first, target_date=last, only="ohlc_daily"))
    assert {row.session for row in run.failed} == {date(2025, 6, 4)}
    assert set(house.states("ohlc_daily")) == set(CALENDAR.between(first, last))
    house.market.faults.clear()
    house.market.calls.clear()
    again = await house.service.reconcile(RunOptions(since=first, target_date=last, only="ohlc_daily", failed_only=True))
    assert again.success
    assert asked(house) == {("grouped_daily", date(2025, 6, 4)): 1}


@pytest.fixture
async def running(house):
    """The service as it runs, its first run done."""
    task = asyncio.create_task(house.service.run())
    await house.clock.settle()
    house.market.calls.clear()
    yield house
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_second_trigger_joins_the_running_run(running):
    first, is_new = running.service.trigger(RunOptions(target_date=EARLIER, force=True))
    second, is_new_too = running.service.trigger(WHOLE)
    assert (is_new, is_new_too, second.id) == (True, False, first.id)
    assert second.options == RunOptions(target_date=EARLIER, force=True), "it says what the run is about"
    await running.clock.settle()
    third, is_new = running.service.trigger(WHOLE)
    assert is_new and third.id != first.id
    await running.clock.settle()
    assert asked(running)["grouped_daily", EARLIER] == 1


async def test_the_wake_up_waits_for_the_run_that_was_asked_for_and_still_does_its_duty(running):
    await running.clock.advance_to(at(SESSION, time(16, 59)))
    slow = asyncio.Event()
    real = running.market.grouped_daily

    async def wait(session):
        await slow.wait()
        return await real(session)

    running.market.grouped_daily = wait
    running.service.trigger(RunOptions(target_date=EARLIER, only="ohlc_daily", force=True))
    await asyncio.sleep(0)
    waking = asyncio.create_task(running.clock.advance_to(at(SESSION, time(17, 1))))
    slow.set()
    await waking
    assert running.states("ohlc_daily")[SESSION] is State.PROVISIONAL
    assert [run.options.only for run in running.catalog.runs()][:2] == [None, "ohlc_daily"]


async def test_what_cannot_be_done_begins_no_run(running):
    with pytest.raises(RunRefused, match="in the future"):
        running.service.trigger(RunOptions(target_date=date(2026, 4, 1)))
    with pytest.raises(RunRefused, match="no session"):
        await running.service.reconcile(RunOptions(target_date=date(2026, 3, 8)))
    assert len(running.catalog.runs()) == 1
    assert (await running.service.status("LIVE")).run is None


async def test_a_run_under_way_says_which_step_it_is_in(house):
    seen = []
    real = house.market.splits

    async def look(since, until):
        seen.append(await house.service.status("LIVE"))
        return await real(since, until)

    house.market.splits = look
    await house.service.reconcile()
    (status,) = seen
    assert (status.run.finished_at, status.run.success) == (None, None)
    assert (status.run.tasks["tickers"], status.run.tasks["splits"]) == (State.COMPLETED, State.IN_PROGRESS)
    assert (status.run.progress.task, status.run.progress.detail) == ("splits", "2026-03-09")
    assert [(each.dataset, each.session) for each in status.partitions if each.state is State.IN_PROGRESS] == [("splits", SESSION)]
    assert house.row("splits", SESSION).state is State.COMPLETED, "it is no column's word"


async def test_what_came_of_a_run_is_kept_with_its_reason(house):
    house.market.faults["tickers"] = Unauthorized("401: the key is unknown")
    await house.service.reconcile()
    house.market.faults.clear()
    done = await house.service.reconcile()
    house.restart()
    last, first = await house.service.runs()
    assert last == done
    assert (first.success, first.reason, first.failed[0].error) == (False, "401: the key is unknown", "401: the key is unknown")
    assert set(last.task_seconds) == set(last.tasks) - {"new_trading_day"}  # announced by the first


async def test_other_programs_read_how_the_session_stands(house):
    house.market.faults["grouped_daily", EARLIER] = VendorUnavailable("503")
    await house.service.reconcile()
    key = "maintenance:status:2026-03-09"
    status = msgspec.json.decode(await house.bus.redis.get(key), type=RunStatus)
    assert (status.date, status.success, status.tasks["ohlc_daily"]) == (SESSION, False, State.FAILED)
    assert set(status.tasks) == set(DATASETS) - {"minute_bars", "timescale_mirror"}  # nobody asked for any
    assert 6 * 86_400 < await house.bus.redis.ttl(key) <= 7 * 86_400
    assert await house.bus.redis.get("maintenance:last_run") == b"2026-03-09"
    house.market.faults.clear()
    await house.service.reconcile(RunOptions(only="splits", force=True))
    assert set(msgspec.json.decode(await house.bus.redis.get(key))["tasks"]) == set(status.tasks), "a part does not stand for the whole"
