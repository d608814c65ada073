import statistics
from datetime import date

import numpy as np
import polars as pl
import pytest
import talib

from tradeul.analytics.baselines import Baselines
from tradeul.maintenance.service import Windows
from tradeul.maintenance.tasks.baselines import mean_since_first, moving_average, restricted_before, rows_of, year_levels
from tradeul.market_calendar import nyse
from tradeul.records.tickers import Split, Tenure

CALENDAR = nyse()
SESSION = date(2026, 3, 9)
YESTERDAY = date(2026, 3, 6)
BEFORE = date(2026, 3, 5)
RVOL_SESSIONS = CALENDAR.before(SESSION, 5)


async def made(house):
    assert (await house.service.reconcile()).success
    baselines = Baselines.from_arrow(await house.bus.get_baselines(SESSION))
    assert baselines.to_frame().equals(house.lake.read("baselines", SESSION))
    return baselines


def slot_volumes(house, symbol, session):
    volumes = np.zeros(192)
    for bar in house.market.minutes(symbol, session):
        volumes[bar[0] // 5] += bar[5]
    return volumes


async def test_no_number_of_a_reused_ticker_comes_from_the_issuer_before(house):
    sessions = CALENDAR.before(SESSION, 24)
    house.market.delisted_list = [Tenure(symbol="T002", name="Earlier Inc", until=sessions[-5])]
    baselines = await made(house)
    got = baselines.table.filter(symbol="T002").row(0, named=True)
    own = [house.market._day("T002", session) for session in sessions[-4:]]
    assert (got["atr"], got["sma20"], got["high_52w"], got["sessions"]) == (None, None, None, 4)
    assert got["avg_volume_20d"] == pytest.approx(statistics.fmean(bar.volume for bar in own))
    assert got["prev_close"] == own[-1].close
    slots = [slot_volumes(house, "T002", session) for session in sessions[-4:]]
    np.testing.assert_allclose(baselines.cumulative[2], np.cumsum(np.mean(slots, axis=0)), rtol=1e-9)
    assert baselines.table.filter(symbol="T003").row(0, named=True)["atr"] is not None


async def test_every_number_is_its_definition(house):
    house.market.silent = {RVOL_SESSIONS[0]: {"T001"}, RVOL_SESSIONS[2]: {"T001", "T002"}}
    baselines = await made(house)
    assert (baselines.session, baselines.complete, baselines.rvol_sessions) == (SESSION, True, 5)
    assert baselines.table["symbol"].to_list() == house.market.symbols
    for row, symbol in enumerate(house.market.symbols):
        days = [slot_volumes(house, symbol, session) for session in RVOL_SESSIONS]
        first = next(place for place, volumes in enumerate(days) if volumes.any())
        logs = np.log1p(days[first:])
        assert baselines.table["sessions"][row] == len(logs)
        np.testing.assert_allclose(baselines.cumulative[row], np.cumsum(np.mean(days[first:], axis=0)), rtol=1e-9)
        np.testing.assert_allclose(baselines.log_mean[row], logs.mean(axis=0), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(baselines.log_sd[row], logs.std(axis=0, ddof=1), rtol=1e-9, atol=1e-12)

        bars = [bar for session in CALENDAR.before(SESSION, 24) if (bar := house.market._day(symbol, session))]
        atr = talib.ATR(*(np.array([getattr(bar, name) for bar in bars]) for name in ("high", "low", "close")))[-1]
        recent = [house.market._day(symbol, session) for session in CALENDAR.before(SESSION, 20)]
        volumes = [bar.volume if bar else 0 for bar in recent]
        dollars = [bar.close * bar.volume if bar else 0 for bar in recent]
        got = baselines.table.row(row, named=True)
        assert got["atr"] == pytest.approx(atr, rel=1e-12)
        assert got["prev_close"] == got["prev_close_raw"] == bars[-1].close
        assert got["avg_volume_20d"] == pytest.approx(statistics.fmean(volumes))
        assert got["avg_dollar_volume_20d"] == pytest.approx(statistics.fmean(dollars))
        assert got["sma20"] == pytest.approx(statistics.fmean(bar.close for bar in bars[-20:]))
        assert (got["sma50"], got["high_52w"]) == (None, None)  # 24 sessions are no fifty, and no year
        assert got["list_date"] == date(2020, 1, 2)
        assert (got["name"], got["kind"], got["exchange"], got["corp_action"]) == (f"{symbol} Inc", "CS", "XNAS", None)


async def test_a_split_leaves_the_session_in_its_own_shares_and_dollars(make_house):
    house, twin = await make_house(), await make_house()
    house.market.split_list = [Split("T001", BEFORE, 8, 1), Split("T002", SESSION, 1, 10)]
    split, plain = await made(house), await made(twin)
    rows = split.table.select("symbol", "atr", "prev_close", "prev_close_raw", "avg_volume_20d", "avg_dollar_volume_20d", "corp_action")
    other = plain.table
    ten = rows.row(2, named=True)
    assert ten["corp_action"] == "10:1 split"
    assert ten["prev_close"] == pytest.approx(ten["prev_close_raw"] / 10)
    assert ten["atr"] == pytest.approx(other["atr"][2] / 10)
    assert ten["avg_volume_20d"] == pytest.approx(other["avg_volume_20d"][2] * 10)
    assert ten["avg_dollar_volume_20d"] == pytest.approx(other["avg_dollar_volume_20d"][2])
    np.testing.assert_allclose(split.cumulative[2], plain.cumulative[2] * 10)
    eight = rows.row(1, named=True)
    assert eight["corp_action"] is None
    assert eight["prev_close"] == eight["prev_close_raw"]
    assert split.cumulative[1, 191] == pytest.approx(
        np.mean([slot_volumes(house, "T001", day).sum() / (8 if day < BEFORE else 1) for day in RVOL_SESSIONS])
    )


async def test_no_trade_in_the_last_session_no_previous_close(house):
    house.market.silent = {YESTERDAY: {"T003"}}
    table = (await made(house)).table
    assert table.row(3, named=True)["prev_close"] is None
    assert table.row(3, named=True)["prev_close_raw"] is None
    assert table["prev_close"].null_count() == 1
    assert table.row(3, named=True)["atr"] is not None


async def test_a_new_ticker_has_what_its_sessions_allow(house):
    for session in CALENDAR.before(SESSION, 24)[:-10]:
        house.market.silent[session] = {"T005"}
    for session in CALENDAR.before(SESSION, 24)[:-1]:
        house.market.silent[session] = house.market.silent.get(session, set()) | {"T006"}
    for session in CALENDAR.before(SESSION, 24):
        house.market.silent[session] = house.market.silent.get(session, set()) | {"T007"}
    baselines = await made(house)
    ten, one, none = (baselines.table.row(row, named=True) for row in (5, 6, 7))
    assert (ten["atr"], ten["sessions"]) == (None, 5)
    assert ten["avg_volume_20d"] == pytest.approx(
        statistics.fmean(house.market._day("T005", session).volume for session in CALENDAR.before(SESSION, 10))
    )
    assert one["sessions"] == 1
    assert np.isfinite(baselines.cumulative[6]).all() and np.isnan(baselines.log_sd[6]).all()
    assert (none["sessions"], none["avg_volume_20d"], none["prev_close"]) == (0, None, None)
    assert np.isnan(baselines.cumulative[7]).all()


async def test_early_closes_are_left_out_of_the_slot_averages(make_house):
    christmas = date(2025, 12, 26)
    house = await make_house(now=CALENDAR.hours(christmas).open_at, windows=Windows(10, 8, 5))
    assert (await house.service.reconcile()).success
    baselines = Baselines.from_arrow(await house.bus.get_baselines(christmas))
    full_length = [day for day in CALENDAR.before(christmas, 8) if day != date(2025, 12, 24)][-5:]
    expected = np.mean([slot_volumes(house, "T001", day) for day in full_length], axis=0).cumsum()
    np.testing.assert_allclose(baselines.cumulative[1], expected)


async def test_a_ticker_that_traded_but_is_not_listed_has_a_row(house):
    listed = house.market.symbols
    house.market.symbols = listed[:39]
    assert (await house.service.reconcile()).success
    house.market.symbols = listed
    house.catalog.note([])
    house.lake.write("ohlc_daily", YESTERDAY, (await other_day(house, listed)), "")
    row = house.row("ohlc_daily", YESTERDAY)
    house.catalog.note([type(row)(**{f: getattr(row, f) for f in row.__struct_fields__} | {"checksum": "changed"})])
    assert (await house.service.reconcile()).success
    table = Baselines.from_arrow(await house.bus.get_baselines(SESSION)).table
    assert table["symbol"].to_list() == listed
    assert table.row(39, named=True)["kind"] is None


async def other_day(house, listed):
    from tradeul.maintenance.tasks.ohlc_daily import frame_of

    return frame_of([house.market._day(symbol, YESTERDAY) for symbol in listed])


def test_means_count_from_the_first_session_with_a_trade():
    nan = np.nan
    values = np.array([[nan, nan, 4.0, nan], [1.0, 2.0, 3.0, 4.0], [nan] * 4, [nan, nan, nan, 8.0]])
    np.testing.assert_array_equal(mean_since_first(values), [2.0, 2.5, nan, 8.0])
    assert np.isnan(mean_since_first(np.empty((2, 0)))).all()


def test_a_years_levels_need_a_year_and_averages_count_only_closes_that_were():
    close = np.array([[np.nan, 1, 2, np.nan, 6], [np.nan] * 5])
    assert moving_average(close, 2).tolist()[0] == 4
    assert moving_average(close, 3).tolist()[0] == 3
    assert np.isnan(moving_average(close, 4)).all() and np.isnan(moving_average(close, 1)[1])
    year = np.tile(np.array([[np.nan, 1.0, 3.0, 2.0, np.nan]]), 50)
    high, low = year_levels(year, year - 0.5)
    assert (high[0], low[0]) == (3, 0.5)
    assert np.isnan(year_levels(year[:, 1:], year[:, 1:])).all()


def test_a_restriction_comes_from_the_last_session_and_the_close_before_it():
    low = np.array([[9.0, 8.9], [9.0, 9.1], [np.nan, 8.0], [9.0, np.nan], [np.nan, np.nan], [8.0, 9.5]])
    close = np.array([[10.0, 9.5], [10.0, 9.5], [np.nan, 9.0], [10.0, np.nan], [np.nan, np.nan], [10.0, 9.9]])
    # Fell; did not; has no close before; did not trade; never traded; fell in the session before the last only.
    np.testing.assert_array_equal(restricted_before(low, close), [1, 0, np.nan, 0, np.nan, 0])
    np.testing.assert_array_equal(restricted_before(low[:, :1], close[:, :1]), [np.nan] * 6)


def test_a_symbol_has_the_row_of_the_index_or_none():
    index = pl.DataFrame({"symbol": ["A", "B", "C"], "row": [0, 1, 2]})
    assert rows_of(pl.Series(["B", "B", "X", "A", "B"]), index).tolist() == [1, 1, -1, 0, 1]
    assert rows_of(pl.Series([], dtype=pl.String), index).tolist() == []
