"""Where the lake's partitions are, as whole files: what a place must offer (`Partitions`), and a folder as one.

    ROOT/{dataset}/session=YYYY-MM-DD/part.parquet
    put: a draft beside it -> fsync -> rename -> fsync of the folder

It does not know what is in a file. Calls block: use a thread.
"""

import os
import secrets
import shutil
from collections.abc import Hashable, Sequence
from datetime import date
from pathlib import Path
from typing import Protocol, TypeAlias

from tradeul.store.durable import make_folder, sync

PART = "part.parquet"
Mark: TypeAlias = Hashable  # a partition's: another one once it is replaced


class Partitions(Protocol):
    def name(self, dataset: str, session: date) -> str:
        """Where it lies, for people."""

    def draft(self, dataset: str, session: date) -> Path:
        """Where to write what is `put` then; nobody else writes there."""

    def put(self, draft: Path, dataset: str, session: date) -> None:
        """The draft is the partition now. Raises OSError or StoreError: the earlier one still stands."""

    def files(self, dataset: str, sessions: Sequence[date]) -> list[Path]:
        """Files with the partitions as they stand. Raises FileNotFoundError: one is not there; StoreError: they cannot be had."""

    def marks(self, dataset: str, session: date | None = None) -> dict[date, Mark]:
        """Of all partitions that stand, or of that one. Raises StoreError: it cannot be known now."""

    def delete(self, dataset: str, session: date) -> None: ...

    def clear_drafts(self, dataset: str) -> None:
        """Delete what writers that were killed left behind; only by the dataset's writer, while it writes nothing."""


class Folder:
    def __init__(self, root: Path) -> None:
        self._root = root
        # Nobody else's: one who led, and does not know yet that he does no more, must not write into ours.
        self._draft_suffix = f".{secrets.token_hex(4)}.tmp"

    def path(self, dataset: str, session: date) -> Path:
        return self._root / dataset / f"session={session}" / PART

    def name(self, dataset: str, session: date) -> str:
        return str(self.path(dataset, session))

    def draft(self, dataset: str, session: date) -> Path:
        path = self.path(dataset, session)
        make_folder(path.parent)
        return path.with_suffix(self._draft_suffix)

    def put(self, draft: Path, dataset: str, session: date) -> None:
        replace(draft, self.path(dataset, session))

    def files(self, dataset: str, sessions: Sequence[date]) -> list[Path]:
        return [self.path(dataset, session) for session in sessions]  # who reads them finds out

    def marks(self, dataset: str, session: date | None = None) -> dict[date, Mark]:
        marks: dict[date, Mark] = {}
        for path in (self._root / dataset).glob(f"session={session or '*'}/{PART}"):
            try:
                found = path.stat()
            except FileNotFoundError:  # it went this instant
                continue
            marks[date.fromisoformat(path.parent.name.removeprefix("session="))] = found.st_mtime_ns, found.st_ino
        return marks

    def delete(self, dataset: str, session: date) -> None:
        shutil.rmtree(self.path(dataset, session).parent)

    def clear_drafts(self, dataset: str) -> None:
        for draft in (self._root / dataset).rglob("*.tmp"):
            draft.unlink(missing_ok=True)


def replace(draft: Path, path: Path) -> None:
    """Whole, and for good. Raises OSError: the disk refuses; what was there before stands."""
    sync(draft)
    os.replace(draft, path)
    sync(path.parent)
