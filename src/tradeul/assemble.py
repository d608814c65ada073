"""Picks the concrete parts and starts them in order; ends them in the reverse order.

    folder, locks, ports -> clock -> bus -> simulator -> stores -> maintenance, live, scanner, gateway, api, HTTP of maintenance
                                                              `-> maintenance alone, for one run

The first part that fails ends all: loudly here, with one sentence on the
console. Nothing else knows concrete classes.
"""

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeAlias

import msgspec
import structlog

from tradeul import __version__
from tradeul.api.server import ApiServer
from tradeul.bus.embedded import EmbeddedServer
from tradeul.bus.redis import Bus
from tradeul.clock import Clock, SimulatedClock, SteppedClock, SystemClock
from tradeul.errors import StartError
from tradeul.gateway.server import GatewayServer
from tradeul.live.service import LiveService
from tradeul.maintenance.access import Access
from tradeul.maintenance.datasets import Schedule, Windows
from tradeul.maintenance.report import Status, status
from tradeul.maintenance.server import MaintenanceServer
from tradeul.maintenance.service import MaintenanceService
from tradeul.market_calendar import NEW_YORK, Calendar, nyse
from tradeul.ops import logs
from tradeul.ops.alarms import Alarms
from tradeul.ops.child import Child, end_orphan
from tradeul.ops.origins import page_origins, require_loopback
from tradeul.ops.start import free_port, sole_owner, usable_folder
from tradeul.ops.watchdog import LoopWatchdog
from tradeul.providers.http import HttpClient
from tradeul.providers.polygon.client import PolygonClient
from tradeul.providers.polygon.flat_files import PolygonFlatFiles
from tradeul.providers.polygon.probe import PolygonProbe
from tradeul.providers.polygon.stream import PolygonStream
from tradeul.providers.polygon.vendor import FEED_DELAY_SECONDS, Vendor, real_vendor, simulated_vendor
from tradeul.providers.polygon.vendor import VENDOR_REST as VENDOR_REST
from tradeul.records.entitlements import Mode
from tradeul.scanner.service import ScannerService
from tradeul.settings import Settings
from tradeul.store.catalog import Catalog
from tradeul.store.lake import Lake

FLAT_FILES_BUCKET = "flatfiles"
SIMULATED_SESSIONS_AHEAD = 250
PROBE_SECONDS = 20.0  # wall time that a start waits to learn what the key may ask

SIMULATOR, SIMULATOR_PID = "tradeul.simulator", "simulator.pid"
MAINTENANCE, ADDRESS = "maintenance", "maintenance.http"  # under locks/: who maintains the folder answers at the second
REAL_DATA = "vendor-data"  # this file in a state folder: it holds a real key's data

log = structlog.get_logger()


class Place(msgspec.Struct, frozen=True):
    """What every service of a run shares."""

    state: Path
    simulated: bool
    clock: Clock
    calendar: Calendar
    bus: Bus
    vendor: Vendor


class Running(msgspec.Struct, frozen=True):
    """What a started product tells the console."""

    bus: Bus
    clock: Clock
    calendar: Calendar
    mode: str
    page: str
    missing: tuple[str, ...] = ()  # what the key's plan lacks, each with its cost


Run: TypeAlias = Callable[[], Coroutine[object, object, None]]
Ready: TypeAlias = Callable[[Running], Coroutine[object, object, None]]


def is_simulated(settings: Settings, *, simulate: bool = False) -> bool:
    """Raises StartError: without a key, on a folder of real data, and the simulated market was not asked for."""
    if simulate or settings.vendor_key is not None:
        return simulate
    if (settings.state / REAL_DATA).exists():
        raise StartError(
            f"The state folder {settings.state} holds real market data but no vendor key is set: set MASSIVE_API_KEY, "
            "or give --simulate to run the simulated market beside it."
        )
    return True


def state_folder(settings: Settings, *, simulated: bool) -> Path:
    return settings.state / "simulated" if simulated else settings.state


@contextmanager
def claimed_state(
    settings: Settings, roles: Sequence[str], ports: Sequence[str], *, simulated: bool, fresh: bool = False
) -> Iterator[Path]:
    """The folder of this run, ours alone in these roles while the context lasts; the settings' ports are free."""
    require_loopback(settings.host)
    root = usable_folder(settings.state)
    with ExitStack() as stack:
        for role in roles:
            stack.enter_context(sole_owner(root, role))
        (root / "locks" / ADDRESS).unlink(missing_ok=True)
        end_orphan(root / "simulated" / SIMULATOR_PID, SIMULATOR)
        for setting in ports:
            free_port(settings.host, getattr(settings, setting), f"TRADEUL_{setting.upper()}")
        if not simulated:
            (root / REAL_DATA).touch()
        elif fresh:
            shutil.rmtree(root / "simulated", ignore_errors=True)
        yield usable_folder(state_folder(settings, simulated=simulated))


def simulated_clock(state: Path, settings: Settings, calendar: Calendar) -> SimulatedClock:
    """The simulated market's clock, kept in the state folder together with the market it belongs to.

    Raises:
        StartError: the folder holds another simulated market.
    """
    started_at = settings.simulator_start.replace(tzinfo=NEW_YORK)
    market = {
        "seed": settings.simulator_seed,
        "tickers": settings.simulator_tickers,
        "start": settings.simulator_start.isoformat(),
        "speed": settings.simulator_speed,
        "skip_closed": settings.simulator_skip_closed,
        "recording": str(settings.simulator_recording or ""),
    }
    kept = state / "market.json"
    if kept.exists() and msgspec.json.decode(kept.read_bytes()) != market:
        raise StartError(
            f"The folder {state} holds another simulated market than the TRADEUL_SIMULATOR_ settings ask for: "
            "give --fresh to forget it, or set TRADEUL_STATE to another folder."
        )
    kept.write_bytes(msgspec.json.encode(market))
    return SimulatedClock.resume_or_start(
        state / "clock.json",
        started_at,
        settings.simulator_speed,
        list(awake(calendar, started_at)) if settings.simulator_skip_closed else (),
    )


def awake(calendar: Calendar, started_at: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The hours worth living through: the turn of the session, and its trading with the evening's maintenance."""
    first = calendar.current_session(started_at)
    minute = timedelta(minutes=1)
    for session in calendar.between(first, calendar.sessions[-1])[:SIMULATED_SESSIONS_AHEAD]:
        hours = calendar.hours(session)
        yield hours.new_day_at - minute, hours.new_day_at + 2 * minute
        yield hours.pre_open_at - 2 * minute, hours.post_close_at + 30 * minute


def simulator(settings: Settings, state: Path) -> Child:
    """The simulated vendor as a child process; it reads its clock from the state folder."""
    arguments = ["--clock", str(state / "clock.json"), "--seed", str(settings.simulator_seed)]
    arguments += ["--tickers", str(settings.simulator_tickers), "--host", settings.host, "--port", str(settings.simulator_port)]
    if settings.simulator_recording is not None:
        arguments += ["--recording", str(settings.simulator_recording)]
    if settings.simulator_faults:
        arguments += ["--faults", settings.simulator_faults]
    return Child("simulator", SIMULATOR, arguments, state / SIMULATOR_PID)


async def up(settings: Settings, *, simulate: bool, fresh: bool, ready: Ready) -> None:
    """Run the whole product until cancelled; ``ready`` is told once the page is served.

    Raises:
        TradeulError, alone or in an ExceptionGroup: what stopped it.
    """
    simulated = is_simulated(settings, simulate=simulate)
    ports = ["api_port", "gateway_port", "maintenance_port", *(["simulator_port"] if simulated else [])]
    with claimed_state(settings, (MAINTENANCE, "scanner"), ports, simulated=simulated, fresh=fresh) as state:
        logs.configure(settings.state / "logs", terminal=sys.stderr.isatty())
        async with AsyncExitStack() as stack:
            place, runs = await start_borders(settings, state, stack, simulated=simulated)
            await run_services(settings, place, runs, stack, ready)


async def start_borders(settings: Settings, state: Path, stack: AsyncExitStack, *, simulated: bool) -> tuple[Place, list[Run]]:
    """Clock, bus and vendor, up and answering; and what must run on for them."""
    calendar = nyse()
    clock: Clock = simulated_clock(state, settings, calendar) if simulated else SystemClock()
    runs: list[Run] = []
    starts: list[Run] = []
    redis_url = settings.redis_url
    if redis_url is None:
        server = EmbeddedServer(state, clock)
        redis_url = server.url
        stack.push_async_callback(server.stop)
        starts.append(server.start)
        runs.append(server.run)
    if simulated:
        child = simulator(settings, state)
        stack.push_async_callback(child.stop)
        starts.append(child.start)
        runs.append(child.run)
    await asyncio.gather(*(start() for start in starts))
    vendor = simulated_vendor(settings.host, child.ready["port"]) if simulated else real_vendor(settings, settings.vendor_key or "")
    bus = Bus(redis_url, clock)
    stack.push_async_callback(bus.close)
    return Place(state, simulated, clock, calendar, bus, vendor), runs


class Stores(msgspec.Struct, frozen=True):
    """What maintenance is built on, and what of it others use too."""

    catalog: Catalog
    http: HttpClient
    maintenance: MaintenanceService
    access: Access


def windows_of(settings: Settings) -> Windows:
    lengths = settings.daily_sessions, settings.slot_sessions, settings.rvol_sessions
    return Windows(*lengths, settings.maintenance_at, settings.final_at, settings.new_day_at, settings.reference_tickers)


def catalog_url(state: Path) -> str:
    return f"sqlite:///{state / 'catalog.db'}"


async def open_stores(
    settings: Settings, place: Place, stack: AsyncExitStack, gateway_address: Callable[[], str | None] = lambda: None
) -> Stores:
    lake = Lake(place.state / "lake", __version__, place.simulated)
    catalog = await asyncio.to_thread(Catalog, catalog_url(place.state))
    http = HttpClient(place.clock, settings.requests_per_minute, settings.concurrency, place.vendor.key)
    await stack.enter_async_context(http)
    market = PolygonClient(http, place.vendor.rest)
    files = PolygonFlatFiles(place.clock, place.vendor.files, FLAT_FILES_BUCKET, place.vendor.files_key, place.vendor.files_secret)
    access = await known_access(settings, place, http, files)
    parts = market, files, lake, catalog, place.bus, place.clock, place.calendar
    alarms = Alarms(place.state / "alarms.json", settings.notify, settings.heartbeat_url)
    maintenance = MaintenanceService(*parts, access.windows, gateway_address, access, alarms)

    def adopt() -> None:
        http.limit_to(access.per_minute)
        maintenance.adopt(access.windows)

    access.on_change(adopt)
    return Stores(catalog, http, maintenance, access)


async def known_access(settings: Settings, place: Place, http: HttpClient, files: PolygonFlatFiles) -> Access:
    """What the key may ask, as far as the vendor says in time. The simulated market is not asked.

    Raises:
        Unauthorized: the vendor refuses the key.
    """
    probe = None if place.simulated else PolygonProbe(http, place.vendor.rest, files)
    chosen = "requests_per_minute" in settings.model_fields_set
    parts = place.bus, place.clock, place.calendar, windows_of(settings), settings.requests_per_minute
    access = Access(probe, *parts, chosen=chosen)
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            await access.look()
    except TimeoutError:
        log.warning("entitlements_not_known", waited_seconds=PROBE_SECONDS)
    return access


async def run_services(settings: Settings, place: Place, runs: list[Run], stack: AsyncExitStack, ready: Ready) -> None:
    bus, clock, calendar, vendor = place.bus, place.clock, place.calendar, place.vendor
    watchdog = LoopWatchdog()
    gateways: list[str] = []  # where it answers, once it does
    stores = await open_stores(settings, place, stack, lambda: next(iter(gateways), None))
    catalog, maintenance, access = stores.catalog, stores.maintenance, stores.access
    mode = access.mode
    is_late = mode is Mode.DELAYED
    at = settings.host, settings.maintenance_port
    maintenance_http = MaintenanceServer(maintenance, bus, stores.http, clock, mode, *at, watchdog)
    # What live asks is not held up by the bulk loads of the same key.
    live_market = PolygonClient(stores.http, vendor.rest, bulk=False)
    stream = PolygonStream(clock, vendor.delayed_stream if is_late else vendor.stream, vendor.key)
    delay = FEED_DELAY_SECONDS if is_late else 0.0
    live = LiveService(live_market, stream, bus, clock, calendar, mode, delay, access.stream_refused)
    epoch = await asyncio.to_thread(catalog.next_epoch)
    scanner = ScannerService(
        live.frame, bus, clock, calendar, mode, epoch, settings.state / "lists", settings.cycle_seconds, catalog.next_epoch
    )
    origins: set[str] = set()  # looked at on every call
    gateway = GatewayServer(bus, clock, calendar, mode, settings.host, settings.gateway_port, origins, watchdog)
    async with asyncio.TaskGroup() as group:
        for run in (*runs, watchdog.run, maintenance.run, maintenance_http.run, live.run, scanner.run, gateway.run):
            group.create_task(run())
        await maintenance_http.started.wait()
        stack.enter_context(told_address(settings, maintenance_http.port))
        await gateway.started.wait()
        gateways.append(http_address(settings.host, gateway.port))
        api = ApiServer(bus, clock, calendar, mode, settings.host, settings.api_port, gateway.port, watchdog)
        access.on_change(lambda: show_mode(access.mode, live, scanner, maintenance_http, api))
        group.create_task(api.run())
        await api.started.wait()
        origins |= page_origins(api.port)
        await ready(Running(bus, clock, calendar, access.mode, f"http://{settings.host}:{api.port}/", access.missing))


def show_mode(mode: Mode, *services: LiveService | ScannerService | MaintenanceServer | ApiServer) -> None:
    """The gateway follows what live says."""
    for service in services:
        service.mode = mode


def http_address(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def told_address(settings: Settings, port: int) -> Iterator[None]:
    """Where maintenance answers stands in the state folder: commands of the same folder find it there, whatever the port."""
    path = settings.state / "locks" / ADDRESS
    path.write_text(http_address(settings.host, port))
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def maintenance_address(settings: Settings) -> str | None:
    """Where the maintenance of this folder said that it answers; it may be gone since."""
    path = settings.state / "locks" / ADDRESS
    return path.read_text() if path.exists() else None


@asynccontextmanager
async def maintenance_alone(settings: Settings) -> AsyncIterator[MaintenanceService]:
    """Maintenance in this process, without its wake-ups.

    Raises:
        FolderInUse: another process maintains the folder.
    """
    simulated = is_simulated(settings)
    # Nobody else asks this simulator, so any port does.
    settings = settings.model_copy(update={"simulator_port": 0})
    with claimed_state(settings, (MAINTENANCE,), (), simulated=simulated) as state:
        logs.configure(settings.state / "logs", terminal=sys.stderr.isatty())
        async with AsyncExitStack() as stack:
            place, runs = await start_borders(settings, state, stack, simulated=simulated)
            stores = await open_stores(settings, place, stack)
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(run()) for run in runs]
                async with stores.maintenance.on_demand():
                    yield stores.maintenance
                for task in tasks:
                    task.cancel()


def standing(settings: Settings) -> Status:
    """What the ledger of the folder says, while nobody maintains it; nothing is changed."""
    simulated = is_simulated(settings)
    state, calendar = state_folder(settings, simulated=simulated), nyse()
    clock: Clock = SystemClock()
    if simulated:
        kept = state / "clock.json"
        started_at = settings.simulator_start.replace(tzinfo=NEW_YORK)
        clock = SimulatedClock.from_json(kept.read_text()) if kept.exists() else SteppedClock(started_at.astimezone(UTC))
    rows = Catalog(catalog_url(state)).ledger() if (state / "catalog.db").exists() else []
    ledger = {(row.dataset, row.session): row for row in rows}
    return status(ledger, Schedule(calendar, windows_of(settings)), clock.now(), "SIMULATED" if simulated else "LIVE")


async def simulate_alone(settings: Settings) -> None:
    """The simulated vendor alone, until cancelled; for other programs to be tried against."""
    require_loopback(settings.host)
    with sole_owner(usable_folder(settings.state), "simulator"):
        free_port(settings.host, settings.simulator_port, "TRADEUL_SIMULATOR_PORT")
        state = usable_folder(settings.state / "simulator-alone")
        simulated_clock(state, settings, nyse())
        child = simulator(settings, state)
        try:
            await child.start()
            print(f"The simulated vendor answers at http://{settings.host}:{child.ready['port']}", flush=True)  # noqa: T201
            await child.run()
        finally:
            await child.stop()
