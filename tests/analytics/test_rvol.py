"""Relative volume against a slow reference, written from CONTRACT.md's text and sharing nothing with the product."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradeul.analytics import rvol
from tradeul.analytics.baselines import SLOTS

AUCTIONS = {66, 144}  # 09:30 and 16:00
NINE_THIRTY = 5.5 * 3600
CLOSE = 12 * 3600


def reference_expected(cumulative, seconds):
    """E(t) = C(s-1) + g (C(s) - C(s-1)), g = f, sqrt(f) in the slots of 09:30 and the close."""
    if seconds < 0:
        return 0.0
    slot = int(seconds // 300)
    if slot >= 192:
        return cumulative[191]
    before = cumulative[slot - 1] if slot > 0 else 0.0
    gone = (seconds - 300 * slot) / 300
    if 300 * slot in (NINE_THIRTY, CLOSE):
        gone = math.sqrt(gone)
    return before + gone * (cumulative[slot] - before)


def profiles(tickers=4, seed=3):
    draw = np.random.default_rng(seed)
    slots = draw.lognormal(5, 2, (tickers, SLOTS)) * (draw.random((tickers, SLOTS)) < 0.7)
    return np.cumsum(slots, axis=1)


CUMULATIVE = profiles()
# 12:00 on an early close, 20:00 and past it, both auctions from their first second to their last
MOMENTS = [0, 1, 299.5, 300, 5000, NINE_THIRTY - 1, NINE_THIRTY, NINE_THIRTY + 60, NINE_THIRTY + 299, NINE_THIRTY + 300]
MOMENTS += [CLOSE - 1, CLOSE, CLOSE + 0.25, CLOSE + 75, CLOSE + 300, 57_599, 57_600, 60_000, -5]


@pytest.mark.parametrize("seconds", MOMENTS)
def test_expected_volume_is_the_contracts_formula(seconds):
    want = [reference_expected(row, seconds) for row in CUMULATIVE]
    np.testing.assert_allclose(rvol.expected_volume(CUMULATIVE, seconds, AUCTIONS), want, rtol=1e-12)


@settings(deadline=None)
@given(st.floats(-600, 60_000))
def test_expected_volume_is_the_contracts_formula_at_any_instant(seconds):
    want = [reference_expected(row, seconds) for row in CUMULATIVE]
    np.testing.assert_allclose(rvol.expected_volume(CUMULATIVE, seconds, AUCTIONS), want, rtol=1e-9)


@settings(deadline=None)
@given(st.floats(0, 57_600), st.floats(0, 57_600))
def test_expected_volume_never_falls(one, other):
    early, late = (rvol.expected_volume(CUMULATIVE, seconds, AUCTIONS) for seconds in sorted((one, other)))
    assert (late >= early * (1 - 1e-12)).all()


def test_an_auction_is_expected_at_once():
    auction, plain = np.zeros((1, SLOTS)), np.zeros((1, SLOTS))
    auction[:, 66:] = 9_000
    plain[:, 67:] = 9_000
    assert rvol.expected_volume(auction, NINE_THIRTY + 300 / 9, AUCTIONS) == pytest.approx(3_000)
    assert rvol.expected_volume(plain, NINE_THIRTY + 300 + 300 / 9, AUCTIONS) == pytest.approx(1_000)


def test_an_early_close_has_its_auction_at_13_00():
    cumulative = np.zeros((1, SLOTS))
    cumulative[:, 108:] = 9_000
    assert rvol.expected_volume(cumulative, 9 * 3600 + 300 / 9, {66, 108}) == pytest.approx(3_000)


def test_what_is_not_known_stays_unknown():
    unknown = np.full((1, SLOTS), np.nan)
    for seconds in (-1, 0, 100, 57_600):
        assert np.isnan(rvol.expected_volume(unknown, seconds, AUCTIONS)).all()


def test_rvol_is_null_where_nothing_is_expected():
    got = rvol.relative_volume(np.array([500.0, 500.0, 500.0, np.nan]), np.array([250.0, 0.0, np.nan, 1.0]))
    np.testing.assert_array_equal(got, [2.0, np.nan, np.nan, np.nan])


def test_rvol_5m_needs_200_expected_shares():
    got = rvol.relative_volume_5m(np.array([400.0] * 4), np.array([1_200.0, 1_199.9, np.nan, 5.0]), np.array([1_000.0, 1_000.0, 0.0, 9.0]))
    np.testing.assert_array_equal(got, [2.0, np.nan, np.nan, np.nan])


@pytest.mark.parametrize(("slot", "want"), [(0, [0]), (1, [0, 1]), (66, [65, 66]), (191, [190, 191]), (192, [191])])
def test_five_minutes_are_judged_by_the_slots_they_lie_in(slot, want):
    assert rvol.judging_slots(np.arange(SLOTS, dtype=float)[None, :], slot)[0].tolist() == want


def test_slot_log_z_is_the_contracts_formula():
    """By the slot with the larger mean; sd at least 0.25; null below five sessions."""
    volume, sessions = np.full(6, 1_000.0), np.array([20.0, 20, 20, 4, np.nan, 20])
    mean = np.array([[5.0, 6.0], [6.0, 5.0], [5.0, 5.0], [5.0, 6.0], [5.0, 6.0], [np.nan, np.nan]])
    deviation = np.array([[0.5, 0.8], [0.5, 0.8], [0.1, 0.1], [0.5, 0.8], [0.5, 0.8], [1.0, 1.0]])
    log = math.log(1_001)
    want = [(log - 6) / 0.8, (log - 6) / 0.5, (log - 5) / 0.25, np.nan, np.nan, np.nan]
    np.testing.assert_allclose(rvol.slot_log_z(volume, mean, deviation, sessions), want, rtol=1e-12)


def test_the_one_slot_that_is_known_judges():
    mean = np.array([[np.nan, 3.0], [3.0, np.nan]])
    got = rvol.slot_log_z(np.zeros(2), mean, np.ones((2, 2)), np.full(2, 20.0))
    np.testing.assert_array_equal(got, [-3.0, -3.0])


@pytest.mark.parametrize(
    ("expected", "sessions", "want"),
    [
        (1_000, 5, "ready"),
        (999, 5, "thin"),
        (1_000, 4, "thin"),
        (0, 20, "thin"),
        (math.nan, 20, "none"),
        (5_000, 0, "none"),
        (9, math.nan, "none"),
    ],
)
def test_a_baseline_says_how_far_it_can_be_trusted(expected, sessions, want):
    code = rvol.quality(np.array([expected], dtype=float), np.array([sessions], dtype=float))[0]
    assert rvol.QUALITIES[int(code)] == want
