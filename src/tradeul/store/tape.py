"""The tape's files: blocks of bytes, appended in order, one file per session. What a block says, it does not know (`live/tape.py`).

    TAPE/session=YYYY-MM-DD.tape   16 bytes of magic, then blocks: kind, length, checksum, payload

A block is whole or it is not there: reading ends at the first that is cut or
damaged, and the file is cut there before anything is appended. Nothing is
synced: what was written survives the death of the process, not of the machine;
after a power cut the tape ends some seconds earlier, which costs what a lost
connection costs. One process writes (a lock in the folder). Calls block: use a thread.
"""

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from datetime import date
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from tradeul.errors import StoreError

MAGIC = b"tradeul tape 1\n\0"
HEAD = struct.Struct("<BII")  # kind (never 0), length, checksum of these two and the payload
MOST_BYTES = 1 << 28  # no block is as long: a damaged length must not ask for memory
READ_BYTES = 1 << 20
Block = tuple[int, bytes]


class TapeFiles:
    """At most one session's file is open."""

    def __init__(self, root: Path, keep: int) -> None:
        """``keep``: how many sessions' files stay beside the newest."""
        self._root, self._keep = root, keep
        self._lock = FileLock(root / ".lock", timeout=0, thread_local=False)
        self._file: FileIO | None = None

    def has(self, session: date) -> bool:
        return self.path(session).exists()

    def path(self, session: date) -> Path:
        return self._root / f"session={session}.tape"

    def open(self, session: date) -> None:
        """Open the session's file, an empty one if there is none; forget the oldest ones.

        Raises:
            StoreError: the disk refuses, or another process writes here.
        """
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            if not self._lock.is_locked:  # it counts
                self._lock.acquire()
            self.close_file()
            self._file = FileIO(self.path(session), "a")  # no buffer: what a full disk refuses must not come again when closing
            self._forget()
        except Timeout as error:
            raise StoreError(f"Another process records in {self._root}: stop it.") from error
        except OSError as error:
            raise StoreError(f"The tape {self.path(session)} cannot be opened ({error.strerror}): see to the disk's rights.") from error

    def blocks(self) -> Iterator[Block]:
        """The open file's blocks, oldest first; at their end the file is cut to what was whole, and may be appended to.

        Raises:
            StoreError: the disk refuses, or the file is of another form.
        """
        file = self._opened()
        try:
            with Path(str(file.name)).open("rb", buffering=READ_BYTES) as reader:
                magic = reader.read(len(MAGIC))
                if not MAGIC.startswith(magic):
                    raise StoreError(f"{file.name} is no tape of this version.")
                end = len(magic)
                while (block := _read(reader)) is not None:
                    yield block
                    end += HEAD.size + len(block[1])
            file.truncate(end)
            if end < len(MAGIC):  # new, or its writer died at once
                _write(file, MAGIC[end:])
        except OSError as error:
            raise StoreError(f"The tape {file.name} cannot be read ({error.strerror}): see to the disk.") from error

    def append(self, blocks: Sequence[Block]) -> None:
        """Write behind all that was read: `blocks` must have come to its end.

        Raises:
            StoreError: the disk is full or refuses; the last block may be there by half.
        """
        file = self._opened()
        parts = [part for kind, payload in blocks for part in (HEAD.pack(kind, len(payload), _checksum(kind, payload)), payload)]
        try:
            _write(file, b"".join(parts))
        except OSError as error:
            raise StoreError(f"The tape {file.name} cannot be written ({error.strerror}): see to the disk's space.") from error

    def set_aside(self, session: date) -> None:
        """Keep an unreadable file under another name, out of the way."""
        self.close_file()
        try:
            os.replace(self.path(session), self.path(session).with_suffix(".unreadable"))
        except OSError as error:
            raise StoreError(f"The tape {self.path(session)} cannot be set aside ({error.strerror}): see to the disk.") from error

    def close_file(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def close(self) -> None:
        self.close_file()
        self._lock.release()

    def _opened(self) -> FileIO:
        assert self._file is not None  # noqa: S101 a caller's mistake
        return self._file

    def _forget(self) -> None:
        files = sorted(self._root.glob("session=*"), key=lambda path: (path.stem, path.suffix))
        sessions = sorted({path.stem for path in files})[: -self._keep - 1]
        for path in files:
            if path.stem in sessions:
                path.unlink()


def _checksum(kind: int, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(struct.pack("<BI", kind, len(payload))))


def _read(file: BinaryIO) -> Block | None:
    """The next block, or None if none follows that is whole."""
    head = file.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    kind, length, checksum = HEAD.unpack(head)
    if kind == 0 or length > MOST_BYTES:
        return None
    payload = file.read(length)
    return (kind, payload) if len(payload) == length and _checksum(kind, payload) == checksum else None


def _write(file: FileIO, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]
