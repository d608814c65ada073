"""Port 8012 as programs ask it."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta

import aiohttp
import pytest

from tests.filings.house import COMPANIES, PlannedFeed, Quiet, entry_of, housed, running
from tests.filings.test_service import passes
from tests.schema_fuzz import found_nothing
from tradeul.api.server import ApiServer
from tradeul.filings.routes import FilingsRoutes
from tradeul.filings.server import FilingsServer
from tradeul.filings.service import FILL_SECONDS
from tradeul.market_calendar import nyse
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
        house.store.put_companies(COMPANIES)
        await service.read_feed()
        await service.read_news()
        server = FilingsServer(
            service, house.store, house.bus, house.clock, "SIMULATED", Callers("127.0.0.1"), 0, LoopWatchdog(), {200: 3, 503: 1}
        )
        page = ApiServer(house.bus, house.clock, nyse(), "SIMULATED", Callers(), 0, 9000, beside=(FilingsRoutes(house.store),))
        async with asyncio.timeout(60), aiohttp.ClientSession() as client, running(server, page):
            await server.started.wait()
            await page.started.wait()
            stand = Stand(house, service, client, f"http://127.0.0.1:{server.port}")
            stand.page = f"http://127.0.0.1:{page.port}"
            yield stand


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


READ = ("filings", "filings?ticker=B&page_size=2", "filings/latest", "filings/0000000009-26-000001", "news?ticker=A", "filings?ticker=ZZZ")


async def test_the_pages_port_answers_the_same(stand):
    for path in READ:
        async with stand.client.get(f"{stand.url}/api/v1/{path}") as there, stand.client.get(f"{stand.page}/api/v1/{path}") as here:
            assert (there.status, await there.json()) == (here.status, await here.json()), path
    async with stand.client.get(f"{stand.page}/openapi.json") as described:
        assert {f"/api/v1/{each}" for each in ("filings", "filings/latest", "filings/{accession}", "news")} <= (await described.json())[
            "paths"
        ].keys()


async def test_asking_for_a_company_has_nobody_asked_outside(stand):
    """Only a list makes the SEC be asked for a company's history, whoever wants to see it."""
    asked = []

    async def submissions(cik):
        asked.append(cik)
        return []

    stand.service._register.submissions = submissions
    async with running(stand.service):
        for path in READ:
            async with stand.client.get(f"{stand.url}/api/v1/{path}") as answer:
                await answer.read()
        await passes(stand.house, 3 * FILL_SECONDS)
        assert asked == []
        await stand.house.bus.put_active({"B"})
        await passes(stand.house, 3 * FILL_SECONDS)
        assert asked == ["0000000002"]


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


async def test_schemathesis_finds_nothing_in_a_sample(stand):
    await found_nothing(stand.page, only="^/api/v1/(news|filings/latest)")


@pytest.mark.long
async def test_schemathesis_finds_nothing(stand):
    await found_nothing(stand.url)
    await found_nothing(stand.page, only="^/api/v1/")
