"""The command ``tradeul``: reads arguments, starts what they ask for, says in one sentence what went wrong."""

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, NoReturn, TypeAlias

import cyclopts

from tradeul import __version__
from tradeul.cli.starting import count_up
from tradeul.errors import TradeulError
from tradeul.ops.memory import give_back_freed_memory
from tradeul.records.runs import RunOptions
from tradeul.settings import Settings, load_settings

INTERRUPTED = 130


def _day(_: object, tokens: Sequence[cyclopts.Token]) -> date:
    try:
        return date.fromisoformat(tokens[0].value)
    except ValueError as error:
        raise ValueError(f"{tokens[0].value!r} is no date; one is written as 2026-03-06.") from error


Day: TypeAlias = Annotated[date, cyclopts.Parameter(converter=_day)]

Service: TypeAlias = Literal["maintenance", "scanner", "gateway", "api", "historical", "filings"]

app = cyclopts.App(name="tradeul", version=__version__, help="A real-time scanner of the whole US stock market.")


@app.command
def up(*services: Service, simulate: bool = False, fresh: bool = False) -> None:
    """Start everything and serve the page; Ctrl-C stops it.

    Parameters
    ----------
    services
        These only, against TRADEUL_REDIS_URL, where the others run too (docs/servers.md); scanner: with the live feed.
    simulate
        The simulated market, even if a vendor key is set.
    fresh
        Forget the simulated market's state first.
    """
    settings = _settings()
    _run(_up(settings, services, simulate=simulate, fresh=fresh))


@app.command
def simulate() -> None:
    """Serve the simulated vendor alone: REST, stream and flat files."""
    _run(_simulate(_settings()))


@app.command
def maintain(
    *, session: Day | None = None, only: str | None = None, from_task: str | None = None, force: bool = False, dry_run: bool = False
) -> None:
    """Bring the data up to date, once; exit code 0 when it is.

    Parameters
    ----------
    session
        This session's partitions only.
    only
        This task only.
    from_task
        This task and those after it.
    force
        Load again what is complete.
    dry_run
        Say the steps, do none.
    """
    _maintain(RunOptions(target_date=session, only=only, from_task=from_task, force=force, dry_run=dry_run))


@app.command
def backfill(first: Day, last: Day, /, *, reprocess: Literal["missing", "failed", "all"] = "missing", dry_run: bool = False) -> None:
    """Load a range of sessions, before the windows too.

    Parameters
    ----------
    first
        The first date of the range.
    last
        The last date of the range.
    reprocess
        What is not complete, what failed, or all of it again.
    dry_run
        Say the steps, do none.
    """
    again, failed = reprocess == "all", reprocess == "failed"
    _maintain(RunOptions(since=first, target_date=last, force=again, failed_only=failed, dry_run=dry_run))


@app.command
def status(*, watch: bool = False) -> None:
    """Say how far the numbers can be trusted: what is due, done, missing.

    Parameters
    ----------
    watch
        Again every two seconds, until Ctrl-C.
    """
    from tradeul.cli.maintenance import status

    _run(status(_settings(), watch=watch))


@app.command
def explain(name: str, symbol: str, /) -> None:
    """Say why a ticker is on a list or not: every condition, what it stands on, and the place.

    Parameters
    ----------
    name
        The list, as winners; winners~etf with funds instead of stocks.
    symbol
        The ticker, as AAPL.
    """
    from tradeul.cli.explain import explain

    _run(explain(_settings(), name, symbol))


@app.command
def sql(statement: str, /) -> None:
    """Ask the lake by SQL: one SELECT, read-only. `DESCRIBE bars` shows a view's columns; docs/api.md says what each means.

    Parameters
    ----------
    statement
        Views: bars, minute_bars, slots, baselines, tickers, splits, metadata, membership, ledger.
    """
    from tradeul.cli.sql import sql

    _run(sql(_settings(), statement))


@app.command
def watch(name: str, /, *, address: str | None = None) -> None:
    """Follow a list as it changes: a table on a terminal, JSON lines elsewhere; Ctrl-C ends it.

    Parameters
    ----------
    name
        The list, as winners; winners~etf with funds instead of stocks.
    address
        The gateway; that of the settings if left out.
    """
    from tradeul.cli.watch import watch

    _run(watch(_settings(), name, address))


@app.command
def doctor(*, json: bool = False) -> None:
    """Look at all that Tradeul stands on, and say what to do about it. Exit code: 0, 1 with a warning, 2 with a failure.

    Parameters
    ----------
    json
        One JSON object instead of a table.
    """
    from tradeul.cli.doctor import doctor

    _run(doctor(_settings(), json=json))


@app.command
def backup(folder: Path, /, *, simulate: bool = False, lake: bool = False) -> None:
    """Copy what cannot be made again into an empty folder; Tradeul may run meanwhile.

    Parameters
    ----------
    folder
        Empty, or not there yet.
    simulate
        Of the simulated market, even if the state folder holds the real one.
    lake
        The history too, which else is loaded anew after a restore.
    """
    from tradeul.cli.backup import backup

    _run(backup(_settings(), folder.absolute(), simulate=simulate, lake=lake), interrupted=INTERRUPTED)


@app.command
def restore(folder: Path, /) -> None:
    """Put a backup into the state folder (TRADEUL_STATE), which must be empty, and into the database (TRADEUL_DATABASE_URL) if one is set.

    Parameters
    ----------
    folder
        A backup.
    """
    from tradeul.cli.backup import restore

    _run(restore(_settings(), folder.absolute()), interrupted=INTERRUPTED)


def _maintain(options: RunOptions) -> None:
    from tradeul.cli.maintenance import maintain

    _run(maintain(_settings(), options), interrupted=INTERRUPTED)


async def _up(settings: Settings, services: Sequence[Service], *, simulate: bool, fresh: bool) -> None:
    started = count_up("Starting Tradeul")
    try:
        # Not at the top: they take a second, and a person should see something first.
        from tradeul.assemble import Running, up
        from tradeul.cli.console import show

        _hear_signals()

        async def ready(running: Running) -> None:
            started()
            await show(running)

        await up(settings, simulate=simulate, fresh=fresh, ready=ready, services=services)
    finally:
        started()


async def _simulate(settings: Settings) -> None:
    from tradeul.assemble.alone import simulate_alone

    _hear_signals()
    await simulate_alone(settings)


def _settings() -> Settings:
    try:
        return load_settings()
    except TradeulError as error:
        _fail(error)


def _run(main: Coroutine[object, object, int | None], interrupted: int = 0) -> None:
    """Run until it ends or a signal cancels it, then leave at once, with the exit code that it returned.

    Leaving does not wait for threads at work: whatever they were doing, the next
    start resumes it, and a person who pressed Ctrl-C is not made to wait.
    """

    async def heard() -> int | None:
        _hear_signals()
        return await main

    async def until_signalled() -> int:
        try:
            return await asyncio.ensure_future(heard()) or 0
        except asyncio.CancelledError:
            print("Stopped.", file=sys.stderr)  # noqa: T201
            return interrupted
        except TradeulError as error:
            return _say(error)
        except BaseExceptionGroup as group:
            return _say(_first(group))

    async def leave() -> NoReturn:
        code = await until_signalled()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

    asyncio.run(leave())


def _hear_signals() -> None:
    """From now on a signal cancels the task that calls this.

    Again after polars was loaded: it takes SIGINT for itself, and raises KeyboardInterrupt in the thread that asks
    it something, past all that ends services in order.
    """
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 called by one
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)


def _first(error: BaseException) -> BaseException:
    """The first of a group's errors that is ours, else the first."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    leaves = [_first(inner) for inner in error.exceptions]
    return next((leaf for leaf in leaves if isinstance(leaf, TradeulError)), leaves[0])


def _say(error: BaseException) -> int:
    if isinstance(error, TradeulError):
        print(f"tradeul: {error}", file=sys.stderr)  # noqa: T201
        return 1
    sys.excepthook(type(error), error, error.__traceback__)
    return 70


def _fail(error: TradeulError) -> NoReturn:
    sys.exit(_say(error))


def main() -> None:
    give_back_freed_memory()
    app()
