"""Symbols that trade today and that the baselines do not know: what the reference says of them.

    in the table, traded, not in the universe -> asked once -> what is listed goes into frames (class, name, exchange)

What the reference does not know is not asked again this session; a sender of made-up names costs `MOST_ASKED` questions.
"""

from collections.abc import Iterator
from itertools import islice

import numpy as np
import structlog

from tradeul.errors import ProviderError, Unauthorized
from tradeul.live.today_table import TodayTable
from tradeul.providers.ports import MarketData
from tradeul.records.tickers import Ticker

MOST_ASKED, MOST_AT_ONCE = 500, 20  # a session; a look

log = structlog.get_logger()


class Newcomers:
    """Of one session's table, whose universe is in it."""

    def __init__(self, table: TodayTable) -> None:
        self._table = table
        self._asked: set[str] = set()

    def wanted(self) -> Iterator[str]:
        """Symbols to ask about, the oldest first."""
        table = self._table
        for row in np.flatnonzero(table.columns["volume"][: len(table.symbols)] > 0):
            symbol = table.symbols[row]
            if len(self._asked) >= MOST_ASKED:
                return
            if symbol not in table.universe and symbol not in self._asked:
                yield symbol

    async def introduce(self, market: MarketData) -> None:
        """Ask about the next few; what could not be had is wanted again.

        Raises:
            Unauthorized: final.
        """
        for symbol in [*islice(self.wanted(), MOST_AT_ONCE)]:
            try:
                ticker = await market.ticker(symbol)
            except ProviderError as error:
                if isinstance(error, Unauthorized):
                    raise
                log.warning("live_newcomer_not_known", symbol=symbol, reason=str(error))
                if error.retryable:
                    return
                ticker = None
            self.note(symbol, ticker)
            log.info("live_newcomer", symbol=symbol, kind=None if ticker is None else ticker.kind)

    def note(self, symbol: str, ticker: Ticker | None) -> None:
        """The reference's answer; None: it knows no such symbol."""
        self._asked.add(symbol)
        if ticker is not None:
            # A new mapping: frames that were handed over keep theirs.
            self._table.newcomers = {**self._table.newcomers, symbol: ticker}
