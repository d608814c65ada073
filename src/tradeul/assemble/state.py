"""The state folder of a run: whose it is, which market it holds, its clock, and where others find who maintains it. Starts nothing."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from tradeul import __version__
from tradeul.clock import SimulatedClock
from tradeul.errors import StartError
from tradeul.market_calendar import NEW_YORK, Calendar
from tradeul.ops.callers import LOOPBACK, Callers
from tradeul.ops.child import end_orphan
from tradeul.ops.start import free_port, sole_owner, usable_folder
from tradeul.settings import Settings
from tradeul.store.backups import check_whole
from tradeul.store.catalog import Catalog
from tradeul.store.databases import drop_schema, form_of, in_schema
from tradeul.store.lake import Lake
from tradeul.store.lake_objects import Bucket, Objects
from tradeul.store.lake_objects import check as check_bucket
from tradeul.store.lake_objects import clear as clear_bucket

SIMULATED_SESSIONS_AHEAD = 250
SIMULATOR, SIMULATOR_PID = "tradeul.simulator", "simulator.pid"
SIMULATED = "simulated"  # the folder, also in a bucket, and the schema on a server
REAL = "real"
LAKE, COPIES = "lake", "lake-copies"
MAINTENANCE, ADDRESS = "maintenance", "maintenance.http"  # under locks/: who maintains the folder answers at the second
SCANNER, FILINGS = "scanner", "filings"
CLAIMED = SCANNER, FILINGS  # one writes on a Redis of `TRADEUL_REDIS_URL`
LAKE_WRITERS = frozenset({MAINTENANCE, SCANNER})
REAL_DATA = "vendor-data"  # this file in a state folder: it holds a real key's data


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


def market_of(*, simulated: bool) -> str:
    """As a claim on the bus names it."""
    return SIMULATED if simulated else REAL


def state_folder(settings: Settings, *, simulated: bool) -> Path:
    return settings.state / SIMULATED if simulated else settings.state


def lake_folder(settings: Settings, *, simulated: bool) -> Path:
    return state_folder(settings, simulated=simulated) / LAKE


@contextmanager
def claimed_state(
    settings: Settings, roles: Sequence[str], ports: Sequence[str], *, simulated: bool, fresh: bool = False, stores: bool = True
) -> Iterator[Path]:
    """The folder of this run, ours alone in these roles while the context lasts; the settings' ports are free.

    ``stores``: whether catalog and lake are used. Raises what makes it impossible, before anything is touched.
    """
    callers_of(settings)
    if stores and settings.database_url is not None:
        form_of(catalog_url(settings, simulated=simulated))
    bucket, writes_lake = bucket_of(settings, simulated=simulated), not LAKE_WRITERS.isdisjoint(roles)
    if stores and bucket is not None:
        check_bucket(bucket, writes=writes_lake)
    root = usable_folder(settings.state)
    with ExitStack() as stack:
        (root / "locks").mkdir(exist_ok=True)
        for role in roles:
            stack.enter_context(sole_owner(root, role))
        check_whole(root)
        if stores and not fresh and (catalog := catalog_file(settings, simulated=simulated)).exists() and settings.database_url is None:
            form_of(f"sqlite:///{catalog}")
        if writes_lake:
            usable_folder(lake_folder(settings, simulated=simulated), "lake")
        if MAINTENANCE in roles:  # the simulated vendor is its child
            (root / "locks" / ADDRESS).unlink(missing_ok=True)
            end_orphan(root / SIMULATED / SIMULATOR_PID, SIMULATOR)
        for setting in ports:
            free_port(settings.host, getattr(settings, setting), f"TRADEUL_{setting.upper()}")
        if not simulated:
            (root / REAL_DATA).touch()
        elif fresh:
            shutil.rmtree(root / SIMULATED, ignore_errors=True)
            if settings.database_url is not None:
                drop_schema(settings.database_url, SIMULATED)
            if bucket is not None:
                clear_bucket(bucket)
        yield usable_folder(state_folder(settings, simulated=simulated))


def catalog_url(settings: Settings, *, simulated: bool) -> str:
    """On a server the simulated market has a schema of its own, as it has a folder."""
    if settings.database_url is None:
        return f"sqlite:///{catalog_file(settings, simulated=simulated)}"
    return in_schema(settings.database_url, SIMULATED) if simulated else settings.database_url


def bucket_of(settings: Settings, *, simulated: bool) -> Bucket | None:
    """Where the lake's partitions are; None: in the state folder. The simulated market's lie in a folder of their own."""
    if settings.lake_url is None:
        return None
    keys = settings.lake_key or "", settings.lake_secret or ""
    bucket = Bucket(settings.lake_url, *keys, settings.lake_endpoint, settings.lake_region)
    return bucket.within(SIMULATED) if simulated else bucket


def lake_of(settings: Settings, state: Path, *, simulated: bool) -> Lake:
    """``state``: of that market. What is half done is kept in it, and copies of what a bucket holds."""
    bucket = bucket_of(settings, simulated=simulated)
    return Lake(state / LAKE, __version__, simulated, None if bucket is None else Objects(bucket, state / COPIES))


def standing_catalog_url(settings: Settings, *, simulated: bool) -> str | None:
    """None: there is no catalog yet."""
    there = settings.database_url is not None or catalog_file(settings, simulated=simulated).exists()
    return catalog_url(settings, simulated=simulated) if there else None


@contextmanager
def standing_catalog(settings: Settings, *, simulated: bool) -> Iterator[Catalog | None]:
    """The folder's catalog, while another process may run on it; None: there is none yet.

    Raises:
        StoreError: it cannot be read.
    """
    url = standing_catalog_url(settings, simulated=simulated)
    if url is None:
        yield None
        return
    with closing(Catalog(url)) as catalog:
        yield catalog


def catalog_file(settings: Settings, *, simulated: bool) -> Path:
    return state_folder(settings, simulated=simulated) / "catalog.db"


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
    draft = state / f"market.{os.getpid()}.tmp"  # others may start at once, and read it
    draft.write_bytes(msgspec.json.encode(market))
    draft.replace(kept)
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


def callers_of(settings: Settings) -> Callers:
    """Raises SettingsError: other machines would be served without a token."""
    return Callers(settings.host, settings.token, settings.allowed_hosts, settings.allowed_origins)


def simulator_host(settings: Settings) -> str:
    """The simulated vendor knows no tokens, so it is for this machine only."""
    return settings.host if settings.host in LOOPBACK else LOOPBACK[0]


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
