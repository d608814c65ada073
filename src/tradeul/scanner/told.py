"""What was told of each ticker since the previous close: its newest filing and its newest piece of news.

The streams hold both for days, so a start reads them from their beginning and
then follows. Changed on the event loop only: a cycle gets a copy that stands.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np

from tradeul.bus.redis import Bus
from tradeul.bus.topics import FILINGS, NEWS, Stream
from tradeul.records.filings import Article, Filing
from tradeul.records.frame import FloatArray


class Told(NamedTuple):
    """By symbol: the instant, epoch seconds, and the text."""

    filings: Mapping[str, tuple[float, str]]
    news: Mapping[str, tuple[float, str]]

    def instants(self, name: str, place_of: Mapping[str, int]) -> FloatArray:
        """``name``: filing_at or news_at; NaN where nothing was told."""
        column = np.full(len(place_of), np.nan)
        for symbol, (at, _) in self._of(name).items():
            if (place := place_of.get(symbol)) is not None:
                column[place] = at
        return column

    def texts(self, name: str, symbols: Sequence[str]) -> list[str | None]:
        """``name``: filing_form or headline."""
        of = self._of(name)
        return [of[symbol][1] if symbol in of else None for symbol in symbols]

    def _of(self, name: str) -> Mapping[str, tuple[float, str]]:
        return self.filings if name.startswith("filing") else self.news


NOTHING = Told({}, {})
INSTANTS, TEXTS = ("filing_at", "news_at"), ("filing_form", "headline")


class Listener:
    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._filings: dict[str, tuple[float, str]] = {}
        self._news: dict[str, tuple[float, str]] = {}

    async def follow(self) -> None:
        """Hear of everything for ever."""
        await asyncio.gather(self._follow(FILINGS), self._follow(NEWS))

    async def _follow(self, stream: Stream[Any]) -> None:
        async for payloads in self._bus.follow(stream, from_start=True):
            for payload in payloads:
                self.take(stream.decode(payload))

    def take(self, told: Filing | Article) -> None:
        """The newest by its own instant, whenever it comes."""
        at, text, held = (
            (told.accepted_at, told.form, self._filings) if isinstance(told, Filing) else (told.published_at, told.headline, self._news)
        )
        for symbol in told.tickers:
            if symbol not in held or held[symbol][0] <= at.timestamp():
                held[symbol] = at.timestamp(), text

    def since(self, instant: datetime) -> Told:
        """What was told after ``instant``, which is never earlier than before: the rest is forgotten."""
        for held in (self._filings, self._news):
            for symbol in [symbol for symbol, (at, _) in held.items() if at <= instant.timestamp()]:
                del held[symbol]
        return Told(dict(self._filings), dict(self._news))
