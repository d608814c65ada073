"""One evening and night, 17:00 to 04:00, lived through by all services on one stepped clock; what they log is what was promised.

    simulated vendor (this process; real HTTP and WebSocket)  ->  all services as `assemble` starts them  ->  a socket
    Valkey (a child process)                                  ->

All ask the same `SteppedClock`: it stands while anybody works, and jumps to the next wake-up otherwise. Not here: processes,
the browser, several nights (`test_new_day.py`).
"""

import asyncio
import json
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import date, time

import aiohttp
import pytest
from structlog.testing import capture_logs

from tests.maintenance.tasks.test_new_trading_day import EVENTS
from tests.product import PORTS
from tests.test_new_day import EVERYTHING, GATEWAY_SAYS, SEED, Watcher, empty_until_four, no_row_of_another_session, rows_of
from tradeul.assemble import run_services
from tradeul.assemble.borders import Place
from tradeul.assemble.state import catalog_url, state_folder
from tradeul.bus.embedded import EmbeddedServer
from tradeul.bus.redis import Bus
from tradeul.bus.topics import LAST_RUN_KEY, NEW_DAY, TRADING_SESSION_KEY
from tradeul.clock import SteppedClock, SystemClock
from tradeul.market_calendar import NEW_YORK, at, nyse
from tradeul.ops.start import usable_folder
from tradeul.providers.polygon.vendor import simulated_vendor
from tradeul.settings import Settings
from tradeul.simulator.server import SimulatorConfig, SimulatorServer
from tradeul.store.catalog import Catalog

CALENDAR = nyse()
TODAY = date(2026, 3, 9)
NEXT = CALENDAR.next(TODAY)
TICKERS = 100
START = at(TODAY, time(16, 59, 50))
# Looked at, each until its second instant; what lies between is stepped through too, or slept through as by a laptop.
TURNS = [
    (at(TODAY, time(16, 59, 50)), at(TODAY, time(17, 0, 5))),
    (at(TODAY, time(20, 14, 55)), at(TODAY, time(20, 15, 5))),
    (at(NEXT, time(2, 59, 55)), at(NEXT, time(3, 0, 5))),
    (at(NEXT, time(3, 59, 55)), at(NEXT, time(4, 1, 5))),
]
CYCLE_SECONDS = 10  # where every second of eleven hours is lived through
CYCLE = {"date", "duration_seconds", "duration_human", "completed", "failed", "success"}
# Event -> the fields that other programs may rely on.
PROMISED = {
    "cache_clear_scheduler_started": {"date", "next_at"},
    "cache_clear_time_detected": {"date"},
    "clear_caches_task_starting": {"date"},
    "new_day_event_published": {"channel", "date"},
    "redis_day_caches_cleared": {"count"},
    "websocket_notification_failed": {"date", "reason"},
    "clear_caches_task_completed": {"services_notified", "caches_cleared"},
    "cache_clear_executed_successfully": {"date"},
    "maintenance_cycle_started": {"date"},
    "task_started": {"task"},
    "task_completed": {"task", "expected", "got", "duration_seconds"},
    "task_failed": {"task", "error"},
    "maintenance_cycle_finished": CYCLE,
    "New trading day detected": {"date", "previousCacheSize"},
    "Cache cleared for new trading day": {"date", "caches_cleared"},
}


def run_of(wall, session, tasks):
    """What one run logs, in order: the instant, the event, and of what."""
    lines = [("maintenance_cycle_started", f"{session}")]
    for task in tasks:
        lines += [
            ("task_started", task),
            *([(event, None) for event in EVENTS] if task == "new_trading_day" else ()),
            ("task_completed", task),
        ]
    return [(wall, *line) for line in [*lines, ("maintenance_cycle_finished", f"{session}")]]


EVENING = run_of("17:00:00", TODAY, ["ohlc_daily", "minute_bars"])  # the bars are the session before's: its file is due
FINAL = run_of("20:15:00", TODAY, ["ohlc_daily", "volume_slots", "tickers", "splits", "baselines", "redis_sync"])
TURN = ["new_trading_day", "tickers", "splits", "baselines", "redis_sync", "metadata_enrich", "baselines"]
NIGHT = [*EVENING, *FINAL, *run_of("03:00:00", NEXT, TURN)]


@asynccontextmanager
async def product(state, clock, **settings):
    """Everything but the console, on free ports: the page's address, and the bus."""
    (state / "locks").mkdir()
    (state / "lists").mkdir()
    (state / "lists" / "everything.toml").write_text(EVERYTHING)
    few = {"daily_sessions": 6, "slot_sessions": 3, "rvol_sessions": 3}
    chosen = Settings(state=state, **few, **dict.fromkeys(PORTS, 0), **settings)
    ready = asyncio.get_running_loop().create_future()

    async def tell(running):
        ready.set_result(running.page)

    async with AsyncExitStack() as stack:
        server = EmbeddedServer(state, SystemClock())
        await server.start()
        stack.push_async_callback(server.stop)
        simulator = SimulatorServer(SimulatorConfig(SEED, TICKERS), clock, CALENDAR)
        await simulator.start()
        stack.push_async_callback(simulator.stop)
        bus = Bus(server.url, clock)
        stack.push_async_callback(bus.close)
        place = Place(
            usable_folder(state_folder(chosen, simulated=True)), True, clock, CALENDAR, bus, simulated_vendor("127.0.0.1", simulator.port)
        )
        services = asyncio.create_task(run_services(chosen, place, [], stack, tell))
        try:
            await asyncio.wait([services, ready], return_when=asyncio.FIRST_COMPLETED)
            yield ready.result() if ready.done() else await services, bus
            assert not services.done(), services.exception()
        finally:
            services.cancel()
            await asyncio.gather(services, return_exceptions=True)


async def asked(http, address):
    async with http.get(address) as answer:
        return await answer.json()


async def announced(bus, heard):
    """What a program that subscribed hears."""
    async with bus.redis.pubsub(ignore_subscribe_messages=True) as pubsub:
        await pubsub.subscribe(NEW_DAY.channel)
        async for message in pubsub.listen():
            heard.append(json.loads(message["data"]))


def stands(state, dataset, session):
    """How a partition stands in the ledger."""
    catalog = Catalog(catalog_url(Settings(state=state), simulated=True))
    try:
        return next(row.state for row in catalog.ledger() if (row.dataset, row.session) == (dataset, session))
    finally:
        catalog.close()


def line_of(event):
    return event["at"], event["event"], event.get("task") or (event["date"] if event["event"].startswith("maintenance_cycle") else None)


@pytest.mark.parametrize("every_second", [False, pytest.param(True, marks=pytest.mark.long)], ids=["its turns", "every second of it"])
async def test_from_the_evenings_bars_to_the_first_tickers_at_four(tmp_path, every_second):
    clock = SteppedClock(START)

    def stamped(_logger, _method, event):
        return {"at": f"{clock.now().astimezone(NEW_YORK):%H:%M:%S}"} | event

    with capture_logs(processors=[stamped]) as log:
        async with (
            product(tmp_path, clock, cycle_seconds=CYCLE_SECONDS if every_second else 1) as (page, bus),
            aiohttp.ClientSession() as http,
            asyncio.TaskGroup() as group,
        ):
            watcher, heard, states = Watcher(clock), [], []
            address = (await asked(http, page + "api/config"))["socket"]
            listening = [group.create_task(announced(bus, heard)), group.create_task(watcher.listen(address))]
            for awake_at, until in TURNS:
                if not every_second:
                    clock._now = awake_at
                await clock.advance_to(until)
                states.append(stands(tmp_path, "ohlc_daily", TODAY))
            await watcher.has(lambda message: message.get("session") == str(NEXT) and rows_of(message))
            rows = (await asked(http, page + "api/lists/everything"))["rows"]
            keys = [json.loads(await bus.redis.get(TRADING_SESSION_KEY)), (await bus.redis.get(LAST_RUN_KEY)).decode()]
            bars = [await asked(http, f"{page}api/bars/daily/{row['symbol']}?start={TODAY}&end={TODAY}") for row in rows[:3]]
            for task in listening:
                task.cancel()

    # The log: every promised line with its fields, in order, at its instant.
    lines = [event for event in log if event["event"] in PROMISED]
    for event in lines:
        assert event.keys() >= PROMISED[event["event"]], event
    assert [event["date"] for event in lines if event["event"] == "cache_clear_scheduler_started"] == [str(NEXT), str(CALENDAR.next(NEXT))]
    gateway = [event for event in lines if event["event"] in GATEWAY_SAYS]
    assert [(event["at"], event["event"], event["date"]) for event in gateway] == [("03:00:00", name, str(NEXT)) for name in GATEWAY_SAYS]
    assert gateway[0]["previousCacheSize"] == gateway[1]["caches_cleared"] == 12
    others = [event for event in lines if event not in gateway and event["event"] != "cache_clear_scheduler_started"]
    first = [event["event"] for event in others].index("maintenance_cycle_finished")
    assert [line_of(event) for event in others[first + 1 :]] == NIGHT
    assert all(event["got"] == event["expected"] > 0 for event in others if event["event"] == "task_completed")
    assert all(event["success"] and not event["failed"] for event in others if event["event"] == "maintenance_cycle_finished")
    (published,) = [event for event in others[first + 1 :] if event["event"] == "new_day_event_published"]
    assert (published["channel"], published["date"]) == ("trading:new_day", str(NEXT))
    (notified,) = [event for event in others[first + 1 :] if event["event"] == "clear_caches_task_completed"]
    assert notified["services_notified"] == 2  # who listens to the channel here, and the gateway

    # The ledger: the day's bars may still change until the session has ended.
    assert states == ["provisional", "completed", "completed", "completed"]
    # Other programs.
    announcement = {"event": "new_trading_day", "action": "clear_caches", "date": str(NEXT), "previous_date": str(TODAY)}
    assert [told.items() >= announcement.items() for told in heard if told["date"] == str(NEXT)] == [True]
    assert keys == [{"date": str(NEXT), "previous_date": str(TODAY)}, str(NEXT)]
    # The socket: no row of yesterday after three, none at all until four, then the first tickers, over yesterday's close.
    looked_at = no_row_of_another_session(watcher, TICKERS)
    assert looked_at[TODAY] and looked_at[NEXT]
    empty_until_four(watcher, NEXT)
    assert 0 < len(rows) < TICKERS
    assert [bar["bars"][0]["close"] for bar in bars] == [pytest.approx(row["prev_close"], abs=1e-4) for row in rows[:3]]
