"""A stream that is cut again and again: what the table ends with is what the vendor says of the day."""

import asyncio
import random
from contextlib import AsyncExitStack
from datetime import date, datetime, timedelta

import numpy as np
import pytest

from tradeul.bus.embedded import EmbeddedServer
from tradeul.bus.redis import Bus
from tradeul.clock import SteppedClock, SystemClock
from tradeul.live.service import LiveService
from tradeul.market_calendar import nyse
from tradeul.providers.http import HttpClient
from tradeul.providers.polygon.client import PolygonClient
from tradeul.providers.polygon.stream import PolygonStream
from tradeul.simulator.server import SimulatorConfig, SimulatorServer

SESSION = date(2026, 3, 9)
HOURS = nyse().hours(SESSION)
AFTER = timedelta(minutes=16)  # the last bar's correction, and the reconciliations after it


async def play(state, tickers: int, seed: int, start: datetime, cuts: list[tuple[datetime, timedelta]]) -> tuple[LiveService, dict[str, float]]:
    """Run live from ``start`` to the session's end, cutting its connection at each of ``cuts``, for so long; the service, and the vendor's daily volumes."""
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
        http = await stack.enter_async_context(HttpClient(clock, 60_000, 10, "k"))
        market = PolygonClient(http, f"http://127.0.0.1:{simulator.port}")
        stream = PolygonStream(clock, f"ws://127.0.0.1:{simulator.port}/stocks", "k")
        live = LiveService(market, stream, bus, clock, nyse(), "SIMULATED")
        running = asyncio.create_task(live.run())
        try:
            for instant, lasting in cuts:
                await clock.advance_to(instant)
                await simulator.cut_streams(lasting)
            await clock.advance_to(HOURS.post_close_at + AFTER)
            assert not running.done(), running.exception()
            assert stream.reconnects >= 10  # some fall into another's time
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        bars = await market.grouped_daily(SESSION)
        return live, {bar.symbol: bar.volume for bar in bars}


def random_cuts(seed: int, start: datetime, number: int) -> list[tuple[datetime, timedelta]]:
    """When, and for how long: half of them for seconds, half for minutes."""
    rng = random.Random(seed)
    length = (HOURS.post_close_at - start).total_seconds()
    instants = sorted(start + timedelta(seconds=rng.uniform(1, length)) for _ in range(number))
    return [(instant, timedelta(seconds=rng.choice([rng.uniform(0, 10), rng.uniform(10, 200)]))) for instant in instants]


async def volumes_end_as_the_vendors(state, tickers: int, seed: int, start: datetime):
    live, daily = await play(state, tickers, seed, start, random_cuts(seed, start, 20))
    frame = live.frame(HOURS.post_close_at)
    got = dict(zip(frame.symbols, frame.columns["volume"], strict=True))
    assert len(daily) > tickers / 2
    assert {symbol: got.get(symbol) for symbol in daily} == daily
    assert not np.any(frame.columns["partial"])
    silent = set(got) - set(daily)
    assert all(got[symbol] == 0 for symbol in silent)


async def test_a_stream_cut_twenty_times_ends_with_the_vendors_volumes(tmp_path):
    await volumes_end_as_the_vendors(tmp_path, 60, 5, HOURS.post_close_at - timedelta(hours=1))


@pytest.mark.long
async def test_a_whole_session_cut_twenty_times_ends_with_the_vendors_volumes(tmp_path):
    await volumes_end_as_the_vendors(tmp_path, 1000, 0, HOURS.pre_open_at - timedelta(minutes=5))
