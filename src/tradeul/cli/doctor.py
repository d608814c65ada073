"""``tradeul doctor``: looks at all that the product stands on, changes nothing of it, and says what to do.

Without a vendor key nobody outside this machine is asked.
"""

import asyncio
import shutil
import sys
from collections.abc import Sequence
from contextlib import closing
from enum import IntEnum
from pathlib import Path

import aiohttp
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tradeul.assemble.borders import redis_there, refuse_others, windows_of
from tradeul.assemble.filings import NO_CONTACT
from tradeul.assemble.state import REAL_DATA, bucket_of, is_simulated, lake_folder, standing_catalog_url
from tradeul.bus.embedded import server_binary
from tradeul.cli.maintenance import There, running_maintenance
from tradeul.clock import SystemClock
from tradeul.errors import NotEntitled, ProviderError, StartError, StoreError, Unauthorized
from tradeul.maintenance.access import FILED_SESSIONS_AGO
from tradeul.maintenance.entitlements import missing, mode_of, requests_per_minute
from tradeul.market_calendar import nyse
from tradeul.ops.start import free_port, usable_folder
from tradeul.providers.http import HttpClient
from tradeul.providers.polygon.client import PolygonClient
from tradeul.providers.polygon.flat_files import flat_files
from tradeul.providers.polygon.probe import PolygonProbe
from tradeul.providers.polygon.vendor import VENDOR_REST, real_vendor
from tradeul.settings import Settings
from tradeul.store.catalog import Catalog
from tradeul.store.databases import SETTING as DATABASE_SETTING
from tradeul.store.databases import form_of
from tradeul.store.lake_objects import check as check_bucket

GIGABYTE = 1 << 30
# The windows hold about half a gigabyte; a backfill and the tape some more.
LITTLE_DISK_BYTES, LEAST_DISK_BYTES = 5 * GIGABYTE, 1 * GIGABYTE
LARGEST_SKEW_SECONDS = 2.0
PORT_SECONDS = 1.0

PLAN_SECONDS = 5.0  # a person waits


class Grade(IntEnum):
    """Also the exit code."""

    ok = 0
    warning = 1
    failure = 2


class Finding(msgspec.Struct, frozen=True):
    about: str
    grade: Grade
    says: str
    remedy: str = ""


async def doctor(settings: Settings, *, json: bool) -> int:
    findings = await examine(settings)
    worst = max(finding.grade for finding in findings)
    if json:
        body = {"worst": worst.name, "findings": [msgspec.structs.asdict(each) | {"grade": each.grade.name} for each in findings]}
        sys.stdout.write(msgspec.json.encode(body).decode() + "\n")
    else:
        show(findings)
    return worst


def show(findings: Sequence[Finding]) -> None:
    table = Table("", "about", "says", "what to do")
    styles = {Grade.ok: ("✓", "green"), Grade.warning: ("!", "yellow"), Grade.failure: ("✗", "red")}
    for each in findings:
        mark, style = styles[each.grade]
        table.add_row(Text(mark, style=style), *(Text(words) for words in (each.about, each.says, each.remedy)))
    Console().print(table)


async def examine(settings: Settings) -> list[Finding]:
    try:
        simulated = is_simulated(settings)
    except StartError as error:
        return [Finding("mode", Grade.failure, str(error), "set MASSIVE_API_KEY, or start with --simulate")]
    there = await running_maintenance(settings)
    # At once: a server that says nothing costs seconds, and a person waits.
    asked = asyncio.to_thread(_folder, settings, simulated=simulated), asyncio.to_thread(_lake, settings, simulated=simulated)
    folder, lake, bus = await asyncio.gather(*asked, _bus(settings, simulated=simulated))
    findings = [_running(settings, there), *folder, lake, bus]
    if simulated:
        says = "SIMULATED: no vendor key is set; nobody outside this machine is asked"
        findings += [Finding("mode", Grade.ok, says, "for the real market set MASSIVE_API_KEY"), _clock(None)]
    else:
        findings += [*await _vendor(settings, settings.vendor_key or ""), _sec(settings)]
    return [*findings, *await _ports(settings, simulated=simulated, running=there is not None)]


def _running(settings: Settings, there: There | None) -> Finding:
    if there is None:
        return Finding("program", Grade.ok, "no Tradeul answers on this folder", "`tradeul up` starts it")
    return Finding("program", Grade.ok, f"runs on {settings.state}; its maintenance answers at {there.address}")


def _folder(settings: Settings, *, simulated: bool) -> list[Finding]:
    folder = settings.state
    try:
        usable_folder(folder)
    except StartError as error:
        return [Finding("state folder", Grade.failure, str(error), "set TRADEUL_STATE to a folder that can be written")]
    free = shutil.disk_usage(folder).free
    grade = Grade.ok if free >= LITTLE_DISK_BYTES else Grade.warning if free >= LEAST_DISK_BYTES else Grade.failure
    remedy = "" if grade is Grade.ok else "make room, or set TRADEUL_STATE to a folder on a larger disk"
    kinds = [kind for kind, there in (("real", (folder / REAL_DATA).exists()), ("simulated", (folder / "simulated").exists())) if there]
    return [
        Finding("state folder", Grade.ok, f"{folder} can be written; it holds {' and '.join(kinds) or 'no'} data"),
        Finding("disk", grade, f"{free / GIGABYTE:,.1f} GB free", remedy),
        _catalog(settings, simulated=simulated),
    ]


def _catalog(settings: Settings, *, simulated: bool) -> Finding:
    url = standing_catalog_url(settings, simulated=simulated)
    if url is None:
        return Finding("catalog", Grade.ok, "SQLite in the state folder, to be made at the first start")
    place, remedy = "SQLite in the state folder", "restore it from a backup; without it everything is loaded anew"
    if settings.database_url is not None:
        place, remedy = f"the server of {DATABASE_SETTING}", f"correct {DATABASE_SETTING}, or see to that server"
    try:
        standing, ours = form_of(url)
        if standing != ours:  # opened, it would be changed
            will = "to be made" if standing is None else f"of an earlier version (form {standing}), to be changed"
            return Finding("catalog", Grade.ok, f"{place}, {will} at the first start")
        with closing(Catalog(url)) as catalog:
            partitions = len(catalog.ledger())
    except StoreError as error:
        return Finding("catalog", Grade.failure, str(error), remedy)
    return Finding("catalog", Grade.ok, f"{place}: {partitions:,} partitions in the ledger")


def _lake(settings: Settings, *, simulated: bool) -> Finding:
    """What a bucket is tried with is taken away again."""
    bucket, folder = bucket_of(settings, simulated=simulated), lake_folder(settings, simulated=simulated)
    try:
        if bucket is not None:
            check_bucket(bucket, writes=True)
            return Finding("lake", Grade.ok, f"{bucket.url} can be read and written")
        if not folder.exists():
            return Finding("lake", Grade.ok, "to be made by the first run of maintenance")
        usable_folder(folder, "lake")
    except StoreError as error:
        return Finding("lake", Grade.failure, str(error), "correct the setting; docs/servers.md says what to grant")
    except StartError as error:
        return Finding("lake", Grade.failure, str(error), "make it writable, or set TRADEUL_STATE to another folder")
    return Finding("lake", Grade.ok, f"{folder} can be written")


async def _bus(settings: Settings, *, simulated: bool) -> Finding:
    if settings.redis_url is None:
        try:
            return Finding("bus", Grade.ok, f"embedded: {Path(await asyncio.to_thread(server_binary)).name}")
        except StartError as error:
            return Finding("bus", Grade.failure, str(error), "install redis-server, or set TRADEUL_REDIS_URL")
    try:
        await redis_there(settings)
        await refuse_others(settings, simulated=simulated)
    except StartError as error:
        return Finding("bus", Grade.failure, str(error), "correct TRADEUL_REDIS_URL, or unset it: then ours is used")
    return Finding("bus", Grade.ok, "the server of TRADEUL_REDIS_URL answers")


async def _vendor(settings: Settings, key: str) -> list[Finding]:
    """The key, what its plan includes, and the clock; by a handful of requests."""
    address = settings.vendor_rest or VENDOR_REST
    async with HttpClient(SystemClock(), settings.requests_per_minute, settings.concurrency, key) as http:
        try:
            await PolygonClient(http, address).closures()
            found = Finding("mode", Grade.ok, f"the vendor at {address} knows the key")
        except Unauthorized as error:
            return [Finding("mode", Grade.failure, str(error), "correct MASSIVE_API_KEY"), _clock(http.clock_ahead_seconds)]
        except NotEntitled as error:
            found = Finding("mode", Grade.warning, str(error), "see which plan the key belongs to")
        except ProviderError as error:
            found = Finding("mode", Grade.failure, str(error), "see to the network, then to the vendor's status page")
            return [found, _clock(http.clock_ahead_seconds)]
        return [found, *await _entitlements(settings, http, address), _clock(http.clock_ahead_seconds)]


async def _entitlements(settings: Settings, http: HttpClient, address: str) -> list[Finding]:
    """The mode that the key makes, and what each missing entitlement costs."""
    calendar, clock, vendor = nyse(), SystemClock(), real_vendor(settings, "")
    files = flat_files(clock, vendor)
    session = calendar.before(calendar.current_session(clock.now()), FILED_SESSIONS_AGO)[0]
    try:
        async with asyncio.timeout(PLAN_SECONDS):
            had = await PolygonProbe(http, address, files).entitlements(session)
    except TimeoutError:
        return [Finding("plan", Grade.warning, f"no clear answer within {PLAN_SECONDS:.0f} s on what it includes", "try again later")]
    except Unauthorized as error:
        return [Finding("plan", Grade.failure, str(error), "correct MASSIVE_API_KEY")]
    per_minute = requests_per_minute(had, settings.requests_per_minute, chosen="requests_per_minute" in settings.model_fields_set)
    lacks = missing(had, windows_of(settings), per_minute)
    mode = Finding("plan", Grade.ok, f"it makes the mode {mode_of(had)}; the stream is judged when Tradeul runs")
    return [mode, *(Finding("plan", Grade.warning, sentence, "a larger plan has it") for sentence in lacks)]


def _sec(settings: Settings) -> Finding:
    if settings.sec_contact is None:
        return Finding("filings", Grade.warning, NO_CONTACT, "set TRADEUL_SEC_CONTACT")
    return Finding("filings", Grade.ok, f"the SEC is asked, as {settings.sec_contact}")


def _clock(ahead_seconds: float | None) -> Finding:
    """This machine's clock: inside the calendar, and near the vendor's."""
    now, sessions = SystemClock().now(), nyse().sessions
    if not sessions[0] <= now.date() <= sessions[-1]:
        says = f"it is {now:%Y-%m-%d}; the calendar goes from {sessions[0]} to {sessions[-1]}"
        return Finding("clock", Grade.failure, says, "set the clock, or install a newer Tradeul")
    says = f"{now:%Y-%m-%d %H:%M:%S} UTC"
    if ahead_seconds is None:
        return Finding("clock", Grade.ok, says)
    skew = ahead_seconds - 0.5  # their date is in whole seconds
    if abs(skew) > LARGEST_SKEW_SECONDS:
        remedy = "let the machine take its time from the network (NTP)"
        return Finding("clock", Grade.warning, f"{says}: {skew:+.0f} s off the vendor's", remedy)
    return Finding("clock", Grade.ok, f"{says}, as the vendor's")


async def _ports(settings: Settings, *, simulated: bool, running: bool) -> list[Finding]:
    names = ["api_port", "filings_port", "gateway_port", "maintenance_port", "historical_port", "scanner_port"]
    names += ["simulator_port"] if simulated and not running else []
    return [await _port(settings, name) for name in names]


async def _port(settings: Settings, name: str) -> Finding:
    port, setting = getattr(settings, name), f"TRADEUL_{name.upper()}"
    about = f"{name.removesuffix('_port')} port" + (f" {port}" if port else "")
    try:
        free_port(settings.host, port, setting)
        return Finding(about, Grade.ok, "free" if port else "a free one is taken")
    except StartError as error:
        if await _is_ours(settings.host, port):
            return Finding(about, Grade.ok, "a Tradeul answers there")
        return Finding(about, Grade.failure, str(error), f"end what uses it, or set {setting}")


async def _is_ours(host: str, port: int) -> bool:
    name = f"[{host}]" if ":" in host else host
    timeout = aiohttp.ClientTimeout(total=PORT_SECONDS)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(f"http://{name}:{port}/health") as response:
            body = msgspec.json.decode(await response.read())
            return isinstance(body, dict) and {"status", "mode"} <= body.keys()
    except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError):
        return False
