from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradeul.analytics.atr import average_true_range
from tradeul.analytics.slots import profile
from tradeul.analytics.splits import corporate_actions, factors
from tradeul.records.tickers import Split

START = date(2026, 1, 5)
SESSIONS = [START + timedelta(days=day) for day in range(40)]
TEN_FOR_ONE = (1, 10)
ONE_FOR_EIGHT = (8, 1)


def test_earlier_bars_are_adjusted_and_later_ones_are_not():
    splits = [Split("A", SESSIONS[2], *TEN_FOR_ONE), Split("B", SESSIONS[1], *ONE_FOR_EIGHT)]
    assert factors(["A", "B", "C"], SESSIONS[:4], splits, SESSIONS[3]).tolist() == [[0.1, 0.1, 1, 1], [8, 1, 1, 1], [1, 1, 1, 1]]


def test_a_split_after_the_session_served_is_not_yet_applied():
    splits = [Split("A", SESSIONS[3], *TEN_FOR_ONE)]
    assert factors(["A"], SESSIONS[:3], splits, SESSIONS[2]).tolist() == [[1, 1, 1]]
    assert factors(["A"], SESSIONS[:3], splits, SESSIONS[3]).tolist() == [[0.1, 0.1, 0.1]]


split = st.builds(Split, st.just("A"), st.sampled_from(SESSIONS), st.integers(1, 20), st.integers(1, 20))


@given(st.lists(split, max_size=4), st.sampled_from(SESSIONS), st.sampled_from(SESSIONS))
def test_factors_chain(splits, one, other):
    """Serving a later session multiplies by the splits between."""
    early, late = sorted((one, other))
    between = np.prod([split.split_from / split.split_to for split in splits if early < split.session <= late])
    at = SESSIONS.index(early) + 1
    np.testing.assert_allclose(
        factors(["A"], SESSIONS[:at], splits, late), factors(["A"], SESSIONS[:at], splits, early) * between, rtol=1e-12
    )


@pytest.mark.parametrize("ratio", [TEN_FOR_ONE, ONE_FOR_EIGHT])
def test_a_split_leaves_no_jump_in_atr_or_cumulative_means(ratio):
    """The ticker that split and its twin that did not have the same figures, in the session's shares and dollars."""
    random = np.random.default_rng(3)
    close = 80 * np.exp(np.cumsum(random.normal(0, 0.02, (1, 40)), axis=1))
    bars = [close * 1.02, close * 0.97, close]
    f = factors(["A"], SESSIONS, [Split("A", SESSIONS[30], *ratio)], SESSIONS[-1] + timedelta(days=1))
    raw = [values / f for values in bars]
    np.testing.assert_allclose(average_true_range(*(values * f for values in raw)), average_true_range(*bars), rtol=1e-9)

    slots, volume = np.arange(192), random.integers(1, 10**6, (40, 192)).astype(float)
    rows = np.zeros(192, dtype=np.int64)
    twin = profile(1, [(rows, slots, volume[day]) for day in range(20, 40)])
    split = profile(1, [(rows, slots, (volume[day] * f[0, day]) / f[0, day]) for day in range(20, 40)])
    np.testing.assert_allclose(split.cumulative, twin.cumulative, rtol=1e-12)


def test_the_session_served_names_its_splits():
    served, previous = SESSIONS[5], SESSIONS[4]
    splits = [Split("A", served, *ONE_FOR_EIGHT), Split("B", served, *TEN_FOR_ONE), Split("C", previous, 1, 2), Split("D", served, 2, 3)]
    assert corporate_actions(splits, previous, served) == {"A": "1:8 split", "B": "10:1 split", "D": "3:2 split"}


def test_a_split_of_a_weekend_counts_with_the_next_session():
    friday, saturday, monday = date(2026, 1, 9), date(2026, 1, 10), date(2026, 1, 12)
    splits = [Split("A", saturday, *ONE_FOR_EIGHT)]
    assert corporate_actions(splits, friday, monday) == {"A": "1:8 split"}
    assert factors(["A"], [friday, monday], splits, monday).tolist() == [[8, 1]]
