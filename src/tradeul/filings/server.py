"""Port 8012: filings and news (`routes.py`), and how their collecting goes. It asks nobody outside: `service.py` does."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from statistics import quantiles

import msgspec
from fastapi import FastAPI, Response
from prometheus_client import Metric
from starlette.exceptions import HTTPException

from tradeul import __version__
from tradeul.bus.redis import Bus
from tradeul.clock import Clock
from tradeul.filings.routes import FilingsRoutes
from tradeul.filings.service import FilingsService
from tradeul.ops.callers import Callers
from tradeul.ops.http_service import HttpService, answers, json_answer
from tradeul.ops.metrics import counter, counters, gauge, gauges
from tradeul.ops.standing import Answers, role_of, standing, status_of
from tradeul.ops.watchdog import LoopWatchdog
from tradeul.store.filings import FilingsStore


class Health(msgspec.Struct, frozen=True):
    status: str  # ok, or degraded
    redis: str
    catalog: str
    role: str  # leads; or stands by: it starts, or another process on this Redis does
    trouble: dict[str, str]  # of filings, submissions, news: why they do not come
    mode: str
    version: str


class Ready(msgspec.Struct, frozen=True):
    status: str


class FilingsServer(HttpService):
    def __init__(
        self,
        service: FilingsService,
        store: FilingsStore,
        bus: Bus,
        clock: Clock,
        mode: str,
        callers: Callers,
        port: int,
        watchdog: LoopWatchdog | None = None,
        statuses: Mapping[int | str, int] | None = None,
        *,
        catalog: Answers | None = None,
        leads: Callable[[], bool] = lambda: True,
    ) -> None:
        """``mode`` is an attribute: it may change. ``statuses``: requests to EDGAR, by HTTP status.

        ``leads``: whether the service runs here.
        """
        super().__init__("filings", callers, port, "TRADEUL_FILINGS_PORT", (Health, Ready, *FilingsRoutes.records), watchdog)
        self._service, self._store, self._bus, self._clock = service, store, bus, clock
        self._catalog, self._leads = catalog, leads
        self._statuses = {} if statuses is None else statuses
        self.mode = mode

    def routes(self, app: FastAPI) -> None:
        app.get("/health", summary="The process answers; what does not come, and why", responses=answers(Health))(self._health)
        app.get("/ready", summary="Bus and catalog answer", responses=answers(Ready, HTTPStatus.SERVICE_UNAVAILABLE))(self._ready)
        FilingsRoutes(self._store).add(app)

    async def _health(self) -> Response:
        stands, trouble = await standing(redis=self._bus.answers, catalog=self._catalog), self._service.trouble
        status = "degraded" if trouble else status_of(*stands.values())
        role = role_of(leads=self._leads())
        return json_answer(Health(status, **stands, role=role, trouble=trouble, mode=self.mode, version=__version__))

    async def _ready(self) -> Response:
        if not await self._bus.answers():
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, "The bus does not answer: try again in a few seconds.")
        await asyncio.to_thread(self._store.last_filing)
        return json_answer(Ready("ready"))

    async def metrics(self) -> Iterable[Metric]:
        service, name = self._service, "tradeul_filings"
        latencies = sorted(service.latencies)
        cuts = quantiles(latencies, n=100, method="inclusive") if len(latencies) > 1 else []
        shown = {("0.5",): cuts[49], ("0.99",): cuts[98]} if cuts else {}
        age = None if service.read_at is None else (self._clock.now() - service.read_at).total_seconds()
        about = "From acceptance by the SEC to our sight, of the last thousand filings that came while we looked."
        return [
            gauges(f"{name}_latency_seconds", about, ("quantile",), shown.items()),
            gauge(f"{name}_read_age_seconds", "Since the feed was last read whole.", age),
            counter(f"{name}_kept", "Filings kept since the start.", service.filings_kept),
            counter("tradeul_news_kept", "Pieces of news kept since the start.", service.news_kept),
            counters(
                "tradeul_edgar_requests", "Requests by HTTP status.", ("status",), [((str(s),), n) for s, n in self._statuses.items()]
            ),
        ]
