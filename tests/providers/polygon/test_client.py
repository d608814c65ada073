from contextlib import asynccontextmanager
from datetime import date

import pytest
import structlog
from aiohttp import web

from tests.providers.conftest import finish, serving
from tradeul.errors import MalformedResponse, SettingsError
from tradeul.providers.http import HttpClient
from tradeul.providers.polygon.client import PolygonClient
from tradeul.records.tickers import Split

BAR = dict.fromkeys("ohlcv", 5)


class Pages:
    """A vendor whose answers are a table: path and query -> JSON, or a list of answers in turn."""

    def __init__(self, **answers):
        self.answers, self.asked = answers, []

    async def __call__(self, request):
        self.asked.append(request.path_qs)
        answer = self.answers[request.query.get("cursor", "first")]
        return web.json_response(answer.pop(0) if isinstance(answer, list) else answer)


@asynccontextmanager
async def client_of(clock, pages, path=""):
    async with serving(pages) as base, HttpClient(clock, 60_000, 4, key="SECRET") as http:
        yield PolygonClient(http, base + path)


def tickers(*symbols, cursor=None, host="https://api.massive.com"):
    page = {"status": "OK", "count": len(symbols), "results": [{"ticker": symbol} for symbol in symbols]}
    return page | ({"next_url": f"{host}/v3/reference/tickers?cursor={cursor}"} if cursor else {})


async def test_pages_are_followed_to_the_last_and_stay_on_our_host(clock):
    pages = Pages(first=tickers("A", "B", cursor="x%3D%2By%7E"), **{"x=+y~": tickers("C", cursor="z", host="")}, z=tickers("D"))
    async with client_of(clock, pages) as client:
        assert [ticker.symbol for ticker in await finish(clock, client.tickers())] == ["A", "B", "C", "D"]
    first, *others = pages.asked
    assert first == "/v3/reference/tickers?market=stocks&active=true&limit=1000"
    assert others == ["/v3/reference/tickers?cursor=x%3D%2By%7E", "/v3/reference/tickers?cursor=z"]


@pytest.mark.parametrize("back_to", ["one", "two"])
async def test_a_repeated_cursor_is_an_error(clock, back_to):
    pages = Pages(first=tickers("A", cursor="one"), one=tickers("B", cursor="two"), two=tickers("C", cursor=back_to))
    async with client_of(clock, pages) as client:
        with pytest.raises(MalformedResponse, match="circle"):
            await finish(clock, client.tickers())
    assert len(pages.asked) == 3


async def test_a_page_cut_once_is_asked_again_and_nothing_is_lost(clock):
    pages = Pages(first=tickers("A", cursor="x"), x=[{"status": "OK", "count": 5, "results": []}, tickers("B")])
    async with client_of(clock, pages) as client:
        assert [ticker.symbol for ticker in await finish(clock, client.tickers())] == ["A", "B"]


async def test_the_delisted_are_read_newest_first_and_no_further_than_asked(clock):
    def page(*days, cursor=None):
        body = tickers(*(f"X{day}" for day in days), cursor=cursor)
        for row, day in zip(body["results"], days, strict=True):
            row["delisted_utc"] = f"2026-02-{day:02}T05:00:00Z"
        return body

    pages = Pages(first=page(20, 19, cursor="x"), x=page(18, 3, cursor="y"), y=page(2, 1, cursor="z"), z=page(1))
    async with client_of(clock, pages) as client:
        found = await finish(clock, client.delisted(date(2026, 2, 10)))
    assert [tenure.symbol for tenure in found] == ["X20", "X19", "X18"]
    assert pages.asked == [
        "/v3/reference/tickers?market=stocks&active=false&limit=1000&sort=delisted_utc&order=desc",
        "/v3/reference/tickers?cursor=x",
        "/v3/reference/tickers?cursor=y",
    ]


async def test_splits_are_asked_by_date_and_held_to_it(clock):
    def row(day):
        return {"ticker": "A", "execution_date": day, "split_from": 8, "split_to": 1}

    pages = Pages(first={"status": "OK", "results": [row("2024-06-20"), row("2020-01-01")]})
    async with client_of(clock, pages) as client:
        splits = await finish(clock, client.splits(date(2024, 1, 1), date(2024, 12, 31)))
    assert splits == [Split("A", date(2024, 6, 20), 8, 1)]
    assert pages.asked == ["/stocks/v1/splits?execution_date.gte=2024-01-01&execution_date.lte=2024-12-31&limit=1000"]


async def test_raw_prices_are_asked_for(clock):
    pages = Pages(first={"resultsCount": 0})
    async with client_of(clock, pages, path="/") as client:
        assert await finish(clock, client.grouped_daily(date(2024, 6, 20))) == []
        assert await finish(clock, client.intraday_bars("BRK.B", 5, date(2024, 6, 20), date(2024, 6, 21))) == []
    assert pages.asked == [
        "/v2/aggs/grouped/locale/us/market/stocks/2024-06-20?adjusted=false",
        "/v2/aggs/ticker/BRK.B/range/5/minute/2024-06-20/2024-06-21?adjusted=false&sort=asc&limit=50000",
    ]


async def test_seconds_are_asked_by_the_instant(clock):
    bar = BAR | {"t": 1_750_000_001_000}
    pages = Pages(first={"resultsCount": 1, "results": [bar]})
    async with client_of(clock, pages) as client:
        (found,) = await finish(clock, client.second_bars("BRK.B", 1_750_000_000_000, 1_750_000_009_000))
    assert (found.symbol, found.start_ms) == ("BRK.B", 1_750_000_001_000)
    asked = "/v2/aggs/ticker/BRK.B/range/1/second/1750000000000/1750000009000?adjusted=false&sort=asc&limit=50000"
    assert pages.asked == [asked]


async def test_a_symbol_cannot_leave_its_place_in_the_path(clock):
    pages = Pages(first={"resultsCount": 0})
    async with client_of(clock, pages) as client:
        await finish(clock, client.intraday_bars("A/../B?x=1", 5, date(2024, 6, 20), date(2024, 6, 21)))
    assert pages.asked[0].startswith("/v2/aggs/ticker/A%2F..%2FB%3Fx%3D1/range/5/")


@pytest.mark.parametrize("starts", [(2, 1), (1, 1)])
async def test_bars_out_of_order_are_an_error(clock, starts):
    pages = Pages(first={"results": [BAR | {"t": start} for start in starts], "resultsCount": 2})
    async with client_of(clock, pages) as client:
        with pytest.raises(MalformedResponse, match="intraday bars A"):
            await finish(clock, client.intraday_bars("A", 5, date(2024, 6, 20), date(2024, 6, 20)))


async def test_a_large_answer_is_decoded_aside_and_is_the_same(clock):
    many = [f"T{number}" for number in range(20_000)]
    pages = Pages(first=tickers(*many))
    async with client_of(clock, pages) as client:
        assert [ticker.symbol for ticker in await finish(clock, client.tickers())] == many


async def test_a_key_is_never_sent_in_the_open(clock):
    with pytest.raises(SettingsError):
        PolygonClient(HttpClient(clock, 5, 1), "http://api.massive.com")


async def test_a_snapshots_bad_row_is_said_once_and_again_when_another_is_bad(clock):
    def answer(*bad):
        rows = [{"ticker": symbol, "updated": "?"} for symbol in bad] + [{"ticker": f"T{number}"} for number in range(300)]
        return {"count": len(rows), "status": "OK", "tickers": rows}

    pages = Pages(first=[answer("A"), answer("A"), answer("A", "B"), answer(), answer("A")])
    async with client_of(clock, pages) as client:
        with structlog.testing.capture_logs() as logs:
            told = [await finish(clock, client.market_snapshot()) for _ in range(5)]
    assert [len(rows) for rows in told] == [301, 301, 302, 300, 301]
    assert [(line["event"], line["rows"]) for line in logs] == [("snapshot_rows_unreadable", rows) for rows in (1, 2, 1)]
    assert logs[0]["first"][0] == "A" and "updated" in logs[0]["first"][1]
