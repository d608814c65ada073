"""Bars into shorter bars that add up to them: a section of the day into minutes, a minute into seconds.

    parent  o h l c  volume trades            child   o h l c  volume trades
       |  where: stratified draws on the inverse of an activity curve, duplicates merged
       |  how much: cumulative rounding of heavy-tailed weights (whole shares, whole trades)
       v  price: a random bridge from o to c, stretched so that it touches h and l

Exact by construction: children's volumes and trades sum to the parent's, their
first open, last close, highest high and lowest low are the parent's. A child depends
on its parent and its parent's key only, so any subset of parents gives the same children.
Parents must have volume >= trades >= 1 and, where trades < 4, no excursion beyond o and c.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tradeul.simulator.hashing import Floats, Words, bell, mix, uniform, words

CURVE = 65_536  # entries of an inverse activity curve
CHUNK = 200_000  # candidates worked on at once: they stay in the processor's cache
MOST_BURST = 30.0


class Parents(msgspec.Struct, frozen=True):
    open: NDArray[Any]  # ticks
    high: NDArray[Any]
    low: NDArray[Any]
    close: NDArray[Any]
    volume: NDArray[Any]
    trades: NDArray[Any]
    keys: Words
    curve: NDArray[Any]  # which inverse activity curve
    draws: NDArray[Any]  # candidates, 1 <= draws <= trades

    def take(self, which: slice) -> "Parents":
        return Parents(**{name: getattr(self, name)[which] for name in self.__struct_fields__})


class Children(msgspec.Struct, frozen=True):
    parent: NDArray[np.int32]
    cell: NDArray[np.int32]
    open: NDArray[np.int32]
    high: NDArray[np.int32]
    low: NDArray[np.int32]
    close: NDArray[np.int32]
    volume: NDArray[np.int32]
    trades: NDArray[np.int32]


class Blocked(msgspec.Struct, frozen=True):
    """Cells first <= cell < last of a parent in which nothing trades."""

    parent: int
    first: int
    last: int


def inverse_curve(activity: Floats) -> NDArray[np.int16]:
    """Cell of each of CURVE equal steps of accumulated activity."""
    accumulated = np.cumsum(activity) / np.sum(activity)
    cells = np.searchsorted(accumulated, (np.arange(CURVE) + 0.5) / CURVE)
    return np.minimum(cells, len(activity) - 1).astype(np.int16)


def on_grid(ticks: Floats) -> Floats:
    """The nearest price that can trade: whole cents from one dollar up."""
    return np.where(ticks >= 9_999.5, np.rint(ticks / 100.0) * 100.0, np.rint(ticks))


def subdivide(parents: Parents, curves: NDArray[np.int16], burst_cells: int, blocked: Sequence[Blocked] = ()) -> Children:
    """Children ordered by (parent, cell). ``burst_cells``: how many neighbours share a burst of activity."""
    ends = np.cumsum(parents.draws)
    pieces, first, done = [], 0, 0
    while first < len(ends):
        last = max(int(np.searchsorted(ends, done + CHUNK, "right")), first + 1)
        inside = [Blocked(item.parent - first, item.first, item.last) for item in blocked if first <= item.parent < last]
        pieces.append(_subdivide(parents.take(slice(first, last)), curves, burst_cells, inside, first))
        first, done = last, int(ends[last - 1])
    if not pieces:
        none = np.zeros(0, np.int32)
        return Children(none, none, none, none, none, none, none, none)
    return Children(**{name: np.concatenate([getattr(piece, name) for piece in pieces]) for name in Children.__struct_fields__})


def _subdivide(parents: Parents, curves: NDArray[np.int16], burst_cells: int, blocked: Sequence[Blocked], base: int) -> Children:
    parent, cell, count, drawn = _places(parents, curves, blocked)
    amount = np.bincount(parent, minlength=len(parents.keys))
    heads = np.cumsum(amount) - amount
    rows = _Rows(parent, heads, amount)

    block = words(mix(parents.keys)[parent], cell // burst_cells)
    # Pareto, by square roots because those are exact: one block in twenty is four times as busy as usual, one in seventy ten times.
    chance = uniform(block, 3)
    burst = np.minimum(0.4 / np.sqrt(chance * np.sqrt(chance)), MOST_BURST)
    weight = np.rint(count * (0.4 + 1.2 * uniform(drawn, 1)) * burst * 256.0) + 1.0
    share = rows.running(weight) / rows.spread(np.add.reduceat(weight, heads))

    spare = rows.spread(parents.trades) - rows.spread(amount)
    trades = 1.0 + rows.steps(np.floor(spare * share))
    volume = trades + rows.steps(np.floor(rows.spread(parents.volume - parents.trades) * share))

    # A burst has a direction, and moves the price more than its volume alone would.
    noise = (bell(mix(drawn)) + 1.3 * bell(block)) * np.sqrt(np.sqrt(burst))
    closes = _closes(parents, rows, weight, share, trades, noise)
    opens, highs, lows = _opens_highs_lows(parents, rows, closes, trades, drawn)
    columns = (parent + base, cell, opens, highs, lows, closes, volume, trades)
    return Children(**{name: column.astype(np.int32) for name, column in zip(Children.__struct_fields__, columns, strict=True)})


class _Rows:
    """Children's rows grouped by parent."""

    def __init__(self, parent: NDArray[np.int64], heads: NDArray[np.int64], amount: NDArray[np.int64]) -> None:
        self.parent, self.heads = parent, heads
        self.tails = heads + amount - 1

    def spread(self, values: NDArray[Any]) -> NDArray[Any]:
        return values[self.parent]

    def running(self, whole: Floats) -> Floats:
        """Sums since the parent's first child; exact, because ``whole`` holds whole numbers."""
        sums = np.cumsum(whole)
        before = (sums - whole)[self.heads]
        return sums - before[self.parent]

    def steps(self, running: Floats) -> Floats:
        """The inverse of `running`."""
        steps = np.diff(running, prepend=0.0)
        steps[self.heads] = running[self.heads]
        return steps

    def highest(self, values: Floats) -> Floats:
        return np.asarray(np.maximum.reduceat(values, self.heads))

    def lowest(self, values: Floats) -> Floats:
        return np.asarray(np.minimum.reduceat(values, self.heads))


def _places(
    parents: Parents, curves: NDArray[np.int16], blocked: Sequence[Blocked]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], Words]:
    """(parent, cell, how many draws fell there, a random word) for every cell that trades."""
    draws = parents.draws.astype(np.int64)
    total = int(draws.sum())
    parent = np.repeat(np.arange(len(draws)), draws)
    turn = np.arange(total) - np.repeat(np.cumsum(draws) - draws, draws)
    drawn = words(parents.keys[parent], turn)
    step = ((turn + uniform(drawn)) * (CURVE / draws)[parent]).astype(np.int64)
    cell = curves[parents.curve[parent], np.minimum(step, CURVE - 1)].astype(np.int64)
    new = np.empty(total, np.bool_)
    new[0] = True
    new[1:] = (cell[1:] != cell[:-1]) | (parent[1:] != parent[:-1])
    places = np.flatnonzero(new)
    count = np.diff(places, append=total)
    parent, cell, drawn = parent[places], cell[places], drawn[places]
    if blocked:
        keep = np.ones(len(places), np.bool_)
        for item in blocked:
            first, last = np.searchsorted(parent, [item.parent, item.parent + 1])
            inside = (cell[first:last] >= item.first) & (cell[first:last] < item.last)
            if not (keep[first:last] & ~inside).any():
                # Something must carry the parent's volume: the cell before the pause, or the one after it.
                after = min(item.last, int(curves[parents.curve[item.parent], -1]))
                inside[0], cell[first] = False, item.first - 1 if item.first else after
            keep[first:last] &= ~inside
        parent, cell, count, drawn = parent[keep], cell[keep], count[keep], drawn[keep]
    return parent, cell, count, drawn


def _closes(parents: Parents, rows: _Rows, weight: Floats, share: Floats, trades: Floats, noise: Floats) -> Floats:
    """The bridge: from the parent's open to its close, its excursions stretched to the parent's high and low."""
    start, end, high, low = (rows.spread(column.astype(np.float64)) for column in (parents.open, parents.close, parents.high, parents.low))
    walk = rows.running(np.rint(noise * np.sqrt(weight) * 16.0))
    walk -= share * rows.spread(walk[rows.tails])
    width = rows.highest(walk) - rows.lowest(walk)
    scale = 0.85 * (parents.high - parents.low) / np.maximum(width, 1.0)
    path = start + (end - start) * share + walk * rows.spread(scale)
    top, bottom = np.maximum(start, end), np.minimum(start, end)
    above, below = np.maximum(path - top, 0.0), np.maximum(bottom - path, 0.0)
    # At most four times: a bridge that hardly left the corridor touches the extreme with a wick instead.
    up = np.minimum((parents.high - np.maximum(parents.open, parents.close)) / np.maximum(rows.highest(above), 1e-9), 4.0)
    down = np.minimum((np.minimum(parents.open, parents.close) - parents.low) / np.maximum(rows.highest(below), 1e-9), 4.0)
    path += above * (rows.spread(up) - 1.0) - below * (rows.spread(down) - 1.0)
    closes = np.clip(on_grid(path), low, high)
    single = rows.heads[trades[rows.heads] == 1.0]
    closes[single] = start[single]
    closes[rows.tails] = end[rows.tails]
    return np.asarray(closes)


def _opens_highs_lows(parents: Parents, rows: _Rows, closes: Floats, trades: Floats, drawn: Words) -> tuple[Floats, Floats, Floats]:
    opens = np.empty_like(closes)
    opens[1:] = closes[:-1]
    opens[rows.heads] = parents.open
    flat = trades == 1.0
    flat[rows.heads] = False
    opens[flat] = closes[flat]
    high, low = rows.spread(parents.high.astype(np.float64)), rows.spread(parents.low.astype(np.float64))
    reach = np.where(trades > 2.0, 0.3 * np.abs(closes - opens) + 0.02 * (high - low), 0.0)
    highs = np.minimum(on_grid(np.maximum(opens, closes) + reach * uniform(drawn, 2)), high)
    lows = np.maximum(on_grid(np.minimum(opens, closes) - reach * uniform(drawn, 3)), low)
    highs = np.where(highs == rows.spread(rows.highest(highs)), high, np.maximum(highs, np.maximum(opens, closes)))
    lows = np.where(lows == rows.spread(rows.lowest(lows)), low, np.minimum(lows, np.minimum(opens, closes)))
    return opens, highs, lows
