"""EDGAR's rules as a client keeps them, against the simulator's stand-in and a server that counts."""

from datetime import date

import aiohttp
import pytest
from aiohttp import web

from tests.providers.conftest import finish, serving
from tests.simulator.conftest import instant
from tests.simulator.conftest import serving as simulating
from tradeul.errors import Blocked, MalformedResponse, ProviderError, VendorUnavailable
from tradeul.providers.edgar.client import PACE, EdgarClient, EdgarHttp
from tradeul.providers.http import RateLimit
from tradeul.simulator.faults import Faults, Rule

CONTACT = "Jane Doe jane@example.com"


@pytest.fixture
async def stand_in(shared_data):
    """The recorded pages as at 11:29 of their day."""
    now, folder = instant(11, 29, session=date(2026, 1, 12)), shared_data / "universe" / "sec"
    async with simulating(now, edgar=folder) as (server, clock), EdgarHttp(clock, CONTACT) as http:
        yield server, clock, http, EdgarClient(http, f"http://127.0.0.1:{server.port}")


async def test_the_recorded_feed_is_read_page_by_page(stand_in):
    _, clock, _, edgar = stand_in
    pages = [await finish(clock, edgar.current(start, 100)) for start in range(0, 700, 100)]
    assert [len(page) for page in pages] == [100] * 6 + [0]
    assert len({entry.accession for page in pages for entry in page}) == 424
    assert len(await finish(clock, edgar.companies())) == 9610


async def test_submissions_are_those_of_the_day(stand_in):
    _, clock, _, edgar = stand_in
    for day, count in ((date(2026, 3, 9), 370), (date(2026, 4, 17), 374)):
        clock._now = instant(21, 0, session=day)
        assert len(await finish(clock, edgar.submissions("0001677077"))) == count


async def test_the_real_503_is_asked_again_and_then_told(stand_in):
    server, clock, http, edgar = stand_in
    server.faults = Faults([Rule("edgar", "503", 100)])
    with pytest.raises(VendorUnavailable, match="status 503"):
        await finish(clock, edgar.current(0, 100))
    assert http.statuses == {503: 6}


async def test_a_403_is_told_at_once(stand_in):
    server, clock, http, edgar = stand_in
    server.faults = Faults([Rule("edgar", "403", 100)])
    with pytest.raises(Blocked, match="TRADEUL_SEC_CONTACT"):
        await finish(clock, edgar.current(0, 100))
    assert http.statuses == {403: 1}


async def test_a_page_cut_short_is_no_shorter_page(stand_in):
    server, clock, _, edgar = stand_in
    server.faults = Faults([Rule("edgar", "truncated", 100)])
    with pytest.raises(MalformedResponse):
        await finish(clock, edgar.current(0, 100))


async def test_who_does_not_say_who_he_is_is_refused(stand_in):
    server, *_ = stand_in
    async with aiohttp.ClientSession() as client, client.get(f"http://127.0.0.1:{server.port}/files/company_tickers.json") as answer:
        assert (answer.status, "Undeclared" in await answer.text()) == (403, True)


async def test_every_request_says_who_we_are(clock):
    agents = []

    async def answer(request):
        agents.append(request.headers["User-Agent"])
        return web.Response(status=404)

    async with serving(answer) as base, EdgarHttp(clock, CONTACT) as http:
        edgar = EdgarClient(http, base)
        for ask in (edgar.current(0, 100), edgar.submissions("0000000001"), edgar.companies()):
            with pytest.raises(ProviderError, match="404"):
                await finish(clock, ask)
    assert len(agents) == 3 and all(agent.startswith("Tradeul/") and agent.endswith(CONTACT) for agent in agents)


async def test_no_second_holds_more_than_ten_requests(clock):
    now, passed = 0, []

    async def sleep(seconds):
        nonlocal now
        now += max(1, int(seconds * 1000))

    limit = RateLimit(EdgarHttp(clock, CONTACT).requests_per_minute, PACE, lambda: now, sleep)
    while now < 130_000:
        await limit.pass_through()
        passed.append(now)
    assert max(sum(start <= at < start + 1000 for at in passed) for start in passed) <= 10
    assert max(sum(start <= at < start + 60_000 for at in passed) for start in passed) <= 540
