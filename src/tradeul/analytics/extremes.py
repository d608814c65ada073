"""Where a price stands against VWAP, its gap and the previous close: rules on arrays over symbols. No state.

The rules of the high and the low are comparisons and stand where they are used
(`live/today_table.py`): exceeded is strictly beyond, and the first print exceeds nothing.
"""

import numpy as np

from tradeul.records.frame import FloatArray

CROSS_ATR = 0.1  # a cross of VWAP counts beyond this part of ATR(14) ...
CROSS_PRICE = 0.005  # ... or of the price where ATR is unknown: else every tick around VWAP is one
RESTRICTED_AT = 0.9  # SEC rule 201: a fall of 10 % restricts short sales through the next session
FILLED, HOLDING, FADING = 0.0, 1.0, 2.0


def vwap_side(price: FloatArray, vwap: FloatArray, atr: FloatArray) -> FloatArray:
    """+1 clearly above VWAP, -1 clearly below, 0 in between or unknown."""
    margin = np.where(np.isnan(atr), CROSS_PRICE * price, CROSS_ATR * atr)
    distance = price - vwap
    return np.where(distance > margin, 1.0, np.where(distance < -margin, -1.0, 0.0))


def gap_state(price: FloatArray, open_: FloatArray, prev_close: FloatArray, lowest: FloatArray, highest: FloatArray) -> FloatArray:
    """0 filled, 1 holding, 2 fading; NaN before the open or without a previous close.

    Args:
        lowest, highest: of the prices since the open. Filled once one of them
            reached ``prev_close`` from the gap's side, and for good.
    """
    up, down = open_ > prev_close, open_ < prev_close
    filled = (up & (lowest <= prev_close)) | (down & (highest >= prev_close)) | (open_ == prev_close)
    beyond = (up & (price >= open_)) | (down & (price <= open_))
    state = np.where(filled, FILLED, np.where(beyond, HOLDING, FADING))
    return np.where(np.isnan(open_) | np.isnan(prev_close) | np.isnan(price), np.nan, state)


def fell_ten_percent(low: FloatArray, previous_close: FloatArray) -> FloatArray:
    """1 where a session's regular-hours low is 10 % or more below the close before it, else 0; NaN where either is unknown."""
    return np.where(np.isnan(low) | np.isnan(previous_close), np.nan, low <= RESTRICTED_AT * previous_close)
