"""History at full size: first point reads, of a server just started and of one that had time to decode; warm ones, 500 mixed
ones a second, a year of minute bars, one session's landed.

    python benchmarks/history.py [--tickers 12400] [--rate 500] [--seconds 20]

The server is a process of its own with 260 sessions of daily bars, 30 of slots
and 252 of minute bars (four different ones, linked); it and the one that asks
share the machine. Latencies at a rate count from when a call was due, so that
a server that stalls is not excused by calls that were not made meanwhile. The
size of minute bars is that of a simulated session's file.
"""

import argparse
import asyncio
import itertools
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from datetime import time as wall
from pathlib import Path

import aiohttp
import numpy as np
import polars as pl
import psutil

from tradeul.api.client import MaintenanceClient
from tradeul.api.history.past import Kept, Past
from tradeul.api.history.routes import HistoryRoutes
from tradeul.api.history.server import HistoryServer
from tradeul.clock import SteppedClock
from tradeul.errors import NoAnswer
from tradeul.maintenance.engine import Here
from tradeul.maintenance.tasks.minute_bars import MinuteBarsTask, bars_of_file
from tradeul.market_calendar import at, nyse
from tradeul.ops.callers import Callers
from tradeul.providers.ports import FlatFile
from tradeul.records.bars import SessionMinutes
from tradeul.records.partitions import LedgerRow, State
from tradeul.simulator.files import FlatFiles
from tradeul.simulator.market import Market
from tradeul.simulator.synthetic import SyntheticMarket
from tradeul.store.by_ticker import ByTicker, Looked
from tradeul.store.catalog import Catalog
from tradeul.store.lake import Lake

CALENDAR = nyse()
SESSION = date(2026, 3, 9)
NOW = at(SESSION, wall(12))
DAILY, SLOTS, MINUTES = 260, 30, 252
SLOTS_TRADED, MINUTES_TRADED = 62, 137  # of a ticker in a session, on average
KINDS = ("daily", "slots", "rvol", "atr", "metadata")
CONNECTIONS = 64


def make(folder: Path, tickers: int) -> None:
    lake, catalog = Lake(folder / "lake", "benchmark", simulated=True), Catalog(f"sqlite:///{folder / 'catalog.db'}")
    draw = np.random.default_rng(1)
    symbols = pl.Series("symbol", [f"T{number:05d}" for number in range(tickers)])
    rows = []
    for dataset, count in (("ohlc_daily", DAILY), ("volume_slots", SLOTS), ("minute_bars", MINUTES)):
        sessions = CALENDAR.before(SESSION, count)
        for place, session in enumerate(sessions):
            if dataset == "minute_bars" and place >= 4:
                lake.path(dataset, session).parent.mkdir()
                os.link(lake.path(dataset, sessions[place % 4]), lake.path(dataset, session))
            else:
                lake.write(dataset, session, frame_of(dataset, symbols, draw, session), "benchmark")
            rows.append(LedgerRow(dataset=dataset, session=session, state=State.COMPLETED))
    listed = pl.DataFrame([symbols]).with_columns(name="symbol", kind=pl.lit("CS"), exchange=pl.lit("XNAS"), cik=None, list_date=None)
    lake.write("tickers", SESSION, listed.cast({"cik": pl.String, "list_date": pl.Date}), "benchmark")
    catalog.note(rows)
    catalog.close()


def frame_of(dataset: str, symbols: pl.Series, draw: np.random.Generator, session: date) -> pl.DataFrame:
    each = {"ohlc_daily": 1, "volume_slots": SLOTS_TRADED, "minute_bars": MINUTES_TRADED}[dataset]
    count = len(symbols) * each
    places = np.sort(draw.random((len(symbols), 192 if each == SLOTS_TRADED else 960)).argsort(axis=1)[:, :each], axis=1).ravel()
    frame = pl.DataFrame({"symbol": symbols.gather(np.repeat(np.arange(len(symbols)), each))})
    volume = draw.integers(1, 100_000, count).astype(float)
    if dataset == "volume_slots":
        return frame.with_columns(
            pl.Series("slot", places, pl.Int16), volume=volume, trades=pl.Series(places, dtype=pl.Int32), vwap=pl.lit(None, pl.Float64)
        )
    low = np.round(draw.random(count) * 100 + 1, 2)
    prices = {"open": low + 0.01, "high": low + 0.03, "low": low, "close": low + 0.02}
    if dataset == "ohlc_daily":
        return frame.with_columns(**prices, volume=volume, vwap=low, trades=pl.Series(places, dtype=pl.Int64))
    start_ms = int(CALENDAR.hours(session).pre_open_at.timestamp() * 1000) + places * 60_000
    starts = pl.Series("start_at", start_ms).cast(pl.Datetime("ms", "UTC"))
    return frame.with_columns(starts, **prices, volume=volume, vwap=pl.lit(None, pl.Float64), trades=pl.Series(places, dtype=pl.Int32))


async def nobody(_: str) -> SessionMinutes:
    raise NoAnswer("No live here.")


async def serve(folder: Path) -> None:
    lake, catalog = Lake(folder / "lake", "benchmark", simulated=True), Catalog(f"sqlite:///{folder / 'catalog.db'}")
    past = Past(lake, ByTicker(lake, folder), Looked(catalog.ledger), CALENDAR, SteppedClock(NOW), Kept(DAILY, SLOTS, 20))
    server = HistoryServer(HistoryRoutes(past, nobody), MaintenanceClient(lambda: None), "SIMULATED", Callers(), 0)
    running = asyncio.create_task(server.run())
    await server.started.wait()
    print("port", server.port, flush=True)
    begun, processor = time.perf_counter(), time.process_time()
    await server.warm.wait()
    print(f"warm {time.perf_counter() - begun:.1f} s after the start, {time.process_time() - processor:.1f} s of processor", flush=True)
    await running


def path_of(kind: str, symbol: str, draw: random.Random) -> str:
    past = CALENDAR.before(SESSION, SLOTS - 21)
    session = draw.choice(past)
    return {
        "daily": f"/api/bars/daily/{symbol}",
        "slots": f"/api/slots/{symbol}?start={session}&end={session}",
        "rvol": f"/api/rvol/{symbol}?session={session}&slot={draw.randrange(150)}",
        "atr": f"/api/atr/{symbol}?session={session}",
        "metadata": f"/api/metadata/{symbol}",
    }[kind]


async def asked(client: aiohttp.ClientSession, path: str) -> int:
    async with client.get(path) as response:
        body = await response.read()
        assert response.status == 200, body
        return len(body)


async def one_by_one(client: aiohttp.ClientSession, tickers: int, draw: random.Random) -> None:
    for kind in KINDS:
        took = []
        for _ in range(200):
            path = path_of(kind, f"T{draw.randrange(tickers):05d}", draw)
            begun = time.perf_counter()
            size = await asked(client, path)
            took.append(time.perf_counter() - begun)
        print(f"point read, {kind:9} {shown(took[1:])}; the first {took[0] * 1000:,.0f} ms; {size:,} bytes")


async def first_reads(address: str, draw: random.Random) -> None:
    """Each kind's first, in an order in which none profits from the one before more than it must."""
    async with aiohttp.ClientSession(address) as client:
        for kind in ("atr", "daily", "rvol", "slots", "metadata"):
            begun = time.perf_counter()
            await asked(client, path_of(kind, "T00099", draw))
            print(f"    {kind:9} {(time.perf_counter() - begun) * 1000:,.0f} ms")


async def at_a_rate(
    client: aiohttp.ClientSession, server: psutil.Process, tickers: int, rate: int, seconds: int, draw: random.Random
) -> None:
    took: list[float] = []
    begun, before = time.perf_counter() + 0.5, sum(server.cpu_times()[:2])

    async def call(number: int) -> None:
        due = begun + number / rate
        await asyncio.sleep(max(due - time.perf_counter(), 0))
        await asked(client, path_of(KINDS[number % len(KINDS)], f"T{draw.randrange(tickers):05d}", draw))
        took.append(time.perf_counter() - due)

    await asyncio.gather(*(call(number) for number in range(rate * seconds)))
    done = (len(took)) / (time.perf_counter() - begun)
    processor = (sum(server.cpu_times()[:2]) - before) / len(took)
    print(
        f"{rate} mixed point reads a second for {seconds} s: {shown(took)}; {done:,.0f} a second were answered, "
        f"{processor * 1000:.2f} ms of the server's processor each"
    )


async def a_year(client: aiohttp.ClientSession, server: psutil.Process) -> None:
    before, begun, first, size, most = server.memory_info().rss, time.perf_counter(), 0.0, 0, 0
    async with client.get("/api/bars/minute/T00077?adjusted=false", headers={"Accept-Encoding": "identity"}) as response:
        async for piece in response.content.iter_any():
            first = first or time.perf_counter() - begun
            size += len(piece)
            most = max(most, server.memory_info().rss)
    took = time.perf_counter() - begun
    print(
        f"{MINUTES} sessions of a ticker's minute bars, streamed: {took:.2f} s, the first bytes after {first * 1000:.0f} ms, "
        f"{size / 1e6:.1f} MB; the server grew by {(most - before) / 1e6:.0f} MB"
    )


def shown(took: Sequence[float]) -> str:
    p50, p99 = np.percentile(took, [50, 99]) * 1000
    return f"median {p50:.1f} ms, p99 {p99:.1f}, worst {max(took) * 1000:.1f}"


def land_minutes(folder: Path, tickers: int) -> None:
    session = CALENDAR.previous(SESSION)
    market = Market(SyntheticMarket(7, tickers, CALENDAR), CALENDAR)
    file = FlatFiles(market, "benchmark").file(session)
    lake = Lake(folder / "sample", "benchmark", simulated=True)
    begun, processor = time.perf_counter(), time.process_time()
    bars, outside = bars_of_file(FlatFile(session, file.etag, file.data), CALENDAR.hours(session))
    landed = MinuteBarsTask(None, lake, CALENDAR, 1, Here())._land(session, file.etag, bars, outside, is_judged=False)
    took, processor = time.perf_counter() - begun, time.process_time() - processor
    size = lake.path("minute_bars", session).stat().st_size
    rows = lake.read("minute_bars", session, ["volume"]).height
    print(
        f"a simulated session's minute bars ({rows:,}, {landed.got:,} tickers): {len(file.data) / 1e6:.1f} MB as a file, "
        f"{size / 1e6:.1f} MB in the lake ({size / rows:.1f} bytes a bar; 252 sessions {252 * size / 1e9:.1f} GB); "
        f"landed in {took:.1f} s ({processor:.1f} s of processor)"
    )


async def measure(address: str, given: argparse.Namespace, pid: int) -> None:
    draw, server = random.Random(1), psutil.Process(pid)
    async with aiohttp.ClientSession(address, connector=aiohttp.TCPConnector(limit=CONNECTIONS)) as client:
        await one_by_one(client, given.tickers, draw)
        await at_a_rate(client, server, given.tickers, given.rate, given.seconds, draw)
        await a_year(client, server)
    print(f"load {os.getloadavg()[0]:.1f}; of the server's memory {server.memory_full_info().uss / 1e6:.0f} MB are its own")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tickers", type=int, default=12_400)
    parser.add_argument("--rate", type=int, default=500)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--serve", type=Path)
    given = parser.parse_args()
    if given.serve:
        asyncio.run(serve(given.serve))
        return
    print(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory(prefix="history-bench-") as name:
        folder = Path(name)
        land_minutes(folder, given.tickers)
        make(folder, given.tickers)
        with served(name) as (address, _, _):
            print("first reads, just started:")
            asyncio.run(first_reads(address, random.Random(2)))
        with served(name) as (address, server, lines):
            print("  ", next(line for line in lines if line.startswith("warm")).strip())
            print("first reads, once decoded:")
            asyncio.run(first_reads(address, random.Random(2)))
            asyncio.run(measure(address, given, server.pid))


@contextmanager
def served(name: str) -> Iterator[tuple[str, subprocess.Popen[str], Iterator[str]]]:
    """A server's address, its process, and what else it says."""
    server = subprocess.Popen([sys.executable, __file__, "--serve", name], stdout=subprocess.PIPE, text=True)
    try:
        lines = itertools.dropwhile(lambda line: not line.startswith("port"), server.stdout)
        yield f"http://127.0.0.1:{next(lines).split()[1]}", server, lines
    finally:
        server.kill()
        server.wait()


if __name__ == "__main__":
    main()
