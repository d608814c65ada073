"""The client against the real gateway, and against servers that misbehave in one way each."""

import asyncio
import json
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, date, datetime

import pytest
from aiohttp import web

from tests.gateway.fake_scanner import DEFINITIONS, SESSION, Flow, publish
from tradeul.bus.embedded import EmbeddedServer
from tradeul.bus.redis import Bus
from tradeul.client import Client, Connected, Lost, NewDay, Snapshot, client
from tradeul.clock import SteppedClock, SystemClock
from tradeul.errors import GatewayRefused, SettingsError
from tradeul.gateway.server import GatewayServer
from tradeul.market_calendar import nyse
from tradeul.ops.callers import Callers

NOON = datetime(2026, 3, 9, 16, 0, tzinfo=UTC)
CONNECTED = {"type": "connected", "connection_id": "c", "session": "2026-03-09", "phase": "CLOSED", "mode": "LIVE"}
CONNECTED |= {"server_time": "2026-03-09T12:00:00Z", "lists": []}


class Unhurried(SystemClock):
    """Waits between two tries are written down and not waited."""

    def __init__(self):
        self.waited = []

    async def back_off(self, seconds):
        self.waited.append(seconds)


class Stand:
    def __init__(self, bus):
        self.bus, self.clock, self.port = bus, SteppedClock(NOON), 0

    @asynccontextmanager
    async def gateway(self, token=None):
        gateway = GatewayServer(self.bus, self.clock, nyse(), "SIMULATED", Callers(token=token), self.port)
        running, started = asyncio.create_task(gateway.run()), asyncio.create_task(gateway.started.wait())
        await asyncio.wait([running, started], return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            started.cancel()
            await running  # it could not start: its error
        self.port = gateway.port
        while len(await self.bus.redis.execute_command("PUBSUB", "SHARDCHANNELS")) < 16:
            await asyncio.sleep(0.005)
        try:
            yield gateway
        finally:
            running.cancel()
            await asyncio.wait([running])

    @property
    def address(self):
        return f"ws://127.0.0.1:{self.port}/ws"


@pytest.fixture
async def stand(tmp_path):
    server = EmbeddedServer(tmp_path, SystemClock())
    await server.start()
    bus = Bus(server.url, SystemClock())
    await bus.put_lists(DEFINITIONS)
    async with asyncio.timeout(20):
        yield Stand(bus)
    await bus.close()
    await server.stop()


async def until(events, kind, condition=lambda event: True):
    """The next event of ``kind`` that fulfils the condition."""
    async for event in events:
        if isinstance(event, kind) and condition(event):
            return event
    raise AssertionError("the events ended")


async def test_the_lists_are_kept_whatever_the_bus_loses_and_a_new_session_empties_them(stand):
    flow, losers = Flow("winners", 1), Flow("gappers_up", 2)
    flow.step()
    async with stand.gateway():
        await publish(stand.bus, flow, losers)
        watching = Client(stand.address, ["winners", "gappers_up"])
        assert watching.held("winners") is None and not watching.is_current("winners")
        async with aclosing(watching.events()) as events:
            assert (await until(events, Connected)).session == watching.session == SESSION
            assert set(watching.lists) == {"winners", "gappers_up"}
            assert (await until(events, Snapshot, lambda state: state.list == "winners")).rows == flow.frame.rows
            for number in range(20):
                delta = flow.step()
                if number % 5:  # every fifth is lost
                    await publish(stand.bus, flow, messages=[delta])
                    state = await until(events, Snapshot, lambda state: state.list == "winners" and state.sequence == flow.sequence)
                    assert state.rows == watching.held("winners").rows == flow.frame.rows
            assert watching.is_current("winners") and watching.held("gappers_up").rows == []
            await stand.clock.advance_to(datetime(2026, 3, 10, 7, 0, tzinfo=UTC))
            assert (await until(events, NewDay)).session == watching.session == date(2026, 3, 10)
            assert watching.held("winners") is None


async def test_a_gateway_that_ends_and_comes_back_is_found_again_with_the_rows_of_then(stand):
    flow = Flow("winners", 3)
    flow.step()
    await publish(stand.bus, flow)
    clock = Unhurried()
    async with stand.gateway():
        watching = Client(stand.address, ["winners"], clock=clock)
        events = watching.events()
        await until(events, Snapshot)
    lost = await until(events, Lost)
    assert clock.waited == [] and lost.wait_seconds < 1
    assert not watching.is_current("winners") and watching.held("winners").rows == flow.frame.rows
    for _ in range(3):
        flow.step()
    await publish(stand.bus, flow)
    async with stand.gateway():
        assert (await until(events, Snapshot)).rows == flow.frame.rows
        assert watching.is_current("winners") and clock.waited[0] == lost.wait_seconds
        await events.aclose()


@asynccontextmanager
async def serving(talk):
    """A server whose every socket is handed to ``talk``; the address of it."""

    async def socket(request):
        made = web.WebSocketResponse()
        await made.prepare(request)
        await talk(made)
        return made

    async def answer(request):
        return web.Response(status=int(request.match_info["status"]))

    application = web.Application()
    application.add_routes([web.get("/ws", socket), web.get("/{status}", answer)])
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with asyncio.timeout(10):
            yield f"ws://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def losses(address, count):
    watching = Client(address, ["winners"], clock=Unhurried())
    async with aclosing(watching.events()) as events:
        return [await until(events, Lost) for _ in range(count)]


async def test_waits_double_up_to_a_limit_with_jitter_and_begin_anew_once_it_worked():
    sockets = 0

    async def talk(socket):
        nonlocal sockets
        sockets += 1
        if sockets == 9:
            await socket.send_json(CONNECTED)

    async with serving(talk) as address:
        lost = await losses(f"{address}/ws", 10)
    for waited, longest in zip([each.wait_seconds for each in lost], [0.5, 1, 2, 4, 8, 15, 15, 15, 0.5, 1], strict=True):
        assert longest / 2 <= waited <= longest
    assert {each.reason for each in lost} == {"the gateway closed the connection"}


async def test_a_gateway_that_ends_says_when_to_come_back():
    async with serving(lambda socket: socket.close(code=1001, message=b"come back in 2345 ms")) as address:
        assert (await losses(f"{address}/ws", 1))[0].wait_seconds == 2.345


async def test_silence_and_nonsense_end_a_connection(monkeypatch):
    monkeypatch.setattr(client, "SILENCE_SECONDS", 0.05)
    texts = iter(['{"type":"delta"}', "nonsense"])

    async def talk(socket):
        await socket.send_str(json.dumps(CONNECTED))
        await socket.send_str(next(texts, '{"type":"weather"}'))
        await socket.receive()

    async with serving(talk) as address:
        wrong, nonsense, silent = (each.reason for each in await losses(f"{address}/ws", 3))
    assert wrong.startswith("a message could not be read: Object missing required field")
    assert nonsense.startswith("a message could not be read: JSON is malformed")
    assert silent == "nothing was heard for 0 s"


@pytest.mark.parametrize(("status", "why"), [(401, "TRADEUL_TOKEN"), (403, "under this name"), (404, "no gateway"), (200, "no gateway")])
async def test_a_refusal_that_will_not_change_is_an_error(status, why):
    async with serving(None) as address:
        with pytest.raises(GatewayRefused, match=f"status {status}: .*{why}"):
            await losses(f"{address}/{status}", 1)


async def test_the_gateway_knows_the_client_by_its_token_alone(stand):
    async with stand.gateway(token="secret"):
        async with aclosing(Client(stand.address, ["winners"], token="secret").events()) as events:
            assert (await until(events, Connected)).session == SESSION
        for token in ("wrong", None):
            with pytest.raises(GatewayRefused, match="A token is needed"):
                async with aclosing(Client(stand.address, ["winners"], token=token).events()) as events:
                    await until(events, Lost)


async def test_a_wrong_token_is_told_on_the_socket_since_a_browser_reads_no_status():
    async def talk(socket):
        await socket.send_json({"type": "error", "code": "unauthorized", "message": "Show the token."})

    async with serving(talk) as address:
        with pytest.raises(GatewayRefused, match="Show the token"):
            await losses(f"{address}/ws", 1)


@pytest.mark.parametrize("status", [503, 429])
async def test_a_gateway_that_is_full_is_asked_again(status):
    async with serving(None) as address:
        assert str(status) in (await losses(f"{address}/{status}", 2))[1].reason


async def test_the_token_is_shown():
    shown = []

    async def see(request):
        shown.append(request.headers.get("Authorization"))
        return web.Response(status=401)

    runner = web.ServerRunner(web.Server(see))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    with pytest.raises(GatewayRefused):
        async with aclosing(Client(f"ws://127.0.0.1:{runner.addresses[0][1]}/ws", [], token="secret").events()) as events:
            await until(events, Lost)
    assert shown == ["Bearer secret"]
    await runner.cleanup()


@pytest.mark.parametrize("address", ["", "127.0.0.1:9000", "http://127.0.0.1:9000/ws", "ws://", "ws://[::1/ws", "nonsense"])
def test_what_is_no_address_is_one_sentence(address):
    with pytest.raises(SettingsError, match="is no address of a gateway"):
        Client(address, ["winners"])
