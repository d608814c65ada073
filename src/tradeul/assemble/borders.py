"""What services stand on: clock, bus, vendor (or the simulator child), lake, catalog, maintenance. None of the day's services."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TypeAlias

import msgspec
import structlog

from tradeul.assemble.state import (
    CLAIMED,
    MAINTENANCE,
    SIMULATOR,
    SIMULATOR_PID,
    callers_of,
    catalog_url,
    lake_of,
    market_of,
    simulated_clock,
    simulator_host,
)
from tradeul.bus.claim import holder, last_token, of_another_market, of_another_product
from tradeul.bus.cluster import bus_at
from tradeul.bus.connection import reached
from tradeul.bus.embedded import EmbeddedServer
from tradeul.bus.redis import Bus
from tradeul.clock import Clock, SystemClock
from tradeul.errors import StartError
from tradeul.maintenance.access import Access
from tradeul.maintenance.datasets import Windows
from tradeul.maintenance.engine import Engine
from tradeul.maintenance.service import MaintenanceService
from tradeul.market_calendar import Calendar, nyse
from tradeul.ops.alarms import Alarms
from tradeul.ops.child import Child
from tradeul.providers.http import HttpClient
from tradeul.providers.polygon.client import PolygonClient
from tradeul.providers.polygon.flat_files import PolygonFlatFiles, flat_files
from tradeul.providers.polygon.probe import PolygonProbe
from tradeul.providers.polygon.vendor import Vendor, real_vendor, simulated_vendor
from tradeul.settings import Settings
from tradeul.store.catalog import Catalog
from tradeul.store.disk import disk_of
from tradeul.store.lake import Lake
from tradeul.store.leadership import Leadership
from tradeul.store.timescale import Mirror

PROBE_SECONDS = 20.0  # wall time that a start waits to learn what the key may ask

log = structlog.get_logger()

Run: TypeAlias = Callable[[], Coroutine[object, object, None]]


class Place(msgspec.Struct, frozen=True):
    """What every service of a run shares."""

    state: Path
    simulated: bool
    clock: Clock
    calendar: Calendar
    bus: Bus
    vendor: Vendor


class Stores(msgspec.Struct, frozen=True):
    """What the state folder, or a database server, holds."""

    catalog: Catalog
    lake: Lake


class Asking(msgspec.Struct, frozen=True):
    """Whom a process asks with the vendor's key, and what the key may ask."""

    http: HttpClient
    files: PolygonFlatFiles
    access: Access


def simulator(settings: Settings, state: Path) -> Child:
    """The simulated vendor as a child process; it reads its clock from the state folder."""
    arguments = ["--clock", str(state / "clock.json"), "--seed", str(settings.simulator_seed)]
    arguments += ["--tickers", str(settings.simulator_tickers), "--host", simulator_host(settings), "--port", str(settings.simulator_port)]
    if settings.simulator_recording is not None:
        arguments += ["--recording", str(settings.simulator_recording)]
    if settings.simulator_edgar is not None:
        arguments += ["--edgar", str(settings.simulator_edgar)]
    if settings.simulator_faults:
        arguments += ["--faults", settings.simulator_faults]
    return Child("simulator", SIMULATOR, arguments, state / SIMULATOR_PID)


async def redis_there(settings: Settings, *, wait: bool = False) -> None:
    """Before anything is touched: return once the server, if one is set, takes commands; ``wait`` for one that is not there yet.

    Raises:
        StartError: it refuses us; or it is not there, and we do not wait.
    """
    if settings.redis_url is not None:
        await reached(settings.redis_url, SystemClock(), wait=wait)


async def refuse_others(settings: Settings, *, simulated: bool, is_whole: bool = False) -> None:
    """Before anything is touched: two markets on one server are refused, and so are two whole products.

    Raises:
        StartError: whose it is.
    """
    if settings.redis_url is None:
        return
    bus = await bus_at(settings.redis_url, SystemClock(), wait=not is_whole)
    try:
        for role in CLAIMED:
            other = await holder(bus, role)
            if other is None:
                continue
            if other.market != market_of(simulated=simulated):
                raise StartError(of_another_market(role, other))
            if is_whole and other.token != last_token(settings.state, role):
                raise StartError(of_another_product(role, other))
    finally:
        await bus.close()


async def start_borders(
    settings: Settings, state: Path, stack: AsyncExitStack, *, simulated: bool, invents: bool = True
) -> tuple[Place, list[Run]]:
    """Clock, bus and vendor, up and answering; and what must run on for them.

    ``invents``: the simulated vendor is ours to start; else another process's, on the settings' port.
    """
    calendar = nyse()
    clock: Clock = simulated_clock(state, settings, calendar) if simulated else SystemClock()
    runs: list[Run] = []
    starts: list[Run] = []
    if settings.redis_url is None:
        server = EmbeddedServer(state, clock)
        stack.push_async_callback(server.stop)
        starts.append(server.start)
        runs.append(server.run)
        bus = Bus(server.url, clock)
    else:
        bus = await bus_at(settings.redis_url, clock, wait=True)  # it answered `redis_there`: if it went since, it comes again
    stack.push_async_callback(bus.close)
    child: Child | None = None
    if simulated and invents:
        child = simulator(settings, state)
        stack.push_async_callback(child.stop)
        starts.append(child.start)
        runs.append(child.run)
    await asyncio.gather(*(start() for start in starts))
    if simulated:
        vendor = simulated_vendor(simulator_host(settings), child.ready["port"] if child else settings.simulator_port)
    else:
        vendor = real_vendor(settings, settings.vendor_key or "")
    return Place(state, simulated, clock, calendar, bus, vendor), runs


def windows_of(settings: Settings) -> Windows:
    lengths = settings.daily_sessions, settings.slot_sessions, settings.rvol_sessions
    times = settings.maintenance_at, settings.final_at, settings.new_day_at
    kept, mirror = (settings.keep_minute_bars, settings.keep_history), settings.database_url is not None
    return Windows(*lengths, *times, settings.reference_tickers, *kept, mirror=mirror)


async def open_stores(settings: Settings, place: Place) -> Stores:
    catalog = await asyncio.to_thread(Catalog, catalog_url(settings, simulated=place.simulated))
    return Stores(catalog, lake_of(settings, place.state, simulated=place.simulated))


async def ask_vendor(settings: Settings, place: Place, bus: Bus, stack: AsyncExitStack) -> Asking:
    """Raises Unauthorized: the vendor refuses the key."""
    http = HttpClient(place.clock, settings.requests_per_minute, settings.concurrency, place.vendor.key)
    await stack.enter_async_context(http)
    files = flat_files(place.clock, place.vendor)
    access = await known_access(settings, place, bus, http, files)
    access.on_change(lambda: http.limit_to(access.per_minute))
    return Asking(http, files, access)


def maintenance_of(
    settings: Settings,
    place: Place,
    bus: Bus,
    stores: Stores,
    asking: Asking,
    gateway_address: Callable[[], str | None] = lambda: None,
    engine: Engine | None = None,
) -> tuple[MaintenanceService, Leadership | None]:
    """The service, and what it must lead first; None: the folder's lock is enough."""
    url = catalog_url(settings, simulated=place.simulated)
    http, files, access = asking.http, asking.files, asking.access
    lake = stores.lake.guarded(stores.catalog.check_term)
    parts = PolygonClient(http, place.vendor.rest), files, lake, stores.catalog, bus, place.clock, place.calendar
    maintenance = MaintenanceService(
        *parts,
        access.windows,
        gateway_address,
        access,
        Alarms(place.state / "alarms.json", settings.notify, settings.heartbeat_url),
        callers_of(settings).credentials(),
        None if settings.database_url is None else Mirror(url, stores.catalog),
        requests=lambda: sum(http.statuses.values()) + sum(files.statuses.values()),
        disk=lambda: disk_of(place.state),
        engine=engine,
    )
    access.on_change(lambda: maintenance.adopt(access.windows))
    return maintenance, None if settings.database_url is None else Leadership(url, stores.catalog, MAINTENANCE)


async def known_access(settings: Settings, place: Place, bus: Bus, http: HttpClient, files: PolygonFlatFiles) -> Access:
    """What the key may ask, as far as the vendor says in time. The simulated market is not asked.

    Raises:
        Unauthorized: the vendor refuses the key.
    """
    probe = None if place.simulated else PolygonProbe(http, place.vendor.rest, files)
    chosen = "requests_per_minute" in settings.model_fields_set
    parts = bus, place.clock, place.calendar, windows_of(settings), settings.requests_per_minute
    access = Access(probe, *parts, chosen=chosen)
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            await access.look()
    except TimeoutError:
        log.warning("entitlements_not_known", waited_seconds=PROBE_SECONDS)
    return access
