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
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import asynccontextmanager, suppress
from functools import partial
from itertools import count
from typing import Any, TypeVar

import structlog

from tradeul import __version__
from tradeul.errors import StartError, TradeulError

CONNECT_SECONDS = 8.0  # a cluster that runs: a setting that cannot work is named within ten
START_SECONDS = 60.0  # our own: eight processes, each a Python that imports Ray
ANSWER_SECONDS = 60.0  # a node that died is noticed by its cluster within some thirty, and its work done by another
LEAVE_SECONDS = 15.0
ENDED = "Ray ended the process that had joined it: its node or its head is gone"
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

    def __init__(self, host: ProcessPoolExecutor, workers: int) -> None:
        self._host = host
        self._numbers = count()
        self._is_left = False
        self.ahead = min(workers, WORKERS_AT_MOST) + 1

    def compute(self, work: Callable[[], T], /) -> Callable[[], T]:
        if self._is_left:
            return work
        number = next(self._numbers)
        try:
            self._host.submit(_begin, number, pickle.dumps(work))
        except BrokenProcessPool:
            self._leave(ENDED)
            return work
        return partial(self._answer, number, work)

    def _answer(self, number: int, work: Callable[[], T]) -> T:
        if self._is_left:
            return work()
        try:
            found = self._host.submit(_fetch, number).result(ANSWER_SECONDS + LEAVE_SECONDS)
        except BrokenProcessPool:
            found = ENDED
        except TimeoutError:
            found = "its host does not answer"
        if isinstance(found, str):
            self._leave(found)
            return work()
        answer: T | TradeulError = pickle.loads(found)  # noqa: S301 our own workers'
        if isinstance(answer, TradeulError):
            raise answer
        return answer

    def _leave(self, reason: str) -> None:
        if not self._is_left:
            log.warning("ray_left", reason=reason, then="computed in this process")
        self._is_left = True


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
    host = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
    joined: Future[int | str] | None = None
    try:
        try:
            async with asyncio.timeout(patience):
                if address is not None:
                    await _reach(address)
                joined = host.submit(_join, address, folder, cores)
                workers = await asyncio.wrap_future(joined)
        except TimeoutError as error:
            raise StartError(f"{whose} did not answer within {patience:g} s: start it, or leave --engine ray out.") from error
        except (OSError, BrokenProcessPool) as error:
            raise StartError(f"{whose} cannot be reached ({error}): start it, or leave --engine ray out.") from error
        if isinstance(workers, str):
            raise StartError(f"{whose} cannot be used ({workers}): see to it, or leave --engine ray out.")
        yield RayWorkers(host, workers)
    finally:
        if joined is not None:
            await asyncio.to_thread(_end, host)
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


def _end(host: ProcessPoolExecutor) -> None:
    with suppress(BrokenProcessPool, TimeoutError):  # its cluster ends with it, and it with us
        host.submit(_part).result(LEAVE_SECONDS)
    host.shutdown(wait=False, cancel_futures=True)


# In the host, one call after another.

_begun: dict[int, Any] = {}


def _join(address: str | None, folder: str | None, cores: int | None) -> int | str:
    """How many workers there are; or why not."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is ours to follow
    threading.Thread(target=_follow_parent, daemon=True).start()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
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
    import ray

    _begun[number] = ray.remote(max_retries=RETRIES)(carry_out).remote(work)


def _fetch(number: int) -> bytes | str:
    """The answer, or why there is none."""
    import ray

    try:
        found: bytes = ray.get(_begun.pop(number), timeout=ANSWER_SECONDS)
    except (ray.exceptions.RayError, KeyError) as error:
        return _reason(error)
    return found


def _part() -> None:
    import ray

    ray.shutdown()


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
