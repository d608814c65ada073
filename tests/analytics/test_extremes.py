import numpy as np
import pytest

from tradeul.analytics.extremes import fell_ten_percent, gap_state, vwap_side

NAN = np.nan


@pytest.mark.parametrize(
    ("price", "atr", "side"), [(100.2, 1.0, 1), (100.05, 1.0, 0), (99.8, 1.0, -1), (100.4, NAN, 0), (100.6, NAN, 1), (NAN, 1.0, 0)]
)
def test_a_side_of_vwap_counts_beyond_its_margin(price, atr, side):
    assert vwap_side(np.array([price]), np.array([100.0]), np.array([atr]))[0] == side


@pytest.mark.parametrize(
    ("price", "opens", "prev", "lowest", "highest", "state"),
    [
        (105, 104, 100, 103, 106, 1),  # up, beyond its open
        (103, 104, 100, 103, 106, 2),  # up, falling back
        (105, 104, 100, 100, 106, 0),  # up, was back once: stays filled
        (95, 96, 100, 94, 97, 1),
        (97, 96, 100, 94, 97, 2),
        (96, 96, 100, 94, 101, 0),
        (100, 100, 100, 100, 100, 0),
        (105, NAN, 100, NAN, NAN, NAN),
        (105, 104, NAN, 103, 106, NAN),
    ],
)
def test_a_gap_is_filled_for_good_holding_or_fading(price, opens, prev, lowest, highest, state):
    got = gap_state(*(np.array([float(x)]) for x in (price, opens, prev, lowest, highest)))
    assert got == pytest.approx([state], nan_ok=True)


def test_a_fall_of_ten_percent_counts_from_the_cent():
    lows, closes = np.array([9.0, 9.01, NAN, 9.0]), np.array([10.0, 10.0, 10.0, NAN])
    np.testing.assert_array_equal(fell_ten_percent(lows, closes), [1, 0, NAN, NAN])
