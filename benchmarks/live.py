"""How fast live takes the stream: decode and table beside bare msgspec decode of the same bytes; then a flood over a socket.

    python benchmarks/live.py [--messages 60000] [--seconds 30] [--tickers 12400]

The flood comes from a process of its own, paced by the wall clock: second bars of
12,400 tickers, each said again while later ones come. It prints what arrived, what
was merged or dropped, the lag while it lasted, and how long it took to be under a
second once it was over. With other ``--tickers`` there is no flood: only what their bars and
frames cost the processor, and what the table takes of memory.
What an event takes to a browser's socket: `event_to_socket.py`.
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl
import psutil
from aiohttp import WSMsgType, web

from tradeul.bus.embedded import EmbeddedServer
from tradeul.bus.redis import Bus
from tradeul.clock import SimulatedClock, SystemClock
from tradeul.live.frames import market_frame
from tradeul.live.service import LiveService
from tradeul.live.today_table import TodayTable
from tradeul.market_calendar import nyse
from tradeul.ops.memory import spare_what_stands
from tradeul.ops.watchdog import LoopWatchdog
from tradeul.providers.polygon.stream import PolygonStream
from tradeul.providers.polygon.wire_stream import decode_frame
from tradeul.records.bars import TickerSnapshot
from tradeul.simulator.wire_out import rows

TICKERS = 12_400
FRAME_ROWS = 3_000
ROUNDS = 7
MOST_TICKERS_TOUCHED = 400_000
AT = datetime(2026, 3, 9, 14, 30, tzinfo=UTC)  # an hour into a session


def names_of(tickers: int) -> npt.NDArray[np.str_]:
    """Four letters each; five where those do not reach."""
    powers = (2, 1, 0, 3) if tickers <= 26**4 else (2, 1, 0, 3, 4)
    letters = np.stack([65 + np.arange(tickers) // 26**power % 26 for power in powers], axis=1).astype(np.uint32)
    return letters.view(f"U{len(powers)}").reshape(-1)


def frames_of(end_s: int, messages: int, names: npt.NDArray[np.str_]) -> list[bytes]:
    """Second bars that end by ``end_s`` (epoch seconds), newest last."""
    number = np.arange(messages)
    ends = (end_s - (messages - 1 - number) // len(names)) * 1000
    price = 10.0 + number % 977 / 10
    columns = {"ev": "A", "v": 100 + number % 900, "av": 1_000_000 + number, "vw": price, "z": 50, "o": price, "c": price + 0.05}
    frame = pl.DataFrame({"sym": names[number % len(names)], "h": price + 0.1, "l": price - 0.1, "a": price, "s": ends - 1000, "e": ends})
    frame = frame.with_columns(**{name: pl.lit(value) if np.isscalar(value) else pl.Series(value) for name, value in columns.items()})
    return [rows(frame[first : first + FRAME_ROWS]) for first in range(0, messages, FRAME_ROWS)]


def median_ms(work: Callable[[], object]) -> float:
    """Of the processor."""
    times = []
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return 1000 * statistics.median(times)


def ingest(messages: int, tickers: int) -> None:
    hours, names = nyse().hours(date(2026, 3, 9)), names_of(tickers)
    second = int(hours.open_at.timestamp()) + 100
    frames, symbols, own = frames_of(second, messages, names), names.tolist(), psutil.Process().memory_info
    before = own().rss
    table = TodayTable(hours)
    table.add_symbols(symbols)
    if touched := tickers <= MOST_TICKERS_TOUCHED:  # else it would not fit beside others
        table.touch((AT - hours.pre_open_at).total_seconds())
    decoder = msgspec.json.Decoder(list[dict[str, str | float]])
    bare = median_ms(lambda: [decoder.decode(frame) for frame in frames])
    decoded = median_ms(lambda: [decode_frame(frame, 0) for frame in frames])
    whole = median_ms(lambda: [table.apply(decode_frame(frame, 0).batch) for frame in frames])
    print(f"{messages:,} messages, {sum(map(len, frames)) / 1e6:.1f} MB: bare msgspec decode {bare:.0f} ms")
    print(f"  to records {decoded:.0f} ms ({decoded / bare:.2f}x), into the table {whole:.0f} ms ({whole / bare:.2f}x)")
    print(f"  {messages / whole * 1000:,.0f} messages a second and core into the table")
    turns = iter(range(1, ROUNDS + 1))
    framed = median_ms(lambda: market_frame(table, datetime.fromtimestamp(second + 5 * next(turns), UTC)))
    taken = own().rss - before
    how = "with every page of the windows in use" if touched else "with the windows hardly begun"
    print(f"  {tickers:,} tickers: a frame {framed:.0f} ms, the table {taken / 1e6:,.0f} MB ({taken / tickers:,.0f} bytes a ticker) {how}")


async def greeted(request: web.Request) -> web.WebSocketResponse:
    """A connection that has subscribed."""
    socket = web.WebSocketResponse(max_msg_size=1 << 20)
    await socket.prepare(request)
    for status in ("connected", "auth_success", "success"):
        await socket.send_str(f'[{{"ev":"status","status":"{status}"}}]')
        if status != "success":
            await socket.receive()
    return socket


async def offer(handle: Callable[[web.Request], Awaitable[web.StreamResponse]], over: asyncio.Event) -> None:
    """Serve as the vendor's stream on a free port, which is printed."""
    app = web.Application()
    app.router.add_get("/stocks", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await over.wait()


async def serve(messages: int, seconds: int, ahead: float) -> None:
    """The flood's source: a vendor that says one thing only, ``ahead`` seconds of the machine's clock."""
    over, names = asyncio.Event(), names_of(TICKERS)

    async def handle(request: web.Request) -> web.WebSocketResponse:
        socket = await greeted(request)
        began = time.time()
        for second in range(seconds):
            frames = await asyncio.to_thread(frames_of, int(time.time() + ahead), messages, names)
            await asyncio.sleep(max(began + second + 1 - time.time(), 0))
            for frame in frames:
                await socket.send_frame(frame, WSMsgType.TEXT)
        print(f"sent {time.time():.3f}", flush=True)
        await socket.receive()
        over.set()
        return socket

    await offer(handle, over)


class NoHistory:
    """REST that knows nothing: the flood is of the stream alone."""

    async def market_snapshot(self) -> list[TickerSnapshot]:
        return []


async def flood(messages: int, seconds: int, state: Path) -> None:
    now = datetime.now(UTC)
    ahead = (AT - now).total_seconds()
    command = [sys.executable, __file__, "--serve", "--messages", str(messages), "--seconds", str(seconds), "--ahead", str(ahead)]
    source = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220
    assert source.stdout is not None
    port = int(await asyncio.to_thread(source.stdout.readline))
    clock, calendar = SimulatedClock(now, AT, 1.0), nyse()
    server = EmbeddedServer(state, SystemClock())
    await server.start()
    bus = Bus(server.url, clock)
    stream = PolygonStream(clock, f"ws://127.0.0.1:{port}/stocks", "k")
    watchdog = LoopWatchdog()
    live = LiveService(NoHistory(), stream, bus, clock, calendar, "LIVE")  # type: ignore[arg-type]
    running = [asyncio.create_task(work) for work in (live.run(), watchdog.run())]
    spare_what_stands()
    lags: list[float] = []
    told = asyncio.create_task(asyncio.to_thread(source.stdout.readline))
    sent_at, under_after = 0.0, 0.0
    while not under_after:
        await asyncio.sleep(0.25)
        live.frame()
        age = live.status().feed_age_ms
        waiting = stream._waiting
        lags.append(float(age or 0))
        if told.done():
            sent_at = sent_at or float(told.result().split()[1])
            if (not waiting and stream.messages >= messages * seconds) or time.time() - sent_at > 30:
                under_after = max(time.time() - sent_at, 0.001)
    status = live.status()
    print(f"flood: {messages:,} messages a second for {seconds} s, {messages * seconds:,} in all")
    merged = sum(count for kind, count in status.problems.items() if "merged" in kind)
    print(f"  received {stream.messages:,}, merged {merged:,}, dropped {status.dropped:,}")
    print(f"  the newest bar was at most {max(lags[8:], default=0):.0f} ms old")
    print(f"  all was in the table {under_after:.2f} s after the last was sent")
    print(f"  longest pause of the event loop {watchdog.longest_seconds * 1000:.0f} ms, {watchdog.over_limit} above 50 ms")
    print(f"  without waiting for a processor {watchdog.longest_own_seconds * 1000:.0f} ms, {watchdog.own_over_limit} above 50 ms")
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    source.terminate()
    await bus.close()
    await server.stop()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--messages", type=int, default=60_000)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--tickers", type=int, default=TICKERS)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--ahead", type=float, default=0.0, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve(arguments.messages, arguments.seconds, arguments.ahead))
        return
    ingest(arguments.messages, arguments.tickers)
    if arguments.tickers != TICKERS:
        return
    with tempfile.TemporaryDirectory() as state:
        asyncio.run(flood(arguments.messages, arguments.seconds, Path(state)))


if __name__ == "__main__":
    main()
