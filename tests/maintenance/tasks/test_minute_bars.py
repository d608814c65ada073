from datetime import date, time

import polars as pl
import pytest

from tests.maintenance.conftest import CALENDAR, SESSION, minutes_of
from tests.maintenance.test_service import Killed
from tradeul.errors import RunRefused, VendorUnavailable
from tradeul.maintenance.service import Windows
from tradeul.market_calendar import at
from tradeul.records.partitions import State
from tradeul.records.runs import RunOptions

NAME = "minute_bars"
KEPT = CALENDAR.before(date(2026, 3, 6), 3)  # the file of the 6th is due on the 9th at 17:00
WINDOWS = Windows(6, 2, 1, minute_sessions=3)


@pytest.fixture
async def small(make_house):
    return await make_house(windows=WINDOWS, tickers=8)


def expected(house, session):
    pre_open_at = CALENDAR.hours(session).pre_open_at
    rows = [(symbol, pre_open_at, bar) for number, symbol in enumerate(house.market.symbols) for bar in minutes_of(number, session)]
    return [(symbol, int(begun.timestamp()) + 60 * bar[0], *bar[1:5], bar[5], None, bar[6]) for symbol, begun, bar in rows]


def kept(house, session):
    frame = house.lake.read(NAME, session)
    assert frame["start_at"].dtype == pl.Datetime("ms", "UTC")
    return frame.with_columns(pl.col("start_at").dt.epoch("s")).rows()


async def test_every_bar_of_the_newest_files_is_kept_and_older_ones_go(small):
    assert (await small.service.reconcile()).success
    assert small.lake.sessions(NAME) == KEPT
    assert all(kept(small, session) == expected(small, session) for session in KEPT)
    assert {state for session, state in small.states(NAME).items() if session in KEPT} == {State.COMPLETED}
    small.clock._now = at(SESSION, time(17, 0, 1))
    assert (await small.service.reconcile()).success
    assert small.lake.sessions(NAME) == [*KEPT[1:], date(2026, 3, 6)]
    assert small.market.calls["minute_file", KEPT[1]] <= 1  # slots and bars each ask for their own


async def test_a_file_that_is_not_there_or_too_small_fails_and_replaces_nothing(small):
    assert (await small.service.reconcile()).success
    before = kept(small, KEPT[-1])
    small.market.not_in_file = {"T001"}
    again = RunOptions(target_date=KEPT[-1], only=NAME, force=True)
    assert not (await small.service.reconcile(again)).success
    row = small.row(NAME, KEPT[-1])
    assert (row.state, row.expected, row.got, row.missing) == (State.FAILED, 8, 7, ("T001",))
    assert "has 7 of 8 tickers that traded; missing: T001. Nothing was replaced" in row.error
    assert kept(small, KEPT[-1]) == before

    async def nothing(session):
        return None

    small.market.minute_file = nothing
    assert not (await small.service.reconcile(again)).success
    assert "the vendor has no minute file" in small.row(NAME, KEPT[-1]).error


def kill_at(patch, house, where):
    """Die at the second partition's write, or at the note that it landed, before or after it is done."""
    owner, name = (house.catalog, "note") if "note" in where else (house.lake, "write")
    real, left = getattr(owner, name), [2]

    def die(first, *rest):
        left[0] -= first == NAME if name == "write" else any(row.dataset == NAME and row.finished_at for row in first)
        if left[0] == 0 and "before" in where:
            raise Killed
        result = real(first, *rest)
        if left[0] == 0:
            raise Killed
        return result

    patch.setattr(owner, name, die)


KILLS = ("before the note", "after the note", "before the write")


@pytest.mark.parametrize("where", ["after the write", *(pytest.param(where, marks=pytest.mark.long) for where in KILLS)])
async def test_a_kill_costs_nothing(small, make_house, where):
    assert (await small.service.reconcile()).success
    house = await make_house(windows=WINDOWS, tickers=8)
    with pytest.MonkeyPatch.context() as patch:
        kill_at(patch, house, where)
        with pytest.raises(Killed):
            await house.service.reconcile()
    stood = house.lake.sessions(NAME)
    assert stood != KEPT
    house.restart()
    assert (await house.service.reconcile()).success
    assert house.lake.sessions(NAME) == KEPT
    assert [kept(house, session) for session in KEPT] == [kept(small, session) for session in KEPT]
    assert house.states(NAME) == small.states(NAME)


async def test_a_damaged_partition_is_not_told_and_a_lost_one_is_loaded_again(small):
    assert (await small.service.reconcile()).success
    checksums = small.checksums()
    small.lake.path(NAME, KEPT[0]).unlink()
    small.restart()
    assert (await small.service.reconcile()).success
    assert small.checksums() == checksums


async def test_a_file_that_was_replaced_is_loaded_again_and_each_mark_is_asked_for_once(small):
    assert (await small.service.reconcile()).success
    small.market.etags[KEPT[1]] = "other"
    small.restart()
    small.market.heads.clear()
    assert (await small.service.reconcile()).success
    assert kept(small, KEPT[1]) == [(*row[:6], row[6] + 1, *row[7:]) for row in expected(small, KEPT[1])]
    assert small.lake.footer(NAME, KEPT[1])["source"] == f"{KEPT[1]} other"
    assert (small.row(NAME, KEPT[1]).state, small.lake.sessions(NAME)) == (State.COMPLETED, KEPT)
    assert set(small.market.heads.values()) == {1} and set(KEPT) <= set(small.market.heads)
    small.restart()
    assert (await small.service.reconcile()).completed == 0


async def test_a_replacement_that_cannot_be_had_leaves_the_old_bars_and_is_asked_for_again(small):
    assert (await small.service.reconcile()).success
    before = kept(small, KEPT[0])
    small.market.etags[KEPT[0]] = "other"
    small.market.faults["minute_file"] = VendorUnavailable("503")
    small.restart()
    run = await small.service.reconcile()
    assert (kept(small, KEPT[0]), small.row(NAME, KEPT[0]).error) == (before, "503")
    assert [(row.dataset, row.session) for row in run.failed] == [(NAME, KEPT[0])]
    small.market.faults.clear()
    small.restart()
    assert (await small.service.reconcile()).success
    assert kept(small, KEPT[0]) != before


async def test_none_are_kept_unless_a_person_wants_them(make_house):
    house = await make_house(windows=Windows(6, 2, 1), tickers=8)
    assert (await house.service.reconcile()).success
    assert house.lake.sessions(NAME) == []
    with pytest.raises(RunRefused, match="No minute_bars are kept: TRADEUL_KEEP_MINUTE_BARS is 0"):
        await house.service.reconcile(RunOptions(target_date=date(2026, 3, 5), only=NAME))
