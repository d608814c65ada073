"""Live against the simulated vendor, on the stepped clock: real HTTP, a real stream, a real bus."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from pathlib import Path

import msgspec

from tradeul.bus.embedded import EmbeddedServer
from tradeul.bus.redis import Bus
from tradeul.clock import SteppedClock, SystemClock
from tradeul.live.service import LiveService
from tradeul.market_calendar import nyse
from tradeul.providers.http import HttpClient
from tradeul.providers.polygon.client import PolygonClient
from tradeul.providers.polygon.stream import PolygonStream
from tradeul.simulator.server import SimulatorConfig, SimulatorServer


class Stand(msgspec.Struct):
    clock: SteppedClock
    bus: Bus
    simulator: SimulatorServer
    market: PolygonClient
    stream: PolygonStream
    live: LiveService
    running: asyncio.Task[None]


async def nobody() -> None:
    """Who is told that the plan has no stream."""


@asynccontextmanager
async def standing(
    state: Path, start: datetime, tickers: int = 60, seed: int = 5, key: str = "k", mode: str = "LIVE", delay: float = 0.0
) -> AsyncIterator[Stand]:
    clock = SteppedClock(start)
    async with AsyncExitStack() as stack:
        server = EmbeddedServer(state, SystemClock())
        await server.start()
        stack.push_async_callback(server.stop)
        bus = Bus(server.url, clock)
        stack.push_async_callback(bus.close)
        simulator = SimulatorServer(SimulatorConfig(seed, tickers, key=None, recording=None, host="127.0.0.1", port=0), clock, nyse())
        await simulator.start()
        stack.push_async_callback(simulator.stop)
        http = await stack.enter_async_context(HttpClient(clock, 60_000, 10, key))
        market = PolygonClient(http, f"http://127.0.0.1:{simulator.port}")
        path = "delayed/stocks" if delay else "stocks"
        stream = PolygonStream(clock, f"ws://127.0.0.1:{simulator.port}/{path}", key, feed_delay_seconds=delay)
        live = LiveService(market, stream, bus, clock, nyse(), mode, delay, nobody)
        running = asyncio.create_task(live.run())
        try:
            yield Stand(clock, bus, simulator, market, stream, live, running)
            assert not running.done(), running.exception()
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
