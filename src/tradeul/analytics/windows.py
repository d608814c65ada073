"""The 5-second grid of a session, and what is said against a moment some minutes ago. No state: `live/windows.py` keeps the rows.

    seconds since 04:00   0    5    10   15
    row                   0 |  1 |  2 |  3      a bar belongs to the row in which it ENDS: (5 (k-1), 5 k]

At t the window of N seconds is (floor5(t) - N, t]: N / 5 whole rows and the one that runs.
"""

import math

import numpy as np
import numpy.typing as npt

from tradeul.records.frame import FloatArray

ROW_SECONDS = 5
WINDOWS = {"1m": 60, "5m": 300, "15m": 900, "30m": 1800}  # seconds


def row_of(end_s: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The row in which a bar ends; ``end_s`` in whole seconds since 04:00."""
    return -(-end_s // ROW_SECONDS)


def rows_at(t: float) -> tuple[int, int]:
    """The last whole row at ``t`` (seconds since 04:00), and the one that runs (the same one on the grid)."""
    return max(math.floor(t / ROW_SECONDS), 0), max(math.ceil(t / ROW_SECONDS), 0)


def change_pct(price: FloatArray, reference: FloatArray) -> FloatArray:
    """100 (price - reference) / reference; NaN where either is unknown or the reference is not positive."""
    known = reference > 0
    return np.where(known, 100.0 * (price - reference) / np.where(known, reference, 1.0), np.nan)


def ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """numerator / denominator; NaN where the denominator is not positive."""
    known = denominator > 0
    return np.where(known, numerator / np.where(known, denominator, 1.0), np.nan)


def is_seen(row: int, seconds: int, live_from_s: float) -> bool:
    """Whether the window of ``seconds`` that ends with ``row`` was seen live as a whole."""
    return live_from_s <= 0 or row * ROW_SECONDS - seconds >= live_from_s
