"""Port 9000: browsers' sockets on one side, the bus on the other.

    bus.deltas -> FanOut.take_message -> transports      (a gap: bus.get_frame, then snapshots)
    sockets    -> ClientSession.receive -> actions -> FanOut

Messages of one list are taken one after the other, a gap's frame is read
before the next, so what the copy holds is always a state that the scanner
had. Messages wait in the bus connection meanwhile, which the server bounds.
It computes no rows and reads no market data.
"""

import asyncio
import secrets
from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import datetime
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from aiohttp import WSMsgType, web

from tradeul.bus.redis import Bus
from tradeul.bus.topics import FEED_STATUS, LISTS_CHANGED, VARIANTS_WATCHED
from tradeul.clock import Clock
from tradeul.errors import SequenceGap, StartError
from tradeul.gateway.client_session import Action, ClientSession, HangUp, Reply, Unwatch, Watch
from tradeul.gateway.fan_out import FanOut, Viewer
from tradeul.gateway.feed_metrics import feed_metrics
from tradeul.gateway.frames import close_frame, text_frame
from tradeul.market_calendar import Calendar
from tradeul.ops.http_service import JSON, PROBLEM_JSON, problem_body
from tradeul.ops.metrics import TEXT_FORMAT, counter, exposition, gauge, process_metrics
from tradeul.ops.origins import refusal, require_loopback
from tradeul.ops.watchdog import LoopWatchdog
from tradeul.records.entitlements import Mode
from tradeul.records.events import FeedStatus, VariantsWatched
from tradeul.records.lists import ListDefinition, split_name
from tradeul.records.messages import Connected, ListHead, Status, encode

SWEEP_SECONDS = 0.25
LOOK_SECONDS = 5.0  # `status` to everyone, and the comparison with frames
FEED_SILENT_SECONDS = 12.0  # the feed's status comes every five seconds
HEARTBEAT_SECONDS = 30.0
CLOSE_SECONDS = 1.0
POLL_SECONDS = 0.02
MAX_VIEWERS = 20_000
MAX_FRAME_BYTES = 64 * 1024  # above it the socket is closed; above ClientSession's limit only an error is sent

GOING_AWAY = close_frame(1001)

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
        host: str,
        port: int,
        allowed_origins: Collection[str] = (),
        watchdog: LoopWatchdog | None = None,
    ) -> None:
        """``allowed_origins`` is looked at on every call: the page's address may be added once its port is known.

        Raises:
            SettingsError: ``host`` is not this machine.
        """
        require_loopback(host)
        self._bus = bus
        self._clock = clock
        self._calendar = calendar
        self._mode = mode
        self._host = host
        self._allowed_origins = allowed_origins
        self._watchdog = watchdog
        self.port = port
        self.started = asyncio.Event()
        oldest = calendar.oldest_close if mode == Mode.END_OF_DAY else calendar.current_session
        self._fan_out = FanOut(oldest(clock.now()))
        self._viewers = self._fan_out.viewers
        self._lists: tuple[ListDefinition, ...] = ()
        self._feed: FeedStatus | None = None
        self._feed_at: datetime | None = None  # by the product's clock
        self._feed_heard_seconds = 0.0  # by the loop's
        self._new_variant = asyncio.Event()
        self._gaps = 0
        self._cut_off = 0

    async def run(self) -> None:
        """Serve until cancelled.

        Raises:
            StartError: the port is taken.
        """
        runner = web.AppRunner(self._application(), handle_signals=False, access_log=None, shutdown_timeout=CLOSE_SECONDS)
        await runner.setup()
        try:
            await self._open(runner)
            async with asyncio.TaskGroup() as tasks:
                following = self._follow_lists, self._follow_messages, self._follow_feed
                for loop in (*following, self._look, self._sweep, self._roll_over, self._name_variants):
                    tasks.create_task(loop())
        finally:
            self.started.clear()
            await self._say_goodbye()
            await runner.cleanup()

    async def _open(self, runner: web.AppRunner) -> None:
        try:
            await web.TCPSite(runner, self._host, self.port).start()
        except OSError as error:
            raise StartError(
                f"Port {self.port} on {self._host} cannot be opened ({error.strerror}): stop what uses it, or set TRADEUL_GATEWAY_PORT."
            ) from error
        self.port = runner.addresses[0][1]
        log.info("gateway_started", host=self._host, port=self.port)
        self.started.set()

    async def _say_goodbye(self) -> None:
        """Close every socket; who does not answer in time, or cannot because its buffer is full, is cut off."""
        for viewer in self._viewers:
            viewer.send(GOING_AWAY)
        deadline = _seconds() + CLOSE_SECONDS
        while self._viewers and _seconds() < deadline:
            await asyncio.sleep(POLL_SECONDS)
        for viewer in self._viewers:
            viewer.transport.abort()

    # ---- the bus's side

    async def _follow_messages(self) -> None:
        async for name, payload in self._bus.deltas():
            with self._clock.busy():
                try:
                    self._fan_out.take_message(name, payload, _seconds())
                except SequenceGap as gap:
                    self._gaps += 1
                    log.info("sequence_gap", list=name, reason=str(gap))
                    self._fan_out.take_frame(name, await self._bus.get_frame(name), _seconds())

    async def _follow_lists(self) -> None:
        async for definitions in self._bus.subscribe(LISTS_CHANGED):
            self._take_lists(definitions)

    async def _follow_feed(self) -> None:
        async for status in self._bus.subscribe(FEED_STATUS):
            self._feed, self._feed_at, self._feed_heard_seconds, self._mode = status, self._clock.now(), _seconds(), status.mode

    async def _name_variants(self) -> None:
        """Tell the scanner which lists are watched in another class: at once when one is new, else every few seconds."""
        while True:
            if names := self._fan_out.watched_variants():
                await self._bus.publish(VARIANTS_WATCHED, VariantsWatched(tuple(names)))
                for name in names:
                    if (feed := self._fan_out.feeds.get(name)) is not None and feed.copy is None:
                        frame = await self._bus.get_frame(name)
                        if name in self._fan_out.feeds:  # not left meanwhile
                            self._fan_out.take_frame(name, frame, _seconds())
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._new_variant.wait()
            self._new_variant.clear()

    async def _look(self) -> None:
        while True:
            self._take_lists(await self._bus.get_lists())
            await self._compare()
            self._fan_out.broadcast(text_frame(encode(self._status())), _seconds())
            await asyncio.sleep(LOOK_SECONDS)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self._cut_off += self._fan_out.sweep(_seconds())

    async def _roll_over(self) -> None:
        while True:
            following = self._calendar.next(self._calendar.current_session(self._clock.now()))
            await self._clock.sleep_until(self._calendar.hours(following).new_day_at)
            self._begin_session()

    def _begin_session(self) -> int:
        """Drop what is of an earlier session; returns how many lists. The last close is shown until the next one is there."""
        if self._mode == Mode.END_OF_DAY:
            return 0
        return self._fan_out.roll_over(self._calendar.current_session(self._clock.now()), _seconds())

    def _take_lists(self, definitions: Sequence[ListDefinition]) -> None:
        """New definitions: everyone hears `connected` again, and loses the lists that are gone."""
        if not definitions or tuple(definitions) == self._lists:
            return
        self._lists = tuple(definitions)
        known = self._known()
        for viewer in list(self._fan_out.viewers):
            self._carry_out(viewer, viewer.session.forget(known))
            viewer.send(text_frame(encode(self._connected(viewer))))
        for name in [name for name in self._fan_out.feeds if split_name(name)[0] not in known]:
            del self._fan_out.feeds[name]

    async def _compare(self) -> None:
        for name in [*self._known(), *self._fan_out.watched_variants()]:
            frame = await self._bus.get_frame(name)
            if split_name(name)[1] is None or name in self._fan_out.feeds:  # it may have been left meanwhile
                self._fan_out.reconcile(name, frame, _seconds())

    def _known(self) -> dict[str, str]:
        return {definition.name: definition.issue_class for definition in self._lists}

    # ---- the browsers' side

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if len(self._viewers) >= MAX_VIEWERS:
            return _problem(HTTPStatus.SERVICE_UNAVAILABLE, f"{MAX_VIEWERS} sockets are open: try again later.")
        socket = web.WebSocketResponse(compress=False, heartbeat=HEARTBEAT_SECONDS, timeout=CLOSE_SECONDS, max_msg_size=MAX_FRAME_BYTES)
        await socket.prepare(request)
        if request.transport is None:
            return socket
        viewer = Viewer(secrets.token_hex(8), request.transport, ClientSession())
        self._viewers.add(viewer)
        try:
            viewer.send(text_frame(encode(self._connected(viewer))))
            async for message in socket:
                if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY) or not self._hear(viewer, message.data):
                    break
            await socket.close(code=1008)
        finally:
            self._fan_out.remove(viewer)
        return socket

    def _hear(self, viewer: Viewer, data: str | bytes) -> bool:
        clock_ms = int(self._clock.now().timestamp() * 1000)
        return self._carry_out(viewer, viewer.session.receive(data, self._known(), now_seconds=_seconds(), clock_ms=clock_ms))

    def _carry_out(self, viewer: Viewer, actions: Sequence[Action]) -> bool:
        """False: hang up."""
        for action in actions:
            match action:
                case Reply(message):
                    viewer.send(text_frame(encode(message)))
                case Watch(name):
                    self._fan_out.feed(name).watch(viewer, _seconds())
                    if split_name(name)[1] is not None:
                        self._new_variant.set()
                case Unwatch(name):
                    self._fan_out.unwatch(name, viewer)
                case HangUp(reason):
                    log.info("viewer_hung_up_on", connection_id=viewer.connection_id, reason=reason)
                    return False
        return True

    def _connected(self, viewer: Viewer) -> Connected:
        heads = [ListHead(each.name, each.title, each.where, each.order, each.columns, each.issue_class) for each in self._lists]
        return Connected(viewer.connection_id, self._fan_out.session, self._phase(), self._mode, self._clock.now(), heads)

    def _phase(self) -> str:
        if self._feed is not None and _seconds() - self._feed_heard_seconds < FEED_SILENT_SECONDS:
            return self._feed.phase
        return self._calendar.phase(self._clock.now())

    def _status(self) -> Status:
        """What the feed said last, with the time since added to its age."""
        if self._feed is None or self._feed_at is None:
            return Status(None, None, stale=True, phase=self._phase(), mode=self._mode)
        silent = _seconds() - self._feed_heard_seconds >= FEED_SILENT_SECONDS
        since_ms = int((self._clock.now() - self._feed_at).total_seconds() * 1000)
        age_ms = None if self._feed.feed_age_ms is None else self._feed.feed_age_ms + since_ms
        return Status(age_ms, self._feed.feed_lag_p99_ms, self._feed.stale or silent, self._phase(), self._mode)

    # ---- HTTP

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[self._refuse_foreign], client_max_size=MAX_FRAME_BYTES)
        application.add_routes(
            [
                web.get("/ws", self._socket),
                web.get("/ws/scanner", self._socket),
                web.get("/health", self._health),
                web.get("/ready", self._ready),
                web.get("/metrics", self._metrics),
                web.post("/api/clear-cache", self._clear_cache),
            ]
        )
        return application

    @web.middleware
    async def _refuse_foreign(self, request: web.Request, handler: Any) -> web.StreamResponse:
        reason = refusal(request.headers.get("Host"), request.headers.get("Origin"), self._allowed_origins)
        if reason is not None:
            return _problem(HTTPStatus.FORBIDDEN, reason)
        try:
            response: web.StreamResponse = await handler(request)
        except web.HTTPException as error:
            return _problem(HTTPStatus(error.status), error.reason)
        return response

    async def _health(self, _: web.Request) -> web.Response:
        fan_out = self._fan_out
        copies = {name: feed.copy for name, feed in sorted(fan_out.feeds.items())}
        report = {
            "status": "ok",
            "session": fan_out.session,
            "mode": self._mode,
            "connections": len(fan_out.viewers),
            "lists": {name: None if copy is None else {"epoch": copy.epoch, "sequence": copy.sequence} for name, copy in copies.items()},
            "refused_of_older_sessions": fan_out.refused,
            "gaps": self._gaps,
            "cut_off": self._cut_off,
        }
        return _json(HTTPStatus.OK, report)

    async def _ready(self, _: web.Request) -> web.Response:
        if not self._lists:
            return _problem(HTTPStatus.SERVICE_UNAVAILABLE, "The scanner has not published its lists yet.")
        return _json(HTTPStatus.OK, {"status": "ready"})

    async def _metrics(self, _: web.Request) -> web.Response:
        shown = [
            *process_metrics(self._watchdog),
            gauge("tradeul_gateway_connections", "Open sockets.", len(self._viewers)),
            counter("tradeul_gateway_sequence_gaps", "Deltas that did not follow what was held.", self._gaps),
            counter("tradeul_gateway_refused_frames", "Frames of an older session.", self._fan_out.refused),
            counter("tradeul_gateway_cut_off", "Readers that were too slow for too long.", self._cut_off),
        ]
        return web.Response(body=exposition([*shown, *feed_metrics(self._feed)]), headers={"Content-Type": TEXT_FORMAT})

    async def _clear_cache(self, request: web.Request) -> web.Response:
        try:
            body = msgspec.json.decode(await request.read(), type=ClearCache)
        except msgspec.DecodeError as error:
            return _problem(HTTPStatus.BAD_REQUEST, f'{error}. Send {{"reason":"new_trading_day","date":"YYYY-MM-DD"}}.')
        cleared = self._begin_session()
        await self._compare()
        return _json(HTTPStatus.OK, {"status": "ok", "reason": body.reason, "session": self._fan_out.session, "caches_cleared": cleared})


def _seconds() -> float:
    """Time-outs and rate limits are the network's: wall time that only goes forward."""
    return asyncio.get_running_loop().time()


def _json(status: HTTPStatus, body: object) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(body), content_type=JSON)


def _problem(status: HTTPStatus, detail: str) -> web.Response:
    return web.Response(status=status, body=problem_body(status, detail), content_type=PROBLEM_JSON)
