"""The membership log of each session, and its way to the lake.

    FOLDER/{session}.log       append only: blocks of length, crc32, zlib(JSON lines)
    LAKE/membership/session=D/part.parquet      written once the session is closed; the log goes when the session is over

A block is written whole or it is not there: whoever reads stops at a torn
tail, whoever appends cuts it off first. Nothing is synced: a killed process
loses nothing, a machine without power its last seconds. The partition is made
anew from the whole log each time, so that a kill on the way costs nothing.
"""

import struct
import zlib
from collections.abc import Iterator
from datetime import date, datetime
from itertools import islice
from pathlib import Path

import msgspec
import polars as pl
import structlog

from tradeul.errors import StoreError
from tradeul.records.membership import MembershipEvent
from tradeul.store.lake import Lake

DATASET = "membership"
HEAD = struct.Struct(">II")  # length of the packed lines, and their crc32
MAX_BLOCK_BYTES = 64 << 20
EVENTS_AT_ONCE = 20_000
SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "time": pl.Datetime("us", "UTC"),
    "list": pl.String,
    "symbol": pl.String,
    "event": pl.String,
    "rank": pl.Int32,
    "row": pl.String,  # JSON
}

log = structlog.get_logger()
_encoder = msgspec.json.Encoder()


class _Stored(msgspec.Struct):
    """An event on its way to the lake; the row stays text."""

    time: datetime
    list: str
    symbol: str
    event: str
    rank: int
    row: msgspec.Raw


_events = msgspec.json.Decoder(MembershipEvent)
_stored = msgspec.json.Decoder(_Stored)


class MembershipLog:
    def __init__(self, folder: Path, lake: Lake, keep_sessions: int) -> None:
        """``keep_sessions``: how many partitions of the lake stay."""
        self._folder = folder
        self._lake = lake
        self._keep_sessions = keep_sessions

    def path(self, session: date) -> Path:
        return self._folder / f"{session}.log"

    def read(self, session: date) -> Iterator[MembershipEvent]:
        for lines in _blocks(self.path(session)):
            yield from _events.decode_lines(lines)

    def append(self, session: date, events: list[MembershipEvent]) -> None:
        """One block.

        Raises:
            StoreError: the disk did not take it; the log is as it was.
        """
        path = self.path(session)
        packed = zlib.compress(_encoder.encode_lines(events), 1)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with path.open("ab", buffering=0) as file:
                whole = self._whole_bytes(path, file.tell())
                if whole != file.tell():
                    log.warning("membership_log_cut", path=str(path), bytes=file.tell() - whole)
                    file.truncate(whole)
                block = HEAD.pack(len(packed), zlib.crc32(packed)) + packed
                if file.write(block) == len(block):
                    self._known = path, whole + len(block)
                    return
                file.truncate(whole)
        except OSError as error:
            raise StoreError(f"{path} could not be written ({error.strerror}): see to the disk's space and rights.") from error
        raise StoreError(f"{path} could not be written whole: see to the disk's space.")

    _known: tuple[Path, int] | None = None

    def _whole_bytes(self, path: Path, size: int) -> int:
        """Where the last whole block ends; looked for once, then known."""
        if self._known == (path, size):
            return size
        return sum(HEAD.size + len(packed) for packed in _packed(path))

    def settle(self, session: date, *, is_closed: bool) -> None:
        """Write the partition of each session before ``session``, and of it too once it ``is_closed``; forget the logs of the earlier ones.

        Raises:
            StoreError: the lake did not take a partition; its log stays.
        """
        for path in sorted(self._folder.glob("*.log")):
            of = date.fromisoformat(path.stem)
            if of > session or (of == session and not is_closed):
                continue
            frames = list(_frames(path))
            if frames:
                self._lake.write(DATASET, of, pl.concat(frames), "scanner")
            if of < session:
                path.unlink()
        self._lake.keep_newest(DATASET, self._keep_sessions)


def _frames(path: Path) -> Iterator[pl.DataFrame]:
    """The log as tables: an event at a time would need a thousand bytes each."""
    events = (event for lines in _blocks(path) for event in _stored.decode_lines(lines))
    while some := list(islice(events, EVENTS_AT_ONCE)):
        rows = [(each.time, each.list, each.symbol, each.event, each.rank, bytes(each.row).decode()) for each in some]
        yield pl.DataFrame(rows, schema=SCHEMA, orient="row")


def _blocks(path: Path) -> Iterator[bytes]:
    for packed in _packed(path):
        yield zlib.decompress(packed)


def _packed(path: Path) -> Iterator[bytes]:
    """Every whole block from the start; what comes after a torn one is not looked at."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        while len(head := file.read(HEAD.size)) == HEAD.size:
            length, checksum = HEAD.unpack(head)
            packed = file.read(length) if length <= MAX_BLOCK_BYTES else b""
            if len(packed) != length or zlib.crc32(packed) != checksum:
                return
            yield packed
