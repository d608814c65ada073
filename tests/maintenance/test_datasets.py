from datetime import date, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradeul.maintenance.datasets import DATASETS, OHLC_DAILY, VOLUME_SLOTS, Schedule, Windows
from tradeul.market_calendar import NEW_YORK, at, nyse

CALENDAR = nyse()
SCHEDULE = Schedule(CALENDAR, Windows(10, 5, 5))
FRIDAY, MONDAY, TUESDAY = date(2026, 3, 6), date(2026, 3, 9), date(2026, 3, 10)  # the clocks changed between the first two


@pytest.mark.parametrize(
    ("now", "served"),
    [
        (at(FRIDAY, time(20, 14)), [FRIDAY]),
        (at(FRIDAY, time(20, 15)), [FRIDAY, MONDAY]),
        (at(MONDAY, time(2, 59)), [FRIDAY, MONDAY]),
        (at(MONDAY, time(3, 0)), [MONDAY]),
        (at(TUESDAY, time(0, 30)), [MONDAY, TUESDAY]),
    ],
)
def test_the_next_session_is_served_from_the_evening_on(now, served):
    assert SCHEDULE.served(now) == served


@pytest.mark.parametrize(
    ("wall", "daily", "slots"),
    [(time(16, 59), FRIDAY, FRIDAY), (time(17), MONDAY, FRIDAY), (time(20, 15), MONDAY, MONDAY)],
)
def test_a_session_is_wanted_once_its_instant_has_passed(wall, daily, slots):
    now = at(MONDAY, wall)
    assert SCHEDULE.window(OHLC_DAILY, now)[-1] == daily
    assert SCHEDULE.window(VOLUME_SLOTS, now)[-1] == slots


def test_what_is_made_from_a_window_finds_it_wanted():
    """The baselines of every served session use only wanted partitions, at any hour."""
    for minutes in range(0, 4 * 24 * 60, 15):
        now = at(FRIDAY, time(3)) + timedelta(minutes=minutes)
        for dataset in (OHLC_DAILY, VOLUME_SLOTS):
            for served in SCHEDULE.served(now):
                assert set(SCHEDULE.before(dataset, served)) <= set(SCHEDULE.window(dataset, now)), (now, dataset, served)


@given(st.datetimes(at(date(2025, 10, 1), time(0)).replace(tzinfo=None), at(date(2026, 4, 1), time(0)).replace(tzinfo=None)))
def test_wake_ups_are_the_three_wall_times_of_sessions(moment):
    now = moment.astimezone(NEW_YORK)
    wake = SCHEDULE.wake_after(now).astimezone(NEW_YORK)
    assert wake > now
    assert wake.time() in (time(3), time(17), time(20, 15))
    assert CALENDAR.is_session(wake.date())
    skipped = [at(day, wall) for day in CALENDAR.between(now.date(), wake.date()) for wall in (time(3), time(17), time(20, 15))]
    assert not [instant for instant in skipped if now < instant < wake]


LATE = Schedule(CALENDAR, Windows(10, 5, 5, time(16, 30), time(21), time(5)))


@pytest.mark.parametrize(
    ("wall", "wanted", "next_day", "wakes"),
    [
        (time(2), [FRIDAY], MONDAY, time(5)),
        (time(4), [], MONDAY, time(5)),  # the session has turned, and is not announced yet
        (time(5), [MONDAY], TUESDAY, time(16, 30)),
        (time(17), [MONDAY], TUESDAY, time(21)),
    ],
)
def test_other_wake_up_times_are_kept_to(wall, wanted, next_day, wakes):
    now = at(MONDAY, wall)
    assert LATE.sessions("new_trading_day", now) == wanted
    assert LATE.new_day_after(now) == (next_day, at(next_day, time(5)))
    assert LATE.wake_after(now) == at(MONDAY, wakes)


def test_what_a_dataset_needs_comes_before_it():
    names = list(DATASETS)
    assert all(names.index(need) < names.index(name) for name, dataset in DATASETS.items() for need in dataset.needs)
