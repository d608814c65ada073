import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tradeul.analytics.quotes import spread_pct

numbers = st.floats(allow_nan=True, allow_infinity=False, width=32)


@given(st.lists(st.tuples(numbers, numbers, numbers, numbers), min_size=1))
def test_a_spread_is_never_negative_nor_more_than_twice_the_mid(rows):
    spread = spread_pct(*np.array(rows, np.float64).T)
    known = spread[~np.isnan(spread)]
    assert np.all(known >= 0) and np.all(known <= 200)


def test_a_spread_is_a_percentage_of_the_mid():
    assert spread_pct(np.array([9.9]), np.array([10.1]), np.array([5.0]), np.array([65.0])).round(9).tolist() == [2.0]
