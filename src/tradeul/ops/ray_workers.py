"""Pure work computed by Ray's workers: a cluster that runs, or one of our own for as long as we run. The one file that knows Ray.

    compute(work) -> its pickle in Ray's object store -> a worker, another if that dies (`RETRIES`) -> answer fetched when asked for

Where Ray does not answer, its workers dead too often, its node or its head gone, it is left for good and what is missing is computed
here: a run ends the same. It knows nothing of lake or ledger, and no worker does.
"""

import asyncio
import importlib.util
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import structlog

from tradeul import __version__
from tradeul.errors import StartError, TradeulError

CONNECT_SECONDS = 10.0  # a cluster that runs
START_SECONDS = 60.0  # our own: eight processes, each a Python that imports Ray
# Waited for one answer. A node that died is noticed by its cluster within some thirty; a head that is gone is left before Ray ends this
# process for it, after sixty.
ANSWER_SECONDS = 45.0
RETRIES = 3
# More would wait for the leader, which writes a session in a sixth of the time that its file takes to compute.
WORKERS_AT_MOST = 8
STORE_BYTES = 1 << 30  # of shared memory, at most: for each file on its way 40 MB, and its answer, up to 170

# Read by Ray as it is imported. Nothing is told to its makers, and once it is left it is not begun again.
EVERYWHERE = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_AUTO_CONNECT": "0"}
# Of our own cluster: on loopback only (the variable's name is older than its meaning), and with a token even there.
OURS = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "token"}

T = TypeVar("T")
log = structlog.get_logger()


class RayWorkers:
    """An `Engine` of maintenance's. Its methods block, but for ``compute``."""

    def __init__(self, ray: Any, workers: int) -> None:
        self._ray = ray
        self._carry_out = ray.remote(max_retries=RETRIES)(carry_out)
        self._left = False
        self.ahead = min(workers, WORKERS_AT_MOST) + 1

    def compute(self, work: Callable[[], T], /) -> Callable[[], T]:
        if self._left:
            return work
        answer = self._carry_out.remote(work)
        return lambda: self._answer(work, answer)

    def _answer(self, work: Callable[[], T], answer: Any) -> T:
        failures = self._ray.exceptions
        try:
            if not self._left:
                found: T = self._ray.get(answer, timeout=ANSWER_SECONDS)
                return found
        except failures.RayTaskError as error:
            if isinstance(error.cause, TradeulError):
                raise error.cause from error
            raise
        except failures.RayError as error:
            log.warning("ray_left", reason=f"{type(error).__name__}: {str(error).splitlines()[0]}", then="computed in this process")
            self.leave()
        return work()

    def leave(self) -> None:
        if not self._left:
            self._left = True
            self._ray.shutdown()


def carry_out(work: Callable[[], T]) -> T:
    """By this name a worker is seen at work, in `ps` and in Ray's dashboard."""
    return work()


def versions() -> tuple[str, int]:
    """Of whoever carries it out: Tradeul's, and the process."""
    return __version__, os.getpid()


@asynccontextmanager
async def ray_workers(address: str | None, cores: int | None = None) -> AsyncIterator[RayWorkers]:
    """``address``: of a cluster that runs; None: one of our own, with a worker for each of ``cores``, else of the machine's.

    Raises:
        StartError: Ray is not installed here, or the cluster does not answer or cannot carry out our work.
    """
    check_installed()
    folder = None if address is not None else tempfile.mkdtemp(prefix="tradeul-ray-", dir="/tmp")  # sockets want a short path
    whose = "Ray" if address is None else f"TRADEUL_RAY_ADDRESS={address}: the Ray cluster"
    workers: RayWorkers | None = None
    try:
        patience = CONNECT_SECONDS if address is not None else START_SECONDS
        try:
            async with asyncio.timeout(patience):
                # Not in the main thread: there Ray would take our SIGTERM for itself.
                workers = await asyncio.to_thread(_connect, address, whose, folder, cores)
        except TimeoutError as error:
            raise StartError(f"{whose} did not answer within {patience:g} s: start it, or leave --engine ray out.") from error
        yield workers
    finally:
        if workers is not None:
            await asyncio.to_thread(workers.leave)
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def check_installed() -> None:
    """Raises StartError: Ray is not installed here."""
    if importlib.util.find_spec("ray") is None:
        raise StartError(
            "Ray is not installed here: pip install 'tradeul[ray]', in a clone .venv/bin/pip install -r requirements-ray.lock; "
            "or leave --engine ray out."
        )


def _connect(address: str | None, whose: str, folder: str | None, cores: int | None) -> RayWorkers:
    os.environ.update(EVERYWHERE)
    if address is None:
        os.environ.update(OURS, RAY_AUTH_TOKEN=secrets.token_hex(24))
    import ray
    import ray._private.worker

    # Ray prints what befell its workers on stdout, which is a run's own.
    ray._private.worker.print_to_stdstream = _logged
    where = {"address": address} if address is not None else _of_our_own(folder, cores)
    try:
        ray.init(log_to_driver=False, logging_level="ERROR", **where)
        found = ray.get(ray.remote(versions).remote(), timeout=START_SECONDS)[0]
    except (ray.exceptions.RayError, OSError, RuntimeError, ValueError, AssertionError) as error:
        ray.shutdown()
        raise StartError(f"{whose} cannot be used ({_first_line(error)}): see that it runs, or leave --engine ray out.") from error
    if found != __version__:
        ray.shutdown()
        raise StartError(f"{whose} has Tradeul {found}, and this is {__version__}: install the same on each of its nodes.")
    return RayWorkers(ray, int(ray.cluster_resources().get("CPU", 1)))


def _of_our_own(folder: str | None, cores: int | None) -> dict[str, object]:
    return {"address": "local", "num_cpus": cores, "include_dashboard": False, "object_store_memory": STORE_BYTES, "_temp_dir": folder}


def _logged(data: Mapping[str, Any], *_: object, **__: object) -> None:
    for said in data["lines"]:
        log.info("ray_said", said=said.splitlines()[0])


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
