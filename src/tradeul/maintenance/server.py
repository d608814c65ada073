"""Port 8008: how the data stands, what runs, and a run on demand. It decides nothing: `service.py` and `report.py` do."""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from prometheus_client import Metric
from starlette.exceptions import HTTPException

from tradeul import __version__
from tradeul.bus.redis import Bus
from tradeul.clock import Clock
from tradeul.errors import RunRefused, UnknownTask
from tradeul.maintenance.datasets import DATASETS
from tradeul.maintenance.plan import Step
from tradeul.maintenance.report import Status
from tradeul.maintenance.service import NOT_LEADING, MaintenanceService
from tradeul.market_calendar import NEW_YORK
from tradeul.ops.callers import Callers
from tradeul.ops.http_service import HttpService, answers, body_of, json_answer, read_body
from tradeul.ops.metrics import counter, counters, gauge, gauges
from tradeul.ops.standing import GONE, UNUSED, Answers, role_of, standing, status_of
from tradeul.ops.watchdog import LoopWatchdog
from tradeul.providers.http import HttpClient
from tradeul.records.runs import WHOLE, Run, RunOptions

BODY_EXAMPLE = '{"target_date":"2026-03-06","only":"ohlc_daily","force":true}'


class Health(msgspec.Struct, frozen=True):
    status: str  # ok, or degraded: one of the three does not answer
    redis: str
    catalog: str
    timescaledb: str  # connected, postgresql only, not configured, or does not answer
    role: str  # leads, or stands by: it starts, or another process leads
    mode: str
    version: str


class Ready(msgspec.Struct, frozen=True):
    status: str


class NextRun(msgspec.Struct, frozen=True):
    next_run_at: datetime
    eastern: str  # the same as a wall time
    in_seconds: float


class Foreseen(msgspec.Struct, frozen=True):
    """One step of a dry run. ``by_ticker``: one call per ticker for all its sessions."""

    task: str
    sessions: tuple[date, ...]
    by_ticker: bool


class Triggered(msgspec.Struct, frozen=True):
    """``run`` is new, or the running one that was joined; of a dry run only the steps."""

    joined: bool
    run: Run | None = None
    steps: tuple[Foreseen, ...] | None = None


class Cleared(msgspec.Struct, frozen=True):
    """The session was announced once more: whoever listens forgets what is older."""

    status: str
    session: date


class MaintenanceServer(HttpService):
    def __init__(
        self,
        service: MaintenanceService,
        bus: Bus,
        http: HttpClient,
        clock: Clock,
        mode: str,
        callers: Callers,
        port: int,
        watchdog: LoopWatchdog | None = None,
        file_statuses: Mapping[int | str, int] | None = None,
        *,
        catalog: Answers | None = None,
    ) -> None:
        """``mode`` is an attribute: it may change. ``file_statuses``: requests for flat files, by HTTP status."""
        records = (Health, Ready, Status, list[Run], Run, NextRun, Triggered, RunOptions, Cleared)
        super().__init__("maintenance", callers, port, "TRADEUL_MAINTENANCE_PORT", records, watchdog)
        self._service = service
        self._bus, self._catalog = bus, catalog
        self._http = http
        self._file_statuses = {} if file_statuses is None else file_statuses  # an empty one is counted into later
        self._clock = clock
        self.mode = mode

    def routes(self, app: FastAPI) -> None:
        missing, refused, unavailable = HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.SERVICE_UNAVAILABLE
        wrong = HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        trigger = answers(Triggered, refused, *wrong, unavailable) | answers(Triggered, ok=HTTPStatus.ACCEPTED)
        app.get("/health", summary="The process answers; what it stands on", responses=answers(Health))(self._health)
        app.get("/ready", summary="Bus and catalog answer", responses=answers(Ready, unavailable))(self._ready)
        app.get("/status", summary="How far today's numbers can be trusted, and every partition", responses=answers(Status))(self._status)
        app.get("/runs", summary="The run under way and the last 100", responses=answers(list[Run]))(self._runs)
        app.get("/runs/{run_id}", summary="One run", responses=answers(Run, missing))(self._run)
        app.get("/next-run", summary="The next wake-up", responses=answers(NextRun, unavailable))(self._next_run)
        begin = app.post("/trigger", summary="Begin a run, or join the running one", responses=trigger, openapi_extra=body_of(RunOptions))
        begin(self._trigger)
        app.post("/clear-caches", summary="Announce the session once more", responses=answers(Cleared, unavailable))(self._clear_caches)

    def describe(self, components: dict[str, Any]) -> None:
        for name in ("only", "from_task"):
            components["RunOptions"]["properties"][name] = {"enum": [*DATASETS, None], "default": None}

    async def _health(self) -> Response:
        stands = await standing(redis=self._bus.answers, catalog=self._catalog)
        mirror, timescaledb = self._service.mirror, stands["catalog"]  # it is in the catalog's database
        if mirror is None:
            timescaledb = UNUSED
        elif timescaledb != GONE:
            timescaledb = await asyncio.to_thread(mirror.kind)
        role = role_of(leads=self._service.leads)
        status = status_of(*stands.values(), timescaledb)
        return json_answer(Health(status, **stands, timescaledb=timescaledb, role=role, mode=self.mode, version=__version__))

    async def _ready(self) -> Response:
        if not await self._bus.answers():
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, "The bus does not answer: try again in a few seconds.")
        await self._service.runs()
        return json_answer(Ready("ready"))

    async def _status(self) -> Response:
        return json_answer(await self._service.status(self.mode))

    async def _runs(self) -> Response:
        return json_answer(await self._service.runs())

    async def _run(self, run_id: str) -> Response:
        found = [run for run in await self._service.runs() if run.id == run_id]
        if not found:
            raise HTTPException(HTTPStatus.NOT_FOUND, f"No run {run_id[:40]!r} among the last 100: see /runs.")
        return json_answer(found[0])

    async def _next_run(self) -> Response:
        next_run_at = self._service.next_run_at
        if next_run_at is None:
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, NOT_LEADING)
        eastern = f"{next_run_at.astimezone(NEW_YORK):%Y-%m-%d %H:%M}"
        return json_answer(NextRun(next_run_at, eastern, round((next_run_at - self._clock.now()).total_seconds(), 3)))

    async def _trigger(self, request: Request) -> Response:
        options = await read_body(request, RunOptions, WHOLE, BODY_EXAMPLE)
        try:
            if options.dry_run:
                return json_answer(Triggered(joined=False, steps=tuple(map(foreseen, await self._service.foresee(options)))))
            run, is_new = self._service.trigger(options)
        except UnknownTask as error:
            raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from error
        except RunRefused as error:
            raise HTTPException(HTTPStatus.CONFLICT, str(error)) from error
        status = HTTPStatus.ACCEPTED if is_new else HTTPStatus.OK
        return json_answer(Triggered(joined=not is_new, run=run), status, {"Location": f"/runs/{run.id}"})

    async def _clear_caches(self) -> Response:
        try:
            run = await self._service.announce_again()
        except RunRefused as error:
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from error
        if not run.success:
            reason = run.failed[0].error if run.failed else "the session has not begun"
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, f"The session could not be announced: {reason}")
        return json_answer(Cleared("announced", run.date))

    async def metrics(self) -> Iterable[Metric]:
        status, runs = await self._service.status(self.mode), await self._service.runs()
        whole = [run for run in runs if run.options.is_whole and run.finished_at is not None]
        success = next((run.finished_at.timestamp() for run in whole if run.success and run.finished_at), None)
        durations = {(task,): seconds for run in whole[::-1] for task, seconds in run.task_seconds.items()}
        partitions = {(name, state.value): count for name, counts in status.datasets.items() for state, count in counts.items()}
        statuses = {("rest", str(code)): count for code, count in self._http.statuses.items()}
        statuses |= {("files", str(code)): count for code, count in self._file_statuses.items()}
        name, of_task = "tradeul_maintenance", "How long a task took, the last time that a whole run had it to do."
        waited = "Waiting for the rate limit, summed over requests."
        return [
            gauge(f"{name}_last_success_timestamp_seconds", "When a whole run last succeeded.", success),
            gauge(f"{name}_last_run_success", "Whether the last whole run succeeded.", whole[0].success if whole else None),
            gauge(f"{name}_sessions_behind", "Days behind: sessions with a partition that could be better.", status.sessions_behind),
            gauges(f"{name}_partitions", "Wanted partitions.", ("dataset", "state"), partitions.items()),
            gauge(f"{name}_run_duration_seconds", "How long the last whole run took.", whole[0].duration_seconds if whole else None),
            gauges(f"{name}_task_duration_seconds", of_task, ("task",), durations.items()),
            gauge(f"{name}_running", "Whether a run is under way.", status.run is not None),
            counters("tradeul_vendor_requests", "Requests by HTTP status, timeout, connection.", ("of", "status"), statuses.items()),
            counter("tradeul_vendor_retries", "Requests that were tried again.", self._http.retries),
            counter("tradeul_vendor_rate_limit_wait_seconds", waited, self._http.rate_wait_seconds),
        ]


def foreseen(step: Step) -> Foreseen:
    return Foreseen(step.dataset, step.sessions, step.ranged)
