"""How long a person waits: from an empty state folder, and on a second start, at the full 12,400 tickers.

Prints seconds from the command until the page answers, the feed moves, winners
and gappers have rows, and relative volume is ready; then memory of the whole
process tree and the longest pause of the event loop.
"""

import argparse
import asyncio
import json
import os
import re
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import psutil

READY_SHARE = 0.5  # of the rows shown; the rest are tickers too thin to be ready


class Watch:
    """One start: asks the page's origin until each thing has happened."""

    def __init__(self, page: str, began: float) -> None:
        self._page, self._began = page, began

    async def until(self, path: str, holds: Callable[[Any], bool], seconds: float) -> float:
        async with aiohttp.ClientSession(self._page) as http:
            while True:
                async with http.get(path) as answer:
                    if answer.status == 200 and holds(await answer.json()):
                        return time.monotonic() - self._began
                if time.monotonic() - self._began > seconds:
                    return float("nan")
                await asyncio.sleep(0.1)


def memory_mb(pid: int) -> dict[str, float]:
    parent = psutil.Process(pid)
    family = [parent, *parent.children(recursive=True)]
    return {" ".join(process.cmdline()[1:4])[-40:] or process.name(): process.memory_info().rss / 1e6 for process in family}


def watch_memory(pid: int, peak: list[float]) -> None:
    while True:
        try:
            peak[0] = max(peak[0], sum(memory_mb(pid).values()))
        except psutil.Error:
            return
        time.sleep(0.25)


def some_ready(answer: Any) -> bool:
    rows = answer["rows"]
    return bool(rows) and sum(row.get("rvol") is not None for row in rows) >= READY_SHARE * len(rows)


async def start(state: Path, tickers: int, *, wait_for_history: bool) -> dict[str, float]:
    environment = os.environ | {"TRADEUL_STATE": str(state), "TRADEUL_SIMULATOR_TICKERS": str(tickers)}
    services = ("API", "GATEWAY", "MAINTENANCE", "HISTORICAL", "FILINGS", "SIMULATOR")
    environment |= {f"TRADEUL_{service}_PORT": "0" for service in services}
    began = time.monotonic()
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tradeul", "up", env=environment, stdout=pipe, stderr=asyncio.subprocess.DEVNULL
    )
    peak = [0.0]
    threading.Thread(target=watch_memory, args=(process.pid, peak), daemon=True).start()
    try:
        assert process.stdout is not None
        found = re.search(r"http://[^/\s]+", (await process.stdout.readline()).decode())
        assert found is not None
        watch = Watch(found[0], began)
        seconds = {"page answers": time.monotonic() - began}
        for name in ("winners", "gappers_up"):
            seconds[f"{name} has rows"] = await watch.until(f"/api/lists/{name}", lambda answer: bool(answer["rows"]), 120)
        seconds["rvol ready"] = await watch.until("/api/lists/gappers_up", some_ready, 400)
        if wait_for_history:
            seconds["history complete"] = await until_complete(state, began)
        seconds["memory at the end, MB"] = sum(memory_mb(process.pid).values())
        seconds["memory at the peak, MB"] = peak[0]
        for name, size in memory_mb(process.pid).items():
            print(f"    {size:7.0f} MB  {name}")
    finally:
        stopping = time.monotonic()
        process.send_signal(signal.SIGINT)
        await process.wait()
    seconds["Ctrl-C to the end"] = time.monotonic() - stopping
    watched = events(state, "event_loop_watched")[-1]
    seconds["longest pause of the loop, ms"] = 1000 * watched["longest_seconds"]
    seconds["  without the kernel's, ms"] = 1000 * watched["longest_own_seconds"]
    seconds["  of these above 50 ms"] = watched["own_over_limit"]
    return seconds


def events(state: Path, name: str) -> list[dict[str, Any]]:
    lines = (state / "logs" / "tradeul.jsonl").read_text().splitlines()
    return [line for line in map(json.loads, lines) if line.get("event") == name]


async def until_complete(state: Path, began: float) -> float:
    while not any(event.get("success") for event in events(state, "maintenance_cycle_finished")):
        if time.monotonic() - began > 900:
            return float("nan")
        await asyncio.sleep(0.5)
    return time.monotonic() - began


async def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--tickers", type=int, default=12_400)
    tickers = arguments.parse_args().tickers
    with tempfile.TemporaryDirectory() as folder:
        for title, wait in (("from an empty folder", True), ("second start", False)):
            print(f"{title}, {tickers:,} tickers, {os.cpu_count()} cores")
            for name, value in (await start(Path(folder), tickers, wait_for_history=wait)).items():
                print(f"  {name:<32}{value:10.2f}")


if __name__ == "__main__":
    asyncio.run(main())
