"""A day's tape at the full 12,400 tickers: how large it gets, what writing costs, how long a start reads it, in how much memory.

The simulated feed is recorded second by second, from 04:00 to ``--until``, on no
clock; then a process of its own reads the file back. Beside it, in the same run:
the same bars applied to a table without a tape.
"""

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from tradeul.clock import SystemClock
from tradeul.live.recording import Recording
from tradeul.live.tape import Encoder, Opened, Symbols
from tradeul.live.today_table import TodayTable
from tradeul.market_calendar import nyse
from tradeul.providers.polygon.wire_stream import decode_frame
from tradeul.simulator.market import Market
from tradeul.simulator.stream_feed import StreamFeed
from tradeul.simulator.synthetic import SyntheticMarket
from tradeul.store.tape import TapeFiles

SESSION = date(2026, 3, 9)
HOURS = nyse().hours(SESSION)
KINDS = frozenset({"A", "AM", "LULD"})


def seconds(text: str) -> int:
    hour, minute = map(int, text.split(":"))
    return (hour - 4) * 3600 + minute * 60


def record(folder: Path, tickers: int, until: int) -> dict[str, float]:
    feed = StreamFeed(Market(SyntheticMarket(7, tickers, nyse()), nyse()))
    first_ms = int(HOURS.pre_open_at.timestamp() * 1000)
    files, encoder, table = TapeFiles(folder, 0), Encoder(), TodayTable(HOURS)
    files.open(SESSION)
    list(files.blocks())
    files.append(encoder.blocks([Opened(SESSION, 0.0)]))
    bars = told = longest = 0
    applying = writing = longest = 0.0
    for second in range(until):
        frames = [frame for batch in feed.batches(SESSION, second, KINDS) for frame in batch.encoded()]
        batches = [decode_frame(frame, first_ms + second * 1000).batch for frame in frames]
        if not batches:
            continue
        began = time.perf_counter()
        heard = table.read(*batches)
        table.take(heard)
        applied = time.perf_counter()
        events = [Symbols(told, table.symbols[told:]), heard] if len(table.symbols) > told else [heard]
        files.append(encoder.blocks(events))
        ended = time.perf_counter()
        told = len(table.symbols)
        bars += len(heard.bars)
        applying, writing, longest = applying + applied - began, writing + ended - applied, max(longest, ended - applied)
        if second % 1800 == 0:
            print(f"  {4 + second // 3600:02}:{second // 60 % 60:02}  {bars:>11,} bars", file=sys.stderr)
    files.close()
    size = files.path(SESSION).stat().st_size
    return {"bars": bars, "bytes": size, "apply_s": applying, "write_s": writing, "longest_write_s": longest}


async def read(folder: Path) -> dict[str, float]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    recording, visible, worst = Recording(TapeFiles(folder, 0), SystemClock()), TodayTable(HOURS), 0.0
    recording.begin(visible, 0.0)
    began = time.perf_counter()
    reading = asyncio.create_task(recording.rebuilt())
    while not reading.done():  # what the event loop feels of it
        turn = time.perf_counter()
        await asyncio.sleep(0.005)
        worst = max(worst, time.perf_counter() - turn - 0.005)
    table = await reading
    assert table is not None
    lasted = time.perf_counter() - began
    recording.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"read_s": lasted, "pause_s": worst, "memory_mb": (peak - before) / 1024, "bars": table.counts["bars"]}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--tickers", type=int, default=12_400)
    arguments.add_argument("--until", default="10:30", help="Eastern wall time")
    arguments.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.read:
        print(json.dumps(asyncio.run(read(options.read))))
        return
    with tempfile.TemporaryDirectory() as folder:
        wrote = record(Path(folder), options.tickers, seconds(options.until))
        # The reader's memory and time are its own.
        again = json.loads(subprocess.check_output([sys.executable, __file__, "--read", folder]))
    print(f"04:00 to {options.until}, {options.tickers:,} tickers: {wrote['bars']:,} bars")
    print(f"size         {wrote['bytes'] / 1e6:9.0f} MB   {wrote['bytes'] / wrote['bars']:.1f} bytes a bar")
    print(f"applying     {wrote['apply_s']:9.1f} s    {wrote['bars'] / wrote['apply_s']:,.0f} bars/s")
    ratio = wrote["write_s"] / wrote["apply_s"]
    print(
        f"writing      {wrote['write_s']:9.1f} s    {ratio:.2f} of applying; longest {wrote['longest_write_s'] * 1000:.0f} ms, in a thread"
    )
    speed = again["bars"] / again["read_s"]
    print(f"reading      {again['read_s']:9.1f} s    {speed:,.0f} bars/s; loop's longest pause {again['pause_s'] * 1000:.0f} ms")
    print(f"memory       {again['memory_mb']:9.0f} MB   at its peak, both tables")


if __name__ == "__main__":
    main()
