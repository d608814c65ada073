"""The gateway's door: who gets in from the network, how many at once, and how long they may take.

    accept -> counted, in all and by address -> handshake in time -> Host, Origin -> token -> route

aiohttp's low-level server: no router and no middlewares between a socket and
its handshake. Refusals are `application/problem+json`; who is refused for want
of room is told so once its request is there, and far above the limits cut off
unheard. It knows no lists and sends no frames (`server.py`).
"""

import asyncio
import resource
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import TypeAlias, TypeVar

import msgspec
import structlog
from aiohttp import hdrs, web

from tradeul.errors import StartError
from tradeul.ops.callers import COOKIE, LOOPBACK, OPEN_PATHS, WRITES, Callers
from tradeul.ops.http_service import JSON, PROBLEM_JSON, problem_body

MAX_SOCKETS = 20_000
MAX_SOCKETS_OF_ONE_ADDRESS = 2_500  # an office; not asked of 127.0.0.1, from where a proxy brings everybody
UNHEARD_SHARE = 1.1  # of a limit; above it a socket is cut off without an answer
FILES_FOR_OTHERS = 500  # what the rest of the process may need: lake, bus, other ports
HANDSHAKE_SECONDS = 10.0  # for a whole request; and an idle HTTP connection is kept so long
BODY_SECONDS = 5.0
LINGER_SECONDS = 2.0  # for a body that nobody asked for
NEVER_ROUNDED_SECONDS = 3600.0  # else aiohttp sends the pings of all who came within a second at one instant
ACCEPTS_IN_A_TURN = 32  # a storm of reconnections must not stop the frames
BACKLOG = 4096  # it waits in the kernel
KERNEL_BUFFER_BYTES = 128 * 1024  # by itself it grows to megabytes, which a slow reader would see minutes later
RETRY_SECONDS = "5"
SOCKET_PATHS = ("/ws", "/ws/scanner")

Record = TypeVar("Record")
Handler: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Routes: TypeAlias = Mapping[tuple[str, str], Handler]  # (method, path)

log = structlog.get_logger()


class Door(web.Server):
    """``routes``: what is behind it; a socket's own answers for its token, since a browser reads no status of a handshake."""

    def __init__(self, routes: Routes, callers: Callers) -> None:
        super().__init__(
            self._answer,
            access_log=None,
            keepalive_timeout=HANDSHAKE_SECONDS,
            lingering_time=LINGER_SECONDS,
            timeout_ceil_threshold=NEVER_ROUNDED_SECONDS,
        )
        self._routes = routes
        self._callers = callers
        self._limit = allowed_sockets()
        self._addresses: dict[web.RequestHandler, str] = {}
        self._by_address: Counter[str] = Counter()
        self.refused = 0  # for want of room

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BUFFER_BYTES)
        address = _address(transport)
        self._addresses[handler] = address
        self._by_address[address] += 1
        if self._crowded(address, UNHEARD_SHARE) is not None:
            self.refused += 1
            asyncio.get_running_loop().call_soon(transport.abort)  # not before aiohttp has made its own of it

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        address = self._addresses.pop(handler)
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]

    def _crowded(self, address: str, share: float = 1.0) -> tuple[HTTPStatus, str] | None:
        if len(self._addresses) > self._limit * share:
            return HTTPStatus.SERVICE_UNAVAILABLE, f"{self._limit:,} sockets are open: try again later."
        if address not in LOOPBACK and self._by_address[address] > MAX_SOCKETS_OF_ONE_ADDRESS * share:
            return HTTPStatus.TOO_MANY_REQUESTS, f"{MAX_SOCKETS_OF_ONE_ADDRESS:,} sockets of {address} are open: close some first."
        return None

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        address = self._addresses.get(request.protocol)
        if address is not None and (crowded := self._crowded(address)) is not None:
            self.refused += 1
            response = problem(*crowded)
            response.headers[hdrs.RETRY_AFTER] = RETRY_SECONDS
            response.force_close()
            return response
        reason = self._callers.refusal(request.headers.get(hdrs.HOST), request.headers.get(hdrs.ORIGIN))
        if reason is not None:
            return problem(HTTPStatus.FORBIDDEN, reason)
        return await self._route(request)

    async def _route(self, request: web.BaseRequest) -> web.StreamResponse:
        method = "GET" if request.method == "HEAD" else request.method
        handler = self._routes.get((method, request.path))
        if handler is None:
            allowed = sorted(known for known, path in self._routes if path == request.path)
            status = HTTPStatus.METHOD_NOT_ALLOWED if allowed else HTTPStatus.NOT_FOUND
            response = problem(status, f"{request.method[:20]} {request.path[:100]!r} is no call of this service.")
            if allowed:
                response.headers[hdrs.ALLOW] = ", ".join(allowed)
            return response
        caller = who(self._callers, request)
        if request.path not in (*OPEN_PATHS, *SOCKET_PATHS) and caller is None:
            response = problem(HTTPStatus.UNAUTHORIZED, "This call needs the header Authorization: Bearer TOKEN, or a login on the page.")
            response.headers[hdrs.WWW_AUTHENTICATE] = "Bearer"
            return response
        if request.method in WRITES:
            log.info("write_called", caller=caller, service="gateway", method=request.method, path=request.path)
        try:
            return await handler(request)
        except web.HTTPException as error:  # ours, and aiohttp's on a bad handshake
            return problem(HTTPStatus(error.status), f"{error.text or error.reason}"[:300])


async def open_door(door: Door, host: str, port: int) -> tuple[web.ServerRunner, web.SockSite, int]:
    """Listen; returns what to end it with, and the port.

    Raises:
        StartError: the port is taken.
    """
    runner = web.ServerRunner(door, handle_signals=False, shutdown_timeout=LINGER_SECONDS)
    await runner.setup()
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        # The loop takes as many in a turn as it thinks the backlog is: so it is told a small one, then the kernel the real one.
        site = web.SockSite(runner, listener, backlog=ACCEPTS_IN_A_TURN)
        await site.start()
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        await runner.cleanup()
        raise StartError(
            f"Port {port} on {host} cannot be opened ({error.strerror}): stop what uses it, or set TRADEUL_GATEWAY_PORT."
        ) from error
    return runner, site, listener.getsockname()[1]


def allowed_sockets() -> int:
    """As many as the design serves, and the operating system lets this process hold; its soft limit is raised for it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = int(MAX_SOCKETS * UNHEARD_SHARE) + FILES_FOR_OTHERS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    limit = MAX_SOCKETS if soft == resource.RLIM_INFINITY else min(MAX_SOCKETS, int((soft - FILES_FOR_OTHERS) / UNHEARD_SHARE))
    if limit < MAX_SOCKETS:
        log.info("few_sockets_allowed", limit=limit, remedy="raise the limit of open files (ulimit -n) to serve more")
    return limit


def who(callers: Callers, request: web.BaseRequest, *, token_in_query: bool = False) -> str | None:
    """The caller's name; None: nobody that we know."""
    query = request.query.get("token") if token_in_query else None
    return callers.who(request.headers.get(hdrs.AUTHORIZATION), request.cookies.get(COOKIE), query)


async def read_body(request: web.BaseRequest, record: type[Record], example: str) -> Record:
    """Raises web.HTTPException: late, too large, or not of this form; ``example`` shows a right one."""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return msgspec.json.decode(await request.read(), type=record)
    except TimeoutError as error:
        raise web.HTTPRequestTimeout(text=f"The body did not arrive within {BODY_SECONDS:.0f} s.") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise web.HTTPBadRequest(text=f"{error}. Send {example}.") from error


def json_answer(status: HTTPStatus, body: object) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(body), content_type=JSON)


def problem(status: HTTPStatus, detail: str) -> web.Response:
    return web.Response(status=status, body=problem_body(status, detail), content_type=PROBLEM_JSON)


def _address(transport: asyncio.Transport) -> str:
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if peer else ""
