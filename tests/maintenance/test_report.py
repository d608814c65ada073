from datetime import date, datetime, time, timedelta

import msgspec

from tradeul.maintenance.datasets import DATASETS, Schedule, Windows
from tradeul.maintenance.report import sessions_behind, status, summary, trust, wanted, worst
from tradeul.market_calendar import at, nyse
from tradeul.records.partitions import LedgerRow, State

SCHEDULE = Schedule(nyse(), Windows(260, 30, 20))
SESSION, LAST = date(2026, 3, 9), date(2026, 3, 6)
NOW = at(SESSION, time(12))


def ledger(**of_last_slots):
    """Everything complete, but for what is said of the last close's slots."""
    rows = [
        LedgerRow(dataset=dataset, session=each, state=State.COMPLETED, expected=11_800, got=11_830)
        for dataset, each in wanted(SCHEDULE, NOW)
    ]
    made = {(row.dataset, row.session): row for row in rows}
    key = ("volume_slots", LAST)
    return made | {key: msgspec.structs.replace(made[key], **{"expected": 11_846, "got": 11_846} | of_last_slots)}


def test_one_sentence_says_how_far_todays_numbers_can_be_trusted():
    assert summary(trust(ledger(got=11_820), SCHEDULE, NOW)) == (
        "today's numbers: 11,820 of 11,846 tickers, 26 missing, RVOL over 20 sessions"
    )
    assert summary(trust(ledger(), SCHEDULE, NOW)) == "today's numbers: 11,846 of 11,846 tickers, RVOL over 20 sessions"


def test_more_than_usual_is_not_less_than_nothing():
    rows = ledger()
    del rows["volume_slots", LAST]
    assert "11,830 of 11,830 tickers, RVOL over 20 sessions; history so far: 29 of 30 of slots" in summary(trust(rows, SCHEDULE, NOW))


def test_before_the_first_load_it_says_none_and_how_far_it_is():
    assert summary(trust({}, SCHEDULE, NOW)) == (
        "today's numbers: none yet; history so far: 0 of 260 sessions of daily bars and 0 of 30 of slots"
    )


def test_a_session_that_closed_early_is_not_averaged_over():
    december = at(date(2025, 12, 29), time(12))
    rows = {
        (dataset, each): LedgerRow(dataset=dataset, session=each, state=State.COMPLETED, expected=5, got=5)
        for dataset, each in wanted(Schedule(nyse(), Windows(260, 20, 20)), december)
    }
    assert "RVOL over 18 sessions" in summary(trust(rows, Schedule(nyse(), Windows(260, 20, 20)), december))


def test_behind_is_every_session_that_is_not_as_good_as_it_can_be():
    assert sessions_behind({}, SCHEDULE, NOW) == 261
    assert sessions_behind(ledger(), SCHEDULE, NOW) == 0
    assert sessions_behind(ledger(state=State.FAILED), SCHEDULE, NOW) == 1
    assert sessions_behind(ledger(), SCHEDULE, NOW + timedelta(days=3)) == 3 + 1, "three sessions, and the one that is served"


def test_in_progress_comes_from_the_run_and_from_no_column():
    key = ("volume_slots", LAST)
    rows = ledger(state=State.IN_PROGRESS)
    assert worst(rows, [key], {key}) == {"volume_slots": State.IN_PROGRESS}
    report = status(ledger(), SCHEDULE, NOW, "LIVE", None, {key})
    assert [(each.dataset, each.session) for each in report.partitions if each.state is State.IN_PROGRESS] == [key]
    assert report.datasets["volume_slots"] == {State.COMPLETED: 29, State.IN_PROGRESS: 1}


def test_every_wanted_partition_is_shown_newest_first_with_what_it_lacks():
    finished_at = datetime(2026, 3, 7, 1, 20, tzinfo=NOW.tzinfo)
    rows = ledger(got=11_844, missing=("AAPL", "B"), started_at=finished_at - timedelta(seconds=90), finished_at=finished_at, attempts=2)
    report = status(rows, SCHEDULE, NOW, "LIVE")
    assert [(each.dataset, each.session) for each in report.partitions] == wanted(SCHEDULE, NOW)
    assert [each.session for each in report.partitions] == sorted((each.session for each in report.partitions), reverse=True)
    assert list(report.datasets) == list(DATASETS)
    shown = next(each for each in report.partitions if (each.dataset, each.session) == ("volume_slots", LAST))
    assert (shown.expected, shown.got, shown.missing, shown.duration_seconds, shown.attempts) == (11_846, 11_844, ("AAPL", "B"), 90.0, 2)
    assert report.next_run_at is None
