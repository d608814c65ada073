"""A gateway with a real bus behind it and real WebSocket clients before it."""

import asyncio
import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import aiohttp
import pytest

from tradeul.bus.redis import Bus
from tradeul.clock import SteppedClock
from tradeul.gateway.server import GatewayServer
from tradeul.market_calendar import nyse
from tradeul.ops.callers import Callers

PAGE = "http://127.0.0.1:8000"
NOON = datetime(2026, 3, 9, 16, 0, tzinfo=UTC)  # 12:00 ET


class Browser:
    """A real WebSocket client that keeps each list as the messages say, and fails on a gap."""

    def __init__(self, socket, apply):
        self.socket, self.apply, self.held = socket, apply, {}

    async def say(self, **message):
        await self.socket.send_json(message)

    async def next(self, *types):
        """The next message of one of ``types``; what else comes is taken in."""
        while True:
            message = await self.socket.receive()
            assert message.type is aiohttp.WSMsgType.TEXT, message
            message = json.loads(message.data)
            self.take(message)
            if message["type"] in types:
                return message

    def take(self, message):
        if message["type"] == "snapshot":
            self.held[message["list"]] = message
        elif message["type"] == "delta":
            held = self.held[message["list"]]
            assert (message["epoch"], message["base"]) == (held["epoch"], held["sequence"]), "a gap or a duplicate"
            self.held[message["list"]] = held | {"sequence": message["sequence"], "rows": self.apply(held["rows"], message)}


class Stand:
    """A gateway on a free port, the bus behind it, browsers before it."""

    def __init__(self, gateway, bus, client, scanner):
        self.gateway, self.bus, self.client, self.scanner = gateway, bus, client, scanner
        self.url = f"http://127.0.0.1:{gateway.port}"

    @asynccontextmanager
    async def browser(self, path="/ws", **options):
        async with self.client.ws_connect(self.url + path, origin=PAGE, **options) as socket:
            browser = Browser(socket, self.scanner.apply)
            self.connected = await browser.next("connected")
            yield browser


@asynccontextmanager
async def standing(valkey, scanner, **settings):
    """``settings``: of whom it lets in."""
    clock = SteppedClock(NOON)
    bus = Bus(valkey.url, clock)
    await bus.put_lists(scanner.DEFINITIONS)
    callers = Callers(**settings)
    callers.page_ports.add(8000)
    gateway = GatewayServer(bus, clock, nyse(), "SIMULATED", callers, 0)
    gateway.clock = clock
    async with asyncio.timeout(20):
        running = asyncio.create_task(gateway.run())
        await gateway.started.wait()
        async with aiohttp.ClientSession() as client:
            await until(lambda: ready(client, gateway))
            await listening(bus)
            yield Stand(gateway, bus, client, scanner)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    await bus.close()


async def until(condition):
    while not await condition():
        await asyncio.sleep(0.01)


async def ready(client, gateway):
    async with client.get(f"http://127.0.0.1:{gateway.port}/ready") as response:
        return response.status == 200


async def listening(bus):
    """Return once the gateway hears every channel."""

    async def heard():
        channels = await bus.redis.execute_command("PUBSUB", "SHARDCHANNELS")
        return len(channels) == 16 and len(await bus.redis.execute_command("PUBSUB", "CHANNELS")) == 2

    await until(heard)


class Raw:
    """A client that keeps no rules: bytes as they are, to a gateway on ``port``."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    @classmethod
    @asynccontextmanager
    async def connected(cls, port, *, extensions=None, path="/ws", **options):
        """After the handshake, and after `connected`."""
        async with cls.opened(port, **options) as raw:
            raw.write(cls.handshake(path, extensions))
            assert (await raw.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
            assert (await raw.next())[1].startswith(b'{"type":"connected"')
            yield raw

    @classmethod
    @asynccontextmanager
    async def opened(cls, port, **options):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, **options)
        try:
            yield cls(reader, writer)
        finally:
            writer.transport.abort()

    @staticmethod
    def handshake(path="/ws", extensions=None):
        key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="
        offer = f"\r\nSec-WebSocket-Extensions: {extensions}" if extensions else ""
        return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{key}{offer}\r\n\r\n".encode()

    def write(self, data):
        self.writer.write(data)

    def say(self, payload, first=0x81):
        """One frame, masked with zeros. ``first``: its first byte, FIN and opcode."""
        size = len(payload)
        head = bytes((0x80 | size,)) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
        self.write(bytes((first,)) + head + bytes(4) + payload)

    async def next(self):
        """The next frame: its opcode and payload; (None, b"") at the connection's end."""
        try:
            first, size = await self.reader.readexactly(2)
            if size > 125:
                size = int.from_bytes(await self.reader.readexactly({126: 2, 127: 8}[size]), "big")
            return first & 15, await self.reader.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None, b""

    async def end(self):
        """Read on until the close, or the connection's end: the code, or None; and what was said before it."""
        said = []
        while (frame := await self.next())[0] not in (8, None):
            said.append(frame)
        return (int.from_bytes(frame[1][:2], "big") if frame[0] == 8 else None), said
