"""Port 8005: whether the scanner is well, and no more. Its lists are on the bus, and told by the gateway and the page's port."""

from collections.abc import Iterable
from http import HTTPStatus

import msgspec
from fastapi import FastAPI, Response
from prometheus_client import Metric
from starlette.exceptions import HTTPException

from tradeul import __version__
from tradeul.bus.redis import Bus
from tradeul.ops.callers import Callers
from tradeul.ops.http_service import HttpService, answers, json_answer
from tradeul.ops.metrics import counter
from tradeul.ops.standing import Answers, role_of, standing, status_of
from tradeul.ops.watchdog import LoopWatchdog
from tradeul.scanner.service import ScannerService


class Health(msgspec.Struct, frozen=True):
    status: str  # ok, or degraded: one of the two does not answer
    redis: str
    catalog: str
    role: str  # leads; or stands by: it starts, or another scanner writes the lists on this Redis
    mode: str
    version: str


class Ready(msgspec.Struct, frozen=True):
    status: str


class ScannerServer(HttpService):
    def __init__(
        self,
        bus: Bus,
        mode: str,
        callers: Callers,
        port: int,
        watchdog: LoopWatchdog | None = None,
        *,
        catalog: Answers | None = None,
    ) -> None:
        """``mode`` is an attribute: it may change; and so is ``service``, while there is one here that writes the lists."""
        super().__init__("scanner", callers, port, "TRADEUL_SCANNER_PORT", (Health, Ready), watchdog)
        self._bus, self._catalog = bus, catalog
        self.mode = mode
        self.service: ScannerService | None = None

    def routes(self, app: FastAPI) -> None:
        app.get("/health", summary="The process answers; what it stands on", responses=answers(Health))(self._health)
        ready = answers(Ready, HTTPStatus.SERVICE_UNAVAILABLE)
        app.get("/ready", summary="The lists were ranked at least once, and the bus answers", responses=ready)(self._ready)

    async def _health(self) -> Response:
        stands = await standing(redis=self._bus.answers, catalog=self._catalog)
        role = role_of(leads=self.service is not None)
        return json_answer(Health(status_of(*stands.values()), **stands, role=role, mode=self.mode, version=__version__))

    async def _ready(self) -> Response:
        if self.service is None:
            raise HTTPException(
                HTTPStatus.SERVICE_UNAVAILABLE, "It stands by: it starts, or another scanner writes the lists on this Redis."
            )
        if not self.service.cycles or not await self._bus.answers():
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, "The lists are not ranked yet, or the bus does not answer.")
        return json_answer(Ready("ready"))

    async def metrics(self) -> Iterable[Metric]:
        if self.service is None:  # nothing that an alarm could take for a scanner that stands still
            return ()
        refused = "Frames of another session, which were not ranked."
        return [
            counter("tradeul_scanner_cycles", "Cycles since the start.", self.service.cycles),
            counter("tradeul_scanner_refused_frames", refused, self.service.refused_frames),
        ]
