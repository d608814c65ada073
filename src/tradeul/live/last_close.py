"""A session as its daily bars tell it: what the lists show where nobody listened to the session itself.

    END_OF_DAY mode                       the newest session whose bars the lake has, dated by it
    a start after the session's 20:00     that session, once its bars are there

Minutes, windows and extended hours are unknown. It is `as_of` the last second
before the close, so that the floors of regular trading judge it.
"""

from datetime import date, timedelta

import numpy as np
import polars as pl
import structlog

from tradeul.errors import CorruptPartition, StoreError
from tradeul.market_calendar import Calendar, SessionHours
from tradeul.records.frame import FloatArray, MarketFrame
from tradeul.store.lake import Lake

DATASET = "ohlc_daily"
COLUMNS = ("symbol", "open", "high", "low", "close", "volume", "vwap", "trades")

log = structlog.get_logger()


class Closes:
    """The newest session of the lake as a frame; `look` reads it again when its partition has changed."""

    def __init__(self, lake: Lake, calendar: Calendar) -> None:
        self._lake = lake
        self._calendar = calendar
        self._held: tuple[date, str] | None = None  # session and checksum
        self.newest: MarketFrame | None = None

    def look(self, current: date) -> None:
        """Blocks: use a thread. A partition that cannot be read is maintenance's to mend; the one held stays."""
        session = None
        try:
            session = max((each for each in self._lake.sessions(DATASET) if each <= current), default=None)
            if session is None:
                return
            found = session, self._lake.footer(DATASET, session).get("checksum", "")
            if found == self._held:
                return
            bars = self._lake.read(DATASET, session, COLUMNS)
        except (CorruptPartition, StoreError) as error:
            log.warning("last_close_unreadable", session=str(session), reason=str(error))
            return
        self._held, self.newest = found, close_frame(bars, self._calendar.hours(session))
        log.info("last_close_read", session=str(session), tickers=bars.height)


def close_frame(bars: pl.DataFrame, hours: SessionHours) -> MarketFrame:
    """``bars``: a partition of `ohlc_daily`, at least `COLUMNS`; prices in dollars, volume in shares, unadjusted as on that day."""
    bars = bars.sort("symbol")
    as_of = hours.close_at - timedelta(seconds=1)
    told: dict[str, FloatArray] = {name: bars[name].cast(pl.Float64).to_numpy() for name in COLUMNS[1:]}
    told["price"], told["regular_low"] = told["close"], told["low"]
    told["dollar_volume"] = np.where(np.isnan(told["vwap"]), told["close"], told["vwap"]) * told["volume"]
    told["updated_at"] = np.full(bars.height, as_of.timestamp())
    told["partial"] = np.zeros(bars.height)
    return MarketFrame(hours.session, as_of, bars["symbol"].to_list(), told, whole_day=True)
