"""The announcement: ledger, key, channel, gateway, in this order, once a session."""

import asyncio
from contextlib import asynccontextmanager
from datetime import date, time

import pytest
import structlog
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.maintenance.conftest import CALENDAR, SESSION
from tradeul.bus.topics import NEW_DAY
from tradeul.maintenance.client import GatewayClient
from tradeul.maintenance.service import MaintenanceService
from tradeul.market_calendar import at
from tradeul.records.events import TradingSession
from tradeul.records.partitions import State
from tradeul.records.runs import RunOptions

FRIDAY = date(2026, 3, 6)
NEXT = date(2026, 3, 10)
ANNOUNCE = RunOptions(only="new_trading_day")
EVENTS = [
    "cache_clear_time_detected",
    "clear_caches_task_starting",
    "new_day_event_published",
    "redis_day_caches_cleared",
    "clear_caches_task_completed",
    "cache_clear_executed_successfully",
]


def with_gateway(house, address):
    house.service = MaintenanceService(
        house.market, house.market, house.lake, house.catalog, house.bus, house.clock, CALENDAR, house.windows, lambda: address
    )
    return house


@asynccontextmanager
async def serving(handler):
    app = web.Application()
    app.router.add_post("/api/clear-cache", handler)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


async def listen(house, count):
    """What is published from now on, until ``count`` were heard."""
    pubsub = house.bus.redis.pubsub(ignore_subscribe_messages=True)
    await pubsub.subscribe(NEW_DAY.channel)
    async with asyncio.timeout(5):
        while [heard for _, heard in await house.bus.redis.pubsub_numsub(NEW_DAY.channel)] != [1]:
            await asyncio.sleep(0)

    async def read():
        heard = []
        async with asyncio.timeout(10):
            async for message in pubsub.listen():
                heard.append(message["data"])
                if len(heard) == count:
                    break
        await pubsub.aclose()
        return heard

    return asyncio.create_task(read())


async def test_it_is_exactly_what_other_programs_rely_on(house):
    heard = await listen(house, 1)
    await house.service.reconcile(ANNOUNCE)
    assert await heard == [
        b'{"event":"new_trading_day","date":"2026-03-09","timestamp":1773062920000,"action":"clear_caches","previous_date":"2026-03-06"}'
    ]
    assert await house.bus.redis.get("trading:session") == b'{"date":"2026-03-09","previous_date":"2026-03-06"}'


async def test_the_gateway_is_told_after_key_and_channel_and_the_log_says_so_in_order(house):
    told = []

    async def gateway(request):
        told.append((request.method, request.path, await request.json(), await house.bus.get_trading_session()))
        return web.json_response({"status": "ok"})

    async with serving(gateway) as address:
        with_gateway(house, address)
        with structlog.testing.capture_logs() as logs:
            assert (await house.service.reconcile(ANNOUNCE)).success
    assert told == [
        ("POST", "/api/clear-cache", {"reason": "new_trading_day", "date": "2026-03-09"}, TradingSession(SESSION, FRIDAY)),
    ]
    assert [log["event"] for log in logs if log["event"] in EVENTS] == EVENTS
    assert next(log for log in logs if log["event"] == "new_day_event_published")["channel"] == "trading:new_day"
    assert next(log for log in logs if log["event"] == "clear_caches_task_completed")["services_notified"] == 1


async def refusing(_):
    raise web.HTTPServiceUnavailable


@pytest.mark.parametrize("up", [True, False], ids=["refuses", "is gone"])
async def test_a_gateway_that_does_not_take_it_is_logged_and_no_failure(house, up):
    async with serving(refusing) as address:
        if up:
            with_gateway(house, address)
            with structlog.testing.capture_logs() as logs:
                run = await house.service.reconcile(ANNOUNCE)
    if not up:
        with_gateway(house, address)
        with structlog.testing.capture_logs() as logs:
            run = await house.service.reconcile(ANNOUNCE)
    failed = [log for log in logs if log["event"] == "websocket_notification_failed"]
    assert (run.success, len(failed)) == (True, 1)
    assert address in failed[0]["reason"]


async def test_without_a_gateway_nobody_is_called(house):
    assert await GatewayClient(lambda: None, house.clock).clear_cache(SESSION) == (0, None)


async def test_it_is_said_once_a_session_whatever_restarts(house):
    await house.service.reconcile()
    house.restart()
    with structlog.testing.capture_logs() as logs:
        await house.service.reconcile()
        house.clock._now = at(SESSION, time(20, 15))
        await house.service.reconcile()  # the next session is prepared, not announced
        assert house.states("new_trading_day") == {SESSION: State.COMPLETED}
        house.clock._now = at(NEXT, time(3, 0))
        await house.service.reconcile()
    published = [log["date"] for log in logs if log["event"] == "new_day_event_published"]
    assert published == ["2026-03-10"]
    assert await house.bus.get_trading_session() == TradingSession(NEXT, SESSION)


async def test_who_was_down_from_before_three_until_after_four_says_it_then(make_house):
    house = await make_house(now=at(SESSION, time(20, 15)))
    await house.service.reconcile()
    house.restart()
    house.clock._now = at(NEXT, time(4, 5))
    heard = await listen(house, 1)
    assert (await house.service.reconcile()).success
    assert [b'"date":"2026-03-10"' in message for message in await heard] == [True]
    assert await house.bus.get_trading_session() == TradingSession(NEXT, SESSION)
    assert await house.bus.baselines_bytes(NEXT)


async def test_killed_in_the_middle_it_is_said_again(house, monkeypatch):
    class Killed(BaseException):
        pass

    async def die(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(GatewayClient, "clear_cache", die)
        with pytest.raises(Killed):
            await house.service.reconcile(ANNOUNCE)
    assert house.row("new_trading_day", SESSION).attempts == 1
    house.restart()
    heard = await listen(house, 1)
    assert (await house.service.reconcile(ANNOUNCE)).success
    assert len(await heard) == 1
    assert house.states("new_trading_day") == {SESSION: State.COMPLETED}


async def test_blobs_of_sessions_that_are_over_are_dropped_and_todays_stays(house):
    for session in (FRIDAY, SESSION):
        await house.bus.put_baselines(session, b"blob")
    with structlog.testing.capture_logs() as logs:
        await house.service.reconcile(ANNOUNCE)
    assert (await house.bus.baselines_bytes(FRIDAY), await house.bus.baselines_bytes(SESSION)) == (0, 4)
    assert next(log for log in logs if log["event"] == "redis_day_caches_cleared")["count"] == 1


async def test_an_emptied_bus_has_the_key_again_and_nothing_is_announced_twice(house):
    await house.service.reconcile()
    await house.bus.redis.flushall()
    with structlog.testing.capture_logs() as logs:
        await house.service.reconcile()
    assert await house.bus.get_trading_session() == TradingSession(SESSION, FRIDAY)
    assert "new_day_event_published" not in [log["event"] for log in logs]


async def test_a_long_run_does_not_hold_it_up(make_house):
    """A run that began the evening before is still under way at 03:00."""
    house = await make_house(now=at(SESSION, time(23, 0)))
    hold, asked = asyncio.Event(), asyncio.Event()
    tickers = house.market.tickers

    async def slow():
        asked.set()
        await hold.wait()
        return await tickers()

    house.market.tickers = slow
    heard = await listen(house, 2)
    service = asyncio.create_task(house.service.run())
    await asked.wait()
    await house.clock.advance_to(at(NEXT, time(3, 0)))
    first, second = await heard
    assert b'"2026-03-09"' in first and b'"2026-03-10"' in second
    assert not hold.is_set()
    service.cancel()
    await asyncio.gather(service, return_exceptions=True)
