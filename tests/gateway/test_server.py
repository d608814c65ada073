import asyncio
import json
import re
from datetime import UTC, date, datetime

import aiohttp
import msgspec
import pytest

from tests.gateway.stand import NOON, Raw, until
from tradeul.bus.redis import Bus
from tradeul.bus.topics import FEED_STATUS, VARIANTS_WATCHED
from tradeul.clock import SteppedClock, SystemClock
from tradeul.errors import StartError
from tradeul.gateway import server as gateway_server
from tradeul.gateway.server import GatewayServer
from tradeul.market_calendar import nyse
from tradeul.ops.callers import Callers
from tradeul.records.events import FeedStatus
from tradeul.records.lists import ListFrame
from tradeul.records.messages import encode


async def test_a_browser_is_told_the_session_and_the_lists_then_rows_then_changes(stand):
    flow = stand.scanner.Flow("winners", 1)
    flow.step()
    await stand.scanner.publish(stand.bus, flow)
    async with stand.browser() as browser:
        connected = stand.connected
        assert (connected["session"], connected["phase"], connected["mode"]) == ("2026-03-09", "MARKET_OPEN", "SIMULATED")
        assert connected["server_time"] == "2026-03-09T16:00:00Z"
        assert [(each["name"], each["order"]) for each in connected["lists"]] == [
            ("gappers_up", [["change_pct", "desc"]]),
            ("winners", [["change_pct", "desc"]]),
        ]
        await browser.say(action="subscribe", list="winners")
        assert (await browser.next("subscribed", "snapshot"))["type"] == "subscribed"
        snapshot = await browser.next("snapshot")
        assert (snapshot["rows"], snapshot["count"]) == (flow.frame.rows, len(flow.rows))
        await stand.scanner.publish(stand.bus, flow, messages=[flow.step()])
        await browser.next("delta")
        assert browser.held["winners"]["rows"] == flow.frame.rows


async def test_whoever_comes_in_the_middle_of_the_flow_ends_where_it_ends(stand):
    flow, stop = stand.scanner.Flow("winners", 2), asyncio.Event()

    async def publish_steadily():
        while not stop.is_set():
            await stand.scanner.publish(stand.bus, flow, messages=[flow.step()])

    async def watch():
        async with stand.browser("/ws/scanner") as browser:
            for _ in range(3):
                await browser.say(action="subscribe", list="winners")
                for _ in range(10):
                    await browser.next("delta")
                await browser.say(action="resync", list="winners")
            while "winners" not in browser.held or not stop.is_set() or browser.held["winners"]["sequence"] < flow.sequence:
                await browser.next("delta", "snapshot", "status")
            return browser.held["winners"]["rows"]

    publishing = asyncio.create_task(publish_steadily())
    watching = [asyncio.create_task(watch()) for _ in range(5)]
    await until(lambda: asyncio.sleep(0, flow.sequence > 150))
    stop.set()
    await publishing
    for rows in await asyncio.gather(*watching):
        assert rows == flow.frame.rows


async def test_what_the_bus_lost_is_made_good_from_the_frame(stand):
    flow = stand.scanner.Flow("winners", 3)
    await stand.scanner.publish(stand.bus, flow)
    async with stand.browser() as browser:
        await browser.say(action="subscribe", list="winners")
        await browser.next("snapshot")
        flow.step()  # never published
        await stand.scanner.publish(stand.bus, flow, messages=[flow.step()])
        assert (await browser.next("snapshot", "delta"))["type"] == "snapshot"
        assert browser.held["winners"]["rows"] == flow.frame.rows


async def test_a_new_session_by_the_clock_clears_everyone_and_refuses_yesterday(stand):
    flow = stand.scanner.Flow("winners", 4)
    await stand.scanner.publish(stand.bus, flow)
    async with stand.browser() as browser:
        await browser.say(action="subscribe", list="winners")
        await browser.next("snapshot")
        await stand.gateway.clock.advance_to(datetime(2026, 3, 10, 7, 0, tzinfo=UTC))  # 03:00 ET
        assert (await browser.next("new_day", "snapshot", "delta"))["session"] == "2026-03-10"
        await stand.scanner.publish(stand.bus, flow, messages=[flow.step()])
        tomorrow = stand.scanner.Flow("winners", 5, session=date(2026, 3, 10), epoch=2)
        await stand.scanner.publish(stand.bus, tomorrow)
        assert (await browser.next("snapshot", "delta"))["session"] == "2026-03-10"
    async with stand.client.get(stand.url + "/health") as response:
        assert (await response.json())["refused_of_older_sessions"] > 0


async def test_an_end_of_day_product_keeps_the_last_close_through_the_night_and_never_goes_back(valkey, scanner):
    clock = SteppedClock(NOON)
    bus = Bus(valkey.url, clock)
    gateway = GatewayServer(bus, clock, nyse(), "END_OF_DAY", Callers(), 0)
    friday, today = date(2026, 3, 6), date(2026, 3, 9)
    assert gateway._fan_out.admits(friday, 0.0)
    assert gateway._begin_session() == 0 and gateway._fan_out.session == friday
    assert gateway._fan_out.admits(today, 0.0) and not gateway._fan_out.admits(friday, 0.0)
    await bus.close()


async def test_a_gateway_that_hears_late_that_only_closes_are_shown_shows_the_last_one(stand):
    """Alone it takes the market for live until live says otherwise, and refuses frames of an earlier session."""
    friday = date(2026, 3, 6)
    name = stand.scanner.DEFINITIONS[0].name
    frame = ListFrame(friday, 1, 1, [], "END_OF_DAY", 1)
    async with stand.browser() as browser:
        assert stand.connected["session"] == "2026-03-09"
        await browser.say(action="subscribe", list=name)
        feed = FeedStatus(friday, "CLOSED", "END_OF_DAY", None, None, stale=False, messages=0, symbols=12)
        await stand.bus.publish(FEED_STATUS, feed)
        connected = await browser.next("connected")
        assert (connected["session"], connected["mode"]) == (str(nyse().oldest_close(NOON)), "END_OF_DAY")
        await stand.bus.publish_frames([(name, frame, b"{}", True)])
        snapshot = await browser.next("snapshot")
        assert (snapshot["session"], snapshot["epoch"]) == ("2026-03-06", 1)


async def test_the_status_says_what_the_feed_said_and_stale_before_it_spoke(stand):
    async with stand.browser() as browser:
        assert (await browser.next("status"))["stale"] is True
        feed = FeedStatus(date(2026, 3, 9), "MARKET_OPEN", "SIMULATED", 1200, 2300, stale=False, messages=5, symbols=12)
        await stand.bus.publish(FEED_STATUS, feed)
        while (status := await browser.next("status"))["stale"]:
            pass
        expected = {"type": "status", "feed_age_ms": 1200, "feed_lag_p99_ms": 2300, "phase": "MARKET_OPEN", "mode": "SIMULATED"}
        assert status == expected | {"stale": False}
        feed = msgspec.structs.replace(feed, problems={"invalid A": 3}, trouble="closed", feed_lag_p50_ms=2100)
        await stand.bus.publish(FEED_STATUS, feed)
        async with asyncio.timeout(5):
            while 'tradeul_feed_problems_total{kind="invalid A"} 3.0' not in (shown := await metrics(stand)):
                await asyncio.sleep(0.01)
        assert 'tradeul_feed_lag_seconds{quantile="0.5"} 2.1' in shown and "tradeul_feed_stale 0.0" in shown


async def metrics(stand):
    async with stand.client.get(stand.url + "/metrics") as response:
        return await response.text()


async def test_a_changed_set_of_lists_is_told_and_a_removed_one_is_ended(stand):
    async with stand.browser() as browser:
        await browser.say(action="subscribe", list="winners")
        await browser.next("subscribed")
        await stand.bus.put_lists(stand.scanner.DEFINITIONS[:1])
        assert (await browser.next("unsubscribed"))["list"] == "winners"
        assert [each["name"] for each in (await browser.next("connected"))["lists"]] == ["gappers_up"]


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("{", "bad_json"),
        (b"\x00", "bad_json"),
        ('{"action":"buy"}', "unknown_action"),
        ('{"action":"subscribe","list":"x"}', "unknown_list"),
    ],
)
async def test_a_mistake_is_answered_and_the_socket_stays_open(stand, said, code):
    async with stand.browser() as browser:
        await (browser.socket.send_bytes(said) if isinstance(said, bytes) else browser.socket.send_str(said))
        assert (await browser.next("error"))["code"] == code
        await browser.say(action="ping")
        assert (await browser.next("pong"))["timestamp"] == int(NOON.timestamp() * 1000)


async def test_abuse_that_goes_on_closes_the_socket(stand):
    async with stand.browser() as browser:
        for _ in range(20):
            await browser.socket.send_str("{")
        while (message := await browser.socket.receive()).type is aiohttp.WSMsgType.TEXT:
            pass
        assert message.data == 1008


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9"},
        {"Origin": "http://127.0.0.1:8000.evil.example"},
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example:9000"},
        {"Host": "127.0.0.1@evil.example"},
    ],
)
async def test_a_foreign_page_and_a_foreign_name_are_refused(stand, headers):
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await stand.client.ws_connect(stand.url + "/ws", headers=headers)
    assert refused.value.status == 403
    async with stand.client.post(stand.url + "/api/clear-cache", data=b"{}", headers=headers) as response:
        assert (response.status, response.content_type) == (403, "application/problem+json")


async def test_programs_that_are_no_page_are_taken(stand):
    async with stand.client.ws_connect(stand.url + "/ws") as socket:
        assert (await socket.receive_json())["type"] == "connected"


async def test_clear_cache_re_reads_the_session_whatever_date_the_caller_names(stand):
    async with stand.client.post(stand.url + "/api/clear-cache", json={"reason": "new_trading_day", "date": "2030-01-02"}) as response:
        assert await response.json() == {"status": "ok", "reason": "new_trading_day", "session": "2026-03-09", "caches_cleared": 0}
    async with stand.client.post(stand.url + "/api/clear-cache", data=b"{") as response:
        assert (response.status, response.content_type) == (400, "application/problem+json")
    async with stand.client.get(stand.url + "/nowhere") as response:
        assert (response.status, response.content_type) == (404, "application/problem+json")


async def test_a_reader_that_stops_reading_is_cut_off_and_the_others_go_on(stand, monkeypatch):
    monkeypatch.setattr("tradeul.gateway.fan_out.STUCK_SECONDS", 0.0)
    monkeypatch.setattr("tradeul.gateway.fan_out.BUFFER_LIMIT_BYTES", 10_000)
    flow = stand.scanner.Flow("winners", 6, symbols=400)
    await stand.scanner.publish(stand.bus, flow)
    reader, writer = await asyncio.open_connection("127.0.0.1", stand.gateway.port, limit=1024)
    key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="
    writer.write(f"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{key}\r\n\r\n".encode())
    await reader.readuntil(b"connected")
    text = b'{"action":"subscribe","list":"winners"}'
    writer.write(bytes((0x81, 0x80 | len(text), 0, 0, 0, 0)) + text)  # a mask of zeros
    async with stand.browser() as browser:
        await browser.say(action="subscribe", list="winners")
        await browser.next("snapshot")
        while len(stand.gateway._fan_out.viewers) > 1:
            await stand.scanner.publish(stand.bus, flow, messages=[flow.step()])
            await browser.next("delta", "snapshot")
        assert browser.held["winners"]["rows"] == flow.frame.rows
    writer.close()


async def test_a_taken_port_is_one_sentence(stand):
    second = GatewayServer(stand.bus, SystemClock(), nyse(), "LIVE", Callers(), stand.gateway.port)
    with pytest.raises(StartError, match=f"Port {stand.gateway.port} on 127.0.0.1 cannot be opened .* TRADEUL_GATEWAY_PORT"):
        await second.run()


async def test_a_cancelled_gateway_ends_whatever_the_bus_is_doing(valkey, scanner, monkeypatch):
    monkeypatch.setattr(gateway_server, "LOOK_SECONDS", 0.002)  # nearly always inside a command
    bus, flow = Bus(valkey.url, SystemClock()), scanner.Flow("winners", 7)
    await bus.put_lists(scanner.DEFINITIONS)

    async def publish_steadily():
        while True:
            await scanner.publish(bus, flow, messages=[flow.step()])

    publishing = asyncio.create_task(publish_steadily())
    for turn in range(12):
        own = Bus(valkey.url, SystemClock())
        gateway = GatewayServer(own, SystemClock(), nyse(), "LIVE", Callers(), 0)
        running = asyncio.create_task(gateway.run())
        await gateway.started.wait()
        await until(lambda flow=flow, goal=flow.sequence + 3 * turn: asyncio.sleep(0, flow.sequence >= goal))
        running.cancel()
        _, late = await asyncio.wait([running], timeout=5)
        assert not late, f"still running after 5 s, at turn {turn}"
        await own.close()
    publishing.cancel()
    await asyncio.wait([publishing], timeout=5)
    await bus.close()


async def test_the_end_is_said_to_readers_and_does_not_wait_for_who_does_not_read(stand):
    flow = stand.scanner.Flow("winners", 8, symbols=2000)
    while len(flow.rows) < 500:
        flow.step()
    await stand.scanner.publish(stand.bus, flow)
    _, stuck = await asyncio.open_connection("127.0.0.1", stand.gateway.port, limit=1024)
    key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="
    stuck.write(f"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{key}\r\n\r\n".encode())
    text = b'{"action":"subscribe","list":"winners"}'
    for _ in range(90):
        stuck.write(bytes((0x81, 0x80 | len(text), 0, 0, 0, 0)) + text)
    async with stand.browser() as browser:
        await until(lambda: asyncio.sleep(0, any(v.transport.get_write_buffer_size() for v in stand.gateway._fan_out.viewers)))
        running = next(task for task in asyncio.all_tasks() if task.get_coro().__qualname__ == "GatewayServer.run")
        running.cancel()
        while (message := await browser.socket.receive()).type is aiohttp.WSMsgType.TEXT:
            pass
        assert message.data == 1001
        assert re.fullmatch(r"come back in \d{1,3} ms", message.extra)  # a few viewers: within a second
        await asyncio.wait([running], timeout=5)
        assert running.done()
    stuck.close()


async def test_metrics_count_who_looks(stand):
    async with stand.browser(), stand.client.get(f"http://127.0.0.1:{stand.gateway.port}/metrics") as response:
        assert (response.status, response.headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
        text = await response.text()
    assert "\ntradeul_gateway_connections 1.0\n" in text
    assert "\nprocess_resident_memory_bytes " in text


async def test_a_variant_is_asked_of_the_scanner_at_once_and_its_bytes_reach_who_watches_it(stand):
    asked = asyncio.Queue()

    async def scanner():
        async for watched in stand.bus.subscribe(VARIANTS_WATCHED):
            asked.put_nowait(watched.names)

    hearing = asyncio.create_task(scanner())
    try:
        while not (await stand.bus.redis.execute_command("PUBSUB", "NUMSUB", "lists:watched"))[1]:
            await asyncio.sleep(0.01)
        flow = stand.scanner.Flow("winners~etf", 4)
        flow.step()
        await stand.scanner.publish(stand.bus, flow)  # another gateway's viewers have had it
        assert "winners~etf" not in stand.gateway._fan_out.feeds
        async with stand.browser() as browser:
            await browser.say(action="subscribe", list="winners", **{"class": "etf"})
            assert (await browser.next("subscribed"))["list"] == "winners~etf"
            async with asyncio.timeout(5):
                assert await asked.get() == ("winners~etf",)
                assert (await browser.next("snapshot"))["rows"] == flow.frame.rows
                await stand.scanner.publish(stand.bus, flow, messages=[flow.step()])
                await browser.next("delta")
                assert browser.held["winners~etf"]["rows"] == flow.frame.rows
                assert await asked.get() == ("winners~etf",)  # said again while it is watched
        async with asyncio.timeout(5):
            while "winners~etf" in stand.gateway._fan_out.feeds:
                await asyncio.sleep(0.01)
    finally:
        hearing.cancel()
        await asyncio.gather(hearing, return_exceptions=True)


async def test_a_browser_that_compresses_and_one_that_does_not_end_with_the_same_rows(stand):
    flow = stand.scanner.Flow("winners", 11, symbols=60)
    flow.step()
    await stand.scanner.publish(stand.bus, flow)
    async with stand.browser(compress=15) as packed, stand.browser() as plain:
        assert (packed.socket.compress, plain.socket.compress) == (15, 0)
        assert sorted(viewer.deflates for viewer in stand.gateway._viewers) == [False, True]
        for browser in (packed, plain):
            await browser.say(action="subscribe", list="winners")
            await browser.next("snapshot")
        for _ in range(5):
            await stand.scanner.publish(stand.bus, flow, messages=[flow.step()])
            for browser in (packed, plain):
                await browser.next("delta")
        assert packed.held["winners"]["rows"] == plain.held["winners"]["rows"] == flow.frame.rows


async def test_whoever_asks_for_a_smaller_window_gets_plain_frames(stand):
    flow = stand.scanner.Flow("winners", 12, symbols=60)
    flow.step()
    await stand.scanner.publish(stand.bus, flow)
    async with Raw.connected(stand.gateway.port, extensions="permessage-deflate; server_max_window_bits=10") as raw:
        raw.say(b'{"action":"subscribe","list":"winners"}')
        while not (frame := await raw.next())[1].startswith(b'{"type":"snapshot"'):
            pass
        assert json.loads(frame[1])["rows"] == flow.frame.rows


async def test_a_list_that_changes_faster_than_it_can_be_passed_on_ends_with_its_latest_rows_and_holds_up_no_other(stand, monkeypatch):
    monkeypatch.setattr(gateway_server, "MESSAGES_WAITING", 1)
    fast, calm = stand.scanner.Flow("winners", 13), stand.scanner.Flow("gappers_up", 14)
    async with stand.browser() as browser:
        for flow in (fast, calm):
            await stand.scanner.publish(stand.bus, flow)
            await browser.say(action="subscribe", list=flow.name)
            await browser.next("snapshot")
        for _ in range(5):
            burst = [(fast.step(), fast.frame) for _ in range(20)]
            await stand.bus.publish_frames([("winners", frame, encode(delta), False) for delta, frame in burst])
            await stand.scanner.publish(stand.bus, calm, messages=[calm.step()])
        while any(browser.held[flow.name]["sequence"] < flow.sequence for flow in (fast, calm)):
            await browser.next("delta", "snapshot")
        assert [browser.held[flow.name]["rows"] for flow in (fast, calm)] == [fast.frame.rows, calm.frame.rows]
    assert stand.gateway._fell_behind > 0
