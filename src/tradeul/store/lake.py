"""The lake: bulk data as Parquet, one file per (dataset, session); the truth for it.

    {dataset}/session=YYYY-MM-DD/part.parquet           a partition, replaced whole or not at all
    ROOT/.staging/{dataset}/{range}/{batch}.parquet     half-done ranged work, always in a folder

    write: a draft -> put in its place, in a folder (`lake_folder.py`) or a bucket (`lake_objects.py`)

A reader sees the old partition or the new one, whatever is killed when. Each
dataset has one writer: maintenance, which holds its lock, or the scanner for
`membership`. Calls block: use a thread. Each raises StoreError when the place
cannot be asked. It does not know what is complete (`catalog.py`) nor what the
columns mean.
"""

import copy
import hashlib
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from tradeul.errors import CorruptPartition, StoreError
from tradeul.store.durable import make_folder
from tradeul.store.lake_folder import Folder, Mark, Partitions, replace

SCHEMA_VERSION = "1"
STAGING = ".staging"
ROW_GROUP_ROWS = 1 << 16  # one ticker is read without most of the others; larger ones save no room worth it
# A partition is sorted by those of these columns that it has.
SORT_KEYS = ("symbol", "slot", "start_at", "effective", "until", "time", "list")


class Lake:
    def __init__(self, root: Path, version: str, simulated: bool, partitions: Partitions | None = None) -> None:
        """``partitions``: where they are, if not in ``root``."""
        self._root = root
        self._folder = Folder(root)
        self._partitions: Partitions = partitions or self._folder
        self._may_change: Callable[[], None] = lambda: None
        self._footer = {"schema": SCHEMA_VERSION, "version": version, "simulated": str(simulated).lower()}

    def guarded(self, may_change: Callable[[], None]) -> "Lake":
        """For a writer that may be one no more: ``may_change`` is called right before a partition changes, and refuses by raising."""
        lake = copy.copy(self)
        lake._may_change = may_change
        return lake

    def free_bytes(self) -> int:
        """Room left on the disk of the folder."""
        there = next(folder for folder in (self._root, *self._root.parents) if folder.exists())
        return shutil.disk_usage(there).free

    def write(self, dataset: str, session: date, frame: pl.DataFrame, source: str) -> str:
        """Replace the partition; return its checksum.

        Raises:
            StoreError: the disk or the bucket did not take it, or we may not; the earlier partition still stands.
        """

        def put() -> None:
            self._may_change()
            self._partitions.put(draft, dataset, session)

        ordered = frame.sort([key for key in SORT_KEYS if key in frame.columns])
        checksum = canonical_checksum(ordered)
        where = self._partitions.name(dataset, session)
        with _taken(where):
            draft = self._partitions.draft(dataset, session)
        self._put(ordered, {"source": source, "checksum": checksum}, draft, where, put)
        return checksum

    def read(self, dataset: str, session: date, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Raises CorruptPartition: the file cannot be read; StoreError: there is none."""
        try:
            (path,) = self._partitions.files(dataset, [session])
            return pl.read_parquet(path, columns=None if columns is None else list(columns), hive_partitioning=False)
        except FileNotFoundError as error:
            raise StoreError(f"The lake has no {dataset} of {session}; a maintenance run loads it.") from error
        except (OSError, pl.exceptions.PolarsError) as error:
            raise self._corrupt(dataset, session, error, "; the next maintenance run loads it anew.") from error

    def read_all(self, dataset: str, sessions: Sequence[date], columns: Sequence[str]) -> pl.DataFrame:
        """Several partitions as one frame, with a column ``session``: a third of the time that as many `read` take.

        Raises as `read`: for the first that cannot be read.
        """
        try:
            paths = self._partitions.files(dataset, sessions)
            return pl.scan_parquet(paths, hive_partitioning=True).select("session", *columns).collect()
        except (OSError, pl.exceptions.PolarsError):
            for session in sessions:
                self.read(dataset, session, columns)
            raise

    def read_ticker(self, dataset: str, session: date, symbol: str) -> pl.DataFrame:
        """One ticker's rows: of the file only what may hold them is read.

        Raises as `read`.
        """
        try:
            (path,) = self._partitions.files(dataset, [session])
            return pl.scan_parquet(path, hive_partitioning=False).filter(pl.col("symbol") == symbol).collect()
        except (OSError, pl.exceptions.PolarsError):
            self.read(dataset, session)
            raise

    def footer(self, dataset: str, session: date) -> dict[str, str]:
        """Schema version, source, simulated or not, version that wrote it, checksum."""
        try:
            (path,) = self._partitions.files(dataset, [session])
            metadata = pl.read_parquet_metadata(path)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise self._corrupt(dataset, session, error) from error
        return {key: value for key, value in metadata.items() if key != "ARROW:schema"}

    def has(self, dataset: str, session: date) -> bool:
        return bool(self._partitions.marks(dataset, session))

    def sessions(self, dataset: str) -> list[date]:
        """The sessions that have a partition, oldest first."""
        return list(self.marks(dataset))

    def marks(self, dataset: str) -> dict[date, Mark]:
        """Of each partition, oldest first: another one once it is replaced."""
        return dict(sorted(self._partitions.marks(dataset).items()))

    def files(self, dataset: str) -> list[Path]:
        """All partitions, as files that stand for some minutes."""
        return self._partitions.files(dataset, self.sessions(dataset))

    def keep_newest(self, dataset: str, count: int) -> None:
        """Delete all but the ``count`` newest partitions."""
        for session in self.sessions(dataset)[:-count]:
            self.drop(dataset, session)

    def drop(self, dataset: str, session: date) -> None:
        """Delete the partition; it need not be there.

        Raises:
            StoreError: the disk or the bucket did not do it, or we may not.
        """
        try:
            self._may_change()
            self._partitions.delete(dataset, session)
        except FileNotFoundError:
            return
        except OSError as error:
            where = self._partitions.name(dataset, session)
            raise StoreError(f"{where} could not be deleted ({error.strerror}): see to the disk's rights.") from error

    def clear_drafts(self, dataset: str) -> None:
        """Delete what writers that were killed left behind; only by the dataset's writer, while it writes nothing."""
        self._partitions.clear_drafts(dataset)

    def path(self, dataset: str, session: date) -> Path:
        """Where it lies, in a folder."""
        return self._folder.path(dataset, session)

    # Half-done ranged work: a batch that stands was fetched whole.

    def stage(self, dataset: str, range_name: str, batch: str, frame: pl.DataFrame) -> None:
        path = self._staged(dataset, range_name) / f"{batch}.parquet"
        with _taken(str(path)):
            make_folder(path.parent)
        draft = path.with_suffix(f".{secrets.token_hex(4)}.tmp")
        self._put(frame, {}, draft, str(path), lambda: replace(draft, path))

    def staged(self, dataset: str, range_name: str, batch: str) -> pl.DataFrame | None:
        """The batch, or None; one that cannot be read counts as not there."""
        try:
            return pl.read_parquet(self._staged(dataset, range_name) / f"{batch}.parquet", hive_partitioning=False)
        except (OSError, pl.exceptions.PolarsError):
            return None

    def clear_staging(self, dataset: str, keep: str | None = None) -> None:
        """Delete the dataset's staged work, but for the range ``keep``."""
        for folder in (self._root / STAGING / dataset).glob("*"):
            if folder.name != keep:
                shutil.rmtree(folder)

    def _staged(self, dataset: str, range_name: str) -> Path:
        return self._root / STAGING / dataset / range_name

    def _put(self, frame: pl.DataFrame, footer: dict[str, str], draft: Path, where: str, put: Callable[[], None]) -> None:
        try:
            with _taken(where):
                frame.write_parquet(draft, compression="zstd", row_group_size=ROW_GROUP_ROWS, metadata=self._footer | footer)
                put()
        finally:
            draft.unlink(missing_ok=True)

    def _corrupt(self, dataset: str, session: date, error: Exception, then: str = ".") -> CorruptPartition:
        message = f"{self._partitions.name(dataset, session)} cannot be read ({_first_line(error)}){then}"
        return CorruptPartition(message, dataset, session)


@contextmanager
def _taken(where: str) -> Iterator[None]:
    try:
        yield
    except (OSError, pl.exceptions.PolarsError) as error:
        raise StoreError(f"{where} could not be written ({_first_line(error)}): see to the disk's space and rights.") from error


def canonical_checksum(frame: pl.DataFrame) -> str:
    """A hash of the rows in their order: the same for the same values, whatever wrote or compressed them."""
    digest = hashlib.sha256()
    for name in sorted(frame.columns):
        column = frame[name]
        digest.update(f"{name}\0{column.dtype}\0{len(column)}\0".encode())
        digest.update(np.packbits(column.is_null().to_numpy()).tobytes())
        if column.dtype == pl.String:
            texts = column.fill_null("")
            digest.update(texts.str.len_bytes().to_numpy().tobytes())
            digest.update((texts.str.join().item() or "").encode())
        elif column.dtype == pl.Date:
            digest.update(column.cast(pl.Int32).fill_null(0).to_numpy().tobytes())
        elif isinstance(column.dtype, pl.Datetime):
            digest.update(column.cast(pl.Int64).fill_null(0).to_numpy().tobytes())
        elif isinstance(column.dtype, pl.Array):
            digest.update(np.ascontiguousarray(column.to_numpy()).tobytes())
        else:
            digest.update(np.ascontiguousarray(column.fill_null(0).to_numpy()).tobytes())
    return digest.hexdigest()[:32]


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
