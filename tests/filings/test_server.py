"""Port 8012 as programs ask it."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta

import aiohttp
import pytest

from tests.filings.house import PlannedFeed, Quiet, entry_of, housed
from tests.schema_fuzz import found_nothing
from tradeul.filings.server import FilingsServer
from tradeul.ops.callers import Callers
from tradeul.ops.watchdog import LoopWatchdog
from tradeul.records.filings import Article


class News(Quiet):
    def __init__(self, clock):
        self.pieces = [Article(f"n{n}", clock.now() - timedelta(minutes=n), f"headline {n}", ("A",) if n else ("B",)) for n in range(3)]

    async def news(self, since):
        return self.pieces


class Stand:
    def __init__(self, house, service, client, url):
        self.house, self.service, self.client, self.url = house, service, client, url

    async def ask(self, path, status=200):
        async with self.client.get(self.url + path) as response:
            assert response.status == status, await response.text()
            assert response.content_type == ("application/json" if status < 400 else "application/problem+json")
            return await response.json()

    async def numbers(self, query):
        return [int(filing["accession"][-6:]) for filing in (await self.ask(f"/api/v1/filings?{query}"))["filings"]]


@asynccontextmanager
async def standing(root):
    """Filings 0-9, a minute older each; odd ones are of two companies, each third a form 4."""
    async with housed(root) as house:
        now = house.clock.now()
        plan = [(now, entry_of(n, now - timedelta(minutes=n), 1 + n % 2, "4" if n % 3 == 0 else "S-3/A")) for n in range(10)]
        service = house.service(PlannedFeed(house.clock, plan), News(house.clock))
        await service.read_feed()
        await service.read_news()
        server = FilingsServer(
            service, house.store, house.bus, house.clock, "SIMULATED", Callers("127.0.0.1"), 0, LoopWatchdog(), {200: 3, 503: 1}
        )
        task = asyncio.create_task(server.run())
        async with asyncio.timeout(60), aiohttp.ClientSession() as client:
            await server.started.wait()
            yield Stand(house, service, client, f"http://127.0.0.1:{server.port}")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def stand(tmp_path):
    async with standing(tmp_path) as stand:
        yield stand


async def test_filings_are_found_by_ticker_company_form_and_date_in_pages(stand):
    assert await stand.numbers("") == list(range(10))
    assert await stand.numbers("ticker=B") == [1, 3, 5, 7, 9] == await stand.numbers("cik=2")
    assert await stand.numbers("ticker=A.WS&form_type=4") == [0, 3, 6, 9]
    assert await stand.numbers("ticker=A&cik=0000000002") == []
    assert await stand.numbers("date_from=2026-03-10") == [] == await stand.numbers("date_to=2026-03-08")
    assert await stand.numbers("date_from=2026-03-09&date_to=2026-03-09&page=2&page_size=4") == [4, 5, 6, 7]
    page = await stand.ask("/api/v1/filings?page=3&page_size=4")
    assert (page["total"], page["page"], page["page_size"], len(page["filings"])) == (10, 3, 4, 2)


async def test_one_filing_says_all_that_is_known_of_it(stand):
    filing = await stand.ask("/api/v1/filings/0000000009-26-000001")
    latest = (await stand.ask("/api/v1/filings/latest"))["filings"]
    assert latest[1] == filing
    assert (filing["form"], filing["words"], filing["amends"], filing["dilutes"]) == ("S-3/A", "Shelf registration", True, True)
    assert (filing["tickers"], filing["filed"]) == (["A", "A.WS", "B"], "2026-03-09")
    assert (filing["accepted_at"], filing["seen_at"]) == ("2026-03-09T13:59:00Z", "2026-03-09T14:00:00Z")
    assert [filer["cik"] for filer in filing["filers"]] == ["0000000001", "0000000002"]


async def test_news_is_found_by_ticker_and_time(stand):
    assert [piece["headline"] for piece in (await stand.ask("/api/v1/news"))["news"]] == ["headline 0", "headline 1", "headline 2"]
    assert [piece["id"] for piece in (await stand.ask("/api/v1/news?ticker=A&since=2026-03-09T09:59:00-04:00"))["news"]] == ["n1"]


async def test_what_cannot_be_answered_is_a_sentence(stand):
    assert "no ticker 'ZZZ'" in (await stand.ask("/api/v1/filings?ticker=ZZZ", 404))["detail"]
    assert "No filing 'x'" in (await stand.ask("/api/v1/filings/x", 404))["detail"]
    for query in ("page=0", "page_size=1001", "cik=x", "date_from=yesterday", "date_to=0"):
        assert query.partition("=")[0] in (await stand.ask(f"/api/v1/filings?{query}", 422))["detail"]
    assert "since" in (await stand.ask("/api/v1/news?since=2026-03-09T09:59:00", 422))["detail"]


async def test_health_says_what_does_not_come_and_why(stand):
    health = await stand.ask("/health")
    assert (health["status"], health["redis"], health["trouble"], health["mode"]) == ("ok", "connected", {}, "SIMULATED")
    assert await stand.ask("/ready") == {"status": "ready"}
    stand.service.trouble["filings"] = "set TRADEUL_SEC_CONTACT"
    assert (await stand.ask("/health"))["trouble"] == {"filings": "set TRADEUL_SEC_CONTACT"}


@pytest.mark.long
async def test_without_the_bus_it_is_alive_but_not_ready(stand):
    await stand.house.bus.redis.shutdown(nosave=True)
    assert (await stand.ask("/health"))["redis"] == "does not answer"
    assert "try again" in (await stand.ask("/ready", 503))["detail"]


async def test_latency_and_requests_are_metrics(stand):
    stand.service.latencies.extend([1.0, 2.0, 3.0])
    async with stand.client.get(stand.url + "/metrics") as response:
        text = await response.text()
    for line in (
        'tradeul_filings_latency_seconds{quantile="0.5"} 2.0',
        "tradeul_filings_read_age_seconds 0.0",
        "tradeul_filings_kept_total 10.0",
        "tradeul_news_kept_total 3.0",
        'tradeul_edgar_requests_total{status="503"} 1.0',
    ):
        assert line in text


@pytest.mark.long
async def test_schemathesis_finds_nothing(stand):
    await found_nothing(stand.url)
