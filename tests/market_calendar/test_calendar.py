from datetime import UTC, date, datetime, time, timedelta

import exchange_calendars
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradeul.errors import CalendarError
from tradeul.market_calendar import NEW_YORK, Phase, at, nyse

CALENDAR = nyse()
instants = st.datetimes(datetime(1990, 1, 3, 12), datetime(2030, 12, 30), timezones=st.just(UTC))


def test_sessions_and_closes_are_those_of_exchange_calendars():
    schedule = exchange_calendars.get_calendar("XNYS", start="1990-01-01", end="2030-12-31").schedule
    assert list(CALENDAR.sessions) == [stamp.date() for stamp in schedule.index]
    for session, row in zip(CALENDAR.sessions, schedule.itertuples(), strict=True):
        hours = CALENDAR.hours(session)
        assert (hours.open_at, hours.close_at) == (row.open, row.close)


def test_sessions_are_those_of_the_independent_list(shared_data):
    lines = (shared_data / "reference" / "nyse_sessions_2015_2026.csv").read_text().splitlines()[1:]
    listed = [date.fromisoformat(line.split(",")[0]) for line in lines]
    assert CALENDAR.between(listed[0], listed[-1]) == listed


@given(instants)
def test_the_current_session_is_the_one_whose_new_day_passed_last(now):
    session = CALENDAR.current_session(now)
    assert CALENDAR.hours(session).new_day_at <= now < CALENDAR.hours(CALENDAR.next(session)).new_day_at


@given(instants)
def test_outside_the_hours_of_its_session_the_market_is_closed(now):
    hours = CALENDAR.hours(CALENDAR.current_session(now))
    inside = hours.pre_open_at <= now < hours.post_close_at
    assert (CALENDAR.phase(now) is Phase.CLOSED) == (not inside)


@given(st.sampled_from(CALENDAR.sessions[1:-1]))
def test_previous_and_next_undo_each_other(session):
    assert CALENDAR.previous(CALENDAR.next(session)) == session == CALENDAR.next(CALENDAR.previous(session))


@pytest.mark.parametrize(("wall", "phase"), [
    ("03:59:59", Phase.CLOSED), ("04:00", Phase.PRE_MARKET), ("09:29:59", Phase.PRE_MARKET), ("09:30", Phase.MARKET_OPEN),
    ("15:59:59", Phase.MARKET_OPEN), ("16:00", Phase.POST_MARKET), ("19:59:59", Phase.POST_MARKET), ("20:00", Phase.CLOSED),
])  # fmt: skip
def test_phases_of_an_ordinary_session(wall, phase):
    assert CALENDAR.phase(at(date(2026, 3, 9), time.fromisoformat(wall))) is phase


def test_an_early_close_ends_the_post_market_at_17():
    hours = CALENDAR.hours(date(2025, 11, 28))
    assert hours.close_at.astimezone(NEW_YORK).time() == time(13)
    assert hours.post_close_at.astimezone(NEW_YORK).time() == time(17)
    assert (hours.slots, hours.is_full_length) == (156, False)


def test_the_day_of_mourning_of_2025_is_no_session():
    assert not CALENDAR.is_session(date(2025, 1, 9))
    assert CALENDAR.previous(date(2025, 1, 10)) == date(2025, 1, 8)
    with pytest.raises(CalendarError, match="2025-01-09 is no session"):
        CALENDAR.hours(date(2025, 1, 9))


@pytest.mark.parametrize("session", [date(2026, 3, 9), date(2025, 11, 3)])  # the first sessions after both changes
def test_wall_times_keep_their_place_across_daylight_saving(session):
    hours, before = CALENDAR.hours(session), CALENDAR.hours(CALENDAR.previous(session))
    assert hours.open_at.astimezone(NEW_YORK).time() == time(9, 30)
    assert abs((hours.open_at - before.open_at) - timedelta(days=3)) == timedelta(hours=1)


def test_on_a_weekend_the_session_stays_friday():
    assert CALENDAR.current_session(datetime(2026, 3, 8, 18, tzinfo=UTC)) == date(2026, 3, 6)
    assert CALENDAR.current_session(datetime(2026, 3, 9, 6, 59, tzinfo=UTC)) == date(2026, 3, 6)
    assert CALENDAR.current_session(datetime(2026, 3, 9, 7, tzinfo=UTC)) == date(2026, 3, 9)


def test_announced_closures_are_merged():
    changed = CALENDAR.with_closures({date(2026, 3, 9): None, date(2026, 3, 10): time(13)})
    assert changed.next(date(2026, 3, 6)) == date(2026, 3, 10)
    assert not changed.hours(date(2026, 3, 10)).is_full_length
    assert CALENDAR.is_session(date(2026, 3, 9))
