from datetime import date, time

import pytest

from tradeul.maintenance.datasets import (
    BASELINES,
    DATASETS,
    METADATA_ENRICH,
    NEW_TRADING_DAY,
    OHLC_DAILY,
    REDIS_SYNC,
    SPLITS,
    TICKERS,
    VOLUME_SLOTS,
    Schedule,
    Windows,
)
from tradeul.maintenance.plan import RANGE_SESSIONS, plan
from tradeul.market_calendar import at, nyse
from tradeul.records.partitions import LedgerRow, State
from tradeul.records.runs import RunOptions

CALENDAR = nyse()
SESSION = date(2026, 3, 9)
YESTERDAY = date(2026, 3, 6)
SCHEDULE = Schedule(CALENDAR, Windows(260, 30, 20))
MORNING, NOON, NIGHT = (at(SESSION, wall) for wall in (time(9, 28), time(12), time(20, 15)))
LOADED = {(BASELINES, YESTERDAY): LedgerRow(dataset=BASELINES, session=YESTERDAY, state=State.COMPLETED)}
ledgers = pytest.mark.parametrize("ledger", [{}, LOADED], ids=["first load", "catch-up"])
moments = pytest.mark.parametrize("now", [MORNING, NOON, NIGHT])


def names(steps):
    return [step.dataset for step in steps]


@ledgers
@moments
def test_every_wanted_partition_has_a_step(ledger, now):
    steps = plan(ledger, SCHEDULE, now)
    planned = {(step.dataset, session) for step in steps for session in step.sessions}
    traded = {(dataset, session) for dataset in (OHLC_DAILY, VOLUME_SLOTS) for session in SCHEDULE.window(dataset, now)}
    served = {(dataset, session) for dataset in (TICKERS, SPLITS, BASELINES, REDIS_SYNC) for session in SCHEDULE.served(now)}
    assert planned == traded | served | {(NEW_TRADING_DAY, SESSION), (METADATA_ENRICH, SESSION)}


@ledgers
@moments
def test_todays_lists_come_first(ledger, now):
    steps = plan(ledger, SCHEDULE, now)
    assert names(steps[:6]) == [NEW_TRADING_DAY, TICKERS, SPLITS, OHLC_DAILY, BASELINES, REDIS_SYNC]
    assert steps[3].session == YESTERDAY


@ledgers
@moments
def test_dependencies_come_before_what_needs_them(ledger, now):
    steps = plan(ledger, SCHEDULE, now)
    for place, step in enumerate(steps):
        if step.dataset == VOLUME_SLOTS:
            assert {(OHLC_DAILY, session) for session in step.sessions} <= {(s.dataset, s.session) for s in steps[:place]}
    assert names(steps)[-2:] == [BASELINES, REDIS_SYNC]


def sessions(steps, dataset, ranged=False):
    found = [step.session for step in steps if step.dataset == dataset and step.ranged == ranged]
    return list(dict.fromkeys(found))


def test_a_first_load_goes_back_in_time_and_a_later_run_forward():
    first, later = plan({}, SCHEDULE, MORNING), plan(LOADED, SCHEDULE, MORNING)
    assert sessions(first, OHLC_DAILY) == SCHEDULE.window(OHLC_DAILY, MORNING)[::-1]
    assert sessions(later, OHLC_DAILY)[1:] == SCHEDULE.window(OHLC_DAILY, MORNING)[:-1]
    assert sessions(first, VOLUME_SLOTS) == CALENDAR.before(YESTERDAY, 29)[::-1]
    assert sessions(later, VOLUME_SLOTS) == CALENDAR.before(YESTERDAY, 29)


def test_a_first_load_publishes_rvol_before_it_asks_ticker_by_ticker():
    steps = plan({}, SCHEDULE, MORNING)
    ranged = next(place for place, step in enumerate(steps) if step.ranged)
    assert steps[ranged].sessions == (YESTERDAY,)
    assert names(steps[ranged - 2 : ranged + 3]) == [BASELINES, REDIS_SYNC, VOLUME_SLOTS, BASELINES, REDIS_SYNC]
    assert sum(step.dataset == VOLUME_SLOTS for step in steps[:ranged]) == 20
    assert sum(step.dataset == OHLC_DAILY for step in steps[:ranged]) < 120


def test_once_files_are_due_nothing_is_asked_ticker_by_ticker_first():
    steps = plan({}, SCHEDULE, NOON)
    assert sessions(steps, VOLUME_SLOTS)[0] == YESTERDAY
    assert [step.sessions for step in steps if step.ranged] == [tuple(SCHEDULE.window(VOLUME_SLOTS, NOON))]


def test_rvol_counts_only_full_length_sessions_so_they_come_first():
    christmas = date(2025, 12, 29)  # the early close of the 24th lies before it
    steps = plan({}, SCHEDULE, at(christmas, time(12)))
    first_stage = sessions(steps, VOLUME_SLOTS)[:20]
    assert date(2025, 12, 24) not in first_stage
    assert date(2025, 12, 24) in sessions(steps, VOLUME_SLOTS)


@ledgers
def test_the_evening_prepares_the_next_session_last(ledger):
    steps = plan(ledger, SCHEDULE, NIGHT)
    assert names(steps[-4:]) == [TICKERS, SPLITS, BASELINES, REDIS_SYNC]
    assert {step.session for step in steps[-4:]} == {date(2026, 3, 10)}


def planned(**options):
    return {(step.dataset, session) for step in plan(LOADED, SCHEDULE, NOON, RunOptions(**options)) for session in step.sessions}


def test_one_session_is_its_partitions_and_what_today_makes_of_them():
    today = {(dataset, SESSION) for dataset in (TICKERS, SPLITS, BASELINES, REDIS_SYNC)}
    assert planned(target_date=YESTERDAY) == {(OHLC_DAILY, YESTERDAY), (VOLUME_SLOTS, YESTERDAY)} | today
    assert planned(target_date=SESSION) == today | {(NEW_TRADING_DAY, SESSION), (METADATA_ENRICH, SESSION)}
    before_slots = date(2026, 1, 5)
    assert planned(target_date=before_slots) == {(OHLC_DAILY, before_slots)} | today


def test_one_task_and_all_from_one_on_are_parts_of_the_whole():
    whole = planned()
    for place, name in enumerate(DATASETS):
        assert planned(only=name) == {key for key in whole if key[0] == name}
        assert planned(from_task=name) == {key for key in whole if key[0] in list(DATASETS)[place:]}


def test_a_range_may_reach_before_the_windows_and_asks_for_few_sessions_at_once():
    first, last = date(2020, 1, 2), date(2020, 6, 30)
    wanted = set(CALENDAR.between(first, last))
    steps = plan(LOADED, SCHEDULE, NOON, RunOptions(since=first, target_date=last))
    assert {step.session for step in steps if step.dataset == OHLC_DAILY} == wanted
    ranges = [step.sessions for step in steps if step.ranged]
    assert {session for sessions in ranges for session in sessions} == wanted
    assert all(len(sessions) <= RANGE_SESSIONS and list(sessions) == sorted(sessions) for sessions in ranges)


def test_only_what_failed_is_tried_again_when_asked():
    failed = date(2026, 3, 3)
    ledger = LOADED | {(OHLC_DAILY, failed): LedgerRow(dataset=OHLC_DAILY, session=failed, state=State.FAILED)}
    options = RunOptions(since=date(2026, 3, 1), target_date=YESTERDAY, failed_only=True, from_task=OHLC_DAILY)
    steps = [step for step in plan(ledger, SCHEDULE, NOON, options) if step.session != SESSION]
    assert [(step.dataset, step.sessions) for step in steps] == [(OHLC_DAILY, (failed,))]


def test_an_end_of_day_product_makes_the_numbers_of_the_close_it_shows_early_and_again_with_all_history():
    schedule = Schedule(CALENDAR, Windows(260, 30, 20, end_of_day=True))
    steps = plan({}, schedule, NOON)
    places = [place for place, step in enumerate(steps) if (step.dataset, step.session) == (BASELINES, YESTERDAY)]
    before = CALENDAR.previous(YESTERDAY)
    assert OHLC_DAILY in names(steps[: places[0]]) and before in [step.session for step in steps[: places[0]]]
    assert [step.dataset for step in steps[places[0] - 2 : places[0] + 2]] == [TICKERS, SPLITS, BASELINES, REDIS_SYNC]
    assert places[-1] > max(place for place, step in enumerate(steps) if step.dataset == OHLC_DAILY)
    assert not [step for step in steps if step.dataset in (METADATA_ENRICH, NEW_TRADING_DAY) and step.session == YESTERDAY]
