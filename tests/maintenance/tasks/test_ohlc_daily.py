import math
from datetime import date

import msgspec
import pytest

from tests.maintenance.conftest import CALENDAR
from tradeul.maintenance.datasets import Windows
from tradeul.maintenance.tasks.ohlc_daily import expectation, sift
from tradeul.records.bars import DailyBar
from tradeul.records.partitions import LedgerRow, State
from tradeul.records.runs import RunOptions
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
