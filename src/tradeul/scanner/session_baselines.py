"""The baselines that serve the scanner's session: fetched from the bus when there are new ones, refused when they serve another."""

import asyncio
from datetime import date

import structlog

from tradeul.analytics.baselines import Baselines
from tradeul.bus.redis import Bus
from tradeul.errors import StoreError

log = structlog.get_logger()


class SessionBaselines:
    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._bytes = 0
        self._session: date | None = None
        self.held: Baselines | None = None

    def begin(self, session: date) -> None:
        self.held, self._bytes, self._session = None, 0, session

    def forget_size(self) -> None:
        """Take the next ones even if they are as long as those held."""
        self._bytes = 0

    async def look(self, session: date) -> None:
        """Take the session's blob unless it is as long as the one held: the length spares fetching 15 MB at each look."""
        size = await self._bus.baselines_bytes(session)
        if size in (0, self._bytes):
            return
        blob = await self._bus.get_baselines(session)
        if blob is None:
            return
        try:
            baselines = await asyncio.to_thread(Baselines.from_arrow, blob)
        except StoreError as error:
            log.error("baselines_refused", reason=str(error))
            return
        if baselines.session != session or session != self._session:
            log.error("baselines_refused", reason=f"they serve {baselines.session}, the session is {self._session}")
            return
        self.held, self._bytes = baselines, len(blob)
        log.info("baselines_loaded", session=session.isoformat(), tickers=baselines.table.height, complete=baselines.complete)
