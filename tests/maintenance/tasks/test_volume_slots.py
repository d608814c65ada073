from datetime import date, time

import numpy as np
import polars as pl
import pytest
import structlog

from tradeul.errors import MalformedResponse, NotEntitled, Unauthorized, VendorUnavailable
from tradeul.maintenance.tasks.replaced import HEADS_AT_ONCE
from tradeul.maintenance.tasks.volume_slots import PROBED, SCHEMA, compare_volumes, missing_of, slots_of_bars, slots_of_file
from tradeul.market_calendar import at, nyse
from tradeul.providers.ports import FlatFile
from tradeul.records.bars import IntradayBar
from tradeul.records.partitions import State
from tradeul.records.runs import WHOLE, RunOptions

CALENDAR = nyse()
SESSION = date(2026, 3, 9)
YESTERDAY = date(2026, 3, 6)
EARLIER = date(2026, 3, 5)
DAY = pl.DataFrame({"symbol": ["A", "B", "C"], "close": [10.0, 1.0, 50.0], "volume": [100.0, 100.0, 100.0]})


def slots(**volumes):
    rows = [(symbol, 70, volume, 1, None) for symbol, volume in volumes.items()]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def asked(house):
    return {name[1] for name in house.market.calls if name[0] == "intraday_bars"}


def test_the_missing_are_sorted_by_dollar_volume():
    assert missing_of(DAY, slots(Z=1)) == ["C", "A", "B"]
    assert missing_of(DAY, slots(C=100, B=100)) == ["A"]


def test_a_ticker_with_half_its_volume_is_missing_only_where_the_market_is_short():
    assert missing_of(DAY, slots(A=100, B=50, C=100)) == ["B"], "the market holds 83 %"
    assert missing_of(DAY, slots(B=50, C=95)) == ["A", "B"], "those with slots hold 73 %; C lacks little"
    thick = pl.concat([DAY, pl.DataFrame({"symbol": ["D"], "close": [5.0], "volume": [1e5]})])
    assert missing_of(thick, slots(A=100, B=50, C=100, D=1e5)) == [], "a thin ticker's odd lots make no bars"


def test_slot_sums_are_held_against_the_day():
    assert compare_volumes(DAY, slots(A=100, B=100.5, C=100)) == ([], True)
    remarks, whole = compare_volumes(DAY, slots(A=100, B=100, C=80))
    assert whole and "1 tickers' slots differ" in remarks[0] and "C" in remarks[0]
    remarks, whole = compare_volumes(DAY, slots(A=60, B=60, C=60))
    assert not whole and remarks[0] == "the slots hold 60 % of the day's volume"


async def test_a_file_and_the_bars_ticker_by_ticker_give_the_same_slots(house):
    for session in (YESTERDAY, date(2025, 11, 28)):  # the second closes early, and its post-market at 17:00
        hours = CALENDAR.hours(session)
        house.clock._now = at(SESSION, time(12))
        pre_open_ms = int(hours.pre_open_at.timestamp() * 1000)
        by_file, outside = slots_of_file(await house.market.minute_file(session), pre_open_ms, hours.slots)
        bars = [bar for symbol in house.market.symbols for bar in await house.market.intraday_bars(symbol, 5, session, session)]
        by_bars = slots_of_bars(bars, CALENDAR, [session]).select(*SCHEMA)
        assert outside == 0
        assert by_file.sort("symbol", "slot").equals(by_bars.sort("symbol", "slot"))
        assert by_file["slot"].max() < hours.slots


def test_bars_go_to_their_own_session_and_others_are_left_out():
    wall = [(EARLIER, time(4)), (EARLIER, time(19, 55)), (YESTERDAY, time(9, 30)), (YESTERDAY, time(20)), (date(2026, 3, 4), time(10))]
    bars = [IntradayBar("A", int(at(*moment).timestamp() * 1000), 1, 1, 1, 1, 10.0 + n) for n, moment in enumerate(wall)]
    found = slots_of_bars(bars, CALENDAR, [EARLIER, YESTERDAY])
    assert found.select("session", "slot", "volume").rows() == [(EARLIER, 0, 10.0), (EARLIER, 191, 11.0), (YESTERDAY, 66, 12.0)]
    assert slots_of_bars([], CALENDAR, [EARLIER]).is_empty()


def test_a_truncated_file_is_an_error_and_never_a_short_session():
    with pytest.raises(MalformedResponse):
        slots_of_file(FlatFile(YESTERDAY, "e", b"\x1f\x8b\x08\x00half"), 0, 192)


async def test_only_the_session_without_a_file_is_asked_ticker_by_ticker(house):
    assert (await house.service.reconcile()).success
    assert asked(house) == set(house.market.symbols)
    assert all(house.market.calls["intraday_bars", symbol] == 1 for symbol in house.market.symbols)
    assert house.lake.footer("volume_slots", YESTERDAY)["source"] == "REST"
    assert house.lake.footer("volume_slots", EARLIER)["source"] == "2026-03-05 etag"
    assert not list((house.root / "lake" / ".staging" / "volume_slots").glob("*"))


async def test_what_a_file_lacks_is_asked_for_alone(house):
    house.clock._now = at(SESSION, time(12))
    house.market.not_in_file = {"T004", "T005"}
    assert (await house.service.reconcile()).success
    assert asked(house) == {"T004", "T005"}
    assert house.row("volume_slots", YESTERDAY).got == 40


async def test_a_ticker_that_cannot_be_had_leaves_the_session_failed_and_named_until_it_can(house):
    house.market.faults["intraday_bars", "T004"] = VendorUnavailable("503")
    assert not (await house.service.reconcile()).success
    row = house.row("volume_slots", YESTERDAY)
    assert (row.state, row.expected, row.got, row.missing) == (State.FAILED, 40, 39, ("T004",))
    house.market.faults.clear()
    house.restart()
    assert (await house.service.reconcile()).success
    assert asked(house) == {"T004"}


async def test_files_that_the_plan_does_not_include_are_made_up_for_ticker_by_ticker(house):
    house.market.faults["minute_file"] = NotEntitled("403: flat files are not in your plan")
    result = await house.service.reconcile()
    assert result.success
    assert sum(count for name, count in house.market.calls.items() if name[0] == "minute_file") <= 3
    # one ranged call per ticker for seven sessions, beside the one of the session without a file
    assert {house.market.calls["intraday_bars", symbol] for symbol in house.market.symbols} == {2}


async def test_a_vendor_that_is_down_is_not_asked_for_every_ticker_of_every_session(house):
    house.market.faults["intraday_bars"] = VendorUnavailable("503")
    result = await house.service.reconcile()
    assert not result.success
    assert house.row("volume_slots", YESTERDAY).state is State.FAILED
    assert house.row("volume_slots", EARLIER).state is State.COMPLETED


async def test_a_killed_ranged_step_goes_on_at_the_first_missing_batch(make_house, monkeypatch):
    monkeypatch.setattr("tradeul.maintenance.tasks.volume_slots.BATCH_TICKERS", 10)
    house, twin = await make_house(), await make_house()
    await twin.service.reconcile()

    class Killed(BaseException):
        pass

    house.market.faults["intraday_bars", "T025"] = Killed()
    with pytest.raises(Killed):
        await house.service.reconcile()
    house.market.faults.clear()
    house.restart()
    assert (await house.service.reconcile()).success
    assert asked(house) == {f"T{number:03d}" for number in range(20, 40)}
    assert not [name for name in house.market.calls if name[0] == "minute_file" and name[1] >= CALENDAR.before(SESSION, 6)[0]]
    assert house.row("volume_slots", YESTERDAY).checksum == twin.row("volume_slots", YESTERDAY).checksum


async def test_less_than_the_days_volume_is_never_completed(make_house):
    house = await make_house(volume_factor=1.5)
    assert not (await house.service.reconcile()).success
    row = house.row("volume_slots", EARLIER)
    assert row.state is State.FAILED
    assert "the slots hold 67 % of the day's volume" in row.error


async def test_what_a_short_answer_brought_is_asked_for_again_and_filled_up(house):
    real = house.market.intraday_bars

    async def half(*arguments):
        return (await real(*arguments))[::2]

    house.market.intraday_bars = half
    assert not (await house.service.reconcile()).success
    row = house.row("volume_slots", YESTERDAY)
    assert (row.state, row.expected) == (State.FAILED, 40) and row.got < 10 and row.missing
    house.market.intraday_bars = real
    house.market.calls.clear()
    assert (await house.service.reconcile()).success
    assert row.expected - row.got == len(asked(house)), "those whose half is their whole day are not missing"
    assert house.row("volume_slots", YESTERDAY).got == 40
    house.restart()
    assert (await house.service.reconcile()).completed == 0
    assert not house.market.calls


async def test_a_vendor_that_says_the_same_again_is_not_asked_for_every_ticker(make_house):
    house = await make_house(volume_factor=1.5)
    assert not (await house.service.reconcile()).success
    house.restart()
    assert not (await house.service.reconcile()).success
    assert len(house.row("volume_slots", YESTERDAY).missing) > 30
    assert len(asked(house)) == PROBED


async def test_slots_of_a_file_are_sums_of_its_minutes(house):
    house.clock._now = at(SESSION, time(12))
    file = await house.market.minute_file(EARLIER)
    found, _ = slots_of_file(file, int(CALENDAR.hours(EARLIER).pre_open_at.timestamp() * 1000), 192)
    expected = {}
    for symbol in house.market.symbols:
        for bar in house.market.minutes(symbol, EARLIER):
            key = symbol, bar[0] // 5
            expected[key] = tuple(np.add(expected.get(key, (0, 0)), (bar[5], bar[6])))
    assert {(symbol, slot): (volume, trades) for symbol, slot, volume, trades, _ in found.iter_rows()} == expected


@pytest.fixture
async def replaced(house):
    """A complete house; since then the vendor has replaced a file."""
    assert (await house.service.reconcile()).success
    house.stood = house.lake.read("volume_slots", EARLIER)
    house.market.etags[EARLIER] = "other"
    house.restart()
    return house


def source_of(house, session):
    return house.lake.footer("volume_slots", session)["source"]


async def test_only_whole_runs_look_for_replaced_files_and_only_for_partitions_that_came_from_one(replaced):
    await replaced.service.foresee(WHOLE)
    await replaced.service.reconcile(RunOptions(target_date=EARLIER))
    await replaced.service.reconcile(RunOptions(only="volume_slots"))
    assert not replaced.market.heads
    assert (await replaced.service.reconcile()).success
    assert replaced.market.heads == {session: 1 for session in CALENDAR.before(SESSION, 8) if session != YESTERDAY}
    assert replaced.market.calls == {("minute_file", EARLIER): 1}
    assert source_of(replaced, EARLIER) == "2026-03-05 other"


@pytest.mark.parametrize("error", [NotEntitled("403"), Unauthorized("401"), VendorUnavailable("503")])
async def test_a_store_that_does_not_say_changes_nothing_and_is_told_once(replaced, error):
    replaced.market.faults["is_replaced"] = error
    with structlog.testing.capture_logs() as logs:
        run = await replaced.service.reconcile()
    assert run.success and run.completed == 0 and not replaced.market.calls
    assert [log["reason"] for log in logs if log["log_level"] == "warning"] == [str(error)]
    assert sum(replaced.market.heads.values()) <= HEADS_AT_ONCE


@pytest.mark.parametrize("error", [NotEntitled("403"), VendorUnavailable("503"), MalformedResponse("minute file", "cut")])
async def test_a_replacement_that_cannot_be_had_leaves_what_stood_complete_and_is_asked_for_again(replaced, error):
    before = replaced.row("volume_slots", EARLIER).checksum
    replaced.market.faults["minute_file"] = error
    with structlog.testing.capture_logs() as logs:
        run = await replaced.service.reconcile()
    row = replaced.row("volume_slots", EARLIER)
    assert (run.success, row.state, row.checksum) == (True, State.COMPLETED, before)
    assert [log["error"] for log in logs if log["event"] == "task_failed"] == [str(error)]
    assert not asked(replaced)
    replaced.market.faults.clear()
    replaced.restart()
    assert (await replaced.service.reconcile()).success
    assert replaced.market.calls == {("minute_file", EARLIER): 1}
    assert source_of(replaced, EARLIER) == "2026-03-05 other"


async def test_a_file_that_was_withdrawn_leaves_what_stood_complete(replaced):
    async def nothing(*_asked):
        return None

    before = replaced.row("volume_slots", EARLIER).checksum
    replaced.market.minute_file = nothing
    assert (await replaced.service.reconcile()).success
    replaced.market.is_replaced = nothing
    assert (await replaced.service.reconcile()).completed == 0
    assert (replaced.row("volume_slots", EARLIER).checksum, asked(replaced)) == (before, set())


class Killed(BaseException):
    pass


@pytest.mark.parametrize("after_write", [False, True])
async def test_a_kill_while_a_replacement_is_loaded_loses_nothing(replaced, after_write):
    write = replaced.lake.write

    def die(*arguments):
        if after_write:
            write(*arguments)
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replaced.lake, "write", die)
        with pytest.raises(Killed):
            await replaced.service.reconcile()
    larger = replaced.lake.read("volume_slots", EARLIER)["volume"] - replaced.stood["volume"]
    assert (larger > 0).all() == after_write, "what stands can be read, old or new"
    assert replaced.row("volume_slots", EARLIER).state is State.PENDING, "what nobody noted is not taken for whole"
    replaced.restart()
    assert (await replaced.service.reconcile()).success
    assert replaced.market.calls == {("minute_file", EARLIER): 1}
    assert source_of(replaced, EARLIER) == "2026-03-05 other"


async def test_what_a_file_lacks_and_single_calls_brought_stays_when_it_is_replaced(house):
    house.market.not_in_file = {"T007", "T030"}
    assert (await house.service.reconcile()).success
    assert source_of(house, EARLIER) == "2026-03-05 etag REST"
    house.market.etags[EARLIER] = "other"
    house.restart()
    assert (await house.service.reconcile()).success
    assert house.market.calls == {("minute_file", EARLIER): 1}
    assert (house.row("volume_slots", EARLIER).got, source_of(house, EARLIER)) == (40, "2026-03-05 other")
