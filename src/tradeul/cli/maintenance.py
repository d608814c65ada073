"""``maintain``, ``backfill``, ``status``: through port 8008 when a process maintains the folder, else in this process.

On a terminal a few living lines; else JSON lines on stdout. A run that joined
another one with other options asks again when that one is over.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Protocol, TypeVar

import aiohttp
import msgspec

from tradeul.assemble.alone import maintenance_alone, standing
from tradeul.assemble.state import callers_of, maintenance_address
from tradeul.cli.show_maintenance import JsonLines, Terminal, show_status
from tradeul.errors import FolderInUse, RunRefused, StartError
from tradeul.maintenance.report import Status
from tradeul.maintenance.server import Health, Triggered, foreseen
from tradeul.maintenance.service import MaintenanceService
from tradeul.ops.ray_workers import ray_workers
from tradeul.records.runs import Run, RunOptions
from tradeul.settings import Settings

LOOK_SECONDS = 0.25
WATCH_SECONDS = 2.0
HTTP_SECONDS = 10.0
# A product that is starting holds the folder before it answers.
START_SECONDS = 20.0

Answer = TypeVar("Answer")


class Maintenance(Protocol):
    async def trigger(self, options: RunOptions) -> Triggered: ...

    async def run(self, run_id: str) -> Run: ...


class Here:
    """In this process."""

    def __init__(self, service: MaintenanceService) -> None:
        self._service = service

    async def trigger(self, options: RunOptions) -> Triggered:
        if options.dry_run:
            return Triggered(joined=False, steps=tuple(map(foreseen, await self._service.foresee(options))))
        run, is_new = self._service.trigger(options)
        return Triggered(joined=not is_new, run=run)

    async def run(self, run_id: str) -> Run:
        return next(run for run in await self._service.runs() if run.id == run_id)


class There:
    """Behind port 8008 of another process."""

    def __init__(self, address: str, credentials: Mapping[str, str]) -> None:
        self.address = address
        self._credentials = credentials

    async def trigger(self, options: RunOptions) -> Triggered:
        return await self._ask("POST", "/trigger", Triggered, msgspec.json.encode(options))

    async def run(self, run_id: str) -> Run:
        return await self._ask("GET", f"/runs/{run_id}", Run)

    async def status(self) -> Status:
        return await self._ask("GET", "/status", Status)

    async def health(self) -> Health:
        return await self._ask("GET", "/health", Health)

    async def _ask(self, method: str, path: str, answer: type[Answer], body: bytes | None = None) -> Answer:
        timeout = aiohttp.ClientTimeout(total=HTTP_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.request(method, self.address + path, data=body, headers=self._credentials) as response,
            ):
                text = await response.read()
                if response.status >= 400:
                    raise RunRefused(str(msgspec.json.decode(text, type=dict[str, Any]).get("detail")))
                return msgspec.json.decode(text, type=answer)
        except (aiohttp.ClientError, TimeoutError, msgspec.DecodeError) as error:
            raise StartError(
                f"The maintenance at {self.address} does not answer as it should ({error!r}): see `tradeul doctor`."
            ) from error


async def running_maintenance(settings: Settings) -> There | None:
    """The process that maintains the folder, if it answers."""
    address = maintenance_address(settings)
    if address is None:
        return None
    there = There(address, callers_of(settings).credentials())
    try:
        await there.health()
    except (StartError, RunRefused):
        return None
    return there


@asynccontextmanager
async def maintenance_of(settings: Settings, *, on_ray: bool = False) -> AsyncIterator[Maintenance]:
    """Raises FolderInUse: another process holds the folder and does not answer; RunRefused: it answers, and has no Ray."""
    async with AsyncExitStack() as stack:
        engine = None
        if on_ray:
            await _nobody_else(settings)
            engine = await stack.enter_async_context(ray_workers(settings.ray_address))
        maintenance: Maintenance | None = None
        deadline = asyncio.get_running_loop().time() + START_SECONDS
        while maintenance is None:
            maintenance = await (running_maintenance(settings) if engine is None else _nobody_else(settings))
            if maintenance is None:
                try:
                    maintenance = Here(await stack.enter_async_context(maintenance_alone(settings, engine)))
                except FolderInUse:
                    if asyncio.get_running_loop().time() > deadline:
                        raise
                    await asyncio.sleep(LOOK_SECONDS)
        yield maintenance


async def _nobody_else(settings: Settings) -> None:
    """Raises RunRefused: another process maintains the folder, and would do the run."""
    there = await running_maintenance(settings)
    if there is not None:
        raise RunRefused(f"The maintenance at {there.address} would do this run, without Ray: end it, or leave --engine ray out.")


async def maintain(settings: Settings, options: RunOptions, *, on_ray: bool = False) -> int:
    """One run, followed to its end; the exit code: 0 when it succeeded."""
    view = Terminal() if sys.stdout.isatty() else JsonLines()
    async with maintenance_of(settings, on_ray=on_ray) as maintenance:
        while True:
            answer = await maintenance.trigger(options)
            if answer.run is None:
                view.steps(answer.steps or ())
                return 0
            with view.following(answer):
                run = await _follow(maintenance, answer.run.id, view)
            if not answer.joined or answer.run.options == options:
                break
        view.finished(run)
    return 0 if run.success else 1


async def _follow(maintenance: Maintenance, run_id: str, view: Terminal | JsonLines) -> Run:
    while (run := await maintenance.run(run_id)).finished_at is None:
        view.progress(run)
        await asyncio.sleep(LOOK_SECONDS)
    return run


async def status(settings: Settings, *, watch: bool) -> int:
    async def ask() -> Status:
        there = await running_maintenance(settings)
        return await asyncio.to_thread(standing, settings) if there is None else await there.status()

    await show_status(ask, WATCH_SECONDS if watch else None)
    return 0
