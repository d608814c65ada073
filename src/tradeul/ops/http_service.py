"""What our HTTP services do alike: one FastAPI application on one port, inside the program's own loop.

    listener -> Host, Origin, token -> route -> JSON of a record, or application/problem+json

The socket is opened here, because uvicorn would end the process on a taken
port; its signal handling is off, because services end in the program's order.
Answers are `msgspec` records; OpenAPI describes them from the same types. It
knows no route but `/docs` and `/metrics`.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from html import escape
from http import HTTPStatus
from typing import Any, Protocol, TypeAlias, TypeVar

import msgspec
import structlog
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from prometheus_client import Metric
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tradeul import __version__
from tradeul.errors import BusUnavailable, StartError, StoreError
from tradeul.ops.callers import COOKIE, OPEN_PATHS, WRITES, Callers
from tradeul.ops.metrics import TEXT_FORMAT, exposition, process_metrics
from tradeul.ops.watchdog import LoopWatchdog

DRAIN_SECONDS = 1
BACKLOG = 128
MAX_BODY_BYTES = 64 * 1024
JSON, PROBLEM_JSON = "application/json", "application/problem+json"
REFERENCE = "#/components/schemas/{name}"

Record = TypeVar("Record")
Responses: TypeAlias = dict[int | str, dict[str, Any]]
log = structlog.get_logger()


class Problem(msgspec.Struct, frozen=True):
    """RFC 9457. ``detail`` is a sentence for people: what was wrong, with which input, what to do."""

    type: str
    title: str
    status: int
    detail: str


class Routes(Protocol):
    """Calls that belong together, which a service answers beside its own. ``records``: the types that they are described by."""

    @property
    def records(self) -> tuple[type, ...]: ...

    def add(self, app: FastAPI) -> None: ...


class HttpService:
    """``name`` for the log, ``setting`` for who must change the port. Subclasses add routes and metrics."""

    def __init__(
        self, name: str, callers: Callers, port: int, setting: str, records: Iterable[type], watchdog: LoopWatchdog | None = None
    ) -> None:
        """``records``: the types that answers and bodies are described by."""
        self._name = name
        self._callers = callers
        self._host = callers.host
        self._setting = setting
        self._records = (Problem, *records)
        self._watchdog = watchdog
        self.port = port
        self.started = asyncio.Event()

    async def run(self) -> None:
        """Serve until cancelled.

        Raises:
            StartError: the port is taken.
        """
        with self._open() as listener:
            self.port = listener.getsockname()[1]
            config = uvicorn.Config(
                self.application(), log_config=None, access_log=False, lifespan="off", ws="none", timeout_graceful_shutdown=DRAIN_SECONDS
            )
            server = _Server(config, self.started)
            serving = asyncio.create_task(server.serve(sockets=[listener]))
            log.info(f"{self._name}_started", host=self._host, port=self.port)
            try:
                await asyncio.shield(serving)
            finally:
                self.started.clear()
                server.should_exit = True
                await serving

    def routes(self, app: FastAPI) -> None:
        """Add what this service answers."""
        raise NotImplementedError

    def describe(self, components: dict[str, Any]) -> None:
        """Say more of the records than their types do."""

    async def metrics(self) -> Iterable[Metric]:
        """What `/metrics` shows beside the process's own."""
        return ()

    @contextmanager
    def _open(self) -> Iterator[socket.socket]:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        # Named, the protocol is passed on to connections, and asyncio sends their small answers at once; else each waits 40 ms.
        with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((self._host, self.port))
                listener.listen(BACKLOG)
            except OSError as error:
                raise StartError(
                    f"Port {self.port} on {self._host} cannot be opened ({error.strerror}): stop what uses it, or set {self._setting}."
                ) from error
            yield listener

    def application(self) -> FastAPI:
        app = FastAPI(title=f"Tradeul {self._name}", version=__version__, docs_url=None, redoc_url=None)
        for kind, handler in _HANDLERS.items():
            app.add_exception_handler(kind, handler)
        app.get("/docs", include_in_schema=False)(lambda: _documentation(app))
        app.get("/metrics", summary="For Prometheus", responses=answers(text=TEXT_FORMAT))(self._metrics)
        self.routes(app)
        app.add_middleware(_Admission, admit=self._admit, name=self._name)  # the last one added is asked first
        self._describe_in(app)
        return app

    def _describe_in(self, app: FastAPI) -> None:
        plain = app.openapi

        def openapi() -> dict[str, Any]:
            description = plain()
            _, components = msgspec.json.schema_components(self._records, ref_template=REFERENCE)
            self.describe(components)
            description.setdefault("components", {}).setdefault("schemas", {}).update(components)
            return description

        app.openapi = openapi  # type: ignore[method-assign]

    def is_open(self, path: str) -> bool:
        """Whether a call of ``path`` needs no token."""
        return path in OPEN_PATHS

    def _admit(self, request: Request) -> Response | str | None:
        """Who calls (None: nobody that we know, of what is open to all), or why not."""
        headers = request.headers
        reason = self._callers.refusal(headers.get("host"), headers.get("origin"))
        if reason is not None:
            return _problem(HTTPStatus.FORBIDDEN, reason)
        caller = self._callers.who(headers.get("authorization"), request.cookies.get(COOKIE))
        if caller is None and not self.is_open(request.scope["path"]):
            detail = "This call needs the header Authorization: Bearer TOKEN, or a login on the page."
            return _problem(HTTPStatus.UNAUTHORIZED, detail, {"WWW-Authenticate": "Bearer"})
        return caller

    async def _metrics(self) -> Response:
        return Response(exposition([*process_metrics(self._watchdog), *await self.metrics()]), media_type=TEXT_FORMAT)


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the program ends its services in its own order."""

    def __init__(self, config: uvicorn.Config, opened: asyncio.Event) -> None:
        super().__init__(config)
        self._opened = opened

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._opened.set()


# ---- answers


def json_answer(body: object, status: HTTPStatus = HTTPStatus.OK, headers: Mapping[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(body), int(status), {"Cache-Control": "no-store", **(headers or {})}, JSON)


def problem_body(status: HTTPStatus, detail: str) -> bytes:
    return msgspec.json.encode(Problem("about:blank", status.phrase, int(status), detail))


async def read_body(request: Request, record: type[Record], absent: Record, example: str, most_bytes: int = MAX_BODY_BYTES) -> Record:
    """The JSON body; ``absent`` when there is none.

    Raises:
        HTTPException: too large, or not of this form; ``example`` shows a right one.
    """
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > most_bytes:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body is longer than {most_bytes:,} bytes.")
    if not body:
        return absent
    try:
        return msgspec.json.decode(body, type=record)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, f"{error}. Send something like {example}.") from error


def _problem(status: HTTPStatus, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    return Response(problem_body(status, detail), int(status), headers, PROBLEM_JSON)


class _Admission:
    """Hands on what is not refused, and logs who writes. As bare ASGI: a function over requests costs each a task group and a queue."""

    def __init__(self, app: ASGIApp, admit: Callable[[Request], Response | str | None], name: str) -> None:
        self._app = app
        self._admit = admit
        self._name = name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        admitted = self._admit(Request(scope))
        if isinstance(admitted, Response):
            await admitted(scope, receive, send)
            return
        if scope["method"] in WRITES:
            send = self._logging(scope, admitted, send)
        await self._app(scope, receive, send)

    def _logging(self, scope: Scope, caller: str | None, send: Send) -> Send:
        async def logged(message: Message) -> None:
            if message["type"] == "http.response.start":
                of = {"service": self._name, "method": scope["method"], "path": scope["path"][:200]}
                log.info("write_called", caller=caller, **of, status=int(message["status"]))
            await send(message)

        return logged


async def _on_http_error(request: Request, error: Any) -> Response:
    status, detail = HTTPStatus(error.status_code), str(error.detail)
    if detail == status.phrase:  # no route of ours said it
        detail = f"{request.method} {request.url.path[:100]} is no call of this service: see /docs."
    headers = {"Allow": ", ".join(_methods(request))} if status is HTTPStatus.METHOD_NOT_ALLOWED else error.headers
    return _problem(status, detail, headers)


def _methods(request: Request) -> list[str]:
    """Of all routes of the path; Starlette names only those of the first."""
    routes = [route for route in request.app.router.routes if route.matches(request.scope)[0] is not Match.NONE]
    return sorted({method for route in routes for method in getattr(route, "methods", None) or ()})


async def _on_bad_request(_: Request, error: Any) -> Response:
    first = error.errors()[0]
    return _problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{first['loc'][-1]}={first.get('input')!r}: {first['msg']}.")


async def _on_bus_error(_: Request, error: Any) -> Response:
    log.warning("bus_unavailable", error=str(error))
    return _problem(HTTPStatus.SERVICE_UNAVAILABLE, "The bus does not answer: try again in a few seconds.")


async def _on_store_error(_: Request, error: Any) -> Response:
    log.warning("store_failed", error=str(error))
    return _problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error))


async def _on_failure(request: Request, error: Any) -> Response:
    log.error("request_failed", path=request.url.path, exc_info=error)
    return _problem(HTTPStatus.INTERNAL_SERVER_ERROR, "This is our fault; the log says more.")


_HANDLERS: dict[type[Exception], Callable[[Request, Any], Awaitable[Response]]] = {
    HTTPException: _on_http_error,
    RequestValidationError: _on_bad_request,
    BusUnavailable: _on_bus_error,
    StoreError: _on_store_error,
    Exception: _on_failure,
}


# ---- their description


def answers(record: Any = None, *problems: HTTPStatus, text: str | None = None, ok: HTTPStatus = HTTPStatus.OK) -> Responses:
    """OpenAPI's ``responses`` of a route: the record as JSON, or ``text`` of that type, and what may go wrong."""
    content: dict[str, Any] = {}
    if record is not None:
        content[JSON] = {"schema": _schema(record)}
    if text is not None:
        content[text] = {"schema": {"type": "string"}}
    problem = {PROBLEM_JSON: {"schema": _schema(Problem)}}
    refused: Responses = {int(each): {"description": each.phrase, "content": problem} for each in problems}
    return {int(ok): {"description": ok.phrase, "content": content}, **refused}


def body_of(record: type) -> dict[str, Any]:
    """OpenAPI's description of a JSON body that may be left out."""
    return {"requestBody": {"required": False, "content": {JSON: {"schema": _schema(record)}}}}


def _schema(record: Any) -> dict[str, Any]:
    (schema,), _ = msgspec.json.schema_components([record], ref_template=REFERENCE)
    return schema


def _documentation(app: FastAPI) -> Response:
    """The description as a plain table: the usual viewers come from other hosts."""
    paths = app.openapi()["paths"]
    calls = [(method.upper(), path, call["summary"]) for path, methods in paths.items() for method, call in methods.items()]
    lines = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in call)}</tr>" for call in calls)
    text = f'<!doctype html><title>Tradeul: HTTP</title><table>{lines}</table><p><a href="/openapi.json">openapi.json</a>'
    return Response(text, media_type="text/html")
