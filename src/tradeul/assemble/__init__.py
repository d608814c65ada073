"""Picks the concrete parts and starts them in order; ends them in the reverse order.

    state.py    folder, locks, ports -> clock
    borders.py  bus, simulator -> stores, maintenance
    filings.py  filings and news
    here        live, scanner, gateway, api, history, HTTP of maintenance
    alone.py    maintenance alone, for one run; the simulator alone

The first part that fails ends all: loudly here, with one sentence on the
console. Nothing else knows concrete classes.
"""

import asyncio
import sys
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import TypeAlias

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
from tradeul.assemble.borders import Place, Run, Stores, open_stores, start_borders
from tradeul.assemble.filings import filings_of
from tradeul.assemble.state import MAINTENANCE, callers_of, claimed_state, http_address, is_simulated, told_address
from tradeul.bus.redis import Bus
from tradeul.clock import Clock
from tradeul.filings.routes import FilingsRoutes
from tradeul.filings.server import FilingsServer
from tradeul.gateway.server import GatewayServer
from tradeul.live.last_close import Closes
from tradeul.live.service import LiveService
from tradeul.maintenance.server import MaintenanceServer
from tradeul.market_calendar import Calendar
from tradeul.ops import logs
from tradeul.ops.http_service import Routes
from tradeul.ops.memory import spare_what_stands
from tradeul.ops.watchdog import LoopWatchdog
from tradeul.providers.polygon.client import PolygonClient
from tradeul.providers.polygon.stream import PolygonStream
from tradeul.providers.polygon.vendor import FEED_DELAY_SECONDS
from tradeul.records.entitlements import Mode
from tradeul.scanner.membership import Membership
from tradeul.scanner.service import ScannerService
from tradeul.settings import Settings
from tradeul.store.by_ticker import ByTicker, Looked
from tradeul.store.filings import FilingsStore
from tradeul.store.layouts import LayoutStore
from tradeul.store.list_files import ListFiles
from tradeul.store.membership_log import MembershipLog
from tradeul.store.tape import TapeFiles

SHORTEST_POLL_SECONDS = 5.0  # 8 MB each


class Running(msgspec.Struct, frozen=True):
    """What a started product tells the console."""

    bus: Bus
    clock: Clock
    calendar: Calendar
    mode: str
    page: str
    missing: tuple[str, ...] = ()  # what the key's plan lacks, each with its cost


# The loop lets go of the interpreter at each send and receive; a thread of bulk work then keeps it for so long, not for Python's 5 ms.
SWITCH_SECONDS = 0.001

Ready: TypeAlias = Callable[[Running], Coroutine[object, object, None]]


async def up(settings: Settings, *, simulate: bool, fresh: bool, ready: Ready) -> None:
    """Run the whole product until cancelled; ``ready`` is told once the page is served.

    Raises:
        TradeulError, alone or in an ExceptionGroup: what stopped it.
    """
    simulated = is_simulated(settings, simulate=simulate)
    ports = ["api_port", "filings_port", "gateway_port", "maintenance_port", "historical_port"]
    ports += ["simulator_port"] if simulated else []
    with claimed_state(settings, (MAINTENANCE, "scanner", "filings"), ports, simulated=simulated, fresh=fresh) as state:
        logs.configure(settings.state / "logs", terminal=sys.stderr.isatty())
        async with AsyncExitStack() as stack:
            place, runs = await start_borders(settings, state, stack, simulated=simulated)
            await run_services(settings, place, runs, stack, ready)


async def run_services(settings: Settings, place: Place, runs: list[Run], stack: AsyncExitStack, ready: Ready) -> None:
    bus, clock, calendar, vendor = place.bus, place.clock, place.calendar, place.vendor
    watchdog, callers = LoopWatchdog(), callers_of(settings)
    sys.setswitchinterval(SWITCH_SECONDS)
    gateways: list[str] = []  # where it answers, once it does
    stores = await open_stores(settings, place, stack, lambda: next(iter(gateways), None))
    catalog, maintenance, access = stores.catalog, stores.maintenance, stores.access
    mode = access.mode
    is_late = mode is Mode.DELAYED
    at = callers, settings.maintenance_port
    maintenance_http = MaintenanceServer(maintenance, bus, stores.http, clock, mode, *at, watchdog, stores.files.statuses)
    history = history_routes(settings, place, stores)
    maintainer: list[str] = []  # likewise
    maintenance_client = MaintenanceClient(lambda: next(iter(maintainer), None), callers.credentials())
    historical = HistoryServer(history, maintenance_client, mode, callers, settings.historical_port, watchdog)
    # What live asks is not held up by the bulk loads of the same key.
    live_market = PolygonClient(stores.http, vendor.rest, bulk=False)
    delay = FEED_DELAY_SECONDS if is_late else 0.0
    stream = PolygonStream(clock, vendor.delayed_stream if is_late else vendor.stream, vendor.key, feed_delay_seconds=delay)
    poll = max(SHORTEST_POLL_SECONDS, 120 / access.per_minute)  # half of what the plan allows
    past = Closes(stores.lake, calendar), poll, TapeFiles(place.state / "tape", settings.keep_tape)
    live = LiveService(live_market, stream, bus, clock, calendar, mode, delay, access.stream_refused, *past)
    epoch = await asyncio.to_thread(catalog.next_epoch)
    membership = Membership(MembershipLog(place.state / "membership", stores.lake, settings.keep_membership))
    by = settings.state / "lists", settings.cycle_seconds, catalog.next_epoch, membership, live.recorded
    scanner = ScannerService(live.frame, bus, clock, calendar, mode, epoch, *by)
    filings, filings_http = await filings_of(settings, place, stores, stack, mode, callers, watchdog)
    gateway = GatewayServer(bus, clock, calendar, mode, callers, settings.gateway_port, watchdog)
    async with asyncio.TaskGroup() as group:
        group.create_task(maintenance.run() if stores.lead is None else stores.lead.lead(maintenance.run))
        for service in (watchdog, maintenance_http, live, scanner, gateway, historical, filings, filings_http):
            group.create_task(service.run())
        for run in runs:
            group.create_task(run())
        await maintenance_http.started.wait()
        maintainer.append(http_address(settings.host, maintenance_http.port))
        stack.enter_context(told_address(settings, maintenance_http.port))
        await gateway.started.wait()
        gateways.append(http_address(settings.host, gateway.port))
        beside: list[Routes] = [history, FilingsRoutes(FilingsStore(catalog)), LayoutRoutes(LayoutStore(catalog))]
        beside += [MaintenanceRoutes(maintenance_client), UserListRoutes(bus, ListFiles(settings.state / "lists"))]
        beside += [SimulatedRoutes(SimulatorClient(vendor.rest, vendor.key))] if place.simulated else []
        api = ApiServer(bus, clock, calendar, mode, callers, settings.api_port, gateway.port, watchdog, settings.public_socket, beside)
        access.on_change(lambda: show_mode(access.mode, live, scanner, maintenance_http, historical, api, filings_http))
        group.create_task(api.run())
        await api.started.wait()
        callers.page_ports.add(api.port)
        spare_what_stands()
        missing = (*access.missing, *filings.trouble.values())
        await ready(Running(bus, clock, calendar, access.mode, f"http://{settings.host}:{api.port}/", missing))


def history_routes(settings: Settings, place: Place, stores: Stores) -> HistoryRoutes:
    rows, ledger = ByTicker(stores.lake, place.state), Looked(stores.catalog.ledger)
    kept = Kept(settings.daily_sessions, settings.slot_sessions, settings.rvol_sessions)
    return HistoryRoutes(Past(stores.lake, rows, ledger, place.calendar, place.clock, kept), place.bus.ask_for_minutes)


def show_mode(mode: Mode, *services: LiveService | ScannerService | MaintenanceServer | HistoryServer | ApiServer | FilingsServer) -> None:
    """The gateway follows what live says."""
    for service in services:
        service.mode = mode
