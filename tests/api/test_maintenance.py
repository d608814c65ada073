"""What is asked of maintenance through the page's port, of a maintenance that runs."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from tests.api.serving import serving
from tests.maintenance.conftest import make_house  # noqa: F401
from tradeul.api.client import MaintenanceClient
from tradeul.api.maintenance import MaintenanceRoutes
from tradeul.maintenance.datasets import Windows
from tradeul.maintenance.server import MaintenanceServer
from tradeul.ops.callers import OURSELVES, Callers
from tradeul.providers.http import HttpClient

HERE = "/api/maintenance"


@asynccontextmanager
async def maintained(make_house, token=None):  # noqa: F811
    """Maintenance of a market that is quickly loaded, and the page's port before it."""
    house = await make_house(windows=Windows(3, 2, 1), tickers=3)
    http, callers = HttpClient(house.clock, 6000, 10), Callers(token=token)
    server = MaintenanceServer(house.service, house.bus, http, house.clock, "SIMULATED", callers, 0)
    running = asyncio.create_task(server.run())
    client = MaintenanceClient(lambda: f"http://127.0.0.1:{server.port}", callers.credentials())
    async with house.service.on_demand(), serving(MaintenanceRoutes(client), token=token) as asker:
        await server.started.wait()
        yield house, asker
        await house.clock.settle()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_run_is_begun_and_followed(make_house):  # noqa: F811
    async with maintained(make_house) as (house, asker):
        assert (await asker.ask("GET", f"{HERE}/status"))["summary"].startswith("today's numbers: none yet")
        begun = await asker.ask("POST", f"{HERE}/trigger", 202)
        assert not begun["joined"] and asker.headers["Location"] == f"{HERE}/runs/{begun['run']['id']}"
        assert (await asker.ask("POST", f"{HERE}/trigger", 200))["joined"]
        address = asker.headers["Location"]
        await house.clock.settle()
        run = await asker.ask("GET", address)
        assert run["success"] and [each["id"] for each in await asker.ask("GET", f"{HERE}/runs")] == [run["id"]]
        assert (await asker.ask("GET", f"{HERE}/status"))["summary"].startswith("today's numbers: 3 of 3 tickers")
        assert (await asker.ask("GET", f"{HERE}/health"))["redis"] == "connected"
        dry = await asker.ask("POST", f"{HERE}/trigger", 200, '{"only":"tickers","force":true,"dry_run":true}')
        assert [step["task"] for step in dry["steps"]] == ["tickers"]


async def test_the_log_tells_who_asked_for_a_run_and_that_we_passed_it_on(make_house):  # noqa: F811
    async with maintained(make_house, "desk:one,phone:two") as (_, asker):
        with capture_logs() as logs:
            for method, token, status in (("POST", "two", 200), ("POST", "none", 401), ("GET", "one", 405)):
                await asker.ask(method, f"{HERE}/trigger", status, '{"dry_run":true}', Authorization=f"Bearer {token}")
    written = [(line["service"], line["caller"], line["path"], line["status"]) for line in logs if line["event"] == "write_called"]
    assert written == [("maintenance", OURSELVES, "/trigger", 200), ("api", "phone", f"{HERE}/trigger", 200)]


async def test_what_maintenance_refuses_is_refused_in_its_words(make_house):  # noqa: F811
    async with maintained(make_house) as (_, asker):
        assert "has not started yet" in await asker.refused("GET", f"{HERE}/next-run", 503)  # nobody is up to wake
        assert "is no session" in await asker.refused("POST", f"{HERE}/trigger", 409, '{"target_date":"2026-03-07"}')
        assert "unknown field" in await asker.refused("POST", f"{HERE}/trigger", 422, '{"all":true}')
        assert "No run '?a#..%2F'" in await asker.refused("GET", f"{HERE}/runs/%3Fa%23..%252F", 404)


@pytest.mark.parametrize("path", ["/metrics", "/clear-caches", "/docs", "/runs/a/b", ""])
async def test_nothing_else_is_passed_on(path):
    async with serving(MaintenanceRoutes(MaintenanceClient(lambda: "http://127.0.0.1:9"))) as asker:
        await asker.refused("GET", HERE + path, 404)
        await asker.refused("POST", HERE + path, 404)


@pytest.mark.parametrize(("address", "said"), [(None, "does not answer yet"), ("http://127.0.0.1:9", "did not take it")])
async def test_maintenance_that_is_not_there_is_said(address, said):
    async with serving(MaintenanceRoutes(MaintenanceClient(lambda: address))) as asker:
        assert said in await asker.refused("GET", f"{HERE}/status", 503)
        assert said in await asker.refused("POST", f"{HERE}/trigger", 503)


async def test_with_a_token_callers_show_it_and_it_is_shown_to_maintenance(make_house):  # noqa: F811
    async with maintained(make_house, token="secret") as (_, asker):
        for method, path in (("GET", "/status"), ("GET", "/runs"), ("POST", "/trigger"), ("GET", "/health")):
            await asker.ask(method, HERE + path, 401)
        await asker.ask("POST", f"{HERE}/trigger", 202, Authorization="Bearer secret")
