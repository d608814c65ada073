"""The stream's sockets: handshake, subscriptions, one connection a key, and the loop that tells each second what `stream_feed` says.

Each connection has a queue of at most QUEUE_BYTES; one whose queue is full reads too
slowly and is dropped, as the vendor does. When the loop falls behind, second bars are
left out, minute bars are not; after a pause of the machine it goes on with now.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from functools import partial
from typing import ParamSpec, TypeVar

import msgspec
import structlog
from aiohttp import WSCloseCode, WSMsgType, web

from tradeul.clock import Clock, SteppedClock
from tradeul.simulator.faults import spoiled_frames
from tradeul.simulator.market import Market
from tradeul.simulator.plans import NO_QUOTES, NO_STREAM, QUOTES, plan_of
from tradeul.simulator.stream_feed import AFTER_CLOSE, Batch, StreamFeed, status

QUEUE_BYTES = 64 << 20
HANDSHAKE_SECONDS = 10.0
TAKEN_SECONDS = 10.0  # in tests: until a client has taken what was sent
BEHIND_LIMIT = timedelta(seconds=6)  # more than this behind: no second bars
PAUSE_LIMIT = timedelta(minutes=10)  # more than this behind: go on with now
PREPARE_AT = 35  # second of a minute in which the next one's bars are made
KINDS = ("A", "AM", "LULD", "Q")
P = ParamSpec("P")
T = TypeVar("T")
log = structlog.get_logger()


class _Request(msgspec.Struct):
    action: str
    params: str = ""


class Connection:
    def __init__(self, socket: web.WebSocketResponse, key: str) -> None:
        self.socket, self.key = socket, key
        self.everything: set[str] = set()  # kinds subscribed with *
        self.chosen: dict[str, set[int]] = {kind: set() for kind in KINDS}
        self.pong = asyncio.Event()
        self._frames: deque[bytes] = deque()
        self._bytes = 0
        self._filled, self._empty = asyncio.Event(), asyncio.Event()

    @property
    def kinds(self) -> set[str]:
        return self.everything | {kind for kind, numbers in self.chosen.items() if numbers}

    @property
    def channels(self) -> int:
        return len(self.everything) + sum(map(len, self.chosen.values()))

    def put(self, frame: bytes) -> bool:
        """False: the queue is full, nothing was added."""
        if self._bytes + len(frame) > QUEUE_BYTES:
            return False
        self._frames.append(frame)
        self._bytes += len(frame)
        self._empty.clear()
        self._filled.set()
        return True

    async def send_forever(self) -> None:
        while True:
            await self._filled.wait()
            while self._frames:
                frame = self._frames.popleft()
                await self.socket.send_frame(frame, WSMsgType.TEXT)
                self._bytes -= len(frame)
            self._filled.clear()
            self._empty.set()

    async def taken(self) -> None:
        """Wait until the client has read everything: it answers a ping in its order."""
        async with asyncio.timeout(TAKEN_SECONDS):
            await self._empty.wait()
            self.pong.clear()
            await self.socket.ping()
            await self.pong.wait()


class StreamServer:
    def __init__(
        self,
        market: Market,
        clock: Clock,
        accepts: Callable[[str], bool],
        fault: Callable[[], str | None],
        included: Callable[[str], bool] = lambda _: True,
    ) -> None:
        """``fault``: that of the next second told. ``included``: whether a key's plan lets it in."""
        self._market, self._clock, self._accepts, self._fault = market, clock, accepts, fault
        self._included = included
        self._feed = StreamFeed(market)
        self._connections: dict[str, Connection] = {}
        self._wanted = asyncio.Event()
        self._back_at: datetime | None = None
        self._thread = ThreadPoolExecutor(1, "stream")  # apart from those of REST, so that the stream keeps its beat
        self.messages = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if self._back_at is not None and self._clock.now() < self._back_at:
            return web.Response(status=503)
        socket = web.WebSocketResponse(compress=False, autoping=False, max_msg_size=1 << 20)
        await socket.prepare(request)
        await socket.send_frame(status("connected", "Connected Successfully"), WSMsgType.TEXT)
        connection = await self._authenticate(socket)
        if connection is None:
            await socket.close()
            return socket
        sender = asyncio.create_task(connection.send_forever())
        try:
            await self._listen(connection)
        finally:
            sender.cancel()
            if self._connections.get(connection.key) is connection:
                del self._connections[connection.key]
        return socket

    @property
    def connections(self) -> int:
        return len(self._connections)

    async def subscribed(self, channels: int) -> None:
        while not any(connection.channels >= channels for connection in self._connections.values()):
            await asyncio.sleep(0.001)

    async def close_all(self) -> None:
        for connection in list(self._connections.values()):
            await connection.socket.close(code=WSCloseCode.GOING_AWAY)

    async def cut(self, lasting: timedelta) -> None:
        self._back_at = self._clock.now() + lasting
        await self.close_all()

    async def close(self) -> None:
        await self.close_all()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _authenticate(self, socket: web.WebSocketResponse) -> Connection | None:
        try:
            message = await socket.receive(timeout=HANDSHAKE_SECONDS)
            request = msgspec.json.decode(message.data if message.type is WSMsgType.TEXT else b"", type=_Request)
        except (TimeoutError, msgspec.DecodeError):
            return None
        if request.action != "auth" or not self._accepts(request.params):
            await socket.send_frame(status("auth_failed", "authentication failed"), WSMsgType.TEXT)
            return None
        if not self._included(request.params):
            await socket.send_frame(status("auth_failed", NO_STREAM), WSMsgType.TEXT)
            return None
        connection = Connection(socket, request.params)
        old = self._connections.get(connection.key)
        self._connections[connection.key] = connection
        await socket.send_frame(status("auth_success", "authenticated"), WSMsgType.TEXT)
        if old is not None:
            await self._dismiss(old, "max_connections", "Maximum number of connections exceeded.")
        return connection

    async def _dismiss(self, connection: Connection, name: str, message: str) -> None:
        """Tell a connection why, and close it without waiting for it."""
        if self._connections.get(connection.key) is connection:
            del self._connections[connection.key]
        try:
            async with asyncio.timeout(1.0):
                await connection.socket.send_frame(status(name, message), WSMsgType.TEXT)
                await connection.socket.close(code=WSCloseCode.POLICY_VIOLATION)
        except (TimeoutError, ConnectionError):
            log.info("simulator_client_gone", reason=name)

    async def _listen(self, connection: Connection) -> None:
        async for message in connection.socket:
            if message.type is WSMsgType.PING:
                await connection.socket.pong(message.data)
            elif message.type is WSMsgType.PONG:
                connection.pong.set()
            elif message.type is WSMsgType.TEXT:
                try:
                    request = msgspec.json.decode(message.data, type=_Request)
                except msgspec.DecodeError:
                    connection.put(status("error", "could not parse the message"))
                    continue
                for channel in request.params.split(","):
                    connection.put(self._subscribe(connection, request.action, channel.strip()))
                if connection.kinds:
                    self._wanted.set()

    def _subscribe(self, connection: Connection, action: str, channel: str) -> bytes:
        kind, _, symbol = channel.partition(".")
        if kind == "Q" and QUOTES in plan_of(connection.key).lacks:
            return status("error", NO_QUOTES)
        if action not in ("subscribe", "unsubscribe") or kind not in KINDS:
            return status("error", f"{action} {channel}: not found or not supported")
        number = self._market.number_of(symbol, self._market.calendar.current_session(self._clock.now()))
        chosen: set[object] = connection.everything if symbol == "*" else connection.chosen[kind]  # type: ignore[assignment]
        if symbol == "*" or number is not None:
            (chosen.add if action == "subscribe" else chosen.discard)(kind if symbol == "*" else number)
        return status("success", f"{action}d to: {channel}")

    async def run(self) -> None:
        """Tell every second, forever; rests while nobody listens and while the market is closed."""
        while True:
            self._wanted.clear()
            if not any(connection.kinds for connection in self._connections.values()):
                await self._wanted.wait()
            now = self._clock.now()
            session = self._market.calendar.current_session(now)
            hours = self._market.hours(session)
            end = hours.post_close_at + timedelta(seconds=AFTER_CLOSE)
            if now >= end or not self._market.source.covers(session):
                await self._clock.sleep_until(self._market.hours(self._market.calendar.next(session)).pre_open_at)
                continue
            second = max(int(self._market.second(session, now)), 0)
            while any(connection.kinds for connection in self._connections.values()):
                second = self._feed.next_second(second)
                due = hours.pre_open_at + timedelta(seconds=second)
                if due > end:
                    await self._clock.sleep_until(end)
                    break
                await self._clock.sleep_until(due)
                if self._clock.now() - due > PAUSE_LIMIT:
                    log.info("simulator_stream_skipped", seconds=(self._clock.now() - due).total_seconds())
                    break
                await self._tell(session, second, due)

    async def _tell(self, session: date, second: int, due: datetime) -> None:
        listeners = [connection for connection in self._connections.values() if connection.kinds]
        kinds = set[str]().union(*(connection.kinds for connection in listeners))
        if self._clock.now() - due > BEHIND_LIMIT:
            kinds -= {"A", "Q"}
        fault = self._fault()
        if fault == "cut":
            await self.close_all()
            return
        with self._clock.busy():
            wanted = {connection: _wishes(connection) for connection in listeners}
            frames = await self._in_thread(self._encoded, session, second, frozenset(kinds), wanted)
            for connection in listeners:
                told = spoiled_frames(fault, frames[connection])
                if not all(connection.put(frame) for frame in told):
                    await self._dismiss(connection, "slow_consumer", "The connection does not keep up and was closed.")
                elif told and isinstance(self._clock, SteppedClock):
                    await self._await_taken(connection)
            if second % 60 == PREPARE_AT and kinds & {"A", "Q"}:
                await self._in_thread(self._feed.prepare, session, second // 60 * 60 + 60)

    async def _in_thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, partial(work, *args, **kwargs))

    async def _await_taken(self, connection: Connection) -> None:
        try:
            await connection.taken()
        except (TimeoutError, ConnectionError):
            await self._dismiss(connection, "slow_consumer", "The connection does not keep up and was closed.")

    def _encoded(
        self, session: date, second: int, kinds: frozenset[str], wanted: "Mapping[Connection, Mapping[str, frozenset[int] | None]]"
    ) -> "dict[Connection, list[bytes]]":
        """Frames for each connection; those who take everything of a kind share theirs."""
        frames: dict[Connection, list[bytes]] = {connection: [] for connection in wanted}
        for batch in self._feed.batches(session, second, kinds):
            shared: list[bytes] | None = None
            for connection, wishes in wanted.items():
                if batch.kind in wishes:
                    numbers = wishes[batch.kind]
                    if numbers is None:
                        shared = list(batch.encoded()) if shared is None else shared
                    frames[connection] += _frames(batch, numbers, shared)
            self.messages += len(batch.numbers)
        return frames


def _frames(batch: Batch, numbers: frozenset[int] | None, shared: list[bytes] | None) -> list[bytes]:
    return shared or [] if numbers is None else list(batch.encoded(numbers))


def _wishes(connection: Connection) -> dict[str, frozenset[int] | None]:
    """Kind -> the issues wanted; None: all."""
    return {kind: None if kind in connection.everything else frozenset(connection.chosen[kind]) for kind in connection.kinds}
