"""The simulated vendor on one port: REST, stream and flat files, in this process under any clock, or as a child process (`main`).

    /v1 /v2 /v3 /vX /stocks/v1 /stocks/vX   REST; Bearer key or ?apiKey=
    /stocks, /delayed/stocks                WebSocket
    /flatfiles/...                          S3, path style; any signature
    /cgi-bin, /submissions, /files          EDGAR (`edgar_server.py`)

Answers are computed in threads, so that the stream keeps its beat. Bars come from
`market.py`, what goes wrong on purpose from `faults.py`, what a key may ask from
`plans.py`; here is only who asks what.
"""

import asyncio
import hashlib
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import ContextVar
from datetime import date, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from pathlib import Path

import msgspec
import orjson
import structlog
from aiohttp import hdrs, web

from tradeul import __version__
from tradeul.clock import Clock, LateClock
from tradeul.errors import StartError
from tradeul.market_calendar import Calendar
from tradeul.simulator import aggregates, reference
from tradeul.simulator.edgar import InventedEdgar, RecordedEdgar
from tradeul.simulator.edgar_server import PATHS, EdgarServer
from tradeul.simulator.faults import EDGAR, FILES, LATER_SECONDS, REFUSALS, STREAM, Faults, Rule, spoiled, spoiled_file
from tradeul.simulator.files import BUCKET, FlatFiles, no_such_key
from tradeul.simulator.market import Market
from tradeul.simulator.plans import LATE, NOT_ENTITLED, access_denied, may_stream, plan_of, signing_key
from tradeul.simulator.recorded import RecordedMarket
from tradeul.simulator.snapshot import snapshot
from tradeul.simulator.source import Source
from tradeul.simulator.stream_server import StreamServer
from tradeul.simulator.synthetic import SyntheticMarket
from tradeul.simulator.wire_out import Answer, BadRequest, NotFound, envelope, gzipped

WRONG_KEY = "wrong-key"  # refused even when any key will do, so that this can be tried
COMPRESSED_FROM = 1_000  # bytes
PIECE_BYTES = 1 << 20
SHUTDOWN_SECONDS = 0.3
CUT = timedelta(seconds=10)
HANG_SECONDS = 120.0  # longer than our client's patience
BODY_FAULT: ContextVar[str | None] = ContextVar("body_fault", default=None)  # what the answer to this request shall suffer
SNAPSHOT_PATH = "/v2/snapshot/locale/us/markets/stocks/tickers"
RANGE_PATH = "/v2/aggs/ticker/{ticker}/range/{multiplier}/{timespan}/{from}/{to}"
log = structlog.get_logger()


class SimulatorConfig(msgspec.Struct, frozen=True):
    seed: int = 7
    tickers: int = 12_400
    key: str | None = None  # None: any but WRONG_KEY
    recording: Path | None = None
    host: str = "127.0.0.1"
    port: int = 0  # 0: a free one
    faults: tuple[Rule, ...] = ()
    edgar: Path | None = None  # a folder of recorded pages


class Asked(msgspec.Struct, frozen=True):
    """A REST question, read on the loop and answered in a thread."""

    url: str  # scheme, host and path
    path: Mapping[str, str]
    query: Mapping[str, str]
    now: datetime
    hidden: Collection[str]  # what the plan's snapshots do not show


Answering = Callable[[Market, Asked], Answer]


def _ours(name: Callable[[Market, str, Mapping[str, str], datetime], Answer]) -> Answering:
    return lambda market, asked: name(market, asked.url, asked.query, asked.now)


def _snapshot_all(market: Market, asked: Asked) -> Answer:
    names = asked.query.get("tickers")
    numbers = None
    if names:
        session = market.shown(asked.now).session
        found = [market.number_of(name, session) for name in names.split(",")]
        numbers = [number for number in found if number is not None]
    array, count = snapshot(market, asked.now, numbers, asked.hidden)
    return Answer(envelope({"count": count}, "tickers", array), count)


def _snapshot_one(market: Market, asked: Asked) -> Answer:
    number = market.number_of(asked.path["ticker"], market.shown(asked.now).session)
    array, count = snapshot(market, asked.now, [] if number is None else [number], asked.hidden)
    if not count:
        raise NotFound("Ticker not found.")
    return Answer(envelope({}, "ticker", array[1:-1]))


ROUTES: dict[str, Answering] = {
    "/v2/aggs/grouped/locale/us/market/stocks/{date}": lambda market, asked: aggregates.grouped(
        market, aggregates.parse_day(asked.path["date"]), asked.query, asked.now
    ),
    RANGE_PATH: lambda market, asked: aggregates.one_ticker(market, asked.url, asked.path, asked.query, asked.now),
    SNAPSHOT_PATH: _snapshot_all,
    SNAPSHOT_PATH + "/{ticker}": _snapshot_one,
    "/v3/reference/tickers": _ours(reference.tickers),
    "/v3/reference/tickers/{ticker}": lambda market, asked: reference.details(market, asked.path["ticker"], asked.now),
    "/stocks/vX/float": _ours(reference.floats),
    "/stocks/v1/short-interest": _ours(reference.short_interest),
    "/stocks/v1/splits": _ours(reference.splits),
    "/v3/reference/splits": _ours(reference.splits),
    "/v2/reference/news": _ours(reference.news),
    "/v1/marketstatus/now": lambda market, asked: reference.status_now(market, asked.now),
    "/v1/marketstatus/upcoming": lambda market, asked: reference.status_upcoming(market, asked.now),
}


# What the endpoints are called when faults are asked for, in the order of ROUTES.
NAMES = ["grouped", "range", "snapshot", "snapshot", "tickers", "details", "float", "short-interest", "splits", "splits", "news"]
NAMES += ["status", "status"]
NAME_OF = dict(zip(ROUTES, NAMES, strict=True)) | dict.fromkeys(PATHS, EDGAR)


class SimulatorServer:
    def __init__(self, config: SimulatorConfig, clock: Clock, calendar: Calendar) -> None:
        self._config, self._clock, self._calendar = config, clock, calendar
        self._runner: web.AppRunner | None = None
        self._tasks: list[asyncio.Task[None]] = []
        # Apart from the threads of REST: ten files asked for at once would keep every answer waiting.
        self._file_thread = ThreadPoolExecutor(1, "flat-files")
        self._asked_at: dict[str, deque[datetime]] = {}  # by keys whose plan counts requests
        self.port = config.port
        self.faults = Faults(config.faults, config.seed)

    async def start(self) -> None:
        """Raises StartError: the recording cannot be played, or the port cannot be used."""
        market = Market(await asyncio.to_thread(self._source), self._calendar)
        self.market = market
        stream = StreamServer(market, self._clock, self._accepts, self._stream_fault, partial(may_stream, delayed=False))
        late = StreamServer(market, LateClock(self._clock, LATE), self._accepts, self._stream_fault, partial(may_stream, delayed=True))
        files = self._files = FlatFiles(market, self._mark())
        app = web.Application(middlewares=[self._guard])
        for path, answering in ROUTES.items():
            app.router.add_get(path, partial(self._rest, market, answering))
        app.router.add_get("/stocks", stream.handle)
        app.router.add_get("/delayed/stocks", late.handle)
        app.router.add_get(f"/{BUCKET}/{{key:.+}}", partial(self._file, files))
        register = InventedEdgar(market, self._config.seed) if self._config.edgar is None else RecordedEdgar(self._config.edgar)
        self._edgar = EdgarServer(register, self._clock, BODY_FAULT)
        self._edgar.add_to(app)
        for path in ("/health", "/ready"):
            app.router.add_get(path, self._health)
        app.router.add_post("/simulator/cut", self._cut)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._config.host, self._config.port).start()
        except OSError as error:
            await self.stop()
            place = f"{self._config.host}:{self._config.port}"
            raise StartError(
                f"The simulator cannot listen on {place} ({error.strerror}): set TRADEUL_SIMULATOR_PORT to another."
            ) from error
        self.port = self._runner.addresses[0][1]
        self._stream, self._late = stream, late
        self._tasks = [asyncio.create_task(run) for run in (stream.run(), late.run(), self._warm(market))]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
        self._tasks = []
        self._file_thread.shutdown(wait=False, cancel_futures=True)
        if self._runner is not None:
            if hasattr(self, "_stream"):
                await self._stream.close()
                await self._late.close()
            await self._runner.cleanup()
            self._runner = None

    @property
    def connections(self) -> int:
        """Authenticated connections to the stream."""
        return self._stream.connections

    def replace_file(self, session: date) -> None:
        """The vendor corrects a session's flat file: its content and its ETag are others from now on."""
        self._files.replace(session, self._clock.now())

    async def subscribed(self, channels: int) -> None:
        """Wait until a connection has so many subscriptions: what is told from then on reaches it."""
        await self._stream.subscribed(channels)

    async def cut_streams(self, lasting: timedelta) -> None:
        """End every connection to the streams, and let nobody in for so long."""
        for stream in (self._stream, self._late):
            await stream.cut(lasting)

    def _source(self) -> Source:
        config = self._config
        if config.recording is not None:
            return RecordedMarket(config.recording, self._calendar)
        return SyntheticMarket(config.seed, config.tickers, self._calendar)

    def _mark(self) -> str:
        seed, tickers, recording = self._config.seed, self._config.tickers, self._config.recording
        return f"{__version__} {seed} {tickers}" if recording is None else f"{recording} {recording.stat().st_mtime_ns}"

    def _stream_fault(self) -> str | None:
        return self.faults.next(STREAM)

    async def _warm(self, market: Market) -> None:
        """Make what the first questions need, before they are asked."""
        now = self._clock.now()
        session = market.shown(now).session
        if market.source.covers(session):
            await asyncio.to_thread(market.minutes, session)

    def _accepts(self, key: str) -> bool:
        return bool(key) and key != WRONG_KEY if self._config.key is None else key == self._config.key

    @web.middleware
    async def _guard(self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
        free = (
            _template(request) in PATHS
            or request.path in ("/stocks", "/delayed/stocks", "/health", "/ready")
            or request.path.startswith(f"/{BUCKET}/")
        )
        if not free and not self._accepts(_key(request)):
            return web.json_response({"status": "ERROR", "error": "Unknown API Key"}, status=401)
        if (refusal := self._beyond_plan(request)) is not None:
            return refusal
        try:
            return await self._misled(request, handler)
        except web.HTTPNotFound:
            return web.json_response({"status": "ERROR", "error": f"{request.path}: page not found"}, status=404)

    def _beyond_plan(self, request: web.Request) -> web.Response | None:
        """The refusal of what the key's plan does not include."""
        if request.path.startswith(f"/{BUCKET}/"):
            lacks = FILES in plan_of(signing_key(request.headers.get(hdrs.AUTHORIZATION, ""))).lacks
            return web.Response(status=403, body=access_denied(), content_type="application/xml") if lacks else None
        key = _key(request)
        plan, endpoint, now = plan_of(key), NAME_OF.get(_template(request)), self._clock.now()
        if endpoint is not None and plan.requests_per_minute is not None:
            asked_at = self._asked_at.setdefault(key, deque(maxlen=plan.requests_per_minute))
            if len(asked_at) == asked_at.maxlen and now - asked_at[0] < timedelta(minutes=1):
                said = "You've exceeded the maximum requests per minute, please wait or upgrade your subscription to continue."
                return web.json_response({"status": "ERROR", "error": said}, status=429)
            asked_at.append(now)
        if endpoint in plan.lacks:
            return web.json_response({"status": "NOT_AUTHORIZED", "message": NOT_ENTITLED}, status=403)
        return None

    async def _misled(self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
        """The answer, unless this request's fault leaves none; faults of bodies are left to the handlers."""
        endpoint = FILES if request.path.startswith(f"/{BUCKET}/") else NAME_OF.get(_template(request))
        kind = None if endpoint is None else self.faults.next(endpoint)
        BODY_FAULT.set(None)  # requests of one connection share their context
        if kind in REFUSALS:
            return self._edgar.unavailable() if (endpoint, kind) == (EDGAR, "503") else _refusal(kind)
        if kind in ("hang", "cut"):
            if kind == "hang":
                await asyncio.sleep(HANG_SECONDS)
            _abort(request)
            return web.Response()
        BODY_FAULT.set(kind)
        return await handler(request)

    async def _rest(self, market: Market, answering: Answering, request: web.Request) -> web.StreamResponse:
        plan, url = plan_of(_key(request)), str(request.url.origin()) + request.path
        asked = Asked(url, dict(request.match_info), dict(request.query), self._clock.now() - plan.delay, plan.hides)
        packed = "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, "")
        kind = BODY_FAULT.get()
        with self._clock.busy():
            try:
                answer = await asyncio.to_thread(_answer, market, answering, asked, packed, kind, str(request.url), late=bool(plan.delay))
            except BadRequest as error:
                return web.json_response({"status": "ERROR", "error": str(error)}, status=400)
            except NotFound as error:
                return web.json_response({"status": "NOT_FOUND", "message": str(error)}, status=404)
        headers = {
            "X-Request-Id": hashlib.md5(request.path_qs.encode(), usedforsecurity=False).hexdigest(),
            "X-Item-Count": str(answer.items),
        }
        if answer.next_url is not None:
            headers["Link"] = f'<{answer.next_url}>; rel="next"'
        if answer.body[:2] == b"\x1f\x8b":
            headers[hdrs.CONTENT_ENCODING] = "gzip"
        if kind == "reset":
            return await _half(request, answer.body)
        return web.Response(body=answer.body, content_type="application/json", headers=headers)

    async def _file(self, files: FlatFiles, request: web.Request) -> web.StreamResponse:
        """GET, HEAD and ranges, as an object store answers them."""
        key = request.match_info["key"]
        session = files.session_of(key, self._clock.now())
        if session is None:
            return web.Response(status=404, body=no_such_key(key), content_type="application/xml")
        if request.headers.get(hdrs.IF_NONE_MATCH, "").strip('"') == files.etag(session):
            return web.Response(status=304, headers={hdrs.ETAG: f'"{files.etag(session)}"'})
        with self._clock.busy():
            stored = await asyncio.get_running_loop().run_in_executor(self._file_thread, files.file, session)
        headers: dict[str, str] = {
            hdrs.ETAG: f'"{stored.etag}"',
            hdrs.LAST_MODIFIED: format_datetime(stored.modified_at, usegmt=True),
            hdrs.ACCEPT_RANGES: "bytes",
        }
        kind = BODY_FAULT.get()
        if kind == "reset":
            return await _half(request, stored.data)
        data, status = memoryview(stored.data if kind is None else await asyncio.to_thread(spoiled_file, kind, stored.data)), 200
        if hdrs.RANGE in request.headers:
            try:
                first, last, _ = request.http_range.indices(len(data))
            except ValueError:
                first, last = 0, 0
            if first >= last:
                return web.Response(status=416, headers={hdrs.CONTENT_RANGE: f"bytes */{len(data)}"})
            headers[hdrs.CONTENT_RANGE] = f"bytes {first}-{last - 1}/{len(data)}"
            data, status = data[first:last], 206
        return await _sent(request, data, status, headers)

    async def _health(self, request: web.Request) -> web.StreamResponse:  # noqa: ARG002
        return web.Response(body=orjson.dumps({"status": "ok", "simulated": True}), content_type="application/json")

    async def _cut(self, request: web.Request) -> web.StreamResponse:  # noqa: ARG002
        """For people who want to see what a dead feed looks like."""
        await self.cut_streams(CUT)
        return web.Response(body=orjson.dumps({"seconds": CUT.total_seconds()}), content_type="application/json")


async def _sent(request: web.Request, data: memoryview, status: int, headers: Mapping[str, str]) -> web.StreamResponse:
    """In pieces: written at once, a file would be held a second time by the transport."""
    response = web.StreamResponse(status=status, headers=headers)
    response.content_type, response.content_length = "application/gzip", len(data)
    await response.prepare(request)
    if request.method != hdrs.METH_HEAD:
        for first in range(0, len(data), PIECE_BYTES):
            await response.write(data[first : first + PIECE_BYTES])
    await response.write_eof()
    return response


def _key(request: web.Request) -> str:
    return request.headers.get(hdrs.AUTHORIZATION, "").removeprefix("Bearer ") or request.query.get("apiKey", "")


def _template(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return "" if resource is None else resource.canonical


def _refusal(kind: str) -> web.Response:
    headers = {"Retry-After": str(LATER_SECONDS)} if kind == "429-later" else None
    if kind == "html":
        page = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
        return web.Response(status=REFUSALS[kind], text=page, content_type="text/html")
    return web.json_response({"status": "ERROR", "error": f"a simulated {kind}"}, status=REFUSALS[kind], headers=headers)


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


async def _half(request: web.Request, body: bytes) -> web.StreamResponse:
    """The beginning of an answer, then the end of the connection."""
    response = web.StreamResponse()
    response.content_length = len(body)
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    _abort(request)
    return response


def _answer(market: Market, answering: Answering, asked: Asked, packed: bool, kind: str | None, url: str, *, late: bool) -> Answer:
    answer = answering(market, asked)
    if late:
        answer = msgspec.structs.replace(answer, body=answer.body.replace(b'"status":"OK"', b'"status":"DELAYED"', 1))
    if kind is not None and kind != "reset":
        answer = msgspec.structs.replace(answer, body=spoiled(kind, answer.body, url))
    if packed and len(answer.body) >= COMPRESSED_FROM:
        return msgspec.structs.replace(answer, body=gzipped(answer.body))
    return answer
