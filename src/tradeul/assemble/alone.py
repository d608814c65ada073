"""One part without the others: one maintenance run, what the ledger says while nobody runs, the simulated vendor."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from datetime import UTC

from tradeul.assemble.borders import (
    ask_vendor,
    maintenance_of,
    open_stores,
    redis_there,
    refuse_others,
    simulator,
    start_borders,
    windows_of,
)
from tradeul.assemble.state import (
    MAINTENANCE,
    claimed_state,
    is_simulated,
    simulated_clock,
    simulator_host,
    standing_catalog,
    state_folder,
)
from tradeul.clock import Clock, SimulatedClock, SteppedClock, SystemClock
from tradeul.maintenance.datasets import Schedule
from tradeul.maintenance.engine import Engine
from tradeul.maintenance.report import Status, status
from tradeul.maintenance.service import MaintenanceService
from tradeul.market_calendar import NEW_YORK, nyse
from tradeul.ops import logs
from tradeul.ops.start import free_port, sole_owner, usable_folder
from tradeul.settings import Settings


@asynccontextmanager
async def maintenance_alone(settings: Settings, engine: Engine | None = None) -> AsyncIterator[MaintenanceService]:
    """Maintenance in this process, without its wake-ups.

    Raises:
        FolderInUse: another process maintains the folder.
    """
    simulated = is_simulated(settings)
    # Nobody else asks this simulator, so any port does.
    settings = settings.model_copy(update={"simulator_port": 0})
    await redis_there(settings)
    await refuse_others(settings, simulated=simulated)
    with claimed_state(settings, (MAINTENANCE,), (), simulated=simulated) as state:
        logs.configure(settings.state / "logs", terminal=sys.stderr.isatty())
        async with AsyncExitStack() as stack:
            place, runs = await start_borders(settings, state, stack, simulated=simulated)
            asking = await ask_vendor(settings, place, place.bus, stack)
            maintenance, lead = maintenance_of(settings, place, place.bus, await open_stores(settings, place), asking, engine=engine)
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(run()) for run in runs]
                async with lead.held(wait=False) if lead else nullcontext(), maintenance.on_demand():
                    yield maintenance
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
    with standing_catalog(settings, simulated=simulated) as catalog:
        ledger = {(row.dataset, row.session): row for row in (catalog.ledger() if catalog is not None else [])}
    return status(ledger, Schedule(calendar, windows_of(settings)), clock.now(), "SIMULATED" if simulated else "LIVE")


async def simulate_alone(settings: Settings) -> None:
    """The simulated vendor alone, until cancelled; for other programs to be tried against."""
    with sole_owner(usable_folder(settings.state), "simulator"):
        free_port(simulator_host(settings), settings.simulator_port, "TRADEUL_SIMULATOR_PORT")
        state = usable_folder(settings.state / "simulator-alone")
        simulated_clock(state, settings, nyse())
        child = simulator(settings, state)
        try:
            await child.start()
            print(f"The simulated vendor answers at http://{simulator_host(settings)}:{child.ready['port']}", flush=True)  # noqa: T201
            await child.run()
        finally:
            await child.stop()
