"""Starts the chosen services in order, all in one process or some apart; ends them in the reverse order.

    state.py    folder, locks, ports -> clock
    apart.py    what some services alone need: refusals, servers that are waited for, the mode as live tells it
    borders.py  bus, simulator -> stores, vendor, maintenance
    parts.py    the services, and the table of them
    scanner.py  live and the scanner
    filings.py  filings and news
    alone.py    maintenance alone, for one run; the simulator alone
    backup.py   what of a state folder is kept elsewhere, and put back

The first part that fails ends all: loudly here, with one sentence on the
console. Nothing else knows concrete classes.
"""

import asyncio
import sys
from collections.abc import Callable, Collection, Coroutine
from contextlib import AsyncExitStack
from typing import TypeAlias

import msgspec

from tradeul.assemble.apart import follow_changes, follow_mode, look_daily, refuse_what_cannot_work, servers_there, tell_of
from tradeul.assemble.borders import Place, Run, ask_vendor, open_stores, redis_there, refuse_others, start_borders
from tradeul.assemble.parts import API, ROLES, SERVICES, Bench, Moded, Part, history_routes
from tradeul.assemble.state import MAINTENANCE, callers_of, claimed_state, http_address, is_simulated, told_address
from tradeul.bus.redis import Bus
from tradeul.clock import Clock
from tradeul.maintenance.datasets import Schedule
from tradeul.market_calendar import Calendar
from tradeul.ops import logs
from tradeul.ops.memory import spare_what_stands
from tradeul.ops.standing import Blocking
from tradeul.ops.watchdog import LoopWatchdog
from tradeul.records.entitlements import Mode
from tradeul.settings import Settings


class Running(msgspec.Struct, frozen=True):
    """What a started product tells the console."""

    bus: Bus
    clock: Clock
    calendar: Calendar
    mode: str
    page: str  # without one, where the first of the services answers
    missing: tuple[str, ...] = ()  # what the key's plan lacks, each with its cost
    name: str = "Tradeul"


# The loop lets go of the interpreter at each send and receive; a thread of bulk work then keeps it for so long, not for Python's 5 ms.
SWITCH_SECONDS = 0.001

Ready: TypeAlias = Callable[[Running], Coroutine[object, object, None]]


async def up(settings: Settings, *, simulate: bool, fresh: bool, ready: Ready, services: Collection[str] = ()) -> None:
    """Run ``services`` (none named: all) until cancelled; ``ready`` is told once they answer.

    Raises:
        TradeulError, alone or in an ExceptionGroup: what stopped it.
    """
    chosen = frozenset(services or SERVICES)
    simulated, is_apart = is_simulated(settings, simulate=simulate), len(chosen) < len(SERVICES)
    logs.configure(None, terminal=sys.stderr.isatty())
    if is_apart:
        refuse_what_cannot_work(settings, chosen, simulated=simulated, fresh=fresh)
        await servers_there(settings, chosen)
    await redis_there(settings, wait=is_apart)
    await refuse_others(settings, simulated=simulated, is_whole=not is_apart)
    ports = [f"{name}_port" for name in SERVICES if name in chosen]
    ports += ["simulator_port"] if simulated and MAINTENANCE in chosen else []
    roles = [name for name in ROLES if name in chosen]
    with claimed_state(settings, roles, ports, simulated=simulated, fresh=fresh, stores=is_stored(chosen)) as state:
        log_name = "-".join(name for name in SERVICES if name in chosen) if is_apart else "tradeul"
        logs.configure(settings.state / "logs", terminal=sys.stderr.isatty(), name=log_name)
        async with AsyncExitStack() as stack:
            place, runs = await start_borders(settings, state, stack, simulated=simulated, invents=MAINTENANCE in chosen)
            await run_services(settings, place, runs, stack, ready, chosen)


def is_stored(chosen: Collection[str]) -> bool:
    return any(SERVICES[name].stores for name in chosen)


async def run_services(
    settings: Settings, place: Place, runs: list[Run], stack: AsyncExitStack, ready: Ready, chosen: Collection[str] = tuple(SERVICES)
) -> None:
    sys.setswitchinterval(SWITCH_SECONDS)
    at = await bench(settings, place, stack, chosen)
    async with asyncio.TaskGroup() as group:
        for run in (at.watchdog.run, *runs):
            group.create_task(run())
        group.create_task(tell_of("bus", place.bus.answers))
        if at.catalog is not None and settings.database_url is not None:
            group.create_task(tell_of("database", at.catalog))
        parts = [await started(name, at, group) for name in SERVICES if name in chosen]
        if MAINTENANCE in chosen:
            stack.enter_context(told_address(settings, at.ports[MAINTENANCE]))
        moded = [service for part in parts for service in part.moded]
        if at.asking is not None:
            access = at.asking.access
            access.on_change(lambda: show_mode(access.mode, moded))
            if MAINTENANCE not in chosen:  # which looks by itself
                schedule = Schedule(place.calendar, access.windows)
                group.create_task(look_daily(access, place.clock, schedule))
                group.create_task(follow_changes(access, place.bus))
        elif not place.simulated:
            group.create_task(follow_mode(place.bus, lambda mode: show_mode(mode, moded)))
        at.callers.page_ports.add(at.ports.get(API, settings.api_port))
        spare_what_stands()
        await ready(running(at, parts))


async def bench(settings: Settings, place: Place, stack: AsyncExitStack, chosen: Collection[str]) -> Bench:
    bus = place.bus.patient()
    stack.push_async_callback(bus.close)
    stores = await open_stores(settings, place) if is_stored(chosen) else None
    asks = any(SERVICES[name].asks for name in chosen)
    asking = await ask_vendor(settings, place, bus, stack) if asks else None
    catalog = None if stores is None else Blocking(stores.catalog.answers)
    history = None if stores is None else history_routes(settings, place, stores)
    beside = callers_of(settings), LoopWatchdog(), stack, stores, asking, catalog, history
    return Bench(settings, place, bus, *beside, ports={}, chosen=frozenset(chosen))


async def started(name: str, at: Bench, group: asyncio.TaskGroup) -> Part:
    part = await SERVICES[name].make(at)
    for run in (part.server.run, *part.runs):
        group.create_task(run())
    await part.server.started.wait()
    at.ports[name] = part.server.port
    return part


def running(at: Bench, parts: list[Part]) -> Running:
    """All of them, one by name, or several."""
    names = list(at.ports)
    name = "Tradeul" if len(names) == len(SERVICES) else f"Tradeul's {', '.join(names)}"
    port = at.ports.get(API, at.ports[names[0]])
    lacks = at.asking.access.missing if at.asking else ()
    missing = (*lacks, *(sentence for part in parts for sentence in part.missing()))
    place = at.place
    return Running(place.bus, place.clock, place.calendar, at.mode, f"{http_address(at.settings.host, port)}/", missing, name)


def show_mode(mode: Mode | str, services: list[Moded]) -> None:
    """The gateway follows what live says."""
    for service in services:
        service.mode = mode
