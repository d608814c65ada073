from datetime import date, time, timedelta

import msgspec
import pytest

from tradeul.errors import IncompleteData, VendorUnavailable
from tradeul.maintenance.datasets import BASELINES, OHLC_DAILY, REDIS_SYNC, SPLITS, TICKERS, Schedule, Windows
from tradeul.maintenance.ledger import Landed, failed, forgotten, inputs_of, is_due, is_settled, landed, started
from tradeul.market_calendar import at, nyse
from tradeul.records.partitions import LedgerRow, State

SCHEDULE = Schedule(nyse(), Windows(10, 5, 5))
SESSION = date(2026, 3, 9)
EVENING, FINAL = at(SESSION, time(17)), at(SESSION, time(20, 15))
ROW = LedgerRow(dataset=OHLC_DAILY, session=SESSION)
RESULT = Landed(session=SESSION, expected=10, got=10, checksum="c")


def after(row, result, begun_at, ended_at=None):
    return landed(started(row, begun_at, "0.1"), result, SCHEDULE, ended_at or begun_at)


def due(row, now):
    return is_due({(row.dataset, row.session): row}, SCHEDULE, row.dataset, row.session, now)


def test_what_is_asked_before_the_end_stays_provisional_until_the_end():
    early = after(ROW, RESULT, EVENING)
    assert early.state is State.PROVISIONAL
    assert not due(early, FINAL - timedelta(seconds=1))
    assert due(early, FINAL)
    final = after(early, RESULT, FINAL)
    assert (final.state, final.attempts) == (State.COMPLETED, 2)
    assert not due(final, FINAL + timedelta(days=9))


def test_an_answer_asked_for_before_the_end_is_not_final_though_it_lands_after():
    assert after(ROW, RESULT, FINAL - timedelta(seconds=1), FINAL + timedelta(seconds=5)).state is State.PROVISIONAL


def test_provisional_counts_as_settled_only_while_the_session_lasts():
    row = after(ROW, RESULT, EVENING)
    ledger = {(OHLC_DAILY, SESSION): row}
    assert is_settled(ledger, SCHEDULE, OHLC_DAILY, SESSION, EVENING)
    assert not is_settled(ledger, SCHEDULE, OHLC_DAILY, SESSION, FINAL)


def test_less_than_expected_is_never_completed():
    row = after(ROW, msgspec.structs.replace(RESULT, got=9, whole=False, missing=("A",)), FINAL)
    assert (row.state, row.missing) == (State.FAILED, ("A",))
    assert due(row, FINAL)


def test_a_failure_keeps_what_stands_and_names_what_is_missing():
    stood = after(ROW, RESULT, EVENING)
    row = failed(started(stood, FINAL, "0.1"), IncompleteData("3 of 10", expected=10, got=3, missing=[f"T{n}" for n in range(99)]), FINAL)
    assert (row.state, row.expected, row.got, row.error) == (State.FAILED, 10, 3, "3 of 10")
    assert row.checksum == "c"
    assert len(row.missing) == 50
    again = failed(started(row, FINAL, "0.1"), VendorUnavailable("down"), FINAL)
    assert (again.got, again.missing, again.error) == (3, row.missing, "down")


def test_a_forgotten_partition_is_due():
    row = forgotten(after(ROW, RESULT, FINAL), "gone")
    assert (row.state, row.error) == (State.PENDING, "gone")
    assert due(row, FINAL)


def complete_ledger():
    rows = [LedgerRow(dataset=name, session=SESSION, state=State.COMPLETED, checksum=name) for name in (TICKERS, SPLITS)]
    rows += [
        LedgerRow(dataset=OHLC_DAILY, session=day, state=State.COMPLETED, checksum="d") for day in SCHEDULE.before(OHLC_DAILY, SESSION)
    ]
    return {(row.dataset, row.session): row for row in rows}


@pytest.mark.parametrize("dataset", [TICKERS, SPLITS, OHLC_DAILY])
def test_baselines_are_due_again_when_what_they_were_made_from_changes(dataset):
    ledger = complete_ledger()
    inputs = inputs_of(ledger, SCHEDULE, BASELINES, SESSION)
    ledger[BASELINES, SESSION] = LedgerRow(dataset=BASELINES, session=SESSION, state=State.COMPLETED, inputs=inputs, checksum="b")
    assert not is_due(ledger, SCHEDULE, BASELINES, SESSION, FINAL)
    key = next(key for key in ledger if key[0] == dataset)
    ledger[key] = msgspec.structs.replace(ledger[key], checksum="another")
    assert is_due(ledger, SCHEDULE, BASELINES, SESSION, FINAL)


def test_the_bus_is_due_again_when_the_baselines_change():
    base = LedgerRow(dataset=BASELINES, session=SESSION, state=State.PROVISIONAL, checksum="b")
    ledger = {(BASELINES, SESSION): base}
    inputs = inputs_of(ledger, SCHEDULE, REDIS_SYNC, SESSION)
    ledger[REDIS_SYNC, SESSION] = LedgerRow(dataset=REDIS_SYNC, session=SESSION, state=State.COMPLETED, inputs=inputs)
    assert not is_due(ledger, SCHEDULE, REDIS_SYNC, SESSION, FINAL)
    ledger[BASELINES, SESSION] = msgspec.structs.replace(base, checksum="b2")
    assert is_due(ledger, SCHEDULE, REDIS_SYNC, SESSION, FINAL)


def test_in_progress_is_never_what_a_rule_returns():
    rows = [started(ROW, EVENING, "0.1"), after(ROW, RESULT, FINAL), failed(ROW, VendorUnavailable(""), FINAL), forgotten(ROW, "")]
    assert State.IN_PROGRESS not in {row.state for row in rows}
