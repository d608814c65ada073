"""Pure work computed by Ray's workers: a cluster that runs, or one of our own for as long as we run. The one file that knows Ray.

    we --pipe--> host, a child of ours --Ray's object store--> worker; another one, if that dies (`RETRIES`)

Ray ends the process that joined it when its node or its head is gone, prints on its stdout and takes its signals: so that process is
the host. Where no answer comes any more, Ray is left for good, and what is missing is computed here: a run ends the same. Only bytes
go through the host. It knows nothing of lake or ledger, and no worker does.
"""

import asyncio
import importlib.util
import multiprocessing
import os
import pickle
import secrets
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import cache, partial
from itertools import count
from multiprocessing.connection import Connection
from typing import Any, TypeVar

import structlog

from tradeul import __version__
from tradeul.errors import StartError, TradeulError

CONNECT_SECONDS = 8.0  # a cluster that runs: a setting that cannot work is named within ten
START_SECONDS = 60.0  # our own: eight processes, each a Python that imports Ray
ANSWER_SECONDS = 60.0  # a node that died is noticed by its cluster within some thirty, and its work done by another
LEAVE_SECONDS = 15.0
RETRIES = 3
# More would wait for the leader, which writes a session in a sixth of the time that its file takes to compute.
WORKERS_AT_MOST = 8
STORE_BYTES = 1 << 30  # of shared memory, at most: for each file on its way 40 MB, and its answer, up to 170

# Read by Ray as it is imported: nothing is told to its makers.
EVERYWHERE = {"RAY_USAGE_STATS_ENABLED": "0"}
# Of our own cluster: on loopback only (the variable's name is older than its meaning), and with a token even there.
OURS = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "token"}

T = TypeVar("T")
log = structlog.get_logger()


class RayWorkers:
    """An `Engine` of maintenance's."""

    def __init__(self, host: "Host", workers: int) -> None:
        self._host = host
        self._numbers = count()
        self._is_left = False
        self.ahead = min(workers, WORKERS_AT_MOST) + 1

    def compute(self, work: Callable[[], T], /) -> Callable[[], T]:
        if self._is_left:
            return work
        number = next(self._numbers)
        self._host.ask(ANSWER_SECONDS, _begin, number, pickle.dumps(work))
        return partial(self._answer, number, work)

    def _answer(self, number: int, work: Callable[[], T]) -> T:
        found = None if self._is_left else self._host.ask(ANSWER_SECONDS + LEAVE_SECONDS, _fetch, number).result()
        if isinstance(found, str):
            log.warning("ray_left", reason=found, then="computed in this process")
        if not isinstance(found, bytes):
            self._is_left = True
            return work()
        answer: T | TradeulError = pickle.loads(found)  # noqa: S301 our own workers'
        if isinstance(answer, TradeulError):
            raise answer
        return answer


class Host:
    """Our side of the child that joins Ray: one question after another. What it says as a text is why it has no answer."""

    def __init__(self) -> None:
        spawned = multiprocessing.get_context("spawn")
        self._pipe, theirs = spawned.Pipe()
        self._process = spawned.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()
        self._asking = ThreadPoolExecutor(1, "ray")
        self._is_ended = False

    def ask(self, patience_seconds: float, do: Callable[..., Any], *arguments: object) -> Future[Any]:
        return self._asking.submit(self._ask, patience_seconds, do, arguments)

    def _ask(self, patience_seconds: float, do: Callable[..., Any], arguments: tuple[object, ...]) -> Any:
        try:
            self._pipe.send((do, arguments))
            if self._pipe.poll(patience_seconds):
                return self._pipe.recv()
        except (OSError, EOFError):
            return None if self._is_ended else "Ray ended the process that had joined it, as when its node or its head is gone"
        self._process.kill()  # a late answer would be taken for that of the next question
        return f"no answer within {patience_seconds:g} s"

    def end(self) -> None:
        """Whatever it waits for: it parts from Ray, and a cluster of our own ends with it."""
        self._is_ended = True
        self._process.terminate()
        self._process.join(LEAVE_SECONDS)
        self._process.kill()
        self._asking.shutdown(wait=False)


def carry_out(work: bytes) -> bytes:
    """In a worker, which `ps` shows under this name. An error of ours is an answer, too: Ray would wrap it."""
    try:
        return pickle.dumps(pickle.loads(work)())  # noqa: S301 what we sent
    except TradeulError as error:
        return pickle.dumps(error)


def version() -> str:
    return __version__


@asynccontextmanager
async def ray_workers(address: str | None, cores: int | None = None) -> AsyncIterator[RayWorkers]:
    """``address``: of a cluster that runs; None: one of our own, with a worker for each of ``cores``, else of the machine's.

    Raises:
        StartError: Ray is not installed here, or the cluster does not answer or cannot carry out our work.
    """
    check_installed()
    whose, patience = ("Ray", START_SECONDS) if address is None else (f"TRADEUL_RAY_ADDRESS={address}: the Ray cluster", CONNECT_SECONDS)
    # Ray's sockets lie in it, and may not have long names.
    folder = tempfile.mkdtemp(prefix="tradeul-ray-", dir="/tmp") if address is None else None
    host: Host | None = None
    try:
        try:
            async with asyncio.timeout(patience):
                if address is not None:
                    await _reach(address)
                host = Host()
                workers = await asyncio.wrap_future(host.ask(patience, _join, address, folder, cores))
        except TimeoutError as error:
            hint = "" if address is None else "see that it runs and that RAY_AUTH_TOKEN is its own, or "
            raise StartError(f"{whose} did not answer within {patience:g} s: {hint}leave --engine ray out.") from error
        except OSError as error:
            raise StartError(f"{whose} cannot be reached ({error}): start it, or leave --engine ray out.") from error
        if isinstance(workers, str):
            raise StartError(f"{whose} cannot be used ({workers}): see to it, or leave --engine ray out.")
        yield RayWorkers(host, workers)
    finally:
        if host is not None:
            await asyncio.to_thread(host.end)
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def check_installed() -> None:
    """Raises StartError: Ray is not installed here."""
    if importlib.util.find_spec("ray") is None:
        raise StartError(
            "Ray is not installed here: pip install 'tradeul[ray]', in a clone .venv/bin/pip install -r requirements-ray.lock; "
            "or leave --engine ray out."
        )


async def _reach(address: str) -> None:
    """Raises OSError: nobody answers there. Ray would try for longer."""
    host, _, port = address.rpartition(":")
    _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    writer.close()


# In the host.

_begun: dict[int, Any] = {}


def _serve(pipe: Connection) -> None:
    """Until it is told to end, or we are no more; leaving, Python parts from Ray."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is ours to follow
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    with suppress(EOFError, OSError):
        while True:
            do, arguments = pipe.recv()
            pipe.send(do(*arguments))


def _join(address: str | None, folder: str | None, cores: int | None) -> int | str:
    """How many workers there are; or why not."""
    os.environ.update(EVERYWHERE)
    if address is None:
        os.environ.update(OURS, RAY_AUTH_TOKEN=secrets.token_hex(24))
    import ray

    ours = {"include_dashboard": False, "object_store_memory": STORE_BYTES, "num_cpus": cores, "_temp_dir": folder}
    try:
        ray.init(address or "local", log_to_driver=False, **({} if address is not None else ours))
        found = ray.get(ray.remote(version).remote(), timeout=START_SECONDS)
    except (ray.exceptions.RayError, OSError, RuntimeError, ValueError, AssertionError) as error:
        return _reason(error)
    if found != __version__:
        return f"its nodes have Tradeul {found}, this is {__version__}"
    return int(ray.cluster_resources().get("CPU", 1))


def _begin(number: int, work: bytes) -> None:
    _begun[number] = _carrying_out().remote(work)


@cache
def _carrying_out() -> Any:
    import ray

    return ray.remote(max_retries=RETRIES)(carry_out)


def _fetch(number: int) -> bytes | str:
    """The answer, or why there is none."""
    import ray

    try:
        found: bytes = ray.get(_begun.pop(number), timeout=ANSWER_SECONDS)
    except (ray.exceptions.RayError, KeyError) as error:
        return _reason(error)
    return found


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
