"""What bid and ask say. No state, no IO."""

import numpy as np

from tradeul.records.frame import FloatArray

FRESH_SECONDS = 60.0  # a quote that the ticker's own newest bar has left so far behind says nothing of it


def spread_pct(bid: FloatArray, ask: FloatArray, quoted_at: FloatArray, newest_end: FloatArray) -> FloatArray:
    """100 (ask - bid) / mid; NaN without both, when they cross, and without a fresh quote.

    Fresh is judged against the ticker's newest bar (both in seconds since 04:00), not
    against the clock: nothing changes with time alone.
    """
    fresh = ~(newest_end - quoted_at > FRESH_SECONDS)  # before the first bar any quote is
    with np.errstate(invalid="ignore"):
        spread: FloatArray = np.where(fresh & (ask >= bid) & (bid > 0), 200 * (ask - bid) / (ask + bid), np.nan)
    return spread
