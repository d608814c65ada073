import numpy as np
import polars as pl
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from tradeul.analytics.atr import BARS, average_true_range, last_available


def market(seed, tickers, sessions, silent=0.0):
    """Random daily bars; NaN where a ticker did not trade."""
    random = np.random.default_rng(seed)
    close = 50 * np.exp(np.cumsum(random.normal(0, 0.03, (tickers, sessions)), axis=1))
    high = close * (1 + random.random((tickers, sessions)) * 0.05)
    low = close * (1 - random.random((tickers, sessions)) * 0.05)
    gone = random.random((tickers, sessions)) < silent
    return [np.where(gone, np.nan, values) for values in (high, low, close)]


def by_talib(high, low, close):
    have = ~np.isnan(close)
    bars = [values[have][-BARS:] for values in (high, low, close)]
    return talib.ATR(*bars, timeperiod=14)[-1] if len(bars[0]) > 14 else np.nan


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 130), st.floats(0, 0.95))
def test_atr_is_ta_libs_for_any_gaps(seed, sessions, silent):
    bars = market(seed, 6, sessions, silent)
    expected = [by_talib(*(values[row] for values in bars)) for row in range(6)]
    np.testing.assert_allclose(average_true_range(*bars), expected, rtol=1e-12)


@pytest.mark.parametrize(("bars", "known"), [(14, False), (15, True)])
def test_the_first_value_stands_at_index_14(bars, known):
    assert (~np.isnan(average_true_range(*market(1, 3, bars)))).all() == known


# The whole market of one quarter (62 sessions), and 306 tickers over 205 sessions: more than the hundred bars that count.
@pytest.mark.parametrize(("file", "names", "known"), [
    ("bars/us_daily_wholemarket_2017-01-03_2017-03-31.parquet", ("symbol", "date", "high", "low", "close"), 6_000),
    ("polygon/aggs_range_1day_2023-08-25_2024-06-18.parquet", ("ticker", "t", "h", "l", "c"), 250),
])  # fmt: skip
def test_atr_is_ta_libs_on_real_bars(shared_data, file, names, known):
    rows = pl.read_parquet(shared_data / file, columns=list(names)).drop_nulls()
    symbols, days = rows[names[0]].unique().sort(), rows[names[1]].unique().sort()
    row, column = symbols.search_sorted(rows[names[0]]).to_numpy(), days.search_sorted(rows[names[1]]).to_numpy()
    bars = []
    for name in names[2:]:
        matrix = np.full((len(symbols), len(days)), np.nan)
        matrix[row, column] = rows[name].to_numpy()
        bars.append(matrix)
    expected = [by_talib(*(values[place] for values in bars)) for place in range(len(symbols))]
    assert np.count_nonzero(~np.isnan(expected)) > known
    np.testing.assert_allclose(average_true_range(*bars), expected, rtol=1e-11)


def test_atr_is_skenders_from_its_first_value_at_index_14(shared_data):
    rows = pl.read_csv(shared_data / "reference" / "skender_atr14_502bars.csv")
    bars = [rows[name].to_numpy() for name in ("high", "low", "close")]
    got = [average_true_range(*(values[None, : index + 1] for values in bars))[0] for index in range(BARS)]
    published = rows["atr14"].cast(pl.Float64).to_numpy()[:BARS]
    assert np.flatnonzero(~np.isnan(published))[0] == 14
    np.testing.assert_allclose(got, published, rtol=1e-11)


@pytest.mark.parametrize(("file", "period", "digits"), [("untest.txt", 5, 3), ("atoz.txt", 4, 4)])
def test_tulips_atr_is_ours_one_bar_earlier(shared_data, monkeypatch, file, period, digits):
    """Tulip seeds at index period - 1: its first true range is that bar's high - low, ours needs a close before."""
    monkeypatch.setattr("tradeul.analytics.atr.PERIOD", period)
    lines = (shared_data / "reference" / "tulipindicators_tests" / file).read_text().splitlines()
    vectors = [line for line in lines[lines.index(f"atr {period}") + 1 :] if line.startswith("{")][:4]
    high, low, close, published = (np.array([float(number) for number in line.strip("{}").split(",")]) for line in vectors)
    middle = (high[0] + low[0]) / 2  # a bar before the first that widens no range
    bars = [np.concatenate(([middle], values)) for values in (high, low, close)]
    got = [average_true_range(*(values[None, : index + 2] for values in bars))[0] for index in range(len(high))]
    np.testing.assert_allclose(got, [*[np.nan] * (period - 1), *published], atol=0.51 * 10**-digits, rtol=0)


def test_a_ticker_alone_equals_the_ticker_among_all():
    bars = market(5, 20, 120, 0.3)
    alone = [average_true_range(*(values[row : row + 1] for values in bars))[0] for row in range(20)]
    np.testing.assert_array_equal(average_true_range(*bars), alone)


def test_no_sessions_no_value():
    assert np.isnan(average_true_range(*(np.empty((3, 0)) for _ in range(3)))).all()


def test_last_available_picks_the_newest():
    columns, totals = last_available(np.array([[True, False, True, True], [False, False, False, True], [False] * 4]), 2)
    assert columns[0].tolist() == [2, 3]
    assert columns[1, 0] == 3
    assert totals.tolist() == [2, 1, 0]
