"""Port 8004: what was. It reads the lake and computes; loading is asked of maintenance, whose run has an address.

Partitions are decoded once the start is over, and when they are replaced, so that nobody who asks waits for it:
one at a time, a third of the time, and never while somebody waits for an answer.
"""

import asyncio
import time
from datetime import date
from http import HTTPStatus

import msgspec
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware

from tradeul import __version__
from tradeul.api.client import REFUSALS, MaintenanceClient
from tradeul.api.history.routes import HistoryRoutes
from tradeul.api.server import Health, Ready
from tradeul.errors import NoAnswer
from tradeul.ops.callers import Callers
from tradeul.ops.http_service import HttpService, answers, body_of, json_answer, read_body
from tradeul.ops.standing import Answers, standing, status_of
from tradeul.ops.watchdog import LoopWatchdog
from tradeul.records.runs import RunOptions

WARM_AFTER_SECONDS = 15.0  # the lists come first
REST_SECONDS, LEAST_PAUSE_SECONDS = 2.0, 0.01
WARMING_SHARE = 1 / 3  # of the time
BODY_EXAMPLE = '{"since":"2026-02-02","target_date":"2026-03-06"}'
PACKED_FROM_BYTES, PACKING = 1024, 1  # a third of the time of 6, and a tenth larger


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What shall be loaded: nothing said, all that is due; else one session, or from ``since`` to it."""

    target_date: date | None = None
    since: date | None = None


class Warmup(msgspec.Struct, frozen=True):
    """The run that maintenance began, or the one under way that was joined."""

    run: str  # its address
    joined: bool


class HistoryServer(HttpService):
    def __init__(
        self,
        routes: HistoryRoutes,
        maintenance: MaintenanceClient,
        mode: str,
        callers: Callers,
        port: int,
        watchdog: LoopWatchdog | None = None,
        *,
        bus: Answers | None = None,
        catalog: Answers | None = None,
    ) -> None:
        """``mode`` is an attribute: it may change. ``bus``, ``catalog``: whether they answer."""
        records = (*routes.records, Health, Ready, Warmup, Wanted)
        super().__init__("historical", callers, port, "TRADEUL_HISTORICAL_PORT", records, watchdog)
        self._history = routes
        self._maintenance = maintenance
        self._bus, self._catalog = bus, catalog
        self.mode = mode
        self.warm = asyncio.Event()  # all that is kept has been decoded at least once

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            warming = group.create_task(self._warm())
            await super().run()
            warming.cancel()

    async def _warm(self) -> None:
        await self.started.wait()
        await asyncio.sleep(WARM_AFTER_SECONDS)
        while True:
            begun = time.perf_counter()
            if await self._history.warm():
                await asyncio.sleep(max((time.perf_counter() - begun) * (1 / WARMING_SHARE - 1), LEAST_PAUSE_SECONDS))
            else:
                self.warm.set()
                await asyncio.sleep(REST_SECONDS)

    def routes(self, app: FastAPI) -> None:
        unavailable = HTTPStatus.SERVICE_UNAVAILABLE
        app.add_middleware(GZipMiddleware, minimum_size=PACKED_FROM_BYTES, compresslevel=PACKING)
        self._history.add(app)
        begun = answers(Warmup, *REFUSALS, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, unavailable, ok=HTTPStatus.ACCEPTED)
        ask = app.post("/api/warmup", summary="Ask maintenance for a run", responses=begun, openapi_extra=body_of(Wanted), status_code=202)
        ask(self._warmup)
        app.get("/health", summary="The process answers; what it stands on", responses=answers(Health))(self._health)
        app.get("/ready", summary="There is history to tell", responses=answers(Ready, unavailable))(self._ready)

    async def _warmup(self, request: Request) -> Response:
        wanted = await read_body(request, Wanted, Wanted(), BODY_EXAMPLE)
        options = RunOptions(target_date=wanted.target_date, since=wanted.since)
        try:
            status, begun, address = await self._maintenance.begin(options)
        except NoAnswer as error:
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from error
        if not address:
            raise HTTPException(status, begun.detail)
        return json_answer(Warmup(address, begun.joined), HTTPStatus.ACCEPTED, {"Location": address})

    async def _health(self) -> Response:
        stands = await standing(redis=self._bus, catalog=self._catalog)
        return json_answer(Health(status_of(*stands.values()), **stands, mode=self.mode, version=__version__))

    async def _ready(self) -> Response:
        if not await self._history.has_bars():
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, "The lake has no daily bars yet: maintenance loads them after the start.")
        return json_answer(Ready("ready"))
