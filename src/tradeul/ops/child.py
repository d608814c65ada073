"""A child process of ours: started apart from our terminal, ready when it says so, never outliving us; or one that does one thing.

parent                               child
  | spawn, own session, stdin a pipe   |
  |<------- one JSON line: ready ------|
  | ...                                |
  | stop: SIGTERM, then SIGKILL        |
  | killed: the pipe closes ---------->| it ends itself
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tradeul.errors import StartError

READY_SECONDS = 30.0
STOP_SECONDS = 1.5


class Child:
    """``python -m module arguments``; its first line on stdout is a JSON object, kept in ``ready``."""

    def __init__(self, name: str, module: str, arguments: Sequence[str], pid_file: Path) -> None:
        self._name = name
        self._pid_file = pid_file
        self._command = [sys.executable, "-m", module, *arguments]
        self._process: asyncio.subprocess.Process | None = None
        self.ready: Mapping[str, Any] = {}

    async def start(self) -> None:
        """Raises StartError: it ended or said nothing in time."""
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*self._command, stdin=pipe, stdout=pipe, start_new_session=True)
        self._process = process
        self._pid_file.write_text(str(process.pid))
        assert process.stdout is not None  # noqa: S101 it was asked for
        try:
            async with asyncio.timeout(READY_SECONDS):
                line = await process.stdout.readline()
                if not line:
                    await process.wait()
            self.ready = msgspec.json.decode(line, type=dict[str, Any])
        except (TimeoutError, msgspec.DecodeError) as error:
            await self.stop()
            raise StartError(f"The {self._name} did not start (exit code {process.returncode}); its words are above.") from error

    async def run(self) -> None:
        """Wait for the child.

        Raises:
            StartError: it ended although nobody asked it to.
        """
        process = self._process
        if process is not None:
            code = await process.wait()
            if self._process is not None:
                raise StartError(f"The {self._name} ended by itself (exit code {code}); start again, and report its last words above.")

    async def stop(self) -> None:
        process, self._process = self._process, None
        self._pid_file.unlink(missing_ok=True)
        if process is not None:
            await end(process)


async def run_once(module: str, arguments: Sequence[str], patience_seconds: float) -> str | None:
    """Run ``python -m module arguments`` to its end; None, or why it failed: its last words.

    It does not listen to us: killed, we leave it to its end.
    """
    command, none, pipe = [sys.executable, "-m", module, *arguments], asyncio.subprocess.DEVNULL, asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=none, stdout=none, stderr=pipe, start_new_session=True)
    try:
        async with asyncio.timeout(patience_seconds):
            _, words = await process.communicate()
    except TimeoutError:
        return f"it took longer than {patience_seconds:g} s"
    finally:
        await end(process)
    if process.returncode == 0:
        return None
    return (words.decode(errors="replace").strip().splitlines() or [f"exit code {process.returncode}"])[-1]


async def end(process: asyncio.subprocess.Process) -> None:
    """Politely, then not."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()


def end_orphan(pid_file: Path, module: str) -> None:
    """See the child of a killed run to its end: it ends by itself, or is ended. Call under the state's lock."""
    if not pid_file.exists():
        return
    pid = int(pid_file.read_text() or 0)
    deadline = time.monotonic() + STOP_SECONDS
    while module in _command_line(pid):
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    pid_file.unlink(missing_ok=True)


def _command_line(pid: int) -> str:
    """The words of a living process, "" if there is none: a pid may have passed to a stranger."""
    proc = Path("/proc")
    if proc.is_dir():
        try:
            return (proc / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    asked = ["ps", "-p", str(pid), "-o", "command="]
    listed: str = subprocess.run(asked, capture_output=True, text=True, timeout=5, check=False).stdout  # noqa: S603 our own words
    return listed
