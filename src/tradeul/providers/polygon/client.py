"""Massive's REST, as `ports.MarketData`. Only moves bytes: `wire.py` reads them, `http.py` asks for them."""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from functools import partial
from itertools import pairwise
from typing import TypeVar
from urllib.parse import quote

import structlog
from yarl import URL

from tradeul.errors import MalformedResponse
from tradeul.providers.http import HttpClient, check_address
from tradeul.providers.polygon import wire
from tradeul.providers.polygon.wire_news import decode_news
from tradeul.providers.polygon.wire_snapshot import ENDPOINT, decode_snapshot
from tradeul.providers.ports import Closure
from tradeul.records.bars import DailyBar, IntradayBar, TickerSnapshot
from tradeul.records.filings import Article
from tradeul.records.tickers import FreeFloat, ShortInterest, Split, Tenure, Ticker, TickerDetails

T = TypeVar("T")
log = structlog.get_logger()
STOCKS = {"market": "stocks", "active": "true", "limit": "1000"}
DELISTED = STOCKS | {"active": "false", "sort": "delisted_utc", "order": "desc"}


class PolygonClient:
    """``bulk=False`` is for live: it may use the tenth of the rate limit that bulk work leaves."""

    def __init__(self, http: HttpClient, base_url: str, *, bulk: bool = True) -> None:
        check_address(base_url)
        self._http = http
        self._base = base_url.rstrip("/")
        self._bulk = bulk
        self._unreadable: set[str] = set()  # whose rows in the last snapshot

    async def tickers(self) -> list[Ticker]:
        return await self._pages("tickers", "/v3/reference/tickers", STOCKS, wire.decode_tickers)

    async def delisted(self, since: date) -> list[Tenure]:
        # Newest first: what went decades ago is thirty pages that nobody needs.
        is_enough = partial(_all_before, since=since)
        found = await self._pages("delisted", "/v3/reference/tickers", DELISTED, wire.decode_delisted, is_enough)
        return [tenure for tenure in found if tenure.until is not None and tenure.until >= since]

    async def splits(self, since: date, until: date) -> list[Split]:
        params = {"execution_date.gte": str(since), "execution_date.lte": str(until), "limit": "1000"}
        splits = await self._pages("splits", "/stocks/v1/splits", params, wire.decode_splits)
        # A server that does not know the filter must not change history before `since`.
        return [split for split in splits if since <= split.session <= until]

    async def grouped_daily(self, session: date) -> list[DailyBar]:
        path = f"/v2/aggs/grouped/locale/us/market/stocks/{session}"
        decode = partial(wire.decode_grouped_daily, session=session)
        return await self._ask(f"grouped daily {session}", path, {"adjusted": "false"}, decode)

    async def intraday_bars(self, symbol: str, minutes: int, start: date, end: date) -> list[IntradayBar]:
        return await self._bars(symbol, f"{minutes}/minute/{start}/{end}")

    async def second_bars(self, symbol: str, start_ms: int, end_ms: int) -> list[IntradayBar]:
        return await self._bars(symbol, f"1/second/{start_ms}/{end_ms}")

    async def _bars(self, symbol: str, of: str) -> list[IntradayBar]:
        path = f"/v2/aggs/ticker/{quote(symbol, safe='')}/range/{of}"
        params = {"adjusted": "false", "sort": "asc", "limit": "50000"}
        endpoint = f"intraday bars {symbol}"
        bars = await self._pages(endpoint, path, params, partial(wire.decode_intraday, symbol=symbol))
        if any(earlier.start_ms >= later.start_ms for earlier, later in pairwise(bars)):
            raise MalformedResponse(endpoint, "its bars are not in order of time, or one comes twice")
        return bars

    async def ticker(self, symbol: str) -> Ticker | None:
        params = {"market": "stocks", "ticker": symbol}
        found, _ = await self._ask(f"ticker {symbol}", "/v3/reference/tickers", params, wire.decode_tickers)
        return next((ticker for ticker in found if ticker.symbol == symbol), None)

    async def ticker_details(self, symbol: str) -> TickerDetails:
        path = f"/v3/reference/tickers/{quote(symbol, safe='')}"
        return await self._ask(f"details {symbol}", path, None, partial(wire.decode_details, symbol=symbol))

    async def free_floats(self) -> list[FreeFloat]:
        return await self._pages("free float", "/stocks/vX/float", {"limit": "5000"}, wire.decode_floats)

    async def short_interest(self, since: date) -> list[ShortInterest]:
        params = {"settlement_date.gte": str(since), "limit": "50000"}
        return await self._pages("short interest", "/stocks/v1/short-interest", params, wire.decode_short_interest)

    async def market_snapshot(self) -> list[TickerSnapshot]:
        rows = await self._ask(ENDPOINT, "/v2/snapshot/locale/us/markets/stocks/tickers", None, decode_snapshot)
        unreadable = {row.symbol: row.unreadable for row in rows if row.unreadable is not None}
        if unreadable.keys() - self._unreadable:  # asked every few seconds, it is said once
            log.warning("snapshot_rows_unreadable", rows=len(unreadable), of=len(rows), first=next(iter(unreadable.items())))
        self._unreadable = set(unreadable)
        return rows

    async def news(self, since: datetime) -> list[Article]:
        params = {"published_utc.gte": f"{since:%Y-%m-%dT%H:%M:%SZ}", "order": "asc", "sort": "published_utc", "limit": "1000"}
        return await self._pages("news", "/v2/reference/news", params, decode_news)

    async def closures(self) -> list[Closure]:
        return await self._ask("closures", "/v1/marketstatus/upcoming", None, wire.decode_closures)

    async def _ask(self, endpoint: str, path: str, params: Mapping[str, str] | None, decode: Callable[[bytes], T]) -> T:
        return await self._http.fetch(self._base + path, decode, params, endpoint, bulk=self._bulk)

    async def _pages(
        self,
        endpoint: str,
        path: str,
        params: Mapping[str, str],
        decode: Callable[[bytes], tuple[list[T], str | None]],
        is_enough: Callable[[list[T]], bool] | None = None,
    ) -> list[T]:
        """Every page, until one names no next or is enough. The address may name another host: the key stays with ours."""
        rows: list[T] = []
        seen: set[str] = set()
        query: Mapping[str, str] | None = params
        while True:
            page, next_url = await self._ask(endpoint, path, query, decode)
            rows += page
            if not next_url or (is_enough is not None and is_enough(page)):
                return rows
            path, query = URL(next_url, encoded=True).raw_path_qs, None
            if path in seen:
                raise MalformedResponse(endpoint, f"its pages go in a circle: {path[:120]} came twice, after {len(rows)} rows")
            seen.add(path)


def _all_before(page: list[Tenure], since: date) -> bool:
    return bool(page) and all(tenure.until is not None and tenure.until < since for tenure in page)
