"""Wilder's average true range over the last available daily bars, for all tickers at once.

The first value is the mean of the true ranges 1..14 and stands at index 14, as
in TA-Lib (others seed at 13); each later one is (13 x the one before + true
range) / 14. The seed's weight is (13/14)^n, so the number of bars is part of
the definition: 100 at most, 15 at least. It knows no dates and no splits: give
it adjusted prices.
"""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from tradeul.records.frame import FloatArray

BoolArray: TypeAlias = npt.NDArray[np.bool_]
IntArray: TypeAlias = npt.NDArray[np.int64]
PERIOD = 14
BARS = 100


def last_available(present: BoolArray, count: int) -> tuple[IntArray, IntArray]:
    """Of each row, the columns of its last ``count`` True values, left-aligned, and how many there are.

    Places beyond a row's number hold 0 and must not be used.
    """
    order = np.cumsum(present, axis=1) - 1
    totals = order[:, -1] + 1
    place = order - np.maximum(totals - count, 0)[:, None]
    rows, columns = np.nonzero(present & (place >= 0))
    result = np.zeros((present.shape[0], count), dtype=np.int64)
    result[rows, place[rows, columns]] = columns
    return result, np.minimum(totals, count)


def average_true_range(high: FloatArray, low: FloatArray, close: FloatArray) -> FloatArray:
    """ATR(14) at each row's newest bar; NaN below 15 bars.

    Shape (tickers, sessions), oldest first; NaN in ``close`` where a ticker has no bar.
    """
    if close.shape[1] == 0:
        return np.full(close.shape[0], np.nan)
    columns, totals = last_available(~np.isnan(close), BARS)
    high, low, close = (np.take_along_axis(values, columns, axis=1) for values in (high, low, close))
    before = close[:, :-1]
    ranges = np.maximum(high[:, 1:] - low[:, 1:], np.maximum(np.abs(high[:, 1:] - before), np.abs(low[:, 1:] - before)))
    average = ranges[:, :PERIOD].sum(axis=1) / PERIOD
    # Each value needs the one before it, so time is a Python loop; it runs some
    # 85 times while numpy covers 12,400 tickers per turn.
    for place in range(PERIOD, ranges.shape[1]):
        average = np.where(place + 1 < totals, (average * (PERIOD - 1) + ranges[:, place]) / PERIOD, average)
    return np.where(totals > PERIOD, average, np.nan)
