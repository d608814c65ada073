"""The vendor's news into our records. Pure; the rest of REST is `wire.py`'s."""

from datetime import UTC, datetime

import msgspec

from tradeul.errors import MalformedResponse
from tradeul.providers.polygon.wire import Envelope, counted_rows, decode, symbol_of
from tradeul.records.filings import Article


class _Publisher(msgspec.Struct):
    name: str | None = None


class _NewsRow(msgspec.Struct):
    id: str
    title: str
    published_utc: datetime
    tickers: list[str] = []
    publisher: _Publisher | None = None
    article_url: str | None = None


class _News(Envelope):
    results: list[_NewsRow] | None = None


_news = msgspec.json.Decoder(_News)


def decode_news(body: bytes) -> tuple[list[Article], str | None]:
    """One page. A piece may name what is no stock (X:BTCUSD): such tickers are left out, the piece is not.

    {"results":[{"id":"JeJEhAVo","publisher":{"name":"MarketWatch"},"title":"There's a big hole","published_utc":"2022-04-28T17:08:00Z",
      "article_url":"https://www.marketwatch.com/story/1","tickers":["MSFT","TSN"]}],"status":"OK","count":1}
    """
    answer = decode(_news, body, "news")
    articles = []
    for number, row in enumerate(counted_rows(answer.results, answer, "news")):
        if not row.id or row.published_utc.tzinfo is None:
            raise MalformedResponse("news", f"without its id, or an instant without a zone - at `$.results[{number}]`")
        tickers = tuple(dict.fromkeys(symbol for symbol in map(symbol_of, row.tickers) if symbol is not None))
        publisher = None if row.publisher is None else row.publisher.name
        articles.append(Article(row.id, row.published_utc.astimezone(UTC), row.title, tickers, publisher, row.article_url or None))
    return articles, answer.next_url
