from datetime import date, time

import pytest

from tradeul.errors import RunRefused, UnknownTask
from tradeul.maintenance.datasets import DATASETS, Schedule, Windows
from tradeul.maintenance.options import again, check
from tradeul.maintenance.plan import Step, plan
from tradeul.market_calendar import at, nyse
from tradeul.records.runs import RunOptions

SCHEDULE = Schedule(nyse(), Windows(260, 30, 20, minute_sessions=3, mirror=True))
SESSION, NEXT, YESTERDAY = date(2026, 3, 9), date(2026, 3, 10), date(2026, 3, 6)
MORNING, NIGHT = at(SESSION, time(9, 28)), at(SESSION, time(20, 15))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (RunOptions(only="ohlc"), "No task 'ohlc'. The tasks: tickers, splits, ohlc_daily"),
        (RunOptions(from_task="x" * 99), f"No task '{'x' * 40}'"),
        (RunOptions(only="splits", from_task="splits"), "not both"),
        (RunOptions(since=YESTERDAY), "give both"),
        (RunOptions(failed_only=True), "give both"),
        (RunOptions(target_date=date(2026, 3, 7)), "2026-03-07 is no session of the exchange; the one before is 2026-03-06"),
        (RunOptions(target_date=NEXT), "2026-03-10 is in the future: the session is 2026-03-09"),
        (RunOptions(target_date=date(9999, 12, 31)), "9999-12-31 is in the future"),
        (RunOptions(target_date=date(1, 1, 1)), "0001-01-01 is before the calendar, which begins with 1990-01-02"),
        (RunOptions(target_date=YESTERDAY, since=date(1989, 1, 1)), "1989-01-01 is before the calendar"),
        (RunOptions(target_date=date(2025, 2, 20)), "2025-02-20 is before the window of 260 sessions, which begins with 2025-02-24"),
        (RunOptions(target_date=date(2026, 1, 5), only="volume_slots"), "before the window of 30 sessions of volume_slots"),
        (RunOptions(target_date=YESTERDAY, since=SESSION), "There is no session from 2026-03-09 to 2026-03-06"),
        (RunOptions(target_date=date(2026, 3, 8), since=date(2026, 3, 7)), "There is no session from 2026-03-07 to 2026-03-08"),
        (RunOptions(target_date=SESSION, only="ohlc_daily"), "ohlc_daily of 2026-03-09 is due from 17:00 ET on"),
        (RunOptions(target_date=YESTERDAY, only="tickers"), "tickers is loaded for the current session (2026-03-09)"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_sentence(options, sentence):
    with pytest.raises(RunRefused) as refused:
        check(options, SCHEDULE, MORNING)
    assert sentence in str(refused.value)
    assert isinstance(refused.value, UnknownTask) == sentence.startswith("No task")


@pytest.mark.parametrize(
    "options",
    [
        RunOptions(),
        RunOptions(force=True, dry_run=True),
        RunOptions(target_date=SESSION),
        RunOptions(target_date=YESTERDAY, only="volume_slots"),
        RunOptions(target_date=date(2025, 2, 24)),
        RunOptions(target_date=date(2020, 1, 10), since=date(2020, 1, 1), failed_only=True),
        RunOptions(target_date=date(2026, 3, 8), since=date(2026, 3, 1)),
        *(RunOptions(only=name) for name in DATASETS),
        *(RunOptions(from_task=name) for name in DATASETS),
    ],
)
def test_what_can_be_done_is_taken_and_has_steps(options):
    check(options, SCHEDULE, MORNING)
    assert plan({}, SCHEDULE, MORNING, options) or options.failed_only


def test_the_next_session_may_be_asked_for_once_it_is_prepared():
    check(RunOptions(target_date=NEXT), SCHEDULE, NIGHT)


def test_force_names_what_was_asked_for_and_not_what_is_made_of_it():
    steps = [Step("ohlc_daily", (YESTERDAY,)), Step("baselines", (SESSION,))]
    assert again(RunOptions(), steps) == set()
    assert again(RunOptions(force=True), steps) == {("ohlc_daily", YESTERDAY), ("baselines", SESSION)}
    assert again(RunOptions(force=True, target_date=YESTERDAY), steps) == {("ohlc_daily", YESTERDAY)}
