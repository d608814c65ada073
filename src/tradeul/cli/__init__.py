"""The command ``tradeul``: reads arguments, starts what they ask for, says in one sentence what went wrong."""

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from typing import NoReturn

import cyclopts

from tradeul import __version__
from tradeul.errors import TradeulError
from tradeul.ops.memory import give_back_freed_memory
from tradeul.settings import Settings, load_settings

app = cyclopts.App(name="tradeul", version=__version__, help="A real-time scanner of the whole US stock market.")


@app.command
def up(*, simulate: bool = False, fresh: bool = False) -> None:
    """Start everything and serve the page; Ctrl-C stops it.

    Parameters
    ----------
    simulate
        The simulated market, even if a vendor key is set.
    fresh
        Forget the simulated market's state first.
    """
    settings = _settings()
    print("Starting Tradeul ...", file=sys.stderr, flush=True)  # noqa: T201 a person waits while the libraries load
    _run(_up(settings, simulate=simulate, fresh=fresh))


@app.command
def simulate() -> None:
    """Serve the simulated vendor alone: REST, stream and flat files."""
    _run(_simulate(_settings()))


async def _up(settings: Settings, *, simulate: bool, fresh: bool) -> None:
    from tradeul.assemble import up
    from tradeul.cli.console import show

    await up(settings, simulate=simulate, fresh=fresh, ready=show)


async def _simulate(settings: Settings) -> None:
    from tradeul.assemble import simulate_alone

    await simulate_alone(settings)


def _settings() -> Settings:
    try:
        return load_settings()
    except TradeulError as error:
        _fail(error)


def _run(main: Coroutine[object, object, None]) -> None:
    """Run until it ends or a signal cancels it, then leave at once.

    Leaving does not wait for threads at work: whatever they were doing, the next
    start resumes it, and a person who pressed Ctrl-C is not made to wait.
    """

    async def until_signalled() -> int:
        task = asyncio.ensure_future(main)
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        try:
            await task
        except asyncio.CancelledError:
            print("Stopped.", file=sys.stderr)  # noqa: T201
        except TradeulError as error:
            return _say(error)
        except BaseExceptionGroup as group:
            return _say(_first(group))
        return 0

    async def leave() -> NoReturn:
        code = await until_signalled()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)

    asyncio.run(leave())


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
