"""What must hold before anything starts: a folder to write in, alone, and free ports. Each failure is one sentence."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from tradeul.errors import FolderInUse, StartError


def usable_folder(folder: Path, what: str = "state folder") -> Path:
    """Create ``folder`` if need be and prove that it can be written; ``what``: for people, of `TRADEUL_STATE`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise StartError(f"The {what} {folder} cannot be written ({error.strerror}): set TRADEUL_STATE to a folder that can.") from error
    return folder


@contextmanager
def sole_owner(state: Path, role: str) -> Iterator[None]:
    """Hold the lock of ``role`` on this state folder.

    Raises:
        FolderInUse: another process holds it.
    """
    locks = state / "locks"
    locks.mkdir(exist_ok=True)
    lock = FileLock(locks / role, timeout=0)
    owner = locks / f"{role}.pid"
    try:
        lock.acquire()
    except Timeout as error:
        pid = owner.read_text() if owner.exists() else "unknown"
        raise FolderInUse(f"Another Tradeul (process {pid}) runs on {state}: stop it, or set TRADEUL_STATE to another folder.") from error
    try:
        owner.write_text(str(os.getpid()))
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()


def free_port(host: str, port: int, setting: str) -> None:
    """Prove that ``host:port`` can be bound; port 0 always can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise StartError(
                f"Port {port} on {host} cannot be used ({error.strerror}): end what uses it, "
                f"or set {setting} to another (0 takes a free one)."
            ) from error
