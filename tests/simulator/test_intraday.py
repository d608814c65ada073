import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tradeul.simulator.curves import MINUTE_CURVES, SECOND_CURVES
from tradeul.simulator.hashing import key
from tradeul.simulator.intraday import Blocked, Parents, on_grid, subdivide


@st.composite
def parent_bars(draw):
    """Bars that a section or a minute could have: prices on the grid, volume >= trades >= 1."""
    rows = []
    for _ in range(draw(st.integers(1, 12))):
        low = draw(st.integers(100, 3_000_000))
        high = low + draw(st.integers(0, low))
        trades = draw(st.integers(1, 5_000))
        start, end = (low + int((high - low) * draw(st.floats(0, 1))) for _ in range(2))
        if trades == 1:
            start = end
        if trades < 4:
            low, high = min(start, end), max(start, end)
        rows.append([*on_grid(np.array([start, high, low, end], float)), trades + draw(st.integers(0, 10**6)), trades])
    columns = np.array(rows, np.int64).T
    number = np.arange(len(rows))
    trades = columns[5]
    draws = np.array([draw(st.integers(1, int(min(n, 900)))) for n in trades])
    return Parents(*columns, key(draw(st.integers(0, 99)), 1, number, 5), number % 3, draws)


@settings(max_examples=60, deadline=None)
@given(parent_bars(), st.sampled_from([MINUTE_CURVES, SECOND_CURVES]))
def test_children_add_up_to_their_parents(parents, curves):
    children = subdivide(parents, curves, 5)
    parent = children.parent
    assert (np.diff(parent) >= 0).all()
    assert (np.diff(parent * 1000 + children.cell) > 0).all()
    count = len(parents.trades)
    assert (np.bincount(parent, children.volume, count) == parents.volume).all()
    assert (np.bincount(parent, children.trades, count) == parents.trades).all()
    heads = np.searchsorted(parent, np.arange(count))
    tails = np.append(heads[1:], len(parent)) - 1
    assert (children.open[heads] == parents.open).all()
    assert (children.close[tails] == parents.close).all()
    assert (np.maximum.reduceat(children.high, heads) == parents.high).all()
    assert (np.minimum.reduceat(children.low, heads) == parents.low).all()


@settings(max_examples=60, deadline=None)
@given(parent_bars())
def test_every_child_is_a_bar(parents):
    children = subdivide(parents, SECOND_CURVES, 6)
    assert (children.low <= np.minimum(children.open, children.close)).all()
    assert (children.high >= np.maximum(children.open, children.close)).all()
    assert (children.trades >= 1).all()
    assert (children.volume >= children.trades).all()
    for prices in (children.open, children.high, children.low, children.close):
        assert (on_grid(prices.astype(float)) == prices).all()


@settings(max_examples=40, deadline=None)
@given(parent_bars(), st.data())
def test_a_parent_alone_has_the_children_it_has_among_others(parents, data):
    place = data.draw(st.integers(0, len(parents.trades) - 1))
    together = subdivide(parents, MINUTE_CURVES, 5)
    alone = subdivide(parents.take(slice(place, place + 1)), MINUTE_CURVES, 5)
    mine = together.parent == place
    for name in ("cell", "open", "high", "low", "close", "volume", "trades"):
        assert (getattr(together, name)[mine] == getattr(alone, name)).all()


@settings(max_examples=30, deadline=None)
@given(parent_bars(), st.integers(0, 58), st.integers(1, 59))
def test_nothing_trades_in_a_halt(parents, first, length):
    blocked = Blocked(0, first, min(first + length, 60 if first else 59))
    children = subdivide(parents, SECOND_CURVES, 6, [blocked])
    cells = children.cell[children.parent == 0]
    assert not ((cells >= blocked.first) & (cells < blocked.last)).any()
    assert children.volume[children.parent == 0].sum() == parents.volume[0]
