"""One ticker's rows of many partitions, quickly: the lake is sorted by session, these questions go by ticker.

    lake file --first asked for--> decoded once --> columns in an unlinked file, memory-mapped --> a slice per ticker

The file's room is bounded; when it is full all is forgotten, and decoded again
as it is asked for. It is page cache, no memory of ours, and disposable: a
replaced partition is noticed within `LOOK_SECONDS`. Calls block, and they are
one thread's. It knows no splits, no ledger, and not what the columns mean.
"""

import mmap
import os
import tempfile
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from functools import partial
from math import nan
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from tradeul.errors import StoreError
from tradeul.store.lake import Lake
from tradeul.store.lake_folder import Mark

LOOK_SECONDS = 1.0
ROOM_BYTES = 1 << 30  # 260 sessions of daily bars and 30 of slots are two thirds of it
WARM_SHARE = 0.8  # of the room: more is not filled before it is asked for, since one partition too many empties it
ALIGNED = 8
NO_ROOM = "Reading history needs room on the disk of the state folder: make some"

T = TypeVar("T")
Columns: TypeAlias = dict[str, npt.NDArray[Any]]


class Looked(Generic[T]):
    """A value that is looked up again once it is ``seconds`` old."""

    def __init__(self, look: Callable[[], T], seconds: float = LOOK_SECONDS) -> None:
        self._look = look
        self._seconds = seconds
        self._seen: tuple[float, T] | None = None

    def __call__(self) -> T:
        now = time.monotonic()
        if self._seen is None or now - self._seen[0] >= self._seconds:
            self._seen = now, self._look()
        return self._seen[1]


class Opened(msgspec.Struct, frozen=True):
    """A partition by ticker: ticker number n has rows first[n] to first[n] + count[n]. Unknown is NaN."""

    mark: Mark
    first: npt.NDArray[np.int32]
    count: npt.NDArray[np.int32]
    columns: Columns


class ByTicker:
    def __init__(self, lake: Lake, folder: Path, room_bytes: int = ROOM_BYTES, look_seconds: float = LOOK_SECONDS) -> None:
        """``folder``: on a disk with that much room; nothing stays in it."""
        self._lake = lake
        self._look_seconds = look_seconds
        self._numbers: dict[str, int] = {}
        self._opened: dict[str, dict[date, Opened]] = {}
        self._marks: dict[str, Looked[dict[date, Mark]]] = {}
        self._whole: dict[str, tuple[date, Mark, pl.DataFrame]] = {}
        self._room_bytes = room_bytes
        self._used_bytes = 0
        self._file, path = tempfile.mkstemp(dir=folder, prefix="history-")
        weakref.finalize(self, os.close, self._file)
        os.unlink(path)  # noqa: PTH108 beside the other calls on files without a name
        os.ftruncate(self._file, room_bytes)  # sparse: disk is taken as it is written
        self._map = mmap.mmap(self._file, room_bytes, prot=mmap.PROT_READ)

    def sessions(self, dataset: str) -> Sequence[date]:
        """The sessions that have a partition, oldest first."""
        return tuple(self._standing(dataset))

    def mark(self, dataset: str, session: date) -> Mark | None:
        """None: there is no such partition."""
        return self._standing(dataset).get(session)

    def rows(self, dataset: str, session: date, symbol: str, names: Iterable[str]) -> Columns | None:
        """Columns of the ticker's rows, perhaps none; one that nobody has a value in is left out. None: there is no such partition.

        Raises:
            StoreError: the partition cannot be read, or the disk has no room.
        """
        opened = self._open(dataset, session)
        if opened is None:
            return None
        start, count = self._place(opened, symbol)
        # Copies: the room may be used anew while they are still looked at.
        return {name: opened.columns[name][start : start + count].copy() for name in names if name in opened.columns}

    def single_rows(self, dataset: str, sessions: Iterable[date], symbol: str, names: Sequence[str]) -> Iterator[tuple[date, list[float]]]:
        """The sessions in which the ticker has a row, of a dataset with at most one; in an eighth of the time that `rows` takes.

        Raises as `rows`.
        """
        marks, kept = self._standing(dataset), self._opened.setdefault(dataset, {})
        for session in sessions:
            opened = kept.get(session)
            mark = marks.get(session)
            if mark is not None and (opened is None or opened.mark != mark):
                opened = self._open(dataset, session)
            if mark is None or opened is None:
                continue
            place, count = self._place(opened, symbol)
            if count:
                columns = opened.columns
                yield session, [columns[name].item(place) if name in columns else nan for name in names]

    def cold(self, dataset: str, newest: int) -> list[tuple[date, Mark]]:
        """The partitions among the ``newest`` that are not decoded as they stand now, newest first; none where no room is left for them."""
        if self._used_bytes > WARM_SHARE * self._room_bytes:
            return []
        kept = self._opened.get(dataset, {})
        standing = list(self._standing(dataset).items())[: -newest - 1 : -1]
        return [(session, mark) for session, mark in standing if session not in kept or kept[session].mark != mark]

    def warm(self, dataset: str, session: date) -> None:
        """Decode it now. Raises as `rows`."""
        self._open(dataset, session)

    def whole(self, dataset: str, session: date) -> pl.DataFrame:
        """A small partition; of each dataset the last one asked for is kept.

        Raises:
            StoreError: there is none, or it cannot be read.
        """
        mark, kept = self.mark(dataset, session), self._whole.get(dataset)
        if kept is not None and kept[:2] == (session, mark):
            return kept[2]
        frame = self._lake.read(dataset, session)
        if mark is not None:
            self._whole[dataset] = session, mark, frame
        return frame

    def _standing(self, dataset: str) -> dict[date, Mark]:
        if dataset not in self._marks:
            self._marks[dataset] = Looked(partial(self._lake.marks, dataset), self._look_seconds)
        return self._marks[dataset]()

    def _place(self, opened: Opened, symbol: str) -> tuple[int, int]:
        """Where the ticker's rows begin, and how many there are."""
        number = self._numbers.get(symbol)
        if number is None or number >= len(opened.first):
            return 0, 0
        return opened.first.item(number), opened.count.item(number)

    def _open(self, dataset: str, session: date) -> Opened | None:
        mark = self.mark(dataset, session)
        if mark is None:
            return None
        kept = self._opened.setdefault(dataset, {})
        opened = kept.get(session)
        if opened is None or opened.mark != mark:
            kept[session] = opened = self._read(dataset, session, mark)
        return opened

    def _read(self, dataset: str, session: date, mark: Mark) -> Opened:
        frame = self._lake.read(dataset, session)
        runs = frame["symbol"].rle().struct.unnest()
        symbols, lengths = runs["value"].to_list(), runs["len"].to_numpy().astype(np.int32)
        numbers = np.array([self._numbers.setdefault(symbol, len(self._numbers)) for symbol in symbols], dtype=np.int64)
        first, count = np.zeros(len(self._numbers), dtype=np.int32), np.zeros(len(self._numbers), dtype=np.int32)
        count[numbers] = lengths
        first[numbers] = np.cumsum(lengths) - lengths
        columns = numeric(frame.drop("symbol"))
        needed = sum(values.nbytes + ALIGNED for values in columns.values())
        if needed > self._room_bytes:
            raise StoreError(f"{dataset} of {session} takes {needed:,} bytes, more than there is room for.")
        if self._used_bytes + needed > self._room_bytes:
            for kept in self._opened.values():
                kept.clear()
            self._used_bytes = 0
        return Opened(mark, first, count, {name: self._put(values) for name, values in columns.items()})

    def _put(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The same values in the page cache. Written by call: through the mapping, a full disk would end the process."""
        place = self._used_bytes
        try:
            written = os.pwrite(self._file, np.ascontiguousarray(values).data, place)
        except OSError as error:
            raise StoreError(f"{NO_ROOM} ({error.strerror}).") from error
        if written < values.nbytes:
            raise StoreError(f"{NO_ROOM}.")
        self._used_bytes += -(-values.nbytes // ALIGNED) * ALIGNED
        return np.frombuffer(self._map, values.dtype, len(values), place)


def numeric(frame: pl.DataFrame) -> Columns:
    """Numbers only, null as NaN; instants as epoch milliseconds; a column without any value is left out."""
    columns: Columns = {}
    for name in frame.columns:
        values = frame[name]
        if len(values) and values.null_count() == len(values):
            continue
        if isinstance(values.dtype, pl.Datetime):
            values = values.dt.epoch("ms")
        elif values.dtype != pl.Int16:
            values = values.cast(pl.Float64).fill_null(float("nan"))
        columns[name] = values.to_numpy()
    return columns
