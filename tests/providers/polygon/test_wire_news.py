from datetime import UTC, datetime

import pytest

from tests.providers.conftest import finish
from tests.providers.polygon.test_client import Pages, client_of
from tradeul.errors import MalformedResponse
from tradeul.providers.polygon.wire_news import decode_news
from tradeul.records.filings import Article

BODY = (
    b'{"results":[{"id":"JeJE","publisher":{"name":"MarketWatch","homepage_url":"https://x"},"title":"A big hole","author":"M",'
    b'"published_utc":"2022-04-28T17:08:00Z","article_url":"https://x/1","tickers":["MSFT","X:BTCUSD","BRK.B","MSFT"]}],'
    b'"status":"OK","count":1,"next_url":"https://api.massive.com/v2/reference/news?cursor=x"}'
)


def test_a_piece_is_read_with_its_stocks_only():
    at = datetime(2022, 4, 28, 17, 8, tzinfo=UTC)
    article = Article("JeJE", at, "A big hole", ("MSFT", "BRK.B"), "MarketWatch", "https://x/1")
    assert decode_news(BODY) == ([article], "https://api.massive.com/v2/reference/news?cursor=x")


def test_no_news_is_an_empty_list():
    assert decode_news(b'{"status":"OK","count":0}') == ([], None)


@pytest.mark.parametrize(
    "change", [(b'"JeJE"', b'""'), (b"00Z", b"00"), (b'"A big hole"', b"null"), (b'"count":1', b'"count":2'), (b"}]", b"}")]
)
def test_a_wrong_form_is_an_error(change):
    with pytest.raises(MalformedResponse, match="news"):
        decode_news(BODY.replace(*change))


async def test_news_is_asked_for_from_an_instant_on_oldest_first(clock):
    pages = Pages(first={"status": "OK", "count": 0})
    async with client_of(clock, pages) as client:
        assert await finish(clock, client.news(datetime(2026, 3, 9, 14, 0, 5, tzinfo=UTC))) == []
    assert pages.asked == ["/v2/reference/news?published_utc.gte=2026-03-09T14:00:05Z&order=asc&sort=published_utc&limit=1000"]
