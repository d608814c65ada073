"""Symbols that trade today and that the baselines do not know: which of them the reference is still to be asked about. Pure.

    in the table, traded, not in the universe -> asked once -> what is listed goes into frames (class, name, exchange)

What the reference does not know is not asked again this session; a sender of made-up names costs `MOST_ASKED` questions.
"""

from collections.abc import Iterator

import numpy as np

from tradeul.live.today_table import TodayTable
from tradeul.records.tickers import Ticker

MOST_ASKED = 500  # a session


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

    def note(self, symbol: str, ticker: Ticker | None) -> None:
        """The reference's answer; None: it knows no such symbol."""
        self._asked.add(symbol)
        if ticker is not None:
            # A new mapping: frames that were handed over keep theirs.
            self._table.newcomers = {**self._table.newcomers, symbol: ticker}
