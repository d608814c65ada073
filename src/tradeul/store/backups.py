"""A backup: a folder of plain files with a manifest of their checksums, and the way back out of one.

    FOLDER/manifest.json   what it is of; of each file its path in the state folder, bytes and SHA-256
    FOLDER/files/...       these files

A folder that is being filled holds the file `.tradeul-unfinished` until all of
it is written and synced: with the mark it is nothing to restore from, nothing
to start on, and as good as empty. One at a time fills a folder: of a state
folder its locks see to that. Calls block: use a thread. Which files belong in
it is not known here (`assemble/backup.py`), nor what they hold.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import msgspec

from tradeul.errors import StoreError
from tradeul.store.databases import is_of_later_version
from tradeul.store.durable import sync

MANIFEST, FILES, UNFINISHED = "manifest.json", "files", ".tradeul-unfinished"
LOCKS = "locks"  # of a state folder: who fills it holds them
READ_BYTES = 1 << 20


class Entry(msgspec.Struct, frozen=True):
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """``form``: of the catalog's tables; None: there was no catalog. ``files``: by path in the state folder."""

    made_at: datetime
    version: str
    form: str | None
    simulated: bool
    files: dict[str, Entry]

    @property
    def bytes(self) -> int:
        return sum(entry.bytes for entry in self.files.values())


# --- folders that are whole or nothing ------------------------------------------------------------------------------------


def is_unfinished(folder: Path) -> bool:
    return (folder / UNFINISHED).exists()


def check_whole(state: Path) -> None:
    """Raises StoreError: a restore into it was interrupted."""
    if is_unfinished(state):
        raise StoreError(f"A restore into {state} was interrupted: do it again, `tradeul restore DIR`, or empty the folder.")


def check_empty(folder: Path) -> None:
    """Raises StoreError: something is in it that no interrupted backup or restore left."""
    if is_unfinished(folder) or not folder.exists():
        return
    if not folder.is_dir() or any(path.name != LOCKS for path in folder.iterdir()):
        raise StoreError(f"{folder} is not empty, and nothing is written over: name a folder that is empty, or not there yet.")


@contextmanager
def filling(folder: Path) -> Iterator[None]:
    """What the body puts into it stands whole, or not at all; after a kill the mark says so.

    Raises:
        StoreError: the folder is not empty, or the disk did not take all of it.
    """
    mark = folder / UNFINISHED
    try:
        check_empty(folder)
        folder.mkdir(parents=True, exist_ok=True)
        mark.touch()
        sync(folder)
        _clear(folder)
        yield
        for place, _, _ in os.walk(folder):
            sync(Path(place))
        mark.unlink()
        sync(folder)
    except OSError as error:
        raise StoreError(f"{folder} could not be filled ({error}): see to the disk's space and rights.") from error
    finally:
        with suppress(OSError):  # then the mark stays
            if is_unfinished(folder):
                _clear(folder)
                mark.unlink()


def _clear(folder: Path) -> None:
    """All but the locks and the mark."""
    for path in folder.iterdir():
        if path.name in (LOCKS, UNFINISHED):
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


# --- a backup -------------------------------------------------------------------------------------------------------------


def write_backup(folder: Path, make: Callable[[Path], Manifest]) -> Manifest:
    """``make`` puts the files below the path that it is given, and says what they are.

    Raises:
        StoreError: the folder is not empty, or something could not be read or written; then nothing is left in it.
    """
    with filling(folder):
        (folder / FILES).mkdir()
        manifest = make(folder / FILES)
        with (folder / MANIFEST).open("wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(manifest)))
            _flush(file)
    return manifest


def read_backup(folder: Path) -> Manifest:
    """What it says of itself, once every file of it is found as it says.

    Raises:
        StoreError: it is no whole backup, is damaged, or a later version's.
    """
    if is_unfinished(folder):
        raise StoreError(f"{folder} is no whole backup: it was interrupted. Name another.")
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise StoreError(f"{folder} is no whole backup ({error}): name a folder that `tradeul backup` filled.") from error
    if is_of_later_version(manifest.form):
        raise StoreError(f"{folder} was made by a later version ({manifest.version}): restore it with that one.")
    for name, entry in manifest.files.items():
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise StoreError(f"{folder} is no backup of ours: it names the file {name!r}.")
        try:
            whole = entry_of(folder / FILES / name) == entry
        except OSError:
            whole = False
        if not whole:
            raise StoreError(f"{folder} is damaged: {name} is not what was backed up. Nothing was restored; name another.")
    return manifest


def put_back(folder: Path, manifest: Manifest, state: Path, *, but: str | None = None) -> None:
    """Its files into the state folder, all ``but`` one.

    Raises:
        StoreError: a file changed since it was read.
        OSError: the disk did not take one.
    """
    wanted = {name: entry for name, entry in manifest.files.items() if name != but}
    if copied(folder / FILES, wanted, state) != wanted:
        raise StoreError(f"{folder} changed while it was restored: try again.")


# --- files ----------------------------------------------------------------------------------------------------------------


def entry_of(path: Path) -> Entry:
    """Raises OSError: it cannot be read."""
    with path.open("rb") as file:
        return _passed_on(file, lambda _: None)


def copied(root: Path, names: Iterable[str], target: Path) -> dict[str, Entry]:
    """Copy the files of these paths from one folder to the other; what is gone when its turn comes is left out."""
    entries = {}
    for name in names:
        try:
            source = (root / name).open("rb")
        except FileNotFoundError:
            continue
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        with source, (target / name).open("wb") as file:
            entries[name] = _passed_on(source, file.write)
            _flush(file)
    return entries


def _passed_on(source: BinaryIO, to: Callable[[bytes], object]) -> Entry:
    digest, length = hashlib.sha256(), 0
    while piece := source.read(READ_BYTES):
        to(piece)
        digest.update(piece)
        length += len(piece)
    return Entry(length, digest.hexdigest())


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
