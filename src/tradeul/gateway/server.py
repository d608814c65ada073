"""Port 9000: browsers' sockets on one side, the bus on the other.

    bus.deltas -> a queue a list -> FanOut.take_message -> transports      (a gap: bus.get_frame, then snapshots)
    bus.follow (filings, news) -> FanOut.pass_on -> transports
    sockets    -> ClientSession.receive -> actions -> FanOut

Messages of one list are taken one after the other by its own task, a gap's
frame is read before the next, so what the copy holds is always a state that
the scanner had. A list's queue that is full is emptied: where its viewers
cannot be served as fast as the list changes, they get its latest state, not
every state late. The other lists do not wait for it. It computes no rows and
reads no market data.
"""

import asyncio
import random
import secrets
from collections.abc import Iterable, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from aiohttp import WSMessage, WSMsgType, web

from tradeul.bus.redis import Bus
from tradeul.bus.topics import FEED_STATUS, FILINGS, LISTS_CHANGED, NEWS, VARIANTS_WATCHED, Stream
from tradeul.clock import Clock
from tradeul.errors import SequenceGap
from tradeul.gateway.client_session import Action, Attend, ClientSession, HangUp, Reply, Unwatch, Watch
from tradeul.gateway.fan_out import FanOut, Viewer, in_chunks
from tradeul.gateway.feed import Feed
from tradeul.gateway.frames import FULL_WINDOW_BITS, Framed, close_frame, text_frame
from tradeul.gateway.http import Door, Routes, json_answer, open_door, problem, read_body, who
from tradeul.market_calendar import Calendar
from tradeul.ops.callers import Callers
from tradeul.ops.metrics import TEXT_FORMAT, counter, exposition, gauge, process_metrics
from tradeul.ops.watchdog import LoopWatchdog
from tradeul.records.entitlements import Mode
from tradeul.records.events import VariantsWatched
from tradeul.records.lists import ListDefinition, split_name
from tradeul.records.messages import UNAUTHORIZED, Connected, ErrorMessage, ListHead, Status, encode

SWEEP_SECONDS = 0.25
LOOK_SECONDS = 5.0  # `status` to everyone, and the comparison with frames
HEARTBEAT_SECONDS = 30.0
CLOSE_SECONDS = 1.0
POLL_SECONDS = 0.02
MAX_FRAME_BYTES = 64 * 1024  # above it the socket is closed; above ClientSession's limit only an error is sent
MESSAGES_WAITING = 4  # of one list: as many cycles
LIST_SILENT_SECONDS = 60.0  # then its task ends; the next message begins another

DONE, GOING_AWAY, ABUSE = 1000, 1001, 1008  # RFC 6455's codes of a close
COMING_BACK_IN_A_SECOND = 1000  # how many viewers another gateway should have to greet
NO_TOKEN = encode(ErrorMessage(UNAUTHORIZED, "A token is needed: log in on the page, or send ?token= or Authorization: Bearer."))

log = structlog.get_logger()


class ClearCache(msgspec.Struct, frozen=True):
    """The body of ``POST /api/clear-cache``. Its ``date`` is the caller's opinion; the calendar's is what counts."""

    reason: str


class GatewayServer:
    def __init__(
        self,
        bus: Bus,
        clock: Clock,
        calendar: Calendar,
        mode: str,
        callers: Callers,
        port: int,
        watchdog: LoopWatchdog | None = None,
    ) -> None:
        self._bus, self._clock, self._calendar, self._mode = bus, clock, calendar, mode
        self._callers, self._watchdog, self.port = callers, watchdog, port
        self.started = asyncio.Event()
        oldest = calendar.oldest_close if mode == Mode.END_OF_DAY else calendar.current_session
        self._fan_out = FanOut(oldest(clock.now()))
        self._viewers = self._fan_out.viewers
        self._lists: tuple[ListDefinition, ...] = ()
        self._queues: dict[str, asyncio.Queue[bytes]] = {}
        self._feed = Feed()
        self._new_variant = asyncio.Event()
        self._door: Door | None = None
        self._leaving = False
        self._gaps = self._fell_behind = self._cut_off = 0

    async def run(self) -> None:
        """Serve until cancelled.

        Raises:
            StartError: the port is taken.
        """
        self._door = Door(self._routes(), self._callers)
        runner, site, self.port = await open_door(self._door, self._callers.host, self.port)
        log.info("gateway_started", host=self._callers.host, port=self.port)
        self.started.set()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow_messages(tasks))
                for stream in (FILINGS, NEWS):
                    tasks.create_task(self._follow_stream(stream))
                following = self._follow_lists, self._follow_feed
                for loop in (*following, self._look, self._sweep, self._roll_over, self._name_variants):
                    tasks.create_task(loop())
        finally:
            self.started.clear()
            await site.stop()
            await self._say_goodbye()
            await runner.cleanup()

    async def _say_goodbye(self) -> None:
        """Tell everyone when to come back, each at another time; who does not answer, or cannot because its buffer is full, is cut off."""
        self._leaving = True
        spread_ms = max(1000 * len(self._viewers) // COMING_BACK_IN_A_SECOND, 1000)
        jitter = random.Random(self.port)  # noqa: S311
        for viewers in in_chunks(list(self._viewers)):
            for viewer in viewers:
                viewer.say(close_frame(GOING_AWAY, f"come back in {jitter.randrange(spread_ms)} ms"))
            await asyncio.sleep(0)
        deadline = _seconds() + CLOSE_SECONDS
        while self._viewers and _seconds() < deadline:
            await asyncio.sleep(POLL_SECONDS)
        for viewer in self._viewers:
            viewer.transport.abort()

    # ---- the bus's side

    async def _follow_messages(self, tasks: asyncio.TaskGroup) -> None:
        async for name, payload in self._bus.deltas():
            if name not in self._queues:
                self._queues[name] = asyncio.Queue(MESSAGES_WAITING)
                tasks.create_task(self._pass_on(name, self._queues[name]))
            messages = self._queues[name]
            if messages.full():  # what follows is a gap then, and heals as one
                self._fell_behind += 1
                while not messages.empty():
                    messages.get_nowait()
            messages.put_nowait(payload)

    async def _pass_on(self, name: str, messages: asyncio.Queue[bytes]) -> None:
        """One list's messages, each to all its viewers before the next."""
        while True:
            try:
                async with asyncio.timeout(LIST_SILENT_SECONDS):
                    payload = await messages.get()
            except TimeoutError:
                if messages.empty():
                    del self._queues[name]
                    return
                continue
            with self._clock.busy():
                try:
                    await _in_turns(self._fan_out.take_message(name, payload, _seconds()))
                except SequenceGap as gap:
                    self._gaps += 1
                    log.info("sequence_gap", list=name, reason=str(gap))
                    await _in_turns(self._fan_out.take_frame(name, await self._bus.get_frame(name), _seconds()))

    async def _follow_lists(self) -> None:
        async for definitions in self._bus.subscribe(LISTS_CHANGED):
            await self._take_lists(definitions)

    async def _follow_feed(self) -> None:
        async for status in self._bus.subscribe(FEED_STATUS):
            before, self._mode = self._mode, status.mode
            if status.mode == Mode.END_OF_DAY != before:  # of an earlier session than the current one
                self._fan_out.go_back(self._calendar.oldest_close(self._clock.now()))
                await self._greet_all()
            self._feed.hear(status, self._clock.now(), _seconds())

    async def _follow_stream(self, stream: Stream[Any]) -> None:
        async for payloads in self._bus.follow(stream):
            for payload in payloads:
                await _in_turns(self._fan_out.pass_on(stream.key, payload, _seconds()))

    async def _name_variants(self) -> None:
        """Tell the scanner which lists are watched in another class: at once when one is new, else every few seconds."""
        while True:
            if names := self._fan_out.watched_variants():
                await self._bus.publish(VARIANTS_WATCHED, VariantsWatched(tuple(names)))
                for name in names:
                    if (feed := self._fan_out.feeds.get(name)) is not None and feed.copy is None:
                        frame = await self._bus.get_frame(name)
                        if name in self._fan_out.feeds:  # not left meanwhile
                            await _in_turns(self._fan_out.take_frame(name, frame, _seconds()))
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._new_variant.wait()
            self._new_variant.clear()

    async def _look(self) -> None:
        while True:
            await self._take_lists(await self._bus.get_lists())
            await self._compare()
            await _in_turns(self._fan_out.broadcast(Framed(encode(self._status())), _seconds()))
            await asyncio.sleep(LOOK_SECONDS)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            await _in_turns(self._fan_out.sweep(_seconds()))
            self._cut_off += self._fan_out.cut_off_stuck(_seconds())

    async def _roll_over(self) -> None:
        while True:
            following = self._calendar.next(self._calendar.current_session(self._clock.now()))
            await self._clock.sleep_until(self._calendar.hours(following).new_day_at)
            self._begin_session()
            await _in_turns(self._fan_out.announce())

    def _begin_session(self) -> int:
        """Drop what is of an earlier session; returns how many lists. The last close is shown until the next one is there."""
        if self._mode == Mode.END_OF_DAY:
            return 0
        return self._fan_out.roll_over(self._calendar.current_session(self._clock.now()), _seconds())

    async def _take_lists(self, definitions: Sequence[ListDefinition]) -> None:
        """New definitions: everyone hears `connected` again, and loses the lists that are gone."""
        if not definitions or tuple(definitions) == self._lists:
            return
        self._lists = tuple(definitions)
        await self._greet_all()
        for name in [name for name in self._fan_out.feeds if split_name(name)[0] not in self._known()]:
            del self._fan_out.feeds[name]

    async def _greet_all(self) -> None:
        known = self._known()
        for viewers in in_chunks(list(self._viewers)):
            for viewer in viewers:
                self._carry_out(viewer, viewer.session.forget(known))
                self._greet(viewer)
            await asyncio.sleep(0)

    async def _compare(self) -> None:
        for name in [*self._known(), *self._fan_out.watched_variants()]:
            frame = await self._bus.get_frame(name)
            if split_name(name)[1] is None or name in self._fan_out.feeds:  # it may have been left meanwhile
                await _in_turns(self._fan_out.reconcile(name, frame, _seconds()))

    def _known(self) -> dict[str, str]:
        return {definition.name: definition.issue_class for definition in self._lists}

    # ---- the browsers' side

    async def _socket(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._leaving:
            raise web.HTTPServiceUnavailable(text="This gateway is ending: come back soon.")
        # aiohttp negotiates compression and sends control frames; every data frame, and the answer to a close, is ours.
        socket = web.WebSocketResponse(
            heartbeat=HEARTBEAT_SECONDS, timeout=CLOSE_SECONDS, max_msg_size=MAX_FRAME_BYTES, autoclose=False, autoping=False
        )
        await socket.prepare(request)
        if (transport := request.transport) is None:
            return socket
        if who(self._callers, request, token_in_query=True) is not None:
            await self._converse(socket, transport)
        else:
            transport.write(text_frame(NO_TOKEN))
            await socket.close(code=ABUSE, drain=False)
        if transport.get_write_buffer_size():
            transport.abort()  # a close would wait for a reader that may never read
        return socket

    async def _converse(self, socket: web.WebSocketResponse, transport: asyncio.Transport) -> None:
        deflates = socket.compress == FULL_WINDOW_BITS
        viewer = Viewer(secrets.token_hex(8), transport, ClientSession(), self._fan_out.session, deflates=deflates)
        self._viewers.add(viewer)
        try:
            self._greet(viewer)
            code = DONE
            async for message in socket:
                if not await self._hear(viewer, socket, message):
                    code = ABUSE
                    break
            if self._leaving:
                transport.close()  # our close has been said
            await socket.close(code=code, drain=False)
        finally:
            self._fan_out.remove(viewer)

    async def _hear(self, viewer: Viewer, socket: web.WebSocketResponse, message: WSMessage) -> bool:
        """False: hang up."""
        session, now_seconds = viewer.session, _seconds()
        match message.type:
            case WSMsgType.TEXT | WSMsgType.BINARY:
                clock_ms = int(self._clock.now().timestamp() * 1000)
                actions = session.receive(message.data, self._known(), now_seconds=now_seconds, clock_ms=clock_ms)
                return self._carry_out(viewer, actions)
            case WSMsgType.PING | WSMsgType.PONG:
                if actions := session.receive_control(now_seconds=now_seconds):
                    return self._carry_out(viewer, actions)
                if message.type is WSMsgType.PING:
                    await socket.pong(message.data)
                return True
        return False  # aiohttp has closed it, with a code that says why

    def _carry_out(self, viewer: Viewer, actions: Sequence[Action]) -> bool:
        """False: hang up."""
        for action in actions:
            match action:
                case Reply(message):
                    viewer.say(text_frame(encode(message)))
                case Watch(name):
                    self._fan_out.feed(name).watch(viewer, _seconds())
                    if split_name(name)[1] is not None:
                        self._new_variant.set()
                case Unwatch(name):
                    self._fan_out.unwatch(name, viewer)
                case Attend(stream, wanted):
                    self._fan_out.attend(stream, viewer, wanted=wanted)
                case HangUp(reason):
                    log.info("viewer_hung_up_on", connection_id=viewer.connection_id, reason=reason)
                    return False
        return True

    def _greet(self, viewer: Viewer) -> None:
        viewer.told = self._fan_out.session
        viewer.say(text_frame(encode(self._connected(viewer))))

    def _connected(self, viewer: Viewer) -> Connected:
        heads = [ListHead(each.name, each.title, each.where, each.order, each.columns, each.issue_class) for each in self._lists]
        return Connected(viewer.connection_id, self._fan_out.session, self._phase(), self._mode, self._clock.now(), heads)

    def _phase(self) -> str:
        return self._feed.phase(self._calendar.phase(self._clock.now()), _seconds())

    def _status(self) -> Status:
        return self._feed.status(self._phase(), self._mode, self._clock.now(), _seconds())

    # ---- HTTP

    def _routes(self) -> Routes:
        return {
            ("GET", "/ws"): self._socket,
            ("GET", "/ws/scanner"): self._socket,
            ("GET", "/health"): self._health,
            ("GET", "/ready"): self._ready,
            ("GET", "/metrics"): self._metrics,
            ("POST", "/api/clear-cache"): self._clear_cache,
        }

    async def _health(self, _: web.BaseRequest) -> web.Response:
        fan_out = self._fan_out
        copies = {name: feed.copy for name, feed in sorted(fan_out.feeds.items())}
        answers = await self._bus.answers()
        report = {
            "status": "ok" if answers else "degraded",
            "redis": "connected" if answers else "does not answer",
            "session": fan_out.session,
            "mode": self._mode,
            "connections": len(fan_out.viewers),
            "lists": {name: None if copy is None else {"epoch": copy.epoch, "sequence": copy.sequence} for name, copy in copies.items()},
            "refused_of_older_sessions": fan_out.refused,
            "gaps": self._gaps,
            "cut_off": self._cut_off,
        }
        return json_answer(HTTPStatus.OK, report)

    async def _ready(self, _: web.BaseRequest) -> web.Response:
        if not self._lists:
            return problem(HTTPStatus.SERVICE_UNAVAILABLE, "The scanner has not published its lists yet.")
        return json_answer(HTTPStatus.OK, {"status": "ready"})

    async def _metrics(self, _: web.BaseRequest) -> web.Response:
        shown = [
            *process_metrics(self._watchdog),
            gauge("tradeul_gateway_connections", "Open sockets.", len(self._viewers)),
            counter("tradeul_gateway_sequence_gaps", "Deltas that did not follow what was held.", self._gaps),
            counter("tradeul_gateway_fell_behind", "Times that a list changed faster than its viewers could be served.", self._fell_behind),
            counter("tradeul_gateway_refused_frames", "Frames of an older session.", self._fan_out.refused),
            counter("tradeul_gateway_cut_off", "Readers that were too slow for too long.", self._cut_off),
            counter("tradeul_gateway_missed", "Filings and news that slow readers missed.", self._fan_out.missed),
            counter("tradeul_gateway_refused_sockets", "Refused because too many were open.", self._door.refused if self._door else 0),
        ]
        return web.Response(body=exposition([*shown, *self._feed.metrics()]), headers={"Content-Type": TEXT_FORMAT})

    async def _clear_cache(self, request: web.BaseRequest) -> web.Response:
        body = await read_body(request, ClearCache, '{"reason":"new_trading_day","date":"YYYY-MM-DD"}')
        cleared = self._begin_session()
        await _in_turns(self._fan_out.announce())
        await self._compare()
        report = {"status": "ok", "reason": body.reason, "session": self._fan_out.session, "caches_cleared": cleared}
        return json_answer(HTTPStatus.OK, report)


def _seconds() -> float:
    """Time-outs and rate limits are the network's: wall time that only goes forward."""
    return asyncio.get_running_loop().time()


async def _in_turns(chunks: Iterable[None]) -> None:
    """Write to many, and let others work after each chunk."""
    for _ in chunks:
        await asyncio.sleep(0)
