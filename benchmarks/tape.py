"""A day's tape at the full 12,400 tickers: how large it gets, what writing costs, how long a start reads it, in how much memory.

The simulated feed is recorded second by second, from 04:00 to ``--until``, on no
clock, and written down when live would do it; then a process of its own starts from
the folder, once with the checkpoints and once without. Beside it, in the same run:
the same bars applied to a table without a tape. ``--folder`` is where the tape stays;
one that is there is not recorded again.
"""

import argparse
import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

import msgspec

from tradeul.clock import SystemClock
from tradeul.live.recording import CHECKPOINT_BARS, Recording
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


# As live starts it, and what it needed.
CHILD = """
import sys
from tradeul.ops.memory import give_back_freed_memory
give_back_freed_memory()
from tradeul.live.checkpoint import main
main(*sys.argv[1:])
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


class Seen:
    """The children that write the table down, one by one: how many, the longest, the largest."""

    def __init__(self) -> None:
        self.count, self.longest_s, self.peak_mb = 0, 0.0, 0.0

    def add(self, files: TapeFiles) -> None:
        command = [sys.executable, "-c", CHILD, str(files.path(SESSION)), msgspec.json.encode(HOURS).decode()]
        began = time.perf_counter()
        told = subprocess.check_output(command)
        self.count += 1
        self.longest_s = max(self.longest_s, time.perf_counter() - began)
        self.peak_mb = max(self.peak_mb, int(told.split()[-2]) / 1024)


def record(folder: Path, tickers: int, until: int) -> dict[str, float]:
    market = SyntheticMarket(7, tickers, nyse())
    feed = StreamFeed(Market(market, nyse()))
    first_ms = int(HOURS.pre_open_at.timestamp() * 1000)
    files, encoder, table = TapeFiles(folder, 0), Encoder(), TodayTable(HOURS)
    files.open(SESSION)
    list(files.blocks())
    table.add_symbols([issue.symbol for issue in market.issues])  # as the baselines bring them
    files.append(encoder.blocks([Opened(SESSION, 0.0), Symbols(0, table.symbols)]))
    bars, told, bare, checkpoints = 0, len(table.symbols), 0, Seen()
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
        bare += len(heard.bars)
        if bare >= CHECKPOINT_BARS:
            checkpoints.add(files)
            bare = 0
        applying, writing, longest = applying + applied - began, writing + ended - applied, max(longest, ended - applied)
        if second % 1800 == 0:
            print(f"  {4 + second // 3600:02}:{second // 60 % 60:02}  {bars:>11,} bars", file=sys.stderr)
    files.close()
    size = files.path(SESSION).stat().st_size
    found = {"bars": bars, "bytes": size, "apply_s": applying, "write_s": writing, "longest_write_s": longest}
    return found | {"checkpoints": checkpoints.count, "checkpoint_s": checkpoints.longest_s, "checkpoint_mb": checkpoints.peak_mb}


async def longest_pause(until: asyncio.Future[object]) -> float:
    """What the event loop feels, in seconds."""
    worst = 0.0
    while not until.done():
        began = time.perf_counter()
        await asyncio.sleep(0.005)
        worst = max(worst, time.perf_counter() - began - 0.005)
    return worst


async def read(folder: Path) -> dict[str, float]:
    idle = await longest_pause(asyncio.create_task(asyncio.sleep(10)))
    recording, visible = Recording(TapeFiles(folder, 0), SystemClock()), TodayTable(HOURS)
    before = peak_mb()
    recording.begin(visible, 0.0)
    began, worked = time.perf_counter(), time.process_time()
    reading = asyncio.create_task(recording.rebuilt())
    pause = await longest_pause(reading)
    table = await reading
    assert table is not None
    lasted, worked = time.perf_counter() - began, time.process_time() - worked
    recording.close()
    found = {"read_s": lasted, "cpu_s": worked, "pause_s": pause, "idle_pause_s": idle, "memory_mb": peak_mb() - before}
    return found | {"bars": table.counts["bars"]}


def peak_mb() -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--tickers", type=int, default=12_400)
    arguments.add_argument("--until", default="10:30", help="Eastern wall time")
    arguments.add_argument("--folder", type=Path)
    arguments.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.read:
        print(json.dumps(asyncio.run(read(options.read))))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        if not TapeFiles(folder, 0).has(SESSION):
            tell_recorded(options, record(folder, options.tickers, seconds(options.until)))
        tell_read("with the checkpoints", folder)
        bare = Path(temporary) / "bare"
        bare.mkdir()
        shutil.copy(TapeFiles(folder, 0).path(SESSION), bare)
        tell_read("without", bare)


def tell_recorded(options: argparse.Namespace, wrote: dict[str, float]) -> None:
    print(f"04:00 to {options.until}, {options.tickers:,} tickers: {wrote['bars']:,} bars")
    print(f"size         {wrote['bytes'] / 1e6:9.0f} MB   {wrote['bytes'] / wrote['bars']:.1f} bytes a bar")
    print(f"applying     {wrote['apply_s']:9.1f} s    {wrote['bars'] / wrote['apply_s']:,.0f} bars/s")
    ratio, longest_ms = wrote["write_s"] / wrote["apply_s"], wrote["longest_write_s"] * 1000
    print(f"writing      {wrote['write_s']:9.1f} s    {ratio:.2f} of applying; longest {longest_ms:.0f} ms, in a thread")
    print(
        f"checkpoints  {wrote['checkpoints']:9}      the longest {wrote['checkpoint_s']:.1f} s, {wrote['checkpoint_mb']:.0f} MB, in a child"
    )


def tell_read(how: str, folder: Path) -> None:
    """In a process of its own: its memory and time are its own."""
    again = json.loads(subprocess.check_output([sys.executable, __file__, "--read", str(folder)]).splitlines()[-1])
    speed, pauses = again["bars"] / again["cpu_s"], (again["pause_s"] * 1000, again["idle_pause_s"] * 1000)
    print(f"reading {how}: {again['bars']:,} bars")
    print(f"time         {again['read_s']:9.1f} s    {again['cpu_s']:.1f} s of processor: {speed:,.0f} bars/s")
    print(f"pauses       {pauses[0]:9.0f} ms   the event loop's longest; {pauses[1]:.0f} ms when nothing runs beside it")
    print(f"memory       {again['memory_mb']:9.0f} MB   more than before it, at the peak")


if __name__ == "__main__":
    main()
