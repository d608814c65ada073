"""The lake: bulk data as Parquet, one file per (dataset, session); the truth for it.

    LAKE/{dataset}/session=YYYY-MM-DD/part.parquet      a partition, replaced whole or not at all
    LAKE/.staging/{dataset}/{range}/{batch}.parquet     half-done ranged work

    write: temp file in the same folder -> fsync -> rename -> fsync of the folder

A reader sees the old partition or the new one, whatever is killed when. Each
dataset has one writer: maintenance, which holds its lock, or the scanner for
`membership`. Calls block: use a thread. It
does not know what is complete (`catalog.py`) nor what the columns mean.
"""

import hashlib
import os
import secrets
import shutil
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from tradeul.errors import CorruptPartition, StoreError
from tradeul.store.durable import sync

SCHEMA_VERSION = "1"
STAGING = ".staging"
ROW_GROUP_ROWS = 1 << 16  # one ticker is read without most of the others; larger ones save no room worth it
# A partition is sorted by those of these columns that it has.
SORT_KEYS = ("symbol", "slot", "start_at", "effective", "until", "time", "list")


class Lake:
    def __init__(self, root: Path, version: str, simulated: bool) -> None:
        self._root = root
        # Nobody else's: one who led, and does not know yet that he does no more, must not write into ours.
        self._draft_suffix = f".{secrets.token_hex(4)}.tmp"
        self._footer = {"schema": SCHEMA_VERSION, "version": version, "simulated": str(simulated).lower()}

    def free_bytes(self) -> int:
        """Room left on the lake's disk."""
        there = next(folder for folder in (self._root, *self._root.parents) if folder.exists())
        return shutil.disk_usage(there).free

    def write(self, dataset: str, session: date, frame: pl.DataFrame, source: str) -> str:
        """Replace the partition; return its checksum.

        Raises:
            StoreError: the disk did not take it; the earlier partition still stands.
        """
        ordered = frame.sort([key for key in SORT_KEYS if key in frame.columns])
        checksum = canonical_checksum(ordered)
        self._put(self.path(dataset, session), ordered, {"source": source, "checksum": checksum})
        return checksum

    def read(self, dataset: str, session: date, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Raises CorruptPartition: the file cannot be read; StoreError: there is none."""
        path = self.path(dataset, session)
        try:
            return pl.read_parquet(path, columns=None if columns is None else list(columns), hive_partitioning=False)
        except FileNotFoundError as error:
            raise StoreError(f"The lake has no {dataset} of {session}; a maintenance run loads it.") from error
        except (OSError, pl.exceptions.PolarsError) as error:
            message = f"{path} cannot be read ({_first_line(error)}); the next maintenance run loads it anew."
            raise CorruptPartition(message, dataset, session) from error

    def read_all(self, dataset: str, sessions: Sequence[date], columns: Sequence[str]) -> pl.DataFrame:
        """Several partitions as one frame, with a column ``session``: a third of the time that as many `read` take.

        Raises as `read`: for the first that cannot be read.
        """
        paths = [self.path(dataset, session) for session in sessions]
        try:
            return pl.scan_parquet(paths, hive_partitioning=True).select("session", *columns).collect()
        except (OSError, pl.exceptions.PolarsError):
            for session in sessions:
                self.read(dataset, session, columns)
            raise

    def read_ticker(self, dataset: str, session: date, symbol: str) -> pl.DataFrame:
        """One ticker's rows: of the file only what may hold them is read.

        Raises as `read`.
        """
        path = self.path(dataset, session)
        try:
            return pl.scan_parquet(path, hive_partitioning=False).filter(pl.col("symbol") == symbol).collect()
        except (OSError, pl.exceptions.PolarsError):
            self.read(dataset, session)
            raise

    def footer(self, dataset: str, session: date) -> dict[str, str]:
        """Schema version, source, simulated or not, version that wrote it, checksum."""
        try:
            metadata = pl.read_parquet_metadata(self.path(dataset, session))
        except (OSError, pl.exceptions.PolarsError) as error:
            message = f"{self.path(dataset, session)} cannot be read ({_first_line(error)})."
            raise CorruptPartition(message, dataset, session) from error
        return {key: value for key, value in metadata.items() if key != "ARROW:schema"}

    def has(self, dataset: str, session: date) -> bool:
        return self.path(dataset, session).is_file()

    def sessions(self, dataset: str) -> list[date]:
        """The sessions that have a partition, oldest first."""
        found = (self._root / dataset).glob("session=*/part.parquet")
        return sorted(date.fromisoformat(path.parent.name.removeprefix("session=")) for path in found)

    def keep_newest(self, dataset: str, count: int) -> None:
        """Delete all but the ``count`` newest partitions."""
        for session in self.sessions(dataset)[:-count]:
            self.drop(dataset, session)

    def drop(self, dataset: str, session: date) -> None:
        """Delete the partition; it need not be there.

        Raises:
            StoreError: the disk did not do it.
        """
        folder = self.path(dataset, session).parent
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreError(f"{folder} could not be deleted ({error.strerror}): see to the disk's rights.") from error

    def clear_drafts(self, dataset: str) -> None:
        """Delete what writers that were killed left behind; only by the dataset's writer, while it writes nothing."""
        for draft in (self._root / dataset).rglob("*.tmp"):
            draft.unlink(missing_ok=True)

    def path(self, dataset: str, session: date) -> Path:
        return self._root / dataset / f"session={session}" / "part.parquet"

    # Half-done ranged work: a batch that stands was fetched whole.

    def stage(self, dataset: str, range_name: str, batch: str, frame: pl.DataFrame) -> None:
        self._put(self._staged(dataset, range_name) / f"{batch}.parquet", frame, {})

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

    def _put(self, path: Path, frame: pl.DataFrame, footer: dict[str, str]) -> None:
        draft = path.with_suffix(self._draft_suffix)
        try:
            self._make_folder(path.parent)
            frame.write_parquet(draft, compression="zstd", row_group_size=ROW_GROUP_ROWS, metadata=self._footer | footer)
            sync(draft)
            os.replace(draft, path)
            sync(path.parent)
        except (OSError, pl.exceptions.PolarsError) as error:
            draft.unlink(missing_ok=True)
            raise StoreError(f"{path} could not be written ({_first_line(error)}): see to the disk's space and rights.") from error

    def _make_folder(self, folder: Path) -> None:
        """Create it with its parents, each made durable in the folder above."""
        if not folder.is_dir():
            self._make_folder(folder.parent)
            folder.mkdir(exist_ok=True)
            sync(folder.parent)


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
