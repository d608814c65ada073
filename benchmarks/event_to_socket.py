"""From a message of the vendor's stream to a browser's socket: the product's own path, and 500 browsers.

    a process: the stream ---> live, scanner, bus, gateway (this process and its Valkey) ---> a process: the browsers

    python benchmarks/event_to_socket.py [--clients 500] [--seconds 30] [--background 3000]

Each event is a second bar with a price of its own, of a ticker on a list that all
browsers watch; it counts when a browser's socket has given the delta with that price. 12,400
tickers stand in the table, the eleven lists are scanned too, ``--background`` other bars come a
second, and the browsers ask for compression, as real ones do. An event waits for its
cycle, up to one second: what is promised is the time beyond that.
"""

import argparse
import asyncio
import json
import re
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import msgspec
import numpy as np
import psutil
from aiohttp import web
from live import NoHistory, greeted, offer
from scan import AS_OF, SESSION, a_market

from tradeul.bus.embedded import EmbeddedServer
from tradeul.bus.redis import Bus
from tradeul.clock import SimulatedClock, SystemClock
from tradeul.gateway.server import GatewayServer
from tradeul.live.service import LiveService
from tradeul.market_calendar import nyse
from tradeul.ops.callers import Callers
from tradeul.ops.memory import spare_what_stands
from tradeul.ops.watchdog import LoopWatchdog
from tradeul.providers.polygon.stream import PolygonStream
from tradeul.scanner.membership import Membership
from tradeul.scanner.service import ScannerService
from tradeul.store.lake import Lake
from tradeul.store.membership_log import MembershipLog
from tradeul.store.tape import TapeFiles

TICKERS = 12_400
CYCLE_SECONDS = 1.0
EVENTS_A_SECOND, WATCHED = 40, 80  # so that no ticker has two events in a cycle
TICK_SECONDS = 0.05
LIST = """
[lists.bench]
title = "Bench"
floors = false
class = "all"
where = "price > 0"
order = [["volume", "desc"]]
columns = ["price"]
"""
PRICES = re.compile(r'"price":(10[1-9]\.?\d*)').findall
encoder = msgspec.json.Encoder()


def bar(symbol: str, end_ms: int, price: float, volume: float) -> dict[str, object]:
    return dict.fromkeys("ohlc", price) | {"ev": "A", "sym": symbol, "v": volume, "vw": price, "z": 50, "s": end_ms - 1000, "e": end_ms}


def price_of(number: int) -> float:
    return round(101 + number / 10_000, 4)


async def serve(seconds: int, background: int, ahead: float, symbols: list[str]) -> None:
    """The vendor; at its end it tells when each event was sent."""
    over, sent = asyncio.Event(), []

    async def handle(request: web.Request) -> web.WebSocketResponse:
        socket = await greeted(request)
        await asyncio.to_thread(sys.stdin.readline)  # the browsers are there
        draw, began, owed = np.random.default_rng(3), time.time(), 0.0
        for tick in range(int(seconds / TICK_SECONDS)):
            await asyncio.sleep(max(began + tick * TICK_SECONDS - time.time(), 0))
            end_ms = int(time.time() + ahead) * 1000
            others = draw.integers(WATCHED, TICKERS, int(background * TICK_SECONDS)).tolist()
            await socket.send_bytes(encoder.encode([bar(symbols[other], end_ms, 10 + other % 80, 100.0) for other in others]))
            owed += EVENTS_A_SECOND * TICK_SECONDS
            while owed >= 1:
                owed -= 1
                number = len(sent)
                sent.append(time.time())
                await socket.send_bytes(encoder.encode([bar(symbols[number % WATCHED], end_ms, price_of(number), 1e6)]))
        await asyncio.sleep(3)
        print(json.dumps(sent), flush=True)
        over.set()
        return socket

    await offer(handle, over)


async def browse(clients: int, port: int, into: Path) -> None:
    """The browsers, until standard input ends; what each saw when is left in ``into``."""
    seen: list[tuple[list[int], float]] = []
    told: dict[str, list[int]] = {}  # all browsers get the same words: they are read once, and cost the others no time
    subscribed = 0

    async def browser(session: aiohttp.ClientSession) -> None:
        nonlocal subscribed
        async with session.ws_connect(f"ws://127.0.0.1:{port}/ws", compress=15) as socket:
            await socket.send_str('{"action":"subscribe","list":"bench"}')
            async for message in socket:
                now, words = time.time(), message.data
                if words not in told:
                    told[words] = [round((float(price) - 101) * 10_000) for price in PRICES(words)] if '"delta"' in words else []
                seen.append((told[words], now))
                subscribed += '"subscribed"' in words

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session, asyncio.TaskGroup() as group:
        tasks = []
        for _ in range(clients):
            tasks.append(group.create_task(browser(session)))
            await asyncio.sleep(0.005)
        while subscribed < clients:
            await asyncio.sleep(0.05)
        print("subscribed", flush=True)
        await asyncio.to_thread(sys.stdin.read)
        for task in tasks:
            task.cancel()
    np.save(into, np.array([(number, now) for numbers, now in seen for number in numbers]))


async def measure(clients: int, seconds: int, background: int, state: Path) -> None:
    columns, baselines, symbols = a_market(TICKERS)
    del columns
    (state / "lists").mkdir()
    (state / "lists" / "bench.toml").write_text(LIST)
    (state / "symbols").write_text("\n".join(symbols))
    now = datetime.now(UTC)
    clock, calendar = SimulatedClock(now, AS_OF, 1.0), nyse()
    own = [sys.executable, __file__, "--seconds", str(seconds), "--background", str(background), "--clients", str(clients)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    vendor = subprocess.Popen([*own, "--serve", str((AS_OF - now).total_seconds()), str(state / "symbols")], **pipes)  # noqa: ASYNC220
    server = EmbeddedServer(state, SystemClock())
    await server.start()
    bus = Bus(server.url, clock)
    await bus.put_baselines(SESSION, baselines.to_arrow())
    stream = PolygonStream(clock, f"ws://127.0.0.1:{int(await asyncio.to_thread(vendor.stdout.readline))}/stocks", "k")
    live = LiveService(NoHistory(), stream, bus, clock, calendar, "LIVE", tape=TapeFiles(state / "tape", 0))  # type: ignore[arg-type]
    membership = Membership(MembershipLog(state / "membership", Lake(state / "lake", "benchmark", simulated=True), 1))
    by = state / "lists", CYCLE_SECONDS, None, membership, live.recorded
    scanner = ScannerService(live.frame, bus, clock, calendar, "LIVE", 1, *by)
    watchdog = LoopWatchdog()
    gateway = GatewayServer(bus, clock, calendar, "LIVE", Callers(), 0)
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(run()) for run in (live.run, scanner.run, gateway.run, watchdog.run)]
        await gateway.started.wait()
        await asyncio.sleep(3)
        spare_what_stands()
        browsers = subprocess.Popen([*own, "--browse", str(gateway.port), str(state / "seen.npy")], **pipes)  # noqa: ASYNC220
        await asyncio.to_thread(browsers.stdout.readline)
        vendor.stdin.write("go\n")
        vendor.stdin.flush()
        sent = np.array(json.loads(await asyncio.to_thread(vendor.stdout.readline)))
        megabytes = memory({vendor.pid: "the vendor", browsers.pid: "the browsers"})
        browsers.stdin.close()
        await asyncio.to_thread(browsers.wait)
        for task in running:
            task.cancel()
    vendor.wait()
    await bus.close()
    await server.stop()
    tell(sent, np.load(state / "seen.npy"), clients)
    for name, size in megabytes.items():
        print(f"  {size:5.0f} MB  {name}")
    print(f"  longest pause of the event loop {watchdog.longest_seconds * 1000:.0f} ms, {watchdog.over_limit} above 50 ms")
    print(f"  without waiting for a processor {watchdog.longest_own_seconds * 1000:.0f} ms, {watchdog.own_over_limit} above 50 ms")


def tell(sent: np.ndarray, seen: np.ndarray, clients: int) -> None:
    number, at = seen[:, 0].astype(int), seen[:, 1]
    taken = 1000 * (at - sent[number])
    arrived = len(np.unique(number)) / len(sent)
    p50, p99 = np.percentile(taken, (50, 99))
    print(f"event to socket: {clients} browsers, {len(sent)} events, {len(seen):,} arrivals; {arrived:.1%} of the events were shown")
    print(f"  p50 {p50:.0f} ms, p99 {p99:.0f} ms, of which up to {CYCLE_SECONDS * 1000:.0f} ms are the cycle's")
    print(f"  beyond the cycle: p99 {p99 - 1000 * CYCLE_SECONDS:.0f} ms")


def memory(others: dict[int, str]) -> dict[str, float]:
    """MB of this process and its children, by what they are."""
    own = psutil.Process()
    names = {own.pid: "live, scanner, gateway"} | {child.pid: others.get(child.pid) or child.name() for child in own.children()}
    return {name: psutil.Process(pid).memory_info().rss / 1e6 for pid, name in names.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--background", type=int, default=3_000)
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--browse", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(options.seconds, options.background, float(options.serve[0]), Path(options.serve[1]).read_text().split()))
    elif options.browse:
        asyncio.run(browse(options.clients, int(options.browse[0]), Path(options.browse[1])))
    else:
        with tempfile.TemporaryDirectory() as state:
            asyncio.run(measure(options.clients, options.seconds, options.background, Path(state)))


if __name__ == "__main__":
    main()
