import math
import statistics

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tradeul.analytics.baselines import SLOTS
from tradeul.analytics.slots import profile, sum_slots

TICKERS = 4
trade = st.tuples(st.integers(0, TICKERS - 1), st.sampled_from([0, 1, 65, 66, 191]), st.integers(0, 10**7))
a_session = st.lists(trade, max_size=8).map(lambda rows: {(ticker, slot): volume for ticker, slot, volume in rows})
some_sessions = st.lists(a_session, max_size=6)


def arrays(session):
    keys = sorted(session)
    rows, slots = np.array(keys, dtype=np.int64).reshape(-1, 2).T
    return rows, slots, np.array([session[key] for key in keys], dtype=float)


def fold(sessions):
    return profile(TICKERS, [arrays(session) for session in sessions])


def slowly(sessions, ticker):
    """The definition, word by word: cumulative means, log means, log deviations, number of sessions."""
    traded = [any(row == ticker for row, _ in session) for session in sessions]
    counted = sessions[traded.index(True) :] if any(traded) else []
    volumes = [[session.get((ticker, slot), 0) for session in counted] for slot in range(SLOTS)]
    if not counted:
        return [math.nan] * SLOTS, [math.nan] * SLOTS, [math.nan] * SLOTS, 0
    means = [sum(sum(volumes[before]) for before in range(slot + 1)) / len(counted) for slot in range(SLOTS)]
    logs = [[math.log1p(volume) for volume in volumes[slot]] for slot in range(SLOTS)]
    deviations = [statistics.stdev(values) if len(values) > 1 else math.nan for values in logs]
    return means, [statistics.fmean(values) for values in logs], deviations, len(counted)


@settings(max_examples=40, deadline=None)
@given(some_sessions)
def test_a_profile_is_its_definition(sessions):
    got = fold(sessions)
    for ticker in range(TICKERS):
        cumulative, log_mean, log_sd, counted = slowly(sessions, ticker)
        assert got.sessions[ticker] == counted
        np.testing.assert_allclose(got.cumulative[ticker], cumulative, rtol=1e-12)
        np.testing.assert_allclose(got.log_mean[ticker], log_mean, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(got.log_sd[ticker], log_sd, rtol=1e-9, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(some_sessions)
def test_a_ticker_alone_equals_the_ticker_among_all(sessions):
    everyone = fold(sessions)
    for ticker in range(TICKERS):
        alone = fold([{key: volume for key, volume in session.items() if key[0] == ticker} for session in sessions])
        np.testing.assert_array_equal(alone.cumulative[ticker], everyone.cumulative[ticker])
        np.testing.assert_array_equal(alone.log_sd[ticker], everyone.log_sd[ticker])


@settings(max_examples=40, deadline=None)
@given(some_sessions)
def test_a_session_without_a_trade_changes_only_the_divisor(sessions):
    before, after = fold(sessions), fold([*sessions, {}])
    known = before.sessions > 0
    assert (after.sessions == before.sessions + known).all()
    total = before.cumulative[known] * before.sessions[known, None]
    np.testing.assert_allclose(after.cumulative[known] * after.sessions[known, None], total, rtol=1e-12)
    assert np.isnan(after.cumulative[~known]).all()


@given(some_sessions)
def test_sessions_before_a_tickers_first_do_not_count(sessions):
    np.testing.assert_array_equal(fold([{}, {}, *sessions]).sessions, fold(sessions).sessions)


@given(some_sessions)
def test_cumulative_means_never_fall(sessions):
    got = fold(sessions).cumulative
    assert (np.diff(got[~np.isnan(got).any(axis=1)], axis=1) >= 0).all()


def test_the_same_volume_every_session_has_no_deviation():
    got = fold([{(0, 3): 12_345_678}] * 20)
    assert got.log_sd[0, 3] == 0
    assert got.cumulative[0, 3] == got.cumulative[0, 191] == 12_345_678


minute = st.tuples(st.integers(0, 5), st.integers(-3, 963), st.integers(0, 10**6), st.integers(1, 500))


@given(st.lists(minute, max_size=30))
def test_minutes_sum_to_the_slots_that_hold_them(minutes):
    start = 1_772_000_000_000
    codes, offsets, volume, trades = (np.array(column, dtype=np.int64) for column in (zip(*minutes, strict=True) if minutes else [[]] * 4))
    got = sum_slots(codes, start + offsets * 60_000, volume.astype(float), trades, start)
    expected = {}
    for code, offset, shares, count in minutes:
        if 0 <= offset < 960:
            before = expected.get((code, offset // 5), (0, 0))
            expected[code, offset // 5] = before[0] + shares, before[1] + count
    keys = zip(got.codes.tolist(), got.slots.tolist(), strict=True)
    assert dict(zip(keys, zip(got.volume.tolist(), got.trades.tolist(), strict=True), strict=True)) == expected
    assert got.outside == sum(not 0 <= offset < 960 for _, offset, _, _ in minutes)


def test_an_early_close_has_fewer_slots():
    got = sum_slots(np.array([0, 0]), np.array([0, 156 * 300_000]), np.array([5.0, 7.0]), np.array([1, 1]), 0, slots=156)
    assert got.slots.tolist() == [0]
    assert got.outside == 1
