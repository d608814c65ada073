"""Port 8000: the page and what it asks by HTTP, for our own page and for programs; the login that makes a browser known to all ports."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import date
from http import HTTPStatus
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
import structlog
from fastapi import FastAPI, Query, Request, Response
from starlette.exceptions import HTTPException

from tradeul import __version__
from tradeul.api.lists import to_csv
from tradeul.api.page import PageMount, QuietProblems, content_security_policy
from tradeul.bus.redis import Bus
from tradeul.clock import Clock
from tradeul.errors import NoAnswer
from tradeul.market_calendar import Calendar
from tradeul.ops.callers import COOKIE, Callers, hostname
from tradeul.ops.http_service import HttpService, Routes, answers, body_of, json_answer, read_body
from tradeul.ops.standing import Answers, standing, status_of
from tradeul.ops.watchdog import LoopWatchdog
from tradeul.records.breadth import Breadth
from tradeul.records.entitlements import Mode
from tradeul.records.explanations import Explanation
from tradeul.records.lists import ListDefinition
from tradeul.records.messages import ListHead

CSV = "text/csv"
LOGIN, LOGOUT = "/api/login", "/api/logout"
LOGIN_SECONDS = 30 * 24 * 3600

log = structlog.get_logger()


class PageConfig(msgspec.Struct, frozen=True):
    socket: str  # the gateway's address
    mode: str
    simulated: bool
    version: str


class Lists(msgspec.Struct, frozen=True):
    session: date
    lists: list[ListHead]


class ListRows(msgspec.Struct, frozen=True):
    """One list's frame (`ListFrame`), with its name and length."""

    name: str = msgspec.field(name="list")
    count: int
    session: date
    epoch: int
    sequence: int
    rows: list[dict[str, Any]]
    mode: str
    timestamp: int
    lacking: tuple[str, ...]  # inputs of the list's question that nobody delivers now


class Health(msgspec.Struct, frozen=True):
    status: str  # ok, or degraded: one of the two does not answer
    redis: str
    catalog: str
    mode: str
    version: str


class Ready(msgspec.Struct, frozen=True):
    status: str


class Login(msgspec.Struct, frozen=True):
    token: str = ""


class ApiServer(HttpService):
    def __init__(
        self,
        bus: Bus,
        clock: Clock,
        calendar: Calendar,
        mode: str,
        callers: Callers,
        port: int,
        gateway_port: int,
        watchdog: LoopWatchdog | None = None,
        public_socket: str | None = None,
        beside: Sequence[Routes] = (),
        *,
        catalog: Answers | None = None,
    ) -> None:
        """``mode`` and ``gateway_port`` are attributes: both may become known later.

        ``public_socket``: the socket behind a proxy. ``beside``: what else the page asks, of its one origin. ``catalog``: what answers.
        """
        records: dict[type, None] = dict.fromkeys((PageConfig, Lists, ListRows, Breadth, Explanation, Health, Ready, Login))
        records |= dict.fromkeys(record for routes in beside for record in routes.records)
        super().__init__("api", callers, port, "TRADEUL_API_PORT", records, watchdog)
        self._public_socket = public_socket
        self._beside = beside
        self._bus, self._catalog = bus, catalog
        self._clock = clock
        self._calendar = calendar
        self.mode = mode
        self.gateway_port = gateway_port

    def application(self) -> FastAPI:
        app = super().application()
        app.add_middleware(QuietProblems)  # around all others: what they refuse is a problem, too
        return app

    def routes(self, app: FastAPI) -> None:
        unavailable = HTTPStatus.SERVICE_UNAVAILABLE
        rows = answers(ListRows, HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY, unavailable, text=CSV)
        app.middleware("http")(self._restrict)
        app.get("/api/config", summary="The gateway's address and the mode", responses=answers(PageConfig))(self._config)
        app.get("/api/lists", summary="All lists: what they ask and show", responses=answers(Lists, unavailable))(self._all_lists)
        app.get("/api/lists/{name}", summary="One list's rows, as JSON or CSV", responses=rows)(self._one_list)
        counted = answers(Breadth) | answers(ok=HTTPStatus.NO_CONTENT)
        app.get("/api/breadth", summary="The market in a few numbers; 204: not counted yet", responses=counted)(self._breadth)
        why = answers(Explanation, HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY, unavailable)
        app.get("/api/explain/{name}/{symbol}", summary="Why a ticker is on a list or not", responses=why)(self._explain)
        refused = HTTPStatus.UNAUTHORIZED, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        login = answers(None, *refused, ok=HTTPStatus.NO_CONTENT)
        app.post(LOGIN, summary="The token for a cookie", responses=login, status_code=204, openapi_extra=body_of(Login))(self._login)
        app.post(LOGOUT, summary="Forget the cookie", responses=answers(ok=HTTPStatus.NO_CONTENT), status_code=204)(self._logout)
        app.get("/health", summary="The process answers; what it stands on", responses=answers(Health))(self._health)
        app.get("/ready", summary="The bus answers and the lists are known", responses=answers(Ready, unavailable))(self._ready)
        for routes in self._beside:
            routes.add(app)
        app.router.routes.append(PageMount())

    async def _restrict(self, request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        """Say what the page may load, on every answer."""
        response = await call_next(request)
        parts = urlsplit(self._socket_address(request))
        origin = f"{parts.scheme}://{parts.netloc}"
        response.headers["Content-Security-Policy"] = content_security_policy(origin)
        return response

    def _socket_address(self, request: Request) -> str:
        """The gateway under the name that the browser used for us; it was checked."""
        if self._public_socket is not None:
            return self._public_socket
        name = hostname(request.headers.get("host")) or self._host
        return f"ws://[{name}]:{self.gateway_port}/ws" if ":" in name else f"ws://{name}:{self.gateway_port}/ws"

    def is_open(self, path: str) -> bool:
        """The page's files too, and the way in; what the page asks is not."""
        return super().is_open(path) or path in (LOGIN, LOGOUT) or not path.startswith(("/api/", "/docs", "/openapi"))

    async def _login(self, request: Request) -> Response:
        shown = await read_body(request, Login, Login(), '{"token":"..."}')
        caller = self._callers.who(query=shown.token)
        if caller is None:
            raise HTTPException(HTTPStatus.UNAUTHORIZED, "This is not the token that TRADEUL_TOKEN holds here.")
        answer = Response(status_code=HTTPStatus.NO_CONTENT)
        if self._callers.tokens:
            log.info("logged_in", caller=caller)
            secure = request.url.scheme == "https"
            answer.set_cookie(COOKIE, self._callers.login_code(caller), LOGIN_SECONDS, secure=secure, httponly=True, samesite="strict")
        return answer

    async def _logout(self) -> Response:
        answer = Response(status_code=HTTPStatus.NO_CONTENT)
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return answer

    async def _config(self, request: Request) -> Response:
        return json_answer(PageConfig(self._socket_address(request), self.mode, self.mode == "SIMULATED", __version__))

    async def _all_lists(self) -> Response:
        lists = await self._bus.get_lists()
        heads = [ListHead(each.name, each.title, each.where, each.order, each.columns, each.issue_class) for each in lists]
        return json_answer(Lists(self._calendar.current_session(self._clock.now()), heads))

    async def _one_list(self, name: str, form: Annotated[Literal["json", "csv"], Query(alias="format")] = "json") -> Response:
        definition = await self._definition(name)
        frame = await self._bus.get_frame(name)
        session = self._oldest_session()
        if frame is None or frame.session < session:
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, f"{name} has no frame for the session of {session} yet: ask again.")
        if form == "csv":
            file_name = f"{name}-{frame.session}.csv"
            headers = {"Content-Disposition": f'attachment; filename="{file_name}"'}
            return Response(to_csv(definition.columns, frame.rows), media_type=f"{CSV}; charset=utf-8", headers=headers)
        return json_answer(ListRows(name, len(frame.rows), **msgspec.structs.asdict(frame)))

    async def _breadth(self) -> Response:
        found = await self._bus.get_breadth()
        if found is None or found.session < self._oldest_session():
            return Response(status_code=HTTPStatus.NO_CONTENT)  # not counted yet, which is no failure
        return json_answer(found)

    def _oldest_session(self) -> date:
        """Rows of an older one are nobody's business today, whatever key still holds them."""
        oldest = self._calendar.oldest_close if self.mode == Mode.END_OF_DAY else self._calendar.current_session
        return oldest(self._clock.now())

    async def _explain(self, name: str, symbol: str) -> Response:
        try:
            answer = await self._bus.ask_to_explain(name, symbol)
        except NoAnswer as error:
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from error
        if answer.explanation is None:
            status = HTTPStatus.SERVICE_UNAVAILABLE if answer.unknown_list is None else HTTPStatus.NOT_FOUND
            raise HTTPException(status, answer.unknown_list or answer.not_now)
        return json_answer(answer.explanation)

    async def _definition(self, name: str) -> ListDefinition:
        lists = {each.name: each for each in await self._bus.get_lists()}
        if name not in lists:
            raise HTTPException(HTTPStatus.NOT_FOUND, f"No list {name[:40]!r}. The lists: {', '.join(sorted(lists)) or 'none yet'}.")
        return lists[name]

    async def _health(self) -> Response:
        stands = await standing(redis=self._bus.answers, catalog=self._catalog)
        return json_answer(Health(status_of(*stands.values()), **stands, mode=self.mode, version=__version__))

    async def _ready(self) -> Response:
        if not await self._bus.get_lists():
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, "The scanner has not published its lists yet.")
        return json_answer(Ready("ready"))
