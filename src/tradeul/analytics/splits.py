"""Split adjustment. The lake keeps raw values; factors are applied when reading, for the session asked.

    prices x f, volumes / f,  f = product of split_from / split_to over the splits
                                  with  bar's session < split's session <= session served

A 1:8 reverse split (8 old shares become 1) multiplies earlier prices by 8; a
10:1 split divides them by 10. A vendor may list a split on a day without a
session; it counts from the next one, which the inequality already says.
"""

import bisect
from collections.abc import Iterable, Sequence
from datetime import date

import numpy as np

from tradeul.records.frame import FloatArray
from tradeul.records.tickers import Split


def factors(symbols: Sequence[str], sessions: Sequence[date], splits: Iterable[Split], served: date) -> FloatArray:
    """The factor of each symbol's bars of each session (ascending), for ``served``; shape (symbols, sessions)."""
    result = np.ones((len(symbols), len(sessions)))
    rows = {symbol: row for row, symbol in enumerate(symbols)}
    for split in splits:
        row = rows.get(split.symbol)
        if row is not None and split.session <= served:
            result[row, : bisect.bisect_left(sessions, split.session)] *= split.split_from / split.split_to
    return result


def corporate_actions(splits: Iterable[Split], previous: date, served: date) -> dict[str, str]:
    """Symbol -> "1:8 split" for the splits that become effective with ``served``: new shares for old ones."""
    effective = [split for split in splits if previous < split.session <= served]
    return {split.symbol: f"{split.split_to:g}:{split.split_from:g} split" for split in effective}
