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
from collections.abc import Iterable, Iterator, Sequence
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
KNOWN_BY_BYTES = 4096
Block = tuple[int, bytes]


class TapeFiles:
    """At most one session's file is open."""

    def __init__(self, root: Path, keep: int) -> None:
        """``keep``: how many sessions' files stay beside the newest."""
        self.root, self._keep = root, keep
        self._lock = FileLock(root / ".lock", timeout=0, thread_local=False)
        self._file: FileIO | None = None

    def has(self, session: date) -> bool:
        return self.path(session).exists()

    def path(self, session: date) -> Path:
        return self.root / f"session={session}.tape"

    def open(self, session: date) -> None:
        """Open the session's file, an empty one if there is none; forget the oldest ones.

        Raises:
            StoreError: the disk refuses, or another process writes here.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            if not self._lock.is_locked:  # it counts
                self._lock.acquire()
            self.close_file()
            self._file = FileIO(self.path(session), "a")  # no buffer: what a full disk refuses must not come again when closing
            self._forget()
        except Timeout as error:
            raise StoreError(f"Another process records in {self.root}: stop it.") from error
        except OSError as error:
            raise StoreError(f"The tape {self.path(session)} cannot be opened ({error.strerror}): see to the disk's rights.") from error

    def blocks(self, start: int = 0) -> Iterator[Block]:
        """The open file's blocks from byte ``start`` on; at their end the file is cut to what was whole, and may be appended to.

        Raises: as `read_tape`.
        """
        file, end = self._opened(), start
        for block in read_tape(Path(str(file.name)), start):
            yield block
            end = max(end, len(MAGIC)) + bytes_of(block)
        try:
            end = max(end, min(len(MAGIC), os.fstat(file.fileno()).st_size))
            file.truncate(end)
            if end < len(MAGIC):  # new, or its writer died at once
                write_all(file, MAGIC[end:])
        except OSError as error:
            raise StoreError(f"The tape {file.name} cannot be cut ({error.strerror}): see to the disk.") from error

    def append(self, blocks: Sequence[Block]) -> None:
        """Write behind all that was read: `blocks` must have come to its end.

        Raises:
            StoreError: the disk is full or refuses; the last block may be there by half.
        """
        file = self._opened()
        try:
            write_all(file, b"".join(framed(blocks)))
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
        files = sorted(self.root.glob("session=*"), key=lambda path: (path.stem, path.suffix))
        sessions = sorted({path.stem for path in files})[: -self._keep - 1]
        for path in files:
            if path.stem in sessions:
                path.unlink()


def read_tape(path: Path, start: int = 0) -> Iterator[Block]:
    """The whole blocks from byte ``start`` on, where one must begin (0: the first), oldest first. Its writer may go on meanwhile.

    Raises:
        StoreError: the disk refuses, or the file is of another form.
    """
    try:
        with path.open("rb", buffering=READ_BYTES) as reader:
            if not MAGIC.startswith(reader.read(len(MAGIC))):
                raise StoreError(f"{path} is no tape of this version.")
            reader.seek(max(start, len(MAGIC)))
            while (block := read_block(reader)) is not None:
                yield block
    except OSError as error:
        raise StoreError(f"The tape {path} cannot be read ({error.strerror}): see to the disk.") from error


def bytes_before(path: Path, end: int) -> bytes:
    """The last of the file's bytes before ``end``, enough to know it by; b"" if it is shorter.

    Raises:
        StoreError: the disk refuses.
    """
    try:
        with path.open("rb") as reader:
            reader.seek(max(end - KNOWN_BY_BYTES, 0))
            found = reader.read(min(end, KNOWN_BY_BYTES))
    except OSError as error:
        raise StoreError(f"The tape {path} cannot be read ({error.strerror}): see to the disk.") from error
    return found if len(found) == min(end, KNOWN_BY_BYTES) else b""


# --- blocks --------------------------------------------------------------------------------------------------------------


def framed(blocks: Iterable[Block]) -> Iterator[bytes]:
    for kind, payload in blocks:
        yield HEAD.pack(kind, len(payload), _checksum(kind, payload))
        yield payload


def bytes_of(block: Block) -> int:
    return HEAD.size + len(block[1])


def _checksum(kind: int, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(struct.pack("<BI", kind, len(payload))))


def read_block(file: BinaryIO) -> Block | None:
    """The next block, or None if none follows that is whole."""
    head = file.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    kind, length, checksum = HEAD.unpack(head)
    if kind == 0 or length > MOST_BYTES:
        return None
    payload = file.read(length)
    return (kind, payload) if len(payload) == length and _checksum(kind, payload) == checksum else None


def write_all(file: FileIO, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]
