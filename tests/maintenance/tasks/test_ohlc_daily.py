import gzip
import math
from datetime import date, timedelta

import msgspec
import pytest

from tests.maintenance.conftest import CALENDAR, WINDOWS
from tradeul.maintenance.datasets import Windows
from tradeul.maintenance.tasks.ohlc_daily import LISTED_BEFORE, expectation, reference_of, sift
from tradeul.market_calendar import nyse
from tradeul.providers.polygon.wire import decode_grouped_daily
from tradeul.records.bars import DailyBar
from tradeul.records.partitions import LedgerRow, State
from tradeul.records.runs import RunOptions
from tradeul.records.tickers import Ticker
from tradeul.settings import Settings
from tradeul.store.lake import canonical_checksum

SESSION = date(2026, 3, 9)
YESTERDAY = date(2026, 3, 6)
BAR = DailyBar("A", YESTERDAY, 10.0, 11.0, 9.0, 10.5, 1000.0)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"open": 12.0}, "outside"),
        ({"close": 8.0}, "outside"),
        ({"low": 12.0}, "outside"),
        ({"open": 0.0}, "not positive"),
        ({"high": math.inf}, "not positive"),
        ({"close": math.nan}, "not positive"),
        ({"volume": -1.0}, "volume"),
        ({"session": SESSION}, "of 2026-03-09"),
    ],
)
def test_a_row_that_cannot_be_right_is_set_aside_and_named(change, word):
    bad = msgspec.structs.replace(BAR, symbol="B", **change)
    good, faults = sift([BAR, bad], YESTERDAY)
    assert list(good) == ["A"]
    assert len(faults) == 1
    assert "B (" in faults[0] and word in faults[0]


def test_the_same_row_twice_is_one_and_a_different_one_is_a_fault():
    good, faults = sift([BAR, msgspec.structs.replace(BAR), msgspec.structs.replace(BAR, close=10.0)], YESTERDAY)
    assert good == {"A": BAR}
    assert faults == ["A (a second, different bar)"]


def rows(counts):
    days = CALENDAR.before(YESTERDAY, len(counts))
    made = [LedgerRow(dataset="ohlc_daily", session=day, state=State.COMPLETED, got=got) for day, got in zip(days, counts, strict=True)]
    return {(row.dataset, row.session): row for row in made}


def test_the_yardstick_is_the_median_of_the_nearest_sessions():
    assert expectation(rows([1] * 30 + [100] * 20), YESTERDAY) == (100, 80.0)
    assert expectation(rows([90, 100, 5000]), YESTERDAY) == (100, 80.0)


def test_before_there_is_a_median_three_quarters_of_what_is_listed_is_the_least():
    assert expectation({("tickers", SESSION): LedgerRow(dataset="tickers", session=SESSION, got=12_400)}, YESTERDAY) == (12_400, 9_300)


def test_a_reference_ticker_counts_where_it_was_listed():
    known, unknown, later = YESTERDAY - timedelta(days=5), None, YESTERDAY + timedelta(days=1)
    listed = {"KNOWN": known, "UNKNOWN": unknown, "LATER": later, "TODAY": YESTERDAY}
    assert reference_of(["KNOWN", "UNKNOWN", "LATER", "TODAY", "ELSEWHERE"], listed, SESSION, YESTERDAY) == ["KNOWN", "UNKNOWN", "TODAY"]
    long_ago = SESSION - LISTED_BEFORE
    assert reference_of(["UNKNOWN"], listed, SESSION, long_ago) == ["UNKNOWN"]
    assert reference_of(["UNKNOWN"], listed, SESSION, long_ago - timedelta(days=1)) == []


def test_the_real_day_has_every_reference_ticker(shared_data):
    session, symbols = date(2024, 6, 20), Settings.model_fields["reference_tickers"].default
    payload = gzip.decompress((shared_data / "polygon" / "grouped_daily_2024-06-20.response.json.gz").read_bytes())
    good, faults = sift(decode_grouped_daily(payload, session), session)
    assert (len(good), faults) == (10_575, [])
    assert len(symbols) == 15
    assert reference_of(symbols, dict.fromkeys(good), session, session) == list(symbols)


@pytest.fixture
async def judged(make_house):
    """T003 and T005 are reference tickers, and NONE, which nobody lists."""
    return await make_house(windows=msgspec.structs.replace(WINDOWS, reference_tickers=("NONE", "T003", "T005")))


async def test_a_session_without_a_listed_reference_ticker_fails_and_names_it(judged):
    judged.market.silent[YESTERDAY] = {"T003", "T004"}
    assert not (await judged.service.reconcile()).success
    row = judged.row("ohlc_daily", YESTERDAY)
    assert (row.state, row.expected, row.got, row.missing) == (State.FAILED, 40, 38, ("T003",))
    assert "without T003 of the reference tickers (TRADEUL_REFERENCE_TICKERS)" in row.error
    assert not judged.lake.has("ohlc_daily", YESTERDAY)
    judged.market.silent.clear()
    assert (await judged.service.reconcile()).success


async def test_a_reference_ticker_set_aside_is_missing_and_the_reason_is_named(judged):
    judged.market.extra_bars = [msgspec.structs.replace(BAR, symbol="T003", low=99.0)]
    judged.market.silent[YESTERDAY] = {"T003"}
    assert not (await judged.service.reconcile()).success
    error = judged.row("ohlc_daily", YESTERDAY).error
    assert "1 rows set aside: T003 (open 10.0 or close 10.5 outside 99.0-11.0)" in error


async def test_a_session_before_a_reference_ticker_was_listed_needs_no_bar_of_it(judged, monkeypatch):
    listed = [Ticker(symbol, list_date=YESTERDAY if symbol == "T003" else None) for symbol in judged.market.symbols]

    async def tickers():
        return listed

    monkeypatch.setattr(judged.market, "tickers", tickers)
    before = nyse().before(YESTERDAY, 24)
    judged.market.silent |= {session: {"T003"} for session in before}
    assert (await judged.service.reconcile()).success


async def test_without_a_list_of_tickers_no_reference_ticker_is_missed(judged):
    assert (await judged.service.reconcile()).success
    judged.market.silent[YESTERDAY] = {"T003"}
    judged.lake.path("tickers", SESSION).unlink()
    judged.lake.path("ohlc_daily", YESTERDAY).unlink()
    assert (await judged.service.reconcile(RunOptions(only="ohlc_daily"))).success


async def test_bars_of_another_session_are_none_of_this_one(house):
    """A vendor that answers with another day's bars."""
    grouped = house.market.grouped_daily

    async def late(session):
        return await grouped(nyse().previous(session) if session == YESTERDAY else session)

    house.market.grouped_daily = late
    assert not (await house.service.reconcile()).success
    row = house.row("ohlc_daily", YESTERDAY)
    assert (row.state, row.got) == (State.FAILED, 0)
    assert "40 rows set aside: T000 (of 2026-03-05)" in row.error


async def test_a_thin_session_fails_and_names_the_missing_by_dollar_volume(house):
    thin = CALENDAR.before(SESSION, 5)[0]
    house.market.silent[thin] = {"T007", *(f"T{number:03d}" for number in range(20, 40))}
    result = await house.service.reconcile()
    assert not result.success
    row = house.row("ohlc_daily", thin)
    assert (row.state, row.expected, row.got) == (State.FAILED, 40, 19)
    day = house.lake.read("ohlc_daily", CALENDAR.next(thin))  # the nearest that stands
    dollars = {symbol: close * volume for symbol, close, volume in day.select("symbol", "close", "volume").iter_rows()}
    assert list(row.missing) == sorted(row.missing, key=lambda symbol: -dollars[symbol])
    assert set(row.missing) == house.market.silent[thin]
    assert house.states("volume_slots").get(thin, State.PENDING) is State.PENDING, "slots are not judged by an incomplete day"

    house.market.silent.clear()
    house.market.calls.clear()
    assert (await house.service.reconcile()).success
    assert house.market.calls["grouped_daily", thin] == 1
    assert {name[0] for name in house.market.calls} == {"grouped_daily", "minute_file"}
    assert house.market.calls.total() == 2


async def test_an_empty_day_on_a_session_is_never_a_success(house):
    house.market.silent[YESTERDAY] = set(house.market.symbols)
    assert not (await house.service.reconcile()).success
    assert house.row("ohlc_daily", YESTERDAY).state is State.FAILED


async def test_one_bad_row_is_reported_and_the_others_land(house):
    house.market.extra_bars = [msgspec.structs.replace(BAR, symbol="BAD", low=99.0)]
    assert (await house.service.reconcile()).success
    row = house.row("ohlc_daily", YESTERDAY)
    assert row.state is State.COMPLETED
    assert "1 rows set aside: BAD (open 10.0 or close 10.5 outside 99.0-11.0)" in row.error
    assert "BAD" not in house.lake.read("ohlc_daily", YESTERDAY)["symbol"]


@pytest.mark.long
async def test_a_years_sessions_loaded_twice_are_the_same_and_none_is_asked_for_twice(make_house):
    house = await make_house(windows=Windows(260, 0, 20), tickers=12)
    sessions = CALENDAR.before(SESSION, 260)
    once = {("grouped_daily", session): 1 for session in sessions}
    assert (await house.service.reconcile()).success
    assert once.items() <= house.market.calls.items() and set(house.market.calls.values()) == {1}
    stood = {session: house.row("ohlc_daily", session).checksum for session in sessions}
    assert None not in stood.values()
    house.restart()
    assert (await house.service.reconcile()).completed == 0
    assert not house.market.calls
    assert (await house.service.reconcile(RunOptions(only="ohlc_daily", force=True))).success
    assert house.market.calls == once
    assert {session: house.row("ohlc_daily", session).checksum for session in sessions} == stood
    assert {canonical_checksum(house.lake.read("ohlc_daily", session)) for session in sessions} == set(stood.values())
