"""The simulator as a child process: ``python -m tradeul.simulator --clock clock.json ...``.

Prints one JSON line, ``{"port": N}``, when ready. Ends itself on SIGTERM and when its
stdin closes, which the parent's death does, however it died.
"""

import argparse
import asyncio
import os
import signal
import sys
import threading
from pathlib import Path

import orjson

from tradeul.clock import SimulatedClock
from tradeul.errors import TradeulError
from tradeul.market_calendar import nyse
from tradeul.simulator.faults import parse
from tradeul.simulator.memory import keep_little
from tradeul.simulator.server import SimulatorConfig, SimulatorServer


def main() -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    keep_little()
    parser = argparse.ArgumentParser(prog="tradeul.simulator")
    parser.add_argument("--clock", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--tickers", type=int, default=12_400)
    parser.add_argument("--key")
    parser.add_argument("--recording", type=Path)
    parser.add_argument("--edgar", type=Path)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--faults", default="")
    given = parser.parse_args()
    clock = SimulatedClock.from_json(given.clock.read_text())
    try:
        faults = parse(given.faults)
        config = SimulatorConfig(given.seed, given.tickers, given.key, given.recording, given.host, given.port, faults, given.edgar)
        asyncio.run(_serve(config, clock))
    except TradeulError as error:
        sys.exit(str(error))


async def _serve(config: SimulatorConfig, clock: SimulatedClock) -> None:
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, ended.set)
    server = SimulatorServer(config, clock, nyse())
    await server.start()
    sys.stdout.buffer.write(orjson.dumps({"port": server.port}) + b"\n")
    sys.stdout.buffer.flush()
    await ended.wait()
    await server.stop()
    # A market may be in the making in a thread, for a second that nobody waits for any more.
    os._exit(0)


def _end_with_parent() -> None:
    """At once and without a word: whoever was served is gone, and nothing here outlives the process."""
    while os.read(0, 4096):
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
