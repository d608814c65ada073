"""The services, one function each: what runs of it, made from what the process shares. Starts nothing.

    Bench (settings, place, stores, vendor, who answers where) -> a part -> its port, what runs, who must know the mode

The whole product and one service alone are made here by the same functions.
"""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import NamedTuple

import msgspec

from tradeul.api.client import MaintenanceClient, SimulatorClient
from tradeul.api.history.past import Kept, Past
from tradeul.api.history.routes import HistoryRoutes
from tradeul.api.history.server import HistoryServer
from tradeul.api.layouts import LayoutRoutes
from tradeul.api.maintenance import MaintenanceRoutes
from tradeul.api.server import ApiServer
from tradeul.api.simulated import SimulatedRoutes
from tradeul.api.user_lists import UserListRoutes
from tradeul.assemble.borders import Asking, Place, Run, Stores, maintenance_of
from tradeul.assemble.filings import filings_of
from tradeul.assemble.scanner import Scanning
from tradeul.assemble.state import FILINGS, MAINTENANCE, SCANNER, http_address, maintenance_address, market_of
from tradeul.bus.claim import Claim
from tradeul.bus.redis import Bus
from tradeul.filings.routes import FilingsRoutes
from tradeul.filings.server import FilingsServer
from tradeul.gateway.server import GatewayServer
from tradeul.maintenance.server import MaintenanceServer
from tradeul.ops.callers import Callers
from tradeul.ops.http_service import Routes
from tradeul.ops.lead import lead
from tradeul.ops.standing import Answers
from tradeul.ops.watchdog import LoopWatchdog
from tradeul.records.entitlements import Mode
from tradeul.scanner.server import ScannerServer
from tradeul.settings import Settings
from tradeul.store.by_ticker import LOOK_SECONDS, ByTicker, Looked
from tradeul.store.filings import FilingsStore
from tradeul.store.layouts import LayoutStore
from tradeul.store.list_files import ListFiles

BUCKET_LOOK_SECONDS = 10.0  # a request for each dataset, which the answers behind it wait for
GATEWAY, HISTORICAL, API = "gateway", "historical", "api"


class Bench(msgspec.Struct, frozen=True):
    """What the services of a process share. ``stores`` and ``asking`` are there for those that say so in the table."""

    settings: Settings
    place: Place
    bus: Bus  # the place's, with patience: for services; who asks by HTTP is not made to wait
    callers: Callers
    watchdog: LoopWatchdog
    stack: AsyncExitStack
    stores: Stores | None
    asking: Asking | None
    catalog: Answers | None  # whether it answers
    history: HistoryRoutes | None  # one for the page and for the port of history: what was read once is not read twice
    ports: dict[str, int]  # of the services of this process, once they answer
    chosen: frozenset[str]

    @property
    def mode(self) -> Mode:
        """Who does not ask the vendor hears it from live."""
        if self.place.simulated:
            return Mode.SIMULATED
        return Mode.LIVE if self.asking is None else self.asking.access.mode

    def gateway(self) -> str | None:
        """Where the gateway answers now."""
        return self.settings.gateway_url or self._address(GATEWAY)

    def maintenance(self) -> str | None:
        if self.settings.maintenance_url is not None:
            return self.settings.maintenance_url
        told = None if MAINTENANCE in self.chosen else maintenance_address(self.settings)
        return told or self._address(MAINTENANCE)

    def _address(self, service: str) -> str | None:
        elsewhere = 0 if service in self.chosen else getattr(self.settings, f"{service}_port")
        port = self.ports.get(service, elsewhere)
        return http_address(self.settings.host, port) if port else None


Server = MaintenanceServer | ScannerServer | FilingsServer | GatewayServer | HistoryServer | ApiServer
Moded = Scanning | MaintenanceServer | HistoryServer | ApiServer | FilingsServer


class Part(NamedTuple):
    server: Server  # it is run, too
    runs: tuple[Run, ...]
    moded: tuple[Moded, ...]  # to be told of another mode; the gateway follows what live says
    missing: Callable[[], tuple[str, ...]] = tuple  # what does not come, for people


class Sole(NamedTuple):
    """What the one process that writes in a role writes on, how its work waits until it is that one, and whether it is."""

    bus: Bus
    run: Callable[[Run], Run]
    leads: Callable[[], bool]


def sole(at: Bench, role: str) -> Sole:
    """By a claim on the server; the embedded one has no others."""
    if at.settings.redis_url is None:
        return Sole(at.bus, lambda work: work, lambda: True)
    bus = at.bus.patient()
    at.stack.push_async_callback(bus.close)
    claim = Claim(bus, role, market_of(simulated=at.place.simulated), at.settings.state)
    return Sole(bus, lambda work: partial(lead, role, claim.held, work), lambda: claim.is_held)


async def maintenance(at: Bench) -> Part:
    assert at.stores is not None and at.asking is not None  # noqa: S101 the table
    service, leadership = maintenance_of(at.settings, at.place, at.bus, at.stores, at.asking, at.gateway)
    parts = at.mode, at.callers, at.settings.maintenance_port, at.watchdog, at.asking.files.statuses
    server = MaintenanceServer(service, at.place.bus, at.asking.http, at.place.clock, *parts, catalog=at.catalog)

    async def run() -> None:
        await (service.run() if leadership is None else leadership.lead(service.run))

    return Part(server, (run,), (server,))


async def scanner(at: Bench) -> Part:
    """With live: a frame of the market is not for a network."""
    assert at.stores is not None and at.asking is not None  # noqa: S101 the table
    writes = sole(at, SCANNER)
    server = ScannerServer(at.place.bus, at.mode, at.callers, at.settings.scanner_port, at.watchdog, catalog=at.catalog)
    scanning = Scanning(at.settings, at.place, at.stores, at.asking, writes.bus, server)
    return Part(server, (writes.run(scanning.run),), (scanning,))


async def filings(at: Bench) -> Part:
    assert at.stores is not None and at.asking is not None  # noqa: S101 the table
    writes = sole(at, FILINGS)
    beside = at.stack, at.mode, at.callers, at.watchdog, at.catalog, writes.leads
    service, server = await filings_of(at.settings, at.place, at.stores.catalog, at.asking.http, writes.bus, *beside)
    return Part(server, (writes.run(service.run),), (server,), lambda: tuple(service.trouble.values()))


async def gateway(at: Bench) -> Part:
    time = at.place.clock, at.place.calendar, at.mode
    return Part(GatewayServer(at.bus, *time, at.callers, at.settings.gateway_port, at.watchdog), (), ())


async def historical(at: Bench) -> Part:
    assert at.history is not None  # noqa: S101 the table
    asked = MaintenanceClient(at.maintenance, at.callers.credentials())
    of = at.mode, at.callers, at.settings.historical_port, at.watchdog
    server = HistoryServer(at.history, asked, *of, bus=at.place.bus.answers, catalog=at.catalog)
    return Part(server, (), (server,))


async def api(at: Bench) -> Part:
    """After the others: the page is told where the gateway answers."""
    assert at.stores is not None and at.history is not None  # noqa: S101 the table
    settings, place, catalog = at.settings, at.place, at.stores.catalog
    beside: list[Routes] = [at.history, FilingsRoutes(FilingsStore(catalog)), LayoutRoutes(LayoutStore(catalog))]
    beside += [MaintenanceRoutes(MaintenanceClient(at.maintenance, at.callers.credentials()))]
    beside += [UserListRoutes(place.bus, ListFiles(settings.state / "lists"))]
    beside += [SimulatedRoutes(SimulatorClient(place.vendor.rest, place.vendor.key))] if place.simulated else []
    time, socket = (place.clock, place.calendar, at.mode), at.ports.get(GATEWAY, settings.gateway_port)
    of = at.watchdog, settings.public_socket, beside
    server = ApiServer(place.bus, *time, at.callers, settings.api_port, socket, *of, catalog=at.catalog)
    return Part(server, (), (server,))


def history_routes(settings: Settings, place: Place, stores: Stores) -> HistoryRoutes:
    look_seconds = LOOK_SECONDS if settings.lake_url is None else BUCKET_LOOK_SECONDS
    rows, ledger = ByTicker(stores.lake, place.state, look_seconds=look_seconds), Looked(stores.catalog.ledger)
    kept = Kept(settings.daily_sessions, settings.slot_sessions, settings.rvol_sessions)
    return HistoryRoutes(Past(stores.lake, rows, ledger, place.calendar, place.clock, kept), place.bus.ask_for_minutes)


class Service(NamedTuple):
    make: Callable[[Bench], Awaitable[Part]]
    stores: bool  # it needs the catalog and the lake
    asks: bool  # it asks the vendor
    is_sole: bool  # one on a state folder


# In the order of their start: who listens comes before who speaks.
SERVICES = {
    SCANNER: Service(scanner, stores=True, asks=True, is_sole=True),
    MAINTENANCE: Service(maintenance, stores=True, asks=True, is_sole=True),
    FILINGS: Service(filings, stores=True, asks=True, is_sole=True),
    GATEWAY: Service(gateway, stores=False, asks=False, is_sole=False),
    HISTORICAL: Service(historical, stores=True, asks=False, is_sole=False),
    API: Service(api, stores=True, asks=False, is_sole=False),
}
ROLES = [name for name, service in SERVICES.items() if service.is_sole]  # of a whole product
