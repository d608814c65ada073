"""What live hands to the scanner each cycle: the whole market as columns."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from tradeul.records.tickers import Ticker

FloatArray: TypeAlias = npt.NDArray[np.float64]


class MarketFrame(msgspec.Struct, frozen=True):
    """The market as known at ``as_of``.

    ``columns`` hold one float64 value per symbol, in the order of ``symbols``;
    NaN is unknown. Times are epoch seconds, flags 0 or 1.
    """

    session: date
    as_of: datetime  # market time (UTC): bars that ended by then are in
    symbols: Sequence[str]
    columns: Mapping[str, FloatArray]
    whole_day: bool = False  # made of daily bars: volume is that of the whole session, whatever ``as_of`` says
    newcomers: Mapping[str, Ticker] = {}  # what is known of symbols that the baselines do not know; another object when it changes
