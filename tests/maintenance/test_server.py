"""Port 8008 as programs and people ask it."""

import asyncio
from collections import Counter
from datetime import date, datetime

import aiohttp
import pytest

from tests.schema_fuzz import found_nothing
from tradeul.bus.topics import NEW_DAY
from tradeul.errors import VendorUnavailable
from tradeul.maintenance.datasets import DATASETS
from tradeul.maintenance.server import MaintenanceServer
from tradeul.ops.callers import Callers
from tradeul.ops.standing import Blocking
from tradeul.ops.watchdog import LoopWatchdog
from tradeul.providers.http import HttpClient

SESSION, YESTERDAY, EARLIER = "2026-03-09", "2026-03-06", "2026-03-05"


def server_of(house):
    http = HttpClient(house.clock, 6000, 10)
    http.statuses |= {200: 41, "timeout": 1}
    house.file_statuses = Counter()
    return MaintenanceServer(
        house.service,
        house.bus,
        http,
        house.clock,
        "SIMULATED",
        Callers(),
        0,
        LoopWatchdog(),
        house.file_statuses,
        catalog=Blocking(lambda: house.catalog.answers()),
    )


class Stand:
    def __init__(self, house, client, url):
        self.house, self.client, self.url = house, client, url

    async def ask(self, path, status=200, method="GET", body=None, **headers):
        async with self.client.request(method, self.url + path, data=body, headers=headers) as response:
            assert response.status == status, await response.text()
            assert response.content_type == ("application/json" if status < 400 else "application/problem+json")
            self.headers = response.headers
            return await response.json()

    async def trigger(self, status, body=None):
        return await self.ask("/trigger", status, "POST", body)

    async def refused(self, body, status=409):
        return (await self.trigger(status, body))["detail"]


@pytest.fixture
async def stand(house):
    """The service at work, its first run done, and its HTTP."""
    server = server_of(house)
    tasks = [asyncio.create_task(house.service.run()), asyncio.create_task(server.run())]
    await house.clock.settle()
    async with asyncio.timeout(60), aiohttp.ClientSession() as client:
        await server.started.wait()
        yield Stand(house, client, f"http://127.0.0.1:{server.port}")
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_health_says_what_it_stands_on(stand):
    assert await stand.ask("/health") == {
        "status": "ok",
        "redis": "connected",
        "catalog": "connected",
        "timescaledb": "not configured",
        "role": "leads",
        "mode": "SIMULATED",
        "version": "0.1.0",
    }
    assert await stand.ask("/ready") == {"status": "ready"}


async def test_a_catalog_that_cannot_be_read_is_said(stand):
    with stand.house.catalog.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE alembic_version")
    health = await stand.ask("/health")
    assert (health["status"], health["redis"], health["catalog"]) == ("degraded", "connected", "does not answer")


async def test_without_the_bus_it_is_alive_but_not_ready(stand):
    await stand.house.bus.redis.shutdown(nosave=True)
    health = await stand.ask("/health")
    assert (health["status"], health["redis"]) == ("degraded", "does not answer")
    assert "try again" in (await stand.ask("/ready", 503))["detail"]


async def test_status_begins_with_one_sentence_and_names_every_partition(stand):
    status = await stand.ask("/status")
    assert next(iter(status)) == "summary"
    assert status["summary"] == "today's numbers: 40 of 40 tickers, RVOL over 5 sessions"
    assert (status["session"], status["run"], status["sessions_behind"]) == (SESSION, None, 0)
    assert status["next_run_at"] == "2026-03-09T21:00:00Z"
    counted = Counter(each["dataset"] for each in status["partitions"])
    assert set(counted) | {"minute_bars", "timescale_mirror"} == set(status["datasets"]) == set(DATASETS)  # none of those is wanted
    assert (counted["ohlc_daily"], counted["volume_slots"], counted["tickers"]) == (24, 8, 1)
    shown = next(each for each in status["partitions"] if (each["dataset"], each["session"]) == ("volume_slots", YESTERDAY))
    assert (shown["state"], shown["expected"], shown["got"], shown["missing"]) == ("completed", 40, 40, [])


async def test_the_next_wake_up_is_told_in_eastern_time_too(stand):
    next_run = await stand.ask("/next-run")
    assert (next_run["eastern"], next_run["in_seconds"]) == ("2026-03-09 17:00", 27_080.0)


async def test_a_trigger_begins_a_run_which_has_an_address(stand):
    begun = await stand.trigger(202)
    assert (begun["joined"], begun["run"]["finished_at"]) == (False, None)
    await stand.house.clock.settle()
    run = await stand.ask(stand.headers["Location"])
    assert (run["id"], run["success"]) == (begun["run"]["id"], True)
    assert (await stand.ask("/runs"))[0]["id"] == run["id"]
    assert "No run 'nothing'" in (await stand.ask("/runs/nothing", 404))["detail"]


async def test_a_second_trigger_joins_the_first(stand):
    hold = asyncio.Event()
    real = stand.house.market.grouped_daily

    async def wait(session):
        await hold.wait()
        return await real(session)

    stand.house.market.grouped_daily = wait
    first = await stand.trigger(202, '{"target_date":"2026-03-05","only":"ohlc_daily","force":true}')
    second = await stand.trigger(200)
    assert (second["joined"], second["run"]["id"]) == (True, first["run"]["id"])
    assert second["run"]["options"] == {"target_date": EARLIER, "only": "ohlc_daily", "force": True}
    assert (await stand.ask("/status"))["run"]["id"] == first["run"]["id"]
    assert (await stand.ask("/runs"))[0]["finished_at"] is None
    hold.set()


async def test_a_run_tells_since_when_its_step_is_under_way_and_what_it_has_cost(stand):
    house, hold = stand.house, asyncio.Event()
    real = house.market.grouped_daily
    house.service._requests = lambda: sum(house.market.calls.values())
    house.service.adopt(house.windows)

    async def wait(session):
        bars = await real(session)
        await hold.wait()
        return bars

    house.market.grouped_daily = wait
    await stand.trigger(202, '{"target_date":"2026-03-05","only":"ohlc_daily","force":true}')
    async with asyncio.timeout(10):
        while (run := (await stand.ask("/status"))["run"])["requests"] != 1:
            await asyncio.sleep(0)
    assert (run["progress"]["task"], run["progress"]["done"]) == ("ohlc_daily", 0)
    assert run["progress_since"] == "2026-03-09T13:28:40Z"
    hold.set()
    await house.clock.settle()
    done = (await stand.ask("/runs"))[0]
    assert (done["requests"], done["progress_since"], done["progress"]) == (1, None, None)


async def test_a_dry_run_says_the_steps_and_begins_none(stand):
    body = f'{{"target_date":"{EARLIER}","force":true,"dry_run":true}}'
    answer = await stand.trigger(200, body)
    assert answer["run"] is None
    assert [(step["task"], step["sessions"]) for step in answer["steps"]] == [
        ("ohlc_daily", [EARLIER]),
        ("volume_slots", [EARLIER]),
        ("baselines", [SESSION]),
        ("redis_sync", [SESSION]),
    ]
    assert len(await stand.ask("/runs")) == 1
    assert (await stand.trigger(200, '{"dry_run":true}'))["steps"] == []


async def test_caches_are_cleared_by_announcing_the_session_once_more(stand):
    async def first():
        return await anext(stand.house.bus.subscribe(NEW_DAY))

    heard = asyncio.create_task(first())
    while (await stand.house.bus.redis.pubsub_numsub("trading:new_day"))[0][1] == 0:
        await asyncio.sleep(0.01)
    assert await stand.ask("/clear-caches", 200, "POST") == {"status": "announced", "session": SESSION}
    event = await heard
    assert (str(event.date), str(event.previous_date), event.action) == (SESSION, YESTERDAY, "clear_caches")
    assert (await stand.ask("/status"))["sessions_behind"] == 0


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        ('{"target_date":"2026-03-07"}', 409, "2026-03-07 is no session of the exchange; the one before is 2026-03-06."),
        ('{"target_date":"2026-03-10"}', 409, "2026-03-10 is in the future: the session is 2026-03-09."),
        ('{"target_date":"2026-01-05"}', 409, "2026-01-05 is before the window of 24 sessions"),
        ('{"target_date":"2026-03-09","only":"ohlc_daily","dry_run":true}', 409, "due from 17:00 ET on"),
        ('{"only":"metadata"}', 422, f"No task 'metadata'. The tasks: {', '.join(DATASETS)}."),
        ('{"target_date":"yesterday"}', 422, '{"target_date":"2026-03-06","only":"ohlc_daily","force":true}'),
        ('{"target":"2026-03-06"}', 422, "unknown field `target`"),
        ('{"force":"yes"}', 422, "Expected `bool`, got `str` - at `$.force`"),
        ("{", 422, "Send something like"),
        ("[]", 422, "Send something like"),
        ("[" * 60_000, 422, "Send something like"),
        (b"\xff\xfe", 422, "Send something like"),
        ('"' + " " * 70_000 + '"', 413, "longer than 65,536 bytes"),
    ],
)
async def test_bad_input_is_a_sentence_that_says_what_to_do(stand, body, status, sentence):
    assert sentence in await stand.refused(body, status)
    assert len(await stand.ask("/runs")) == 1


async def test_what_is_no_call_is_told_where_the_calls_stand(stand):
    assert (await stand.ask("/nothing", 404))["detail"] == "GET /nothing is no call of this service: see /docs."
    assert (await stand.ask("/trigger", 405))["detail"] == "GET /trigger is no call of this service: see /docs."


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Host": "evil.example"}])
async def test_a_foreign_page_and_a_foreign_name_are_refused(stand, headers):
    for path in ("/status", "/health", "/metrics", "/docs"):
        await stand.ask(path, 403, **headers)
    await stand.ask("/trigger", 403, "POST", **headers)
    assert len(await stand.ask("/runs")) == 1


async def metrics(stand):
    async with stand.client.get(stand.url + "/metrics") as response:
        assert (response.status, response.headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
        lines = (await response.text()).splitlines()
    return dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))


async def test_metrics_show_what_an_alarm_needs(stand):
    stand.house.file_statuses[304] += 30  # counted since the service began, from nothing
    shown = await metrics(stand)
    succeeded_at = datetime.fromisoformat((await stand.ask("/runs"))[0]["finished_at"]).timestamp()
    assert float(shown["tradeul_maintenance_last_success_timestamp_seconds"]) == succeeded_at
    assert shown["tradeul_maintenance_sessions_behind"] == "0.0"
    assert shown['tradeul_maintenance_partitions{dataset="ohlc_daily",state="completed"}'] == "24.0"
    assert shown['tradeul_vendor_requests_total{of="rest",status="200"}'] == "41.0"
    assert shown['tradeul_vendor_requests_total{of="files",status="304"}'] == "30.0"
    assert shown["tradeul_vendor_rate_limit_wait_seconds_total"] == "0.0"
    assert shown["tradeul_event_loop_longest_pause_seconds"] == "0.0"
    assert shown["tradeul_maintenance_run_duration_seconds"] == "0.0"
    assert 'tradeul_maintenance_task_duration_seconds{task="volume_slots"}' in shown


async def test_a_failed_run_shows_and_the_last_success_stays(stand):
    before = await metrics(stand)
    stand.house.market.faults["grouped_daily"] = VendorUnavailable("503")
    stand.house.lake.path("ohlc_daily", date(2026, 3, 5)).unlink()
    await stand.trigger(202)
    await stand.house.clock.settle()
    shown = await metrics(stand)
    assert (shown["tradeul_maintenance_last_run_success"], shown["tradeul_maintenance_sessions_behind"]) == ("0.0", "2.0"), (
        "that session, and today's"
    )
    name = "tradeul_maintenance_last_success_timestamp_seconds"
    assert shown[name] == before[name]
    (failed,) = (await stand.ask("/runs"))[0]["failed"]
    assert (failed["dataset"], failed["session"], failed["error"]) == ("ohlc_daily", EARLIER, "503")


async def test_every_call_is_described(stand):
    async with stand.client.get(stand.url + "/docs") as response:
        page = await response.text()
    description = await stand.ask("/openapi.json")
    assert set(description["paths"]) == {
        "/health",
        "/ready",
        "/status",
        "/runs",
        "/runs/{run_id}",
        "/next-run",
        "/trigger",
        "/clear-caches",
        "/metrics",
    }
    assert all(path in page for path in description["paths"])
    assert "volume_slots" in description["components"]["schemas"]["RunOptions"]["properties"]["only"]["enum"]


async def test_schemathesis_finds_nothing(stand):
    await found_nothing(stand.url)
