import asyncio
import csv
import gzip
import io

import aiohttp
import massive
import pytest
from massive.exceptions import BadResponse
from obstore.exceptions import NotFoundError
from obstore.store import S3Store

from tests.simulator.conftest import SESSION, SIZE, instant, serving
from tradeul.errors import StartError
from tradeul.market_calendar import nyse
from tradeul.simulator.files import key_of

BEFORE = nyse().previous(SESSION)


def official(server, key="k"):
    return massive.RESTClient(api_key=key, base=f"http://127.0.0.1:{server.port}", retries=0)


async def test_the_official_client_reads_every_endpoint():
    async with serving(instant(9, 35)) as (server, _):
        client = official(server)
        cast = server.market.source.story.cast(SESSION)
        symbol = server.market.source.issues[cast.lead].symbol

        def ask():
            tickers = list(client.list_tickers(market="stocks", active=True, limit=37))
            assert len(tickers) == len({t.ticker for t in tickers}) > SIZE * 0.95
            assert [t.ticker for t in tickers] == sorted(t.ticker for t in tickers)
            assert client.get_ticker_details(symbol).market_cap > 0
            grouped = client.get_grouped_daily_aggs(BEFORE.isoformat(), adjusted=False)
            assert len(grouped) > SIZE * 0.8
            assert client.get_grouped_daily_aggs("2026-03-08") == []
            snapshots = client.get_snapshot_all("stocks")
            assert len(snapshots) == len(tickers)
            one = client.get_snapshot_ticker("stocks", symbol)
            assert one.day.open > 0 and one.last_quote.bid_price < one.last_quote.ask_price
            assert [s.ticker for s in client.get_snapshot_all("stocks", [symbol, "NOSUCH"])] == [symbol]
            paged = list(client.list_aggs(symbol, 5, "minute", "2026-03-02", BEFORE.isoformat(), limit=50))
            at_once = client.get_aggs(symbol, 5, "minute", "2026-03-02", BEFORE.isoformat(), limit=50_000)
            assert [bar.timestamp for bar in paged] == [bar.timestamp for bar in at_once]
            newest = list(client.list_aggs(symbol, 5, "minute", "2026-03-02", BEFORE.isoformat(), limit=50, sort="desc"))
            assert [bar.timestamp for bar in newest] == [bar.timestamp for bar in at_once][::-1]
            days = client.get_aggs(symbol, 1, "day", "2025-01-01", SESSION.isoformat())
            assert len(days) > 250
            assert len(list(client.list_aggs(symbol, 1, "second", SESSION.isoformat(), SESSION.isoformat(), limit=50_000))) > 100
            assert client.get_aggs("NOSUCH", 1, "day", "2025-01-01", "2026-01-01") == []
            assert [f.ticker for f in client.list_stocks_floats(ticker=symbol)] == [symbol]
            assert len(list(client.list_stocks_floats(limit=20))) > 100
            assert len(list(client.list_short_interest(ticker=symbol))) == 12
            splits = list(client.list_stocks_splits(execution_date=SESSION.isoformat()))
            assert [(s.split_from, s.split_to) for s in splits if s.adjustment_type == "reverse_split"] == [(8, 1)]
            assert len(list(client.list_splits(execution_date_gte="2025-01-01", execution_date_lte="2026-03-09", limit=3))) > 3
            news = list(client.list_ticker_news(published_utc_gt=BEFORE.isoformat(), limit=5))
            assert news and all(n.published_utc > BEFORE.isoformat() for n in news)
            assert client.get_market_status().market == "open"
            holidays = {(h.date, h.status) for h in client.get_market_holidays()}
            assert {("2026-04-03", "closed"), ("2026-11-27", "early-close")} <= holidays

        await asyncio.to_thread(ask)


async def test_a_wrong_key_gets_the_vendors_answer():
    async with serving(instant(9, 35), key="right") as (server, _):
        with pytest.raises(BadResponse, match="Unknown API Key"):
            await asyncio.to_thread(official(server, "left").get_market_status)
        assert (await asyncio.to_thread(official(server, "right").get_market_status)).market == "open"
        async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as http:
            async with http.get("/v1/marketstatus/now") as answer:
                assert (answer.status, await answer.json()) == (401, {"status": "ERROR", "error": "Unknown API Key"})
            async with http.get("/v1/marketstatus/now", params={"apiKey": "right"}) as answer:
                assert answer.status == 200


async def test_wrong_questions_get_errors_that_say_why():
    async with serving(instant(9, 35)) as (server, _), aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as http:
        headers = {"Authorization": "Bearer k"}
        for path, status in {
            "/v2/aggs/grouped/locale/us/market/stocks/today": 400,
            "/v2/aggs/ticker/X/range/1/fortnight/2026-01-01/2026-01-02": 400,
            "/v2/aggs/ticker/X/range/0/minute/2026-01-01/2026-01-02": 400,
            "/v3/reference/tickers?cursor=***": 400,
            "/v3/reference/tickers?limit=x": 400,
            "/v3/reference/tickers/NOSUCH": 404,
            "/v2/snapshot/locale/us/markets/stocks/tickers/NOSUCH": 404,
            "/v9/nothing": 404,
        }.items():
            async with http.get(path, headers=headers) as answer:
                body = await answer.json()
                assert (answer.status, path) == (status, path)
                assert body.get("error") or body.get("message")


async def test_answers_are_packed_when_asked():
    url = "/v2/snapshot/locale/us/markets/stocks/tickers"
    async with (
        serving(instant(9, 35)) as (server, _),
        aiohttp.ClientSession(f"http://127.0.0.1:{server.port}", auto_decompress=False) as http,
    ):
        async with http.get(url, headers={"Authorization": "Bearer k", "Accept-Encoding": "gzip"}) as answer:
            packed, encoding = await answer.read(), answer.headers["Content-Encoding"]
        async with http.get(url, headers={"Authorization": "Bearer k", "Accept-Encoding": "identity"}) as answer:
            plain = await answer.read()
            assert "Content-Encoding" not in answer.headers
        assert encoding == "gzip"
        assert gzip.decompress(packed) == plain


async def test_a_flat_file_holds_the_minutes_of_the_session():
    async with serving(instant(9, 35)) as (server, clock):
        address = f"http://127.0.0.1:{server.port}"
        store = S3Store(
            "flatfiles", endpoint=address, access_key_id="a", secret_access_key="b", client_options={"allow_http": True},
            virtual_hosted_style_request=False, region="us-east-1",
        )  # fmt: skip
        with pytest.raises((NotFoundError, FileNotFoundError)):
            await store.get_async(key_of(BEFORE.replace(day=8)))
        with pytest.raises((NotFoundError, FileNotFoundError)):
            await store.get_async(key_of(SESSION))
        result = await store.get_async(key_of(BEFORE))
        data = bytes(await result.bytes_async())
        head = await store.head_async(key_of(BEFORE))
        assert (head["size"], head["e_tag"]) == (len(data), result.meta["e_tag"])
        assert bytes(await store.get_range_async(key_of(BEFORE), start=100, end=200)) == data[100:200]
        text = gzip.decompress(data).decode()
        rows = list(csv.DictReader(io.StringIO(text)))
        assert list(rows[0]) == ["ticker", "volume", "open", "close", "high", "low", "window_start", "transactions"]
        symbol = server.market.source.issues[server.market.source.story.cast(SESSION).lead].symbol
        mine = [row for row in rows if row["ticker"] == symbol]
        client = official(server)
        bars = await asyncio.to_thread(client.get_aggs, symbol, 1, "minute", BEFORE.isoformat(), BEFORE.isoformat(), False, None, 50_000)
        wanted = [(b.timestamp * 1_000_000, b.open, b.high, b.low, b.close, b.volume, b.transactions) for b in bars]
        assert wanted == [
            (int(r["window_start"]), *(float(r[name]) for name in ("open", "high", "low", "close", "volume")), int(r["transactions"]))
            for r in mine
        ]
        await clock.advance_to(instant(11, 0, session=nyse().next(SESSION)))
        assert (await store.head_async(key_of(SESSION)))["size"] > 0


async def test_a_replaced_file_is_another_until_it_is_replaced_again_and_no_other_is():
    async with serving(instant(9, 35)) as (server, clock):
        store = S3Store(
            "flatfiles", endpoint=f"http://127.0.0.1:{server.port}", access_key_id="a", secret_access_key="b",
            client_options={"allow_http": True}, virtual_hosted_style_request=False, region="us-east-1",
        )  # fmt: skip

        async def asked(session):
            answer = await store.get_async(key_of(session))
            rows = csv.DictReader(io.StringIO(gzip.decompress(bytes(await answer.bytes_async())).decode()))
            return [int(row["volume"]) for row in rows], answer.meta["e_tag"], answer.meta["last_modified"]

        earlier = nyse().previous(BEFORE)
        untouched, files = await asked(earlier), [await asked(BEFORE)]
        for _ in range(2):
            server.replace_file(BEFORE)
            files += [await asked(BEFORE), await asked(BEFORE)]
        first, *others = files
        assert others[0] == others[1] and others[2] == others[3]
        assert len({etag for _, etag, _ in files}) == 3
        assert [[new - old for new, old in zip(volumes, first[0], strict=True)][:3] for volumes, _, _ in others[1:3]] == [[1] * 3, [2] * 3]
        assert first[2] < others[0][2] == clock.now()
        assert await asked(earlier) == untouched


async def test_a_port_in_use_is_one_sentence():
    async with serving(instant(9, 35)) as (server, _):
        with pytest.raises(StartError, match="TRADEUL_SIMULATOR_PORT"):
            async with serving(instant(9, 35), port=server.port):
                pass
