"""What the services ask of a market data vendor; `polygon/` answers it. No implementation here."""

from collections.abc import AsyncIterator, Collection
from datetime import date, datetime
from typing import Protocol

import msgspec

from tradeul.records.bars import DailyBar, IntradayBar, StreamBatch, TickerSnapshot
from tradeul.records.entitlements import Entitlements
from tradeul.records.events import StreamHealth
from tradeul.records.filings import Article, Company, FilingEntry
from tradeul.records.tickers import FreeFloat, ShortInterest, Split, Tenure, Ticker, TickerDetails


class Closure(msgspec.Struct, frozen=True):
    """An announced closure or early close of the exchange."""

    session: date
    closed: bool  # False: early close
    close_at_ms: int | None = None


class FlatFile(msgspec.Struct, frozen=True):
    """One session's minute bars of the whole market, as the vendor stores them: gzipped CSV."""

    session: date
    etag: str
    data: bytes | memoryview

    def __reduce__(self) -> tuple[object, ...]:
        """A view of memory has no pickle, its bytes have."""
        return FlatFile, (self.session, self.etag, bytes(self.data))


class MarketData(Protocol):
    """REST. Every method raises `ProviderError`s; an empty answer is an empty list, a broken one never is."""

    async def tickers(self) -> list[Ticker]: ...

    async def delisted(self, since: date) -> list[Tenure]:
        """Who has borne a ticker for the last time at ``since`` or later: each with its last date, ``since`` unknown."""
        ...

    async def splits(self, since: date, until: date) -> list[Split]:
        """Splits with since <= session <= until."""
        ...

    async def grouped_daily(self, session: date) -> list[DailyBar]:
        """The whole market's unadjusted daily bars, in one call. A session without data is an empty list."""
        ...

    async def intraday_bars(self, symbol: str, minutes: int, start: date, end: date) -> list[IntradayBar]:
        """Unadjusted bars of ``minutes`` minutes, both dates included, oldest first."""
        ...

    async def second_bars(self, symbol: str, start_ms: int, end_ms: int) -> list[IntradayBar]:
        """Unadjusted second bars that begin from ``start_ms`` to ``end_ms`` (epoch), oldest first, as far as they have ended."""
        ...

    async def ticker(self, symbol: str) -> Ticker | None:
        """What is listed under a symbol; None: nothing."""
        ...

    async def ticker_details(self, symbol: str) -> TickerDetails: ...

    async def free_floats(self) -> list[FreeFloat]:
        """The whole market's."""
        ...

    async def short_interest(self, since: date) -> list[ShortInterest]:
        """The whole market's, of the settlements from ``since`` on."""
        ...

    async def market_snapshot(self) -> list[TickerSnapshot]: ...

    async def closures(self) -> list[Closure]: ...


class News(Protocol):
    """The vendor's news of the whole market."""

    async def news(self, since: datetime) -> list[Article]:
        """What was published at ``since`` or later, oldest first."""
        ...


class Register(Protocol):
    """EDGAR. Every method raises `ProviderError`s, `Blocked` when the SEC will not answer for a while."""

    async def current(self, start: int, count: int) -> list[FilingEntry]:
        """The newest filings of all companies from the ``start``-th on, newest first, an entry for each filer."""
        ...

    async def submissions(self, cik: str) -> list[FilingEntry]:
        """One company's last filings."""
        ...

    async def companies(self) -> list[Company]:
        """The tickers of all companies."""
        ...


class MinuteFiles(Protocol):
    """The vendor's store of daily files."""

    async def minute_file(self, session: date) -> FlatFile | None:
        """The session's file, or None while it does not exist."""
        ...

    async def is_replaced(self, session: date, etag: str) -> bool:
        """Whether another file stands there than the one marked ``etag``, without reading it. False while there is none."""
        ...


class Probe(Protocol):
    """What the key may ask, found out cheaply."""

    async def entitlements(self, session: date) -> Entitlements:
        """Asked about a past session; what could not be found out is None.

        Raises:
            Unauthorized: the key is refused.
        """
        ...


class MarketStream(Protocol):
    """The live stream: connects, authenticates, subscribes, and reconnects by itself."""

    def batches(self) -> AsyncIterator[StreamBatch]:
        """What arrives, in order. After a reconnect the first batch has ``resubscribed`` set."""
        ...

    async def want_quotes(self, symbols: Collection[str]) -> None:
        """Have the quotes of these symbols in the batches, and of no others, as far as the plan has them."""
        ...

    def health(self) -> StreamHealth: ...
