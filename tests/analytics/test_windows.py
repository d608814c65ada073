import numpy as np
import pytest

from tradeul.analytics.windows import change_pct, is_seen, ratio, row_of, rows_at


def test_a_bar_belongs_to_the_row_in_which_it_ends():
    assert row_of(np.array([1, 5, 6, 10, 57_600])).tolist() == [1, 1, 2, 2, 11_520]


@pytest.mark.parametrize(("t", "rows"), [(0, (0, 0)), (4.9, (0, 1)), (5, (1, 1)), (7.5, (1, 2)), (-90.0, (0, 0))])
def test_at_an_instant_one_row_is_whole_and_the_next_one_runs(t, rows):
    assert rows_at(t) == rows


def test_nothing_is_divided_by_zero_or_the_unknown():
    got = change_pct(np.array([11.0, 11.0, np.nan, 11.0]), np.array([10.0, 0.0, 10.0, np.nan]))
    assert got == pytest.approx([10.0, np.nan, np.nan, np.nan], nan_ok=True)
    assert ratio(np.array([6.0, 6.0]), np.array([3.0, 0.0])) == pytest.approx([2.0, np.nan], nan_ok=True)


def test_a_window_is_seen_once_it_began_after_the_stream():
    assert is_seen(0, 1800, 0.0) and not is_seen(29, 60, 100.0) and is_seen(32, 60, 100.0)
