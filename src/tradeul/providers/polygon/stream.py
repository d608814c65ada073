"""Massive's live stream, as `ports.MarketStream`.

    connect -> "connected" -> auth -> "auth_success" -> subscribe -> "success" -> frames ...
       ^                        |                                                   |
       |                   "auth_failed": ends the stream                           |
       +---- jittered, doubling wait (minutes after "max_connections") <-- closed --+

The vendor drops a slow reader, so frames are read and decoded at once and
wait in a bounded queue of batches. When the consumer falls so far behind that
it is full, what comes is merged by symbol (`backlog.py`) until the consumer has
taken all of it: the newest prices stay, and nothing of a minute is lost. If even
that is too much, the batch says `resubscribed`: read again what may be missing.
All of it is counted and logged, never silent.

While it connects, and from a frame's arrival until the consumer asks for the
batch after it, `clock.busy()` is held. It does not know what a bar means.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Collection
from contextlib import ExitStack

import aiohttp
import msgspec
import structlog

from tradeul.clock import Clock
from tradeul.errors import NotEntitled, Unauthorized, VendorUnavailable
from tradeul.providers.http import check_address, waits
from tradeul.providers.polygon.backlog import Backlog, size
from tradeul.providers.polygon.lag import LagMeter
from tradeul.providers.polygon.wire_stream import AHEAD_MS, Frame, decode_frame
from tradeul.records.bars import StreamBatch
from tradeul.records.events import StreamHealth

CHANNELS = "A.*,AM.*,LULD.*"
MOST_QUOTED = 1500  # symbols whose quotes are asked: eleven lists of a hundred, and some of people's own
CHANNELS_A_MESSAGE = 250
HANDSHAKE_SECONDS = 10.0
PING_SECONDS = 20.0  # a dead line is noticed within one and a half of it
LONGEST_WAIT_SECONDS = 30.0
# Another program took the connection: each taking it from the other in turn, neither would have a feed. The waits double.
TAKEN_WAIT_SECONDS, LONGEST_TAKEN_WAIT_SECONDS = 60.0, 1800.0
HELD_SECONDS = 600.0  # a connection that stood so long was not taken back at once: the waits begin anew
MOST_FRAME_BYTES = 16 << 20
MOST_WAITING = 200_000  # messages in the queue, however few batches they are: some 50 MB
LOG_EVERY_SECONDS = 60.0

log = structlog.get_logger()


class _TooManyConnections(VendorUnavailable):
    """Another connection with this key took over."""


class PolygonStream:
    """``messages``, ``dropped`` (messages that a full queue cost), ``reconnects`` and ``problems`` count since the start."""

    def __init__(self, clock: Clock, url: str, key: str, queue_batches: int = 1000, feed_delay_seconds: float = 0.0) -> None:
        """``feed_delay_seconds``: by how much the vendor holds everything back; it is no lag."""
        check_address(url)
        self.messages = 0
        self.dropped = 0
        self.reconnects = 0
        self.problems: Counter[str] = Counter()
        self._clock = clock
        self._url = url
        self._key = key
        self._queue_batches = queue_batches
        self._queue: deque[tuple[StreamBatch, ExitStack]] = deque()
        self._filled = asyncio.Event()
        self._waiting = 0  # messages in the queue
        self._backlog: Backlog | None = None  # what came since the queue was full
        self._backlog_held = ExitStack()
        self._delay_ms = int(feed_delay_seconds * 1000)
        self._lag = LagMeter()
        self._logged_at_ms: dict[str, int] = {}
        self._trouble: str | None = "not connected yet"
        self._socket: aiohttp.ClientWebSocketResponse | None = None  # while it is subscribed
        self._wanted: set[str] = set()  # symbols whose quotes are wanted
        self._quoted: set[str] = set()  # those that this connection has asked for
        self._quotes_refused = False  # the plan has none
        self._taken = 0  # times in a row that another program took the connection

    def health(self) -> StreamHealth:
        now_ms = self._now_ms()
        lags = self._lag.percentile_ms(0.5, now_ms - self._delay_ms), self._lag.percentile_ms(0.99, now_ms - self._delay_ms)
        return StreamHealth(self._trouble, *lags, self.dropped, dict(self.problems))

    async def want_quotes(self, symbols: Collection[str]) -> None:
        """Have the quotes of these symbols in the batches from now on, and of no others; at most `MOST_QUOTED`, where the plan has them."""
        kept = self._wanted & set(symbols)
        self._wanted = kept | set(sorted(set(symbols) - kept)[: max(MOST_QUOTED - len(kept), 0)])
        await self._reconcile_quotes()

    async def _reconcile_quotes(self) -> None:
        """Ask for what is wanted and not asked for, and the other way."""
        if self._socket is None or self._quotes_refused:
            return
        changes = ("unsubscribe", self._quoted - self._wanted), ("subscribe", self._wanted - self._quoted)
        self._quoted = set(self._wanted)
        for action, symbols in changes:
            channels = [f"Q.{symbol}" for symbol in sorted(symbols)]
            for first in range(0, len(channels), CHANNELS_A_MESSAGE):
                params = ",".join(channels[first : first + CHANNELS_A_MESSAGE])
                try:
                    await self._socket.send_str(msgspec.json.encode({"action": action, "params": params}).decode())
                except (ConnectionError, aiohttp.ClientError):
                    return  # the next connection asks for all of them

    async def batches(self) -> AsyncIterator[StreamBatch]:
        """One consumer at a time; close the iterator (`contextlib.aclosing`) when leaving early.

        Raises:
            Unauthorized, NotEntitled: final.
        """
        reading = asyncio.create_task(self._read())
        reading.add_done_callback(lambda _: self._filled.set())
        try:
            while True:
                while self._queue:
                    batch, held = self._queue.popleft()
                    self._waiting -= size(batch)
                    with held:
                        yield batch
                if self._backlog is not None:
                    batch, held = self._taken_backlog()
                    with held:
                        yield batch
                    continue
                if reading.done():
                    await reading
                self._filled.clear()
                await self._filled.wait()
        finally:
            reading.cancel()
            await asyncio.wait([reading])
            while self._queue:
                self._queue.popleft()[1].close()
            self._backlog_held.close()
            self._waiting, self._backlog = 0, None

    async def _read(self) -> None:
        """Connect for ever; ends only by an error that asking again cannot heal."""
        delays = waits(LONGEST_WAIT_SECONDS)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None, connect=HANDSHAKE_SECONDS)) as session:
            while True:
                received, begun, extra, why = self.messages, self._now_ms(), 0.0, "closed by the server"
                try:
                    await self._connection(session)
                except _TooManyConnections as error:
                    extra, why = self._wait_for_the_other(begun), str(error)
                except VendorUnavailable as error:
                    why = str(error)
                except (aiohttp.ClientError, TimeoutError, OSError) as error:
                    why = f"{type(error).__name__}: {error}"
                if self.messages > received:
                    # It worked: patience begins anew.
                    delays = waits(LONGEST_WAIT_SECONDS)
                wait = extra + next(delays)
                self.reconnects += 1
                self._trouble = why.replace(self._key, "KEY")
                if not extra or self._taken == 1:
                    log.warning("stream_disconnected", reason=self._trouble, wait_seconds=round(wait, 1))
                await self._clock.back_off(wait)

    def _wait_for_the_other(self, begun_ms: int) -> float:
        """Seconds to leave the key to the program that took its connection, when ours was asked for at ``begun_ms``."""
        if self._now_ms() - begun_ms >= HELD_SECONDS * 1000:
            self._taken = 0
        self._taken += 1
        return float(min(TAKEN_WAIT_SECONDS * 2 ** min(self._taken - 1, 10), LONGEST_TAKEN_WAIT_SECONDS))

    async def _connection(self, session: aiohttp.ClientSession) -> None:
        with ExitStack() as held:
            held.enter_context(self._clock.busy())
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                socket = await self._open(session)
            async with socket:
                async with asyncio.timeout(HANDSHAKE_SECONDS):
                    await self._handshake(socket)
                log.info("stream_connected")
                self._trouble = None
                if self.reconnects:
                    self._put(StreamBatch(self._now_ms(), resubscribed=True))
                held.close()
                self._socket, self._quoted = socket, set()
                try:
                    await self._reconcile_quotes()
                    async for message in socket:
                        self._take(message)
                finally:
                    self._socket = None

    async def _open(self, session: aiohttp.ClientSession) -> aiohttp.ClientWebSocketResponse:
        try:
            return await session.ws_connect(self._url, heartbeat=PING_SECONDS, max_msg_size=MOST_FRAME_BYTES, compress=0)
        except aiohttp.WSServerHandshakeError as error:
            if error.status == 401:
                raise Unauthorized("stream: the vendor does not know this key: check MASSIVE_API_KEY") from error
            if error.status == 403:
                raise NotEntitled("stream: the plan of this key does not include it: a larger plan does") from error
            raise

    async def _handshake(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        await self._until(socket, "connected")
        await socket.send_str(msgspec.json.encode({"action": "auth", "params": self._key}).decode())
        await self._until(socket, "auth_success")
        await socket.send_str(msgspec.json.encode({"action": "subscribe", "params": CHANNELS}).decode())
        await self._until(socket, "success")

    async def _until(self, socket: aiohttp.ClientWebSocketResponse, wanted: str) -> None:
        """Take frames, data too, until the server says ``wanted``."""
        async for message in socket:
            if any(status.status == wanted for status in self._take(message).statuses):
                return
        raise VendorUnavailable(f'stream: closed before it said "{wanted}"')

    def _take(self, message: aiohttp.WSMessage) -> Frame:
        """Decode a frame and queue its data: no await, so that a ping after it is answered when it is queued."""
        if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
            raise VendorUnavailable(f"stream: {message.type.name.lower()}: {message.data}")
        received_ms = self._now_ms()
        frame = decode_frame(message.data, received_ms, received_ms - self._delay_ms + AHEAD_MS)
        batch = frame.batch
        bars = batch.seconds or batch.minutes
        self.messages += size(batch)
        if bars:
            self._lag.note(bars, received_ms - self._delay_ms)
        if size(batch):
            self._put(batch)
        for kind, number in frame.problems.items():
            self._count_problem(kind, number)
        for status in frame.statuses:
            self._obey(status.status, status.message)
        return frame

    def _obey(self, status: str, message: str) -> None:
        text = message.replace(self._key, "KEY")
        match status:
            case "auth_failed" if "plan" in text.lower():
                raise NotEntitled(f"stream: the plan of this key does not include it ({text}): a larger plan does")
            case "auth_failed":
                raise Unauthorized(f"stream: the vendor does not know this key ({text}): check MASSIVE_API_KEY")
            case "max_connections":
                raise _TooManyConnections(f"another program uses this key's one connection ({text}): stop it")
            case "connected" | "auth_success" | "success":
                pass
            case "error" if "Q." in text and not self._quotes_refused:
                self._quotes_refused = True
                log.warning("stream_quotes_not_entitled", reason=text, cost="spread_pct stays empty")
            case _:
                # An error about one channel (LULD on a delayed plan) leaves the others running.
                self._count_problem(f"status {status[:24]}", 1, text)

    def _put(self, batch: StreamBatch) -> None:
        if self._backlog is None and (len(self._queue) >= self._queue_batches or self._waiting + size(batch) > MOST_WAITING):
            self._backlog = Backlog()
            self._backlog_held.enter_context(self._clock.busy())
        if self._backlog is not None:
            self._add_to_backlog(self._backlog, batch)
        else:
            held = ExitStack()
            held.enter_context(self._clock.busy())
            self._queue.append((batch, held))
            self._waiting += size(batch)
        self._filled.set()

    def _add_to_backlog(self, backlog: Backlog, batch: StreamBatch) -> None:
        merged, dropped = backlog.merged, backlog.dropped
        backlog.add(batch)
        self.dropped += backlog.dropped - dropped
        waiting = f"{self._waiting} messages wait, {len(backlog)} merged by symbol"
        self._count_problem("queue full, merged", backlog.merged - merged, waiting)
        if backlog.dropped > dropped:
            self._count_problem("queue full, dropped", backlog.dropped - dropped, waiting)

    def _taken_backlog(self) -> tuple[StreamBatch, ExitStack]:
        assert self._backlog is not None  # noqa: S101 asked before
        taken, held = self._backlog.take(), self._backlog_held
        self._backlog, self._backlog_held = None, ExitStack()
        return taken, held

    def _count_problem(self, kind: str, number: int, detail: str = "") -> None:
        """At most one line a minute and kind; the counter has them all. Kinds beyond 50 are one kind: names come from outside."""
        kind = kind if kind in self.problems or len(self.problems) < 50 else "other"
        self.problems[kind] += number
        now_ms = self._now_ms()
        if now_ms - self._logged_at_ms.get(kind, -(10**15)) >= LOG_EVERY_SECONDS * 1000:
            self._logged_at_ms[kind] = now_ms
            log.warning("stream_problem", kind=kind, count=self.problems[kind], detail=detail)

    def _now_ms(self) -> int:
        return int(self._clock.now().timestamp() * 1000)
