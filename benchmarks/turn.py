"""Ten thousand subscribers through a new day and a restart of the scanner: when does the last of them hold what the scanner holds?

    python benchmarks/turn.py [--connections 10000] [--lists 4] [--frames FILE]

Each subscribes to several lists, compressed as browsers do, and keeps every
rule of the protocol: the rows that it ends with are compared with the
scanner's. Frames that are the same bytes are read once for all (their rows
follow from the rows before), so one process can stand for all subscribers.
The gateway runs on one core with a real bus, the subscribers on another; the
scanner is played by the gateway's process. Rows are recorded from the whole
product, or read from FILE (see `gateway.py`).
"""

import argparse
import asyncio
import hashlib
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import time
import zlib
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from tradeul.bus.embedded import EmbeddedServer
from tradeul.bus.redis import Bus
from tradeul.clock import SystemClock
from tradeul.gateway.server import GatewayServer
from tradeul.market_calendar import nyse
from tradeul.ops.callers import Callers
from tradeul.records.lists import ListDefinition, ListFrame
from tradeul.records.messages import Add, Delta, Snapshot, Update, encode

LISTS = ("gappers_up", "momentum_up", "high_volume", "new_highs", "winners", "losers", "gappers_down", "new_lows")
FRIDAY, MONDAY = date(2026, 3, 6), date(2026, 3, 9)
TURN = datetime(2026, 3, 9, 7, tzinfo=UTC)  # Monday's 03:00 ET, after the night in which clocks go forward
SERVER_CORE, LOAD_CORE = 0, 1
Json = dict[str, Any]
Place = tuple[str, int, int]  # session, epoch, sequence


def digest(rows: list[Json]) -> str:
    return hashlib.sha256(json.dumps(sorted(rows, key=lambda row: row["rank"]), sort_keys=True).encode()).hexdigest()


# ---- the gateway's process


class MovedClock(SystemClock):
    """A clock that is set: it shows an instant, and goes on from there."""

    def __init__(self, at: datetime) -> None:
        self.set(at)

    def set(self, at: datetime) -> None:
        self._ahead = at - datetime.now(UTC)

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    async def sleep_until(self, instant: datetime) -> None:
        while (left := (instant - self.now()).total_seconds()) > 0:
            await asyncio.sleep(min(left, 0.05))


class Scanner:
    """Its lists move once a second; it does what the commands on standard input say, and tells what everybody must then hold."""

    def __init__(self, bus: Bus, clock: MovedClock, rows: list[Json], names: tuple[str, ...]) -> None:
        self._bus, self._clock, self._rows, self._names = bus, clock, rows, names
        self._place = FRIDAY, 1, 0
        self.held = {name: [dict(row) for row in rows] for name in names}

    async def publish(self, kind: str) -> None:
        session, epoch, sequence = self._place
        messages = []
        for name in self._names:
            rows = self.held[name]
            frame = ListFrame(session, epoch, sequence, rows, "SIMULATED", 0)
            head = name, session, "SIMULATED", epoch, sequence
            if kind == "snapshot":
                messages.append((name, frame, encode(Snapshot(*head, len(rows), rows, 0)), False))
            else:
                steps = [Add(row["symbol"], row["rank"], row) for row in rows] if kind == "add" else self._updates(name)
                messages.append((name, frame, encode(Delta(*head, sequence - 1, steps, 0)), False))
        await self._bus.publish_frames(messages)

    def _updates(self, name: str) -> list[Any]:
        steps: list[Any] = []
        for row in self.held[name]:
            row["price"] = round((row.get("price") or 1.0) + 0.01, 4)
            steps.append(Update(row["symbol"], {"price": row["price"]}))
        return steps

    async def move(self) -> None:
        session, epoch, sequence = self._place
        self._place = session, epoch, sequence + 1
        await self.publish("update")

    def said(self, began: float) -> str:
        session, epoch, sequence = self._place
        rows = {name: digest(rows) for name, rows in self.held.items()}
        return json.dumps({"began": began, "place": [session.isoformat(), epoch, sequence], "rows": rows})

    async def obey(self, command: str) -> str:
        session, epoch, sequence = self._place
        began = time.monotonic()
        if command == "day":  # the clock turns, and the scanner is one cycle behind it
            self._clock.set(TURN - timedelta(seconds=1))
            began += 1
            await asyncio.sleep(2)
            self._place, self.held = (MONDAY, epoch, 0), {name: [] for name in self._names}
            await self.publish("snapshot")
        elif command == "rows":
            self._place, self.held = (session, epoch, sequence + 1), {name: [dict(row) for row in self._rows] for name in self._names}
            await self.publish("add")
        elif command == "restart":
            self._place = session, epoch + 1, 0
            await self.publish("snapshot")
        elif command == "move":
            await self.move()
        return self.said(began)


async def serve(frames: list[str], count: int) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    os.sched_setaffinity(0, {SERVER_CORE})
    rows = max((message["rows"] for message in map(json.loads, frames) if "rows" in message), key=len)
    clock, names = MovedClock(TURN - timedelta(minutes=10)), LISTS[:count]
    columns = tuple(name for name in rows[0] if name not in ("symbol", "rank"))
    with tempfile.TemporaryDirectory() as state:
        server = EmbeddedServer(Path(state), SystemClock())
        await server.start()
        bus = Bus(server.url, SystemClock())
        await bus.put_lists([ListDefinition(name, name, "change_pct >= 5", (("change_pct", "desc"),), columns) for name in names])
        scanner = Scanner(bus, clock, rows, names)
        await scanner.publish("snapshot")
        gateway = GatewayServer(bus, clock, nyse(), "SIMULATED", Callers(), 0)
        running = asyncio.create_task(gateway.run())
        await gateway.started.wait()
        print(gateway.port, flush=True)
        while command := (await asyncio.to_thread(sys.stdin.readline)).strip():
            print(await scanner.obey(command), flush=True)
        running.cancel()
        await asyncio.wait([running])
        await bus.close()
        await server.stop()


# ---- the subscribers' process


class State:
    """What somebody holds of a list. The same for all who heard the same."""

    def __init__(self, place: Place, rows: dict[str, Json]) -> None:
        self.place, self.rows = place, rows
        self.after: dict[int, State | None] = {}
        self._digest: str | None = None

    @property
    def digest(self) -> str:
        if self._digest is None:
            self._digest = digest(list(self.rows.values()))
        return self._digest


def applied(state: State | None, message: Json) -> State | None:
    """docs/protocol.md's rules; None: it must ask again, which on one gateway without loss is a mistake."""
    place = message["session"], message["epoch"], message["sequence"]
    if message["type"] == "snapshot":
        return State(place, {row["symbol"]: row for row in message["rows"]})
    if state is None or state.place != (message["session"], message["epoch"], message["base"]):
        return None
    rows = dict(state.rows)
    for step in message["deltas"]:
        match step["action"]:
            case "remove":
                del rows[step["symbol"]]
            case "add":
                rows[step["symbol"]] = step["data"] | {"symbol": step["symbol"], "rank": step["rank"]}
            case "rerank":
                rows[step["symbol"]] = rows[step["symbol"]] | {"rank": step["rank"]}
            case _:
                rows[step["symbol"]] = rows[step["symbol"]] | step["data"]
    return State(place, rows)


class Subscriber:
    def __init__(self, number: int, connection: socket.socket) -> None:
        self.number, self.connection = number, connection
        self.unread = b""
        self.upgraded = False
        self.session = ""
        self.held: dict[str, State] = {}
        self.changed_at = 0.0


class Subscribers:
    def __init__(self, port: int, names: tuple[str, ...]) -> None:
        self._port, self._names = port, names
        self._poll = select.epoll()
        self.all: dict[int, Subscriber] = {}
        self._messages: dict[bytes, Json] = {}
        self.bytes = self.wrong = self.ended = 0
        self.come_back: list[int] = []

    def connect(self, count: int) -> None:
        head = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="
        deflate = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
        said = f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}\r\n{deflate}\r\n\r\n".encode()
        for name in self._names:
            text = json.dumps({"action": "subscribe", "list": name}).encode()
            said += bytes((0x81, 0x80 | len(text), 0, 0, 0, 0)) + text
        for number in range(count):
            connection = socket.socket()
            connection.bind((f"127.0.0.{1 + number % 8}", 0))  # each address has so many ports only
            connection.connect(("127.0.0.1", self._port))
            connection.settimeout(0)
            connection.send(said)
            self.all[connection.fileno()] = Subscriber(number, connection)
            self._poll.register(connection, select.EPOLLIN)
            if number % 64 == 0:
                self.read(0)

    def read(self, seconds: float) -> list[Subscriber]:
        """Who heard something."""
        heard = []
        for number, _ in self._poll.poll(seconds, 1024):
            subscriber = self.all[number]
            try:
                data = subscriber.connection.recv(1 << 18)
            except BlockingIOError:
                continue
            except ConnectionError:
                data = b""
            if not data:
                self._poll.unregister(number)
                self.ended += 1
                continue
            self.bytes += len(data)
            heard.append(subscriber)
            self._take(subscriber, subscriber.unread + data)
        return heard

    def _take(self, subscriber: Subscriber, data: bytes) -> None:
        place = 0
        if not subscriber.upgraded:
            end = data.find(b"\r\n\r\n")
            subscriber.upgraded, place = end >= 0, end + 4
        while subscriber.upgraded and len(data) - place >= 2:
            size, start = data[place + 1], place + 2
            if size > 125:
                start += 2 if size == 126 else 8
                size = int.from_bytes(data[place + 2 : start], "big") if len(data) >= start else 1 << 60
            if len(data) < start + size:
                break
            self._hear(subscriber, data[place], data[start : start + size])
            place = start + size
        subscriber.unread = data[place:] if subscriber.upgraded else data

    def _hear(self, subscriber: Subscriber, first: int, payload: bytes) -> None:
        if first & 15 == 8:
            self.come_back.append(int(payload[2:].split()[-2]))
            subscriber.connection.send(b"\x88\x82\0\0\0\0" + payload[:2])
            return
        if first & 15 != 1:
            return
        message = self._messages.get(payload)
        if message is None:
            text = zlib.decompressobj(-15).decompress(payload + b"\0\0\xff\xff") if first & 0x40 else payload
            message = self._messages[payload] = json.loads(text)
            if message["type"] not in ("snapshot", "delta"):
                del self._messages[payload]  # `connected` is another one for each
        if message["type"] in ("connected", "new_day"):
            self.wrong += message["session"] < subscriber.session
            subscriber.session, subscriber.held = message["session"], {}
        if message["type"] in ("snapshot", "delta"):
            self.wrong += message["session"] != subscriber.session
            self._follow(subscriber, message)

    def _follow(self, subscriber: Subscriber, message: Json) -> None:
        before = subscriber.held.get(message["list"])
        known = before.after if before is not None and message["type"] == "delta" else message.setdefault("known", {})
        if id(message) not in known:
            known[id(message)] = applied(before, message)
        after = known[id(message)]
        if after is None:
            self.wrong += 1
        else:
            subscriber.held[message["list"]] = after
            subscriber.changed_at = time.monotonic()

    def until(self, expected: Json, limit_seconds: float = 60.0) -> Json:
        """Read until everybody holds that; when each did, and how many bytes came since the last such question."""
        place, rows = tuple(expected["place"]), expected["rows"]
        missing, times = set(self.all.values()), []
        heard: list[Subscriber] = list(missing)
        while True:
            for subscriber in heard:
                held = subscriber.held
                if subscriber in missing and all(name in held and held[name].place >= place for name in rows):
                    missing.remove(subscriber)
                    times.append(subscriber.changed_at - expected["began"])
                    self.wrong += any(held[name].place == place and held[name].digest != rows[name] for name in rows)
            if not missing or time.monotonic() - expected["began"] > limit_seconds:
                break
            heard = self.read(0.2)
        times.sort()
        at = {share: round(times[int(share * (len(times) - 1))], 3) for share in (0.5, 0.99, 1.0)} if times else {}
        report = {"seconds": at, "missing": len(missing), "bytes": self.bytes, "wrong": self.wrong}
        self.bytes = 0
        return report


def subscribe(port: int, connections: int, count: int) -> None:
    """Obey the lines on standard input: what to wait for; ``leave`` at the end."""
    os.sched_setaffinity(0, {LOAD_CORE})
    subscribers = Subscribers(port, LISTS[:count])
    commands = select.poll()
    commands.register(sys.stdin, select.POLLIN)
    began = time.monotonic()
    subscribers.connect(connections)
    print(round(time.monotonic() - began, 2), flush=True)
    while True:
        while not commands.poll(0):
            subscribers.read(0.05)
        line = sys.stdin.readline()
        if line.strip() == "leave" or not line:
            break
        print(json.dumps(subscribers.until(json.loads(line))), flush=True)
    began = time.monotonic()
    while subscribers.ended < connections and time.monotonic() - began < 30:
        subscribers.read(0.2)
    told = sorted(subscribers.come_back)
    answer = {"seconds": round(time.monotonic() - began, 2), "told": len(told), "spread_ms": [told[0], told[-1]] if told else None}
    print(json.dumps(answer | {"ended": subscribers.ended, "wrong": subscribers.wrong}), flush=True)


# ---- both


def started(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def say(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def hear(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def measure(frames: Path, connections: int, count: int) -> None:
    print(f"{connections:,} subscribers of {count} lists each, compressed; load of the machine {os.getloadavg()}")
    gateway = started("--serve", "--frames", frames, "--lists", count)
    port = hear(gateway)
    subscribers = started("--subscribe", port, "--connections", connections, "--lists", count)
    print(f"  connected within {hear(subscribers)} s")
    abouts = {
        "move": "all hold the first change after connecting",
        "day": "03:00: all hold the new session's empty lists (the scanner, one cycle late, publishes them after 1.0 s)",
        "rows": "all hold the session's first rows",
        "restart": "the scanner started anew: all hold the rows of its new epoch",
    }
    for command, about in abouts.items():
        say(gateway, command)
        expected = hear(gateway)
        say(subscribers, expected)
        reached = json.loads(hear(subscribers))
        at = reached["seconds"]
        seconds = f"half {at.get('0.5')}, 99 % {at.get('0.99')}, last {at.get('1.0')}"
        faults = f"missing {reached['missing']}, wrong {reached['wrong']}"
        print(f"  {about}: {seconds} s; {reached['bytes'] / 1e6:,.1f} MB; {faults}")
        time.sleep(1)
    say(subscribers, "leave")
    say(gateway, "")
    ending = json.loads(hear(subscribers))
    told = f"{ending['told']:,} told when to come back (spread over {ending['spread_ms']} ms)"
    print(f"  the gateway ends: {told}, all gone after {ending['seconds']} s")
    print(f"  load of the machine at the end {os.getloadavg()}")
    for process in (subscribers, gateway):
        process.wait(60)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--lists", type=int, default=4)
    parser.add_argument("--frames", type=Path)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--subscribe", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve(arguments.frames.read_text().splitlines(), arguments.lists))
    elif arguments.subscribe:
        subscribe(arguments.subscribe, arguments.connections, arguments.lists)
    else:
        from gateway import record

        with tempfile.TemporaryDirectory() as folder:
            frames = arguments.frames or Path(folder) / "frames.jsonl"
            if not frames.exists():
                frames.write_text("\n".join(asyncio.run(record())))
            measure(frames, arguments.connections, arguments.lists)


if __name__ == "__main__":
    main()
