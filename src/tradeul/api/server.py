"""Port 8000: the page and what it asks by HTTP; on loopback, for our own page and for programs.

uvicorn serves it inside the program's own loop: its signal handling is off, and
the socket is opened here, because uvicorn would end the process on a taken port.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from html import escape
from http import HTTPStatus
from typing import Annotated, Any, Literal

import msgspec
import structlog
import uvicorn
from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from tradeul import __version__
from tradeul.api.lists import to_csv
from tradeul.api.page import PageFiles, content_security_policy
from tradeul.bus.redis import Bus
from tradeul.clock import Clock
from tradeul.errors import BusUnavailable, StartError
from tradeul.market_calendar import Calendar
from tradeul.ops.origins import hostname, refusal, require_loopback
from tradeul.records.lists import ListDefinition
from tradeul.records.messages import ListHead

DRAIN_SECONDS = 1
BACKLOG = 128
JSON = "application/json"

log = structlog.get_logger()


class ApiServer:
    def __init__(self, bus: Bus, clock: Clock, calendar: Calendar, mode: str, host: str, port: int, gateway_port: int) -> None:
        """``mode`` and ``gateway_port`` are attributes: both may become known later.

        Raises:
            SettingsError: ``host`` is not this machine.
        """
        require_loopback(host)
        self._bus = bus
        self._clock = clock
        self._calendar = calendar
        self._host = host
        self.mode = mode
        self.port = port
        self.gateway_port = gateway_port
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
            log.info("api_started", host=self._host, port=self.port)
            try:
                await asyncio.shield(serving)
            finally:
                self.started.clear()
                server.should_exit = True
                await serving

    @contextmanager
    def _open(self) -> Iterator[socket.socket]:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        with socket.socket(family) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((self._host, self.port))
                listener.listen(BACKLOG)
            except OSError as error:
                raise StartError(
                    f"Port {self.port} on {self._host} cannot be opened ({error.strerror}): stop what uses it, or set TRADEUL_API_PORT."
                ) from error
            yield listener

    def application(self) -> FastAPI:
        app = FastAPI(title="Tradeul", version=__version__, docs_url=None, redoc_url=None)
        app.add_exception_handler(HTTPException, _on_http_error)
        app.add_exception_handler(RequestValidationError, _on_bad_request)
        app.add_exception_handler(BusUnavailable, _on_bus_error)
        app.add_exception_handler(Exception, _on_failure)
        app.middleware("http")(self._guard)
        app.get("/api/config", summary="The gateway's address and the mode")(self._config)
        app.get("/api/lists", summary="All lists: what they ask and show")(self._all_lists)
        app.get("/api/lists/{name}", summary="One list's rows, as JSON or CSV")(self._one_list)
        app.get("/health", summary="The process answers")(self._health)
        app.get("/ready", summary="The bus answers and the lists are known")(self._ready)
        app.get("/docs", include_in_schema=False)(lambda: _documentation(app))
        app.mount("/", PageFiles())
        return app

    async def _guard(self, request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        reason = refusal(request.headers.get("host"), request.headers.get("origin"))
        if reason is not None:
            return _problem(HTTPStatus.FORBIDDEN, reason)
        response = await call_next(request)
        response.headers["Content-Security-Policy"] = content_security_policy(self._socket_origin(request))
        return response

    def _socket_origin(self, request: Request) -> str:
        """The gateway under the name that the browser used for us; `_guard` has checked it."""
        name = hostname(request.headers.get("host")) or self._host
        return f"ws://[{name}]:{self.gateway_port}" if ":" in name else f"ws://{name}:{self.gateway_port}"

    async def _config(self, request: Request) -> Response:
        address = f"{self._socket_origin(request)}/ws"
        return _json({"socket": address, "mode": self.mode, "simulated": self.mode == "SIMULATED", "version": __version__})

    async def _all_lists(self) -> Response:
        lists = await self._bus.get_lists()
        heads = [ListHead(each.name, each.title, each.where, each.order, each.columns) for each in lists]
        return _json({"session": self._calendar.current_session(self._clock.now()), "lists": heads})

    async def _one_list(self, name: str, form: Annotated[Literal["json", "csv"], Query(alias="format")] = "json") -> Response:
        definition = await self._definition(name)
        frame = await self._bus.get_frame(name)
        session = self._calendar.current_session(self._clock.now())
        # Yesterday's rows are nobody's business today, whatever key still holds them.
        if frame is None or frame.session < session:
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, f"{name} has no frame for the session of {session} yet: ask again.")
        if form == "csv":
            file_name = f"{name}-{frame.session}.csv"
            headers = {"Content-Disposition": f'attachment; filename="{file_name}"'}
            return Response(to_csv(definition.columns, frame.rows), media_type="text/csv; charset=utf-8", headers=headers)
        return _json({"list": name, "count": len(frame.rows), **msgspec.structs.asdict(frame)})

    async def _definition(self, name: str) -> ListDefinition:
        lists = {each.name: each for each in await self._bus.get_lists()}
        if name not in lists:
            raise HTTPException(HTTPStatus.NOT_FOUND, f"No list {name[:40]!r}. The lists: {', '.join(sorted(lists)) or 'none yet'}.")
        return lists[name]

    async def _health(self) -> Response:
        return _json({"status": "ok", "mode": self.mode, "version": __version__})

    async def _ready(self) -> Response:
        if not await self._bus.get_lists():
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, "The scanner has not published its lists yet.")
        return _json({"status": "ready"})


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


def _json(body: object) -> Response:
    return Response(msgspec.json.encode(body), media_type=JSON, headers={"Cache-Control": "no-store"})


def _problem(status: HTTPStatus, detail: str) -> Response:
    body = {"type": "about:blank", "title": status.phrase, "status": int(status), "detail": detail}
    return Response(msgspec.json.encode(body), int(status), media_type="application/problem+json")


async def _on_http_error(_: Request, error: Any) -> Response:
    return _problem(HTTPStatus(error.status_code), str(error.detail))


async def _on_bad_request(_: Request, error: Any) -> Response:
    first = error.errors()[0]
    return _problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{first['loc'][-1]}={first.get('input')!r}: {first['msg']}.")


async def _on_bus_error(_: Request, error: Any) -> Response:
    log.warning("bus_unavailable", error=str(error))
    return _problem(HTTPStatus.SERVICE_UNAVAILABLE, "The bus does not answer: try again in a few seconds.")


async def _on_failure(request: Request, error: Any) -> Response:
    log.error("request_failed", path=request.url.path, exc_info=error)
    return _problem(HTTPStatus.INTERNAL_SERVER_ERROR, "This is our fault; the log says more.")


def _documentation(app: FastAPI) -> Response:
    """The description as a plain table: the usual viewers come from other hosts."""
    paths = app.openapi()["paths"]
    calls = [(method.upper(), path, call["summary"]) for path, methods in paths.items() for method, call in methods.items()]
    lines = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in call)}</tr>" for call in calls)
    text = f'<!doctype html><title>Tradeul: HTTP</title><table>{lines}</table><p><a href="/openapi.json">openapi.json</a>'
    return Response(text, media_type="text/html")
