"""The gateway's fan-out beside the machine's limit: one `send()` of a prebuilt frame per socket in C, and beside node's `ws`.

    python benchmarks/gateway.py [--connections 10000] [--frames FILE]

The load generator and the C loop are in `../shared/tools/ws_bench` beside the
checkout (they need cc and zlib's headers); without them it says so and ends.
With node and its module `ws` (WS_PATH names it) that is measured too. Server on
one core, generator on another; the scanner is played by the server's process
and publishes through a real bus. Frames are made of rows and deltas of the
simulated market: recorded from the whole product first (a minute), or read from
FILE, which that recording writes.
"""

import argparse
import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp
import structlog
from aiohttp import WSMessage, web

from tradeul.bus.embedded import EmbeddedServer
from tradeul.bus.redis import Bus
from tradeul.clock import SimulatedClock, SystemClock
from tradeul.gateway import server as gateway_server
from tradeul.gateway.fan_out import Viewer
from tradeul.gateway.server import GatewayServer
from tradeul.market_calendar import nyse
from tradeul.ops.callers import Callers
from tradeul.records.lists import ListDefinition, ListFrame
from tradeul.records.messages import Snapshot, encode

TOOLS = Path(__file__).resolve().parent.parent.parent / "shared" / "tools" / "ws_bench"
SESSION, LIST, EPOCH = date(2026, 3, 9), "winners", 1
NOON = datetime(2026, 3, 9, 16, tzinfo=UTC)
WATCH = json.dumps({"action": "subscribe", "list": LIST})
SERVER_CORE, LOAD_CORE = 0, 1
WINDOW = 4
FILLING_SECONDS = 30.0  # from the first row to lists that are as usual
Json = dict[str, Any]


# ---- frames that the product really sends


async def record(seconds: float = 30.0) -> list[str]:
    """Run the whole product on the simulated market, listen to every list, keep what it said."""
    with tempfile.TemporaryDirectory() as state:
        ports = dict.fromkeys(("API", "GATEWAY", "MAINTENANCE", "SIMULATOR"), "0")
        settings = {f"TRADEUL_{name}_PORT": port for name, port in ports.items()} | {
            "TRADEUL_STATE": state,
            "TRADEUL_SIMULATOR_START": "2026-03-09T10:00:00",
        }
        command = [sys.executable, "-m", "tradeul", "up"]
        quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        product = await asyncio.create_subprocess_exec(*command, env=os.environ | settings, **quiet)
        assert product.stdout is not None
        try:
            found = re.search(rb"http://\S+", await product.stdout.readline())
            assert found is not None, "the product did not start"
            async with aiohttp.ClientSession() as http:
                async with http.get(found[0].decode() + "api/config") as answer:
                    address = (await answer.json())["socket"]
                async with http.ws_connect(address) as socket:
                    return await heard(socket, seconds)
        finally:
            product.terminate()
            await product.wait()


async def heard(socket: aiohttp.ClientWebSocketResponse, seconds: float) -> list[str]:
    """Snapshots and deltas, from the moment on when the lists have filled for a while."""
    lists, kept, begun, ends = [], [], False, float("inf")
    while time.monotonic() < ends:
        text = await socket.receive_str(timeout=120)
        message = json.loads(text)
        if message["type"] == "connected":
            lists = [head["name"] for head in message["lists"]]
            for name in lists:
                await socket.send_json({"action": "subscribe", "list": name})
        if message["type"] not in ("snapshot", "delta"):
            continue
        if not begun and (message.get("count") or message.get("deltas")):
            begun, ends = True, time.monotonic() + FILLING_SECONDS + seconds
        if time.monotonic() > ends - seconds and not kept:
            for name in lists:
                await socket.send_json({"action": "resync", "list": name})
        if time.monotonic() > ends - seconds:
            kept.append(text)
    return kept


class Recorded:
    """What was recorded, as material for deltas of any size that can be applied again and again."""

    def __init__(self, path: Path) -> None:
        texts = path.read_text().splitlines()
        messages = [json.loads(text) for text in texts]
        self.delta_bytes = [len(text) for text, message in zip(texts, messages, strict=True) if message["type"] == "delta"]
        self.snapshot_bytes = [len(text) for text, message in zip(texts, messages, strict=True) if message.get("count")]
        fullest = max((message for message in messages if message.get("rows")), key=lambda message: message["count"])
        self.rows = fullest["rows"]
        self._symbols = [row["symbol"] for row in self.rows]
        steps = (step for message in messages for step in message.get("deltas", ()) if step["action"] == "update")
        self._changes = [step["data"] for step in steps] or [{"price": 1.0}]

    @property
    def usual_bytes(self) -> int:
        return int(median(self.delta_bytes))

    def delta(self, sequence: int, size: int, stamp_ns: int) -> bytes:
        """A lawful delta of exactly ``size`` bytes, which says early when it was made."""
        head = {"type": "delta", "list": LIST, "session": SESSION.isoformat(), "mode": "SIMULATED", "epoch": EPOCH}
        text = json.dumps(head | {"sequence": sequence, "base": sequence - 1}, separators=(",", ":"))[:-1]
        stamp = {"action": "update", "symbol": self._symbols[0], "data": {"ts": f"{stamp_ns:019d}"}}
        text += ',"deltas":[' + json.dumps(stamp, separators=(",", ":"))
        tail = '],"timestamp":1773072000000}'
        empty = len(json.dumps({"action": "update", "symbol": self._symbols[0], "data": {"pad": ""}}, separators=(",", ":"))) + 1
        number = sequence * 7
        while True:
            number += 1
            symbol, data = self._symbols[number % len(self._symbols)], self._changes[number % len(self._changes)]
            step = "," + json.dumps({"action": "update", "symbol": symbol, "data": data}, separators=(",", ":"))
            if len(text) + len(step) + empty + len(tail) > size:
                break
            text += step
        pad = {"action": "update", "symbol": self._symbols[0], "data": {"pad": "x" * (size - len(text) - empty - len(tail))}}
        return (text + "," + json.dumps(pad, separators=(",", ":")) + tail).encode()


# ---- the server's process


class Measured(GatewayServer):
    """The gateway, and a scanner that obeys the load generator: its commands arrive on the first socket."""

    def __init__(self, bus: Bus, recorded: Recorded) -> None:
        super().__init__(bus, SimulatedClock(datetime.now(UTC), NOON, 1.0), nyse(), "SIMULATED", Callers(), 0)
        self._recorded = recorded
        self._sequence = 0
        self._sent = self._acknowledged = 0
        self._moved = asyncio.Event()
        self._work: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        columns = tuple(name for name in self._recorded.rows[0] if name not in ("symbol", "rank"))
        await self._bus.put_lists([ListDefinition(LIST, "Winners", "change_pct >= 5", (("change_pct", "desc"),), columns)])
        frame = self._frame(0)
        rows = frame.rows
        snapshot = Snapshot(LIST, SESSION, "SIMULATED", EPOCH, 0, len(rows), rows, frame.timestamp)
        await self._bus.publish_frames([(LIST, frame, encode(snapshot), False)])

    async def _hear(self, viewer: Viewer, socket: web.WebSocketResponse, message: WSMessage) -> bool:
        said = message.data
        if isinstance(said, str) and said.startswith("a:"):
            self._acknowledged = int(said[2:])
            self._moved.set()
            return True
        if isinstance(said, str) and said.startswith('{"cmd"'):
            if self._work is not None:
                self._work.cancel()
            command = json.loads(said)
            self._sent = self._acknowledged = 0
            works = {"thr": self._as_fast_as_possible, "rate": self._at_a_rate}
            self._work = asyncio.create_task(works[command["cmd"]](command)) if command["cmd"] in works else None
            return True
        return await super()._hear(viewer, socket, message)

    async def _as_fast_as_possible(self, command: Json) -> None:
        while True:
            while self._sent - self._acknowledged < command["window"]:
                await self._publish(command["size"])
            self._moved.clear()
            await self._moved.wait()

    async def _at_a_rate(self, command: Json) -> None:
        due = time.monotonic()
        while True:
            await asyncio.sleep(max(due - time.monotonic(), 0))
            await self._publish(command["size"], int(due * 1e9))
            due += 1 / command["hz"]

    async def _publish(self, size: int, stamp_ns: int = 0) -> None:
        self._sequence += 1
        self._sent += 1
        stamp_ns = stamp_ns or time.monotonic_ns()
        delta = self._recorded.delta(self._sequence, size, stamp_ns)
        await self._bus.publish_frames([(LIST, self._frame(stamp_ns), delta, False)])

    def _frame(self, stamp_ns: int) -> ListFrame:
        """Stamped as the delta is: a list that falls behind is told by its snapshot."""
        first, *others = self._recorded.rows
        return ListFrame(SESSION, EPOCH, self._sequence, [{"ts": f"{stamp_ns:019d}"} | first, *others], "SIMULATED", 1_773_072_000_000)


async def serve(frames: Path) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    os.sched_setaffinity(0, {SERVER_CORE})
    # The generator counts messages, and the status would be one.
    gateway_server.LOOK_SECONDS = 3600.0
    with tempfile.TemporaryDirectory() as state:
        server = EmbeddedServer(Path(state), SystemClock())
        await server.start()
        gateway = Measured(Bus(server.url, SystemClock()), Recorded(frames))
        await gateway.begin()
        running = asyncio.create_task(gateway.run())
        await gateway.started.wait()
        await asyncio.sleep(1)
        print(gateway.port, flush=True)
        await asyncio.to_thread(sys.stdin.read)  # until whoever started us closes it
        running.cancel()
        await asyncio.wait([running])
        await server.stop()


# ---- the load's side


def build(folder: Path) -> bool:
    """Compile the tools; False, and why, when they are not here."""
    if not (TOOLS / "wsload.c").exists():
        print(f"no load generator at {TOOLS}: nothing is measured")
        return False
    compiler = shutil.which("cc")
    if compiler is None:
        print("no C compiler (cc): nothing is measured")
        return False
    for name, libraries in (("wsload", ["-lz", "-lm"]), ("rawfan", [])):
        command = [compiler, "-O2", "-march=native", "-w", "-o", str(folder / name), str(TOOLS / f"{name}.c"), *libraries]
        if (made := subprocess.run(command, capture_output=True, text=True)).returncode:
            print(f"{name} does not compile: nothing is measured\n{made.stderr}")
            return False
    return True


@contextmanager
def child(command: list[str], **settings: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | settings)
    os.sched_setaffinity(process.pid, {SERVER_CORE})
    try:
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        if command[0] != sys.executable:
            process.terminate()
        process.wait(30)


def load_command(tools: Path, port: int, pid: int, connections: int, phases: str, *more: str) -> list[str]:
    return [str(tools / "wsload"), "-p", str(port), "-n", str(connections), "-q", str(pid), "-f", phases, *more]


def load(*arguments: Any) -> list[Json]:
    """What the generator prints: how connecting went, then each phase."""
    done = subprocess.run(load_command(*arguments), capture_output=True, text=True, preexec_fn=lambda: os.sched_setaffinity(0, {LOAD_CORE}))
    # It says -nan of what it did not see.
    said = [json.loads(line.replace("-nan", "NaN").replace(":nan", ":NaN")) for line in done.stdout.splitlines()]
    if len(said) < 2:
        raise SystemExit(f"the generator failed: {done.stderr[-500:]}")
    return said


def show(name: str, said: list[Json], limits: list[Json] | None) -> list[Json]:
    """One server's lines; returns its phases that were as fast as possible, for others to be held against.

    By the clock, and by the processor time of a delivery: that is what is left to compare where others take the cores.
    """
    connect, *phases = said
    print(f"{name}: {connect['open']:,} connections, {connect['conn_per_s']:,.0f} a second, {connect['srv_kb_per_conn']:.1f} KB each")
    fastest: list[Json] = []
    for phase in phases:
        kind, size, *_ = phase["phase"].split(":")
        busy = f"server {phase['srv_cpu_frac']:.2f} of a core, generator {phase['gen_cpu_frac']:.2f}, others {phase['other_cpu_frac']:.2f}"
        wire = f"{int(size):,} bytes ({phase['wire_avg_bytes']:,.0f} on the wire)"
        if kind == "thr":
            share = ""
            if limits is not None:
                limit = limits[len(fastest)]
                by_clock = phase["deliveries_per_s"] / limit["deliveries_per_s"]
                share = f", {by_clock:.2f} of raw ({limit['srv_us_per_delivery'] / phase['srv_us_per_delivery']:.2f} by processor time)"
            fastest.append(phase)
            print(
                f"  {wire}: {phase['deliveries_per_s']:,.0f} deliveries a second{share}; {phase['srv_us_per_delivery']:.1f} us each; {busy}"
            )
        else:
            late = f"p50 {phase['lat_ms_p50']:.1f} ms, p90 {phase['p90']:.1f} ms, p99 {phase['p99']:.1f} ms, max {phase['max']:.1f} ms"
            print(f"  {wire}, 10 a second: {late}; {phase['deliveries_per_s']:,.0f} deliveries a second; {busy}")
        if phase["errs"] or phase["closed"]:
            print(f"    errors {phase['errs']}, closed {phase['closed']}")
        if phase["verify_bad"]:  # of the first socket: late ones of the phase before, or snapshots where the list fell behind
            print(f"    {phase['verify_bad']} messages of another size, {phase['verify_ok']} as expected, so far")
    return fastest


def with_bad_readers(tools: Path, port: int, pid: int, connections: int, size: int, seconds: int) -> None:
    """1 % never read, 5 % read 20 KB a second; how the others fare."""
    dead, slow = connections // 100, connections // 20
    reading = "-S", str(slow), "-L", "2000", "-R", "8192"
    slowly = load_command(tools, port, pid, slow, f"recv:{seconds + 15}", "-P", "/ws", "-u", WATCH, *reading)
    beside = subprocess.Popen(slowly, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.sched_setaffinity(beside.pid, {LOAD_CORE})
    try:
        options = "-P", "/ws", "-u", WATCH, "-S", str(dead), "-R", "8192"
        said = load(tools, port, pid, connections - slow, f"rate:{size}:10:{seconds}", *options)
    finally:
        beside.terminate()
        beside.wait()
    show(f"gateway, {dead} of them dead and {slow} more slow", said, None)
    end = said[-1]
    print(f"  memory of the server at the end {end['srv_rss_kb'] / 1000:.0f} MB, of the kernel's sockets {end['tcp_mem_kb'] / 1000:.0f} MB")


def measure(connections: int, frames: Path, seconds: int) -> None:
    recorded = Recorded(frames)
    usual = recorded.usual_bytes
    filled = int(median(recorded.snapshot_bytes))
    print(f"recorded: {len(recorded.delta_bytes)} deltas, median {usual:,} bytes; snapshots with rows, median {filled:,} bytes")
    packed = len(zlib.compress(recorded.delta(1, usual, 1), 6))
    print(f"  a delta of the median size, compressed: {packed:,} bytes; load of the machine {os.getloadavg()}")
    sizes = sorted({usual, 4096, 20480})
    phases = ",".join([*(f"thr:{size}:{WINDOW}:{seconds}" for size in sizes), *(f"rate:{size}:10:{seconds}" for size in sizes)])
    with tempfile.TemporaryDirectory() as folder:
        tools = Path(folder)
        if not build(tools):
            return
        body = tools / "body"
        body.write_bytes(recorded.delta(1, 60_000, 1))
        port = 9800 + os.getpid() % 100
        with child([str(tools / "rawfan"), str(port), str(body)]) as raw:
            time.sleep(0.5)
            limits = show("raw C", load(tools, port, raw.pid, connections, phases), None)
        node, module = shutil.which("node"), os.environ.get("WS_PATH")
        if node is None or module is None:
            print("node ws: not measured (node, or WS_PATH with the folder of its module ws, is missing)")
        else:
            with child([node, str(TOOLS / "node_ws.js")], WS_PATH=module, PORT=str(port + 1), BODY=str(body)) as peer:
                time.sleep(1)
                show("node ws", load(tools, port + 1, peer.pid, connections, phases), limits)
        for name, more in (("gateway", ()), ("gateway, compressed", ("-c",))):
            with child([sys.executable, __file__, "--serve", "--frames", str(frames)]) as ours:
                assert ours.stdout is not None
                own_port = int(ours.stdout.readline())
                show(name, load(tools, own_port, ours.pid, connections, phases, "-P", "/ws", "-u", WATCH, "-V", *more), limits)
        with child([sys.executable, __file__, "--serve", "--frames", str(frames)]) as ours:
            assert ours.stdout is not None
            with_bad_readers(tools, int(ours.stdout.readline()), ours.pid, connections, usual, max(seconds, 25))
    print(f"load of the machine at the end {os.getloadavg()}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--seconds", type=int, default=8, help="of each phase")
    parser.add_argument("--frames", type=Path)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve(arguments.frames))
        return
    with tempfile.TemporaryDirectory() as folder:
        frames = arguments.frames or Path(folder) / "frames.jsonl"
        if not frames.exists():
            frames.write_text("\n".join(asyncio.run(record())))
        measure(arguments.connections, frames, arguments.seconds)


if __name__ == "__main__":
    main()
