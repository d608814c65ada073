"""What viewers cost: the product as services apart, and sockets that watch as the page does; processor seconds, bytes, lateness.

    maintenance (with the simulated vendor)   scanner   Valkey   gateway, gateway ...   <- sockets of one more process

    python benchmarks/viewers.py [--viewers 10,1000] [--gateways 1,2] [--seconds 30] [--fill 400] [--lists a,b,...] [--tickers 12400]

Each number of viewers is measured over each number of gateways (on ports of their own, as behind one address). A viewer
watches the five lists that the page's first arrangement shows, and asks for compression; every tenth does not, and
tells how late its deltas are: from the market time of their rows, when the scanner's cycle began, to the socket.
What a bar waits for its cycle, up to a second, comes before that (`event_to_socket.py`). Last, what the page asks by HTTP
while it is open: the strip's counts every five seconds, the minute bars of a chart every fifteen. Others take the
processors, too: so it is told in seconds of the processor, which hardly depend on them; lateness does.
"""

import argparse
import http.client
import json
import os
import resource
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import redis
from bus import running_server

from tradeul.clock import SimulatedClock

FIRST = "gappers_up,momentum_up,high_volume,new_highs,winners"  # what `web/workspace/workspace.mjs` shows at first
PORTS = ("API", "FILINGS", "MAINTENANCE", "HISTORICAL", "SCANNER", "SIMULATOR", "GATEWAY")
FEW = {"DAILY_SESSIONS": "30", "SLOT_SESSIONS": "6", "RVOL_SESSIONS": "5", "KEEP_MINUTE_BARS": "0"}
PLAIN_EVERY = 10
SETTLE_SECONDS = 5.0
ASKED = 1000
OPENED_TOGETHER = 200
LONGEST_LOAD_SECONDS, LONGEST_START_SECONDS = 900, 60
PING, PONG = bytes((0x89, 0)), bytes((0x8A, 0x80, 0, 0, 0, 0))
STAMP = b'"timestamp":'
Json = dict[str, Any]


# ---- the viewers' process


def frame(text: str) -> bytes:
    """A client's text frame; its mask is zeros, which is allowed."""
    size = len(text)
    head = bytes((0x81, 0x80 | size)) if size < 126 else bytes((0x81, 0xFE)) + size.to_bytes(2, "big")
    return head + bytes(4) + text.encode()


class Viewer:
    def __init__(self, port: int, source: int, words: bytes, *, plain: bool) -> None:
        self.plain, self.received = plain, 0
        self.socket = socket.create_connection(("127.0.0.1", port), source_address=(f"127.0.0.{1 + source % 8}", 0))
        offer = "" if plain else "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
        self.socket.sendall(
            f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{offer}\r\n".encode()
        )
        answer = self.socket.recv(4096)
        if not answer.startswith(b"HTTP/1.1 101"):
            raise SystemExit(f"the gateway refuses: {answer[:300]!r}")
        self.socket.sendall(words)
        self.socket.settimeout(0)


class Watching:
    """All viewers, read by one loop: bytes are counted, of plain ones the deltas' stamps read."""

    def __init__(self, clock: SimulatedClock) -> None:
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self.viewers: list[Viewer] = []
        self.late_ms: list[float] = []
        self.cut_off = 0

    def add(self, viewer: Viewer) -> None:
        self.viewers.append(viewer)
        self._selector.register(viewer.socket, selectors.EVENT_READ, viewer)

    def read_for(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            for key, _ in self._selector.select(min(left, 0.05)):
                self._read(key.data)

    def _read(self, viewer: Viewer) -> None:
        try:
            data = viewer.socket.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.cut_off += 1
            self._selector.unregister(viewer.socket)
            return
        if data.startswith(PING) or data.endswith(PING):  # bytes that only look like one are rare, and a pong too many does no harm
            viewer.socket.send(PONG)
        viewer.received += len(data)
        if viewer.plain and (place := data.rfind(STAMP)) >= 0 and b'"type":"delta"' in data:
            digits = data[place + len(STAMP) : place + len(STAMP) + 13]
            if digits.isdigit():
                self.late_ms.append(self._clock.now().timestamp() * 1000 - int(digits))

    def close(self) -> None:
        for viewer in self.viewers:
            viewer.socket.close()


def watch(ports: list[int], viewers: int, lists: list[str], seconds: float, clock: SimulatedClock) -> None:
    """Open, settle, say so; measure from a line on standard input on, and tell."""
    words = b"".join(frame(json.dumps({"action": "subscribe", "list": name})) for name in lists)
    watching = Watching(clock)
    began = time.monotonic()
    for number in range(viewers):
        watching.add(Viewer(ports[number % len(ports)], number, words, plain=number % PLAIN_EVERY == 0))
        if number % OPENED_TOGETHER == OPENED_TOGETHER - 1:
            watching.read_for(0.05)
    opened = time.monotonic() - began
    watching.read_for(SETTLE_SECONDS)
    print("open", flush=True)
    sys.stdin.readline()
    before = [viewer.received for viewer in watching.viewers]
    watching.late_ms.clear()
    cpu = time.process_time()
    watching.read_for(seconds)
    cpu = time.process_time() - cpu
    took = {plain: [v.received - b for v, b in zip(watching.viewers, before, strict=True) if v.plain is plain] for plain in (True, False)}
    late = np.percentile(watching.late_ms, (50, 99, 100)).tolist() if watching.late_ms else []
    rates = {plain: float(np.mean(each)) / seconds if each else None for plain, each in took.items()}
    told = {"plain": rates[True], "packed": rates[False], "late_ms": late, "cpu": cpu, "opened": opened, "cut_off": watching.cut_off}
    print(json.dumps(told), flush=True)
    watching.close()


# ---- the product


@contextmanager
def service(name: str, settings: dict[str, str]) -> Iterator[psutil.Process]:
    command = [sys.executable, "-m", "tradeul", "up", name]
    process = subprocess.Popen(command, env=os.environ | settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(30)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def wait_for(port: int) -> None:
    ends = time.monotonic() + LONGEST_START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.1)
        else:
            return


def processor(processes: dict[str, list[psutil.Process]]) -> dict[str, float]:
    return {name: sum(sum(each.cpu_times()[:2]) for each in group) for name, group in processes.items()}


def loaded(state: Path) -> bool:
    """Whether maintenance has run once."""
    log = state / "logs" / "maintenance.jsonl"
    return log.exists() and '"maintenance_cycle_finished"' in log.read_text()


def measure(options: argparse.Namespace, state: Path, url: str, valkey: psutil.Process) -> None:
    settings = FEW | {f"{name}_PORT": str(free_port()) for name in PORTS} | {"STATE": str(state), "REDIS_URL": url}
    settings |= {"SIMULATOR_START": "2026-03-09T10:00:00", "SIMULATOR_TICKERS": str(options.tickers)}
    settings = {f"TRADEUL_{name}": value for name, value in settings.items()}
    gateways = max(options.gateways)
    ports = [int(settings["TRADEUL_GATEWAY_PORT"]), *(free_port() for _ in range(gateways - 1))]
    with ExitStack() as stack:
        maintenance = stack.enter_context(service("maintenance", settings))
        scanner = stack.enter_context(service("scanner", settings))
        started = time.monotonic()
        while not loaded(state):
            time.sleep(1)
            if time.monotonic() - started > LONGEST_LOAD_SECONDS:
                raise SystemExit("history was not loaded in time")
        print(f"history stands after {time.monotonic() - started:.0f} s")
        page = stack.enter_context(service("api", settings))
        doors = [stack.enter_context(service("gateway", settings | {"TRADEUL_GATEWAY_PORT": str(port)})) for port in ports]
        for port in (*ports, int(settings["TRADEUL_API_PORT"])):
            wait_for(port)
        time.sleep(max(options.fill - (time.monotonic() - started), SETTLE_SECONDS))
        clock = next(state.rglob("clock.json"))
        processes = {"maintenance, vendor": [maintenance, *maintenance.children(recursive=True)], "scanner, live": [scanner]}
        processes |= {"Valkey": [valkey]} | {f"gateway {number}": [door] for number, door in enumerate(doors, 1)}
        with redis.Redis.from_url(url) as bus:
            tell_bus(bus, options.tickers)
            for viewers in options.viewers:
                for count in options.gateways:
                    one(viewers, ports[:count], options, clock, processes, bus)
            busiest = json.loads(bus.get("scanner:category:high_volume") or b"[]")[0]["symbol"]
        for path in ("/api/breadth", f"/api/bars/minute/{busiest}?start=2026-03-09"):
            asked(int(settings["TRADEUL_API_PORT"]), path, {"api": page, "scanner, live": scanner})


def tell_bus(bus: "redis.Redis", tickers: int) -> None:
    print(f"Valkey holds {bus.info('memory')['used_memory'] / 1e6:.0f} MB")
    for key in bus.keys("baselines:2*"):
        size = bus.strlen(key)
        print(f"  {key.decode()}: {size / 1e6:.1f} MB, {size / tickers:,.0f} bytes a ticker")


def one(
    viewers: int,
    ports: list[int],
    options: argparse.Namespace,
    clock: Path,
    processes: dict[str, list[psutil.Process]],
    bus: "redis.Redis",
) -> None:
    before_mb = {name: sum(each.memory_info().rss for each in group) / 1e6 for name, group in processes.items()}
    command = [sys.executable, __file__, "--watch", str(clock), "--ports", ",".join(map(str, ports)), "--viewers", str(viewers)]
    command += ["--seconds", str(options.seconds), "--lists", ",".join(options.lists)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdin is not None and watching.stdout is not None
        if watching.stdout.readline().strip() != "open":
            raise SystemExit("the viewers could not be opened")
        began, spent, net = time.monotonic(), processor(processes), bus.info("stats")
        watching.stdin.write("go\n")
        watching.stdin.flush()
        told = json.loads(watching.stdout.readline())
        took = time.monotonic() - began
        ended, net_then = processor(processes), bus.info("stats")
        after_mb = {name: sum(each.memory_info().rss for each in group) / 1e6 for name, group in processes.items()}
    show(viewers, len(ports), told)
    for name in processes:
        share = (ended[name] - spent[name]) / took
        grown = (
            f", {(after_mb[name] - before_mb[name]) * 1000 / (viewers / len(ports)):.1f} KB a viewer" if name.startswith("gateway") else ""
        )
        print(f"  {name:>20}: {share:.3f} of a processor, {after_mb[name]:,.0f} MB{grown}")
    into, out = (net_then[name] - net[name] for name in ("total_net_input_bytes", "total_net_output_bytes"))
    print(f"  bus: {into / took / 1e3:,.0f} KB/s in, {out / took / 1e3:,.0f} KB/s out (this process's questions among it)")


def asked(port: int, path: str, processes: dict[str, psutil.Process]) -> None:
    """One question again and again over one connection; what the processes spend on it beyond what they do anyway."""

    def spent() -> np.ndarray:
        return np.array([time.monotonic(), *(sum(each.cpu_times()[:2]) for each in processes.values())])

    def ask() -> int:
        line.request("GET", path)
        return len(line.getresponse().read())

    line = http.client.HTTPConnection("127.0.0.1", port)
    size = ask()
    begun = spent()
    time.sleep(10)
    rest = spent() - begun
    line.close()  # it has been silent for longer than a server waits
    begun = spent()
    for _ in range(ASKED):
        ask()
    took = spent() - begun
    beyond = (took - rest * took[0] / rest[0])[1:] / ASKED * 1000
    each = ", ".join(f"{name} {ms:.2f} ms" for name, ms in zip(processes, beyond, strict=True))
    print(f"{path.partition('?')[0]} ({size:,} bytes): {each} of the processor, {took[0] / ASKED * 1000:.1f} ms by the clock")


def show(viewers: int, gateways: int, told: Json) -> None:
    def kilobytes(rate: float | None) -> str:
        return "-" if rate is None else f"{rate / 1e3:.2f} KB/s"

    load = " ".join(f"{each:.1f}" for each in os.getloadavg())
    print(f"{viewers:,} viewers over {gateways} gateway(s), load {load}")
    print(f"  a viewer receives {kilobytes(told['packed'])} compressed, {kilobytes(told['plain'])} plain; opened in {told['opened']:.1f} s")
    if told["late_ms"]:
        p50, p99, most = told["late_ms"]
        print(f"  from the cycle's beginning to the socket: p50 {p50:.0f} ms, p99 {p99:.0f} ms, max {most:.0f} ms")
    print(f"  {told['cpu']:.1f} s of the processor were the viewers'; {told['cut_off']} cut off", flush=True)


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--viewers", type=numbers, default=[10, 1000])
    parser.add_argument("--gateways", type=numbers, default=[1, 2])
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--fill", type=float, default=400, help="seconds from the start until windows and lists are as usual")
    parser.add_argument("--lists", type=lambda text: text.split(","), default=FIRST.split(","))
    parser.add_argument("--tickers", type=int, default=12_400)
    parser.add_argument("--watch", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--ports", type=numbers, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.watch:
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        clock = SimulatedClock.from_json(options.watch.read_text())
        watch(options.ports, options.viewers[0], options.lists, options.seconds, clock)
        return
    with tempfile.TemporaryDirectory() as folder, running_server(Path(folder)) as (port, server):
        measure(options, Path(folder), f"redis://127.0.0.1:{port}", psutil.Process(server))


if __name__ == "__main__":
    main()
