"""Live and the scanner: on what they stand. They are made, as new, whenever this process is the one that writes the lists."""

import asyncio

from tradeul.assemble.borders import Asking, Place, Stores
from tradeul.bus.redis import Bus
from tradeul.errors import LeadLost, StoreError
from tradeul.live.last_close import Closes
from tradeul.live.service import LiveService
from tradeul.providers.polygon.client import PolygonClient
from tradeul.providers.polygon.stream import PolygonStream
from tradeul.providers.polygon.vendor import FEED_DELAY_SECONDS
from tradeul.records.entitlements import Mode
from tradeul.scanner.membership import Membership
from tradeul.scanner.server import ScannerServer
from tradeul.scanner.service import ScannerService
from tradeul.settings import Settings
from tradeul.store.membership_log import MembershipLog
from tradeul.store.tape import TapeFiles

SHORTEST_POLL_SECONDS = 5.0  # 8 MB each


class Scanning:
    """``mode`` may be changed at any time: of what runs now, and of what is made next."""

    def __init__(self, settings: Settings, place: Place, stores: Stores, asking: Asking, bus: Bus, server: ScannerServer) -> None:
        self._settings, self._place, self._stores, self._asking, self._bus = settings, place, stores, asking, bus
        self._server = server
        self._running: tuple[LiveService | ScannerService, ...] = ()

    @property
    def mode(self) -> str:
        return self._server.mode

    @mode.setter
    def mode(self, mode: str) -> None:
        for each in (self._server, *self._running):
            each.mode = mode

    async def run(self) -> None:
        live = self._live()
        scanner = await self._scanner(live)
        self._running, self._server.service = (live, scanner), scanner
        try:
            async with asyncio.TaskGroup() as group:
                for each in self._running:
                    group.create_task(each.run())
        finally:
            self._running, self._server.service = (), None

    def _live(self) -> LiveService:
        place, access, vendor, is_late = self._place, self._asking.access, self._place.vendor, self.mode == Mode.DELAYED
        delay = FEED_DELAY_SECONDS if is_late else 0.0
        # What live asks is not held up by the bulk loads of the same key.
        market = PolygonClient(self._asking.http, vendor.rest, bulk=False)
        stream = PolygonStream(place.clock, vendor.delayed_stream if is_late else vendor.stream, vendor.key, feed_delay_seconds=delay)
        poll = max(SHORTEST_POLL_SECONDS, 120 / access.per_minute)  # half of what the plan allows
        past = Closes(self._stores.lake, place.calendar), poll, TapeFiles(place.state / "tape", self._settings.keep_tape)
        return LiveService(market, stream, self._bus, place.clock, place.calendar, self.mode, delay, access.stream_refused, *past)

    async def _scanner(self, live: LiveService) -> ScannerService:
        settings, place, catalog = self._settings, self._place, self._stores.catalog
        try:
            epoch = await asyncio.to_thread(catalog.next_epoch, await self._epoch_told())
        except StoreError as error:  # who stands by may have another catalog; else we try again
            raise LeadLost(str(error)) from error
        membership = Membership(MembershipLog(place.state / "membership", self._stores.lake, settings.keep_membership))
        by = epoch, settings.state / "lists", settings.cycle_seconds, catalog.next_epoch, membership, live.recorded
        return ScannerService(live.frame, self._bus, place.clock, place.calendar, self.mode, *by)

    async def _epoch_told(self) -> int:
        """The highest on the bus: ours is above it, also when a scanner with another catalog wrote before us."""
        frames = [await self._bus.get_frame(each.name) for each in await self._bus.get_lists()]
        return max([frame.epoch for frame in frames if frame is not None], default=0)
