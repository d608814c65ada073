"""The vendor's largest answer and its stream, decoded to records; beside them the same bytes decoded without types.

    python benchmarks/decode.py [tickers]

The bytes are the simulator's, as the product gets them.
"""

import asyncio
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime

import aiohttp
import msgspec
import orjson

from tradeul.clock import SimulatedClock
from tradeul.market_calendar import nyse
from tradeul.providers.polygon import wire_stream
from tradeul.providers.polygon.wire_snapshot import decode_snapshot
from tradeul.simulator.server import SimulatorConfig, SimulatorServer

AT = datetime(2026, 3, 9, 13, 31, tzinfo=UTC)  # a minute after the open
ROUNDS = 9
LISTEN_SECONDS = 12


async def the_vendors_bytes(tickers: int) -> tuple[bytes, list[bytes]]:
    """The full snapshot, and the stream frames of some seconds at the open."""
    server = SimulatorServer(
        SimulatorConfig(seed=7, tickers=tickers, key=None, recording=None, host="127.0.0.1", port=0),
        SimulatedClock(datetime.now(UTC), AT, 1.0),
        nyse(),
    )
    await server.start()
    try:
        address = f"http://127.0.0.1:{server.port}"
        async with aiohttp.ClientSession(headers={"Authorization": "Bearer k"}) as http:
            async with http.get(f"{address}/v2/snapshot/locale/us/markets/stocks/tickers") as answer:
                snapshot = await answer.read()
            async with http.ws_connect(f"{address}/stocks", max_msg_size=0) as socket:
                await socket.send_str('{"action":"auth","params":"k"}')
                await socket.send_str('{"action":"subscribe","params":"A.*,AM.*"}')
                until = time.monotonic() + LISTEN_SECONDS
                frames = []
                while time.monotonic() < until:
                    frames.append((await socket.receive_str()).encode())
    finally:
        await server.stop()
    return snapshot, [frame for frame in frames if b'"sym"' in frame]


def median_ms(work: Callable[[], object]) -> float:
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return 1000 * statistics.median(times)


def compare(title: str, ours: float, others: dict[str, float]) -> None:
    beside = ", ".join(f"{name} {value:.1f} ms (ours {ours / value:.2f}x)" for name, value in others.items())
    print(f"{title}: {ours:.1f} ms; beside it {beside}")


def main() -> None:
    tickers = int(sys.argv[1]) if len(sys.argv) > 1 else 12_400
    snapshot, frames = asyncio.run(the_vendors_bytes(tickers))
    ours = median_ms(lambda: decode_snapshot(snapshot))
    others = {
        "orjson, untyped": median_ms(lambda: orjson.loads(snapshot)),
        "msgspec, untyped": median_ms(lambda: msgspec.json.decode(snapshot)),
    }
    compare(f"snapshot, {tickers:,} tickers, {len(snapshot) / 1e6:.1f} MB", ours, others)
    messages = sum(len(orjson.loads(frame)) for frame in frames)
    ours = median_ms(lambda: [wire_stream.decode_frame(frame, 0) for frame in frames])
    compare(
        f"stream, {messages:,} messages", ours, {"msgspec, untyped": median_ms(lambda: [msgspec.json.decode(frame) for frame in frames])}
    )
    print(f"  {messages / ours * 1000:,.0f} messages a second")


if __name__ == "__main__":
    main()
