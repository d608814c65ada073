"""What the state folder takes of its disk, and what one more session adds. Calls block: use a thread. It deletes nothing."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec


class Disk(msgspec.Struct, frozen=True):
    """``session_bytes``: the newest partition of each dataset, and the longest recording of a session: what the next one is likely to add.

    ``used_bytes``: by folder of the state (lake, tape, logs ...); single files beside them are ``other``.
    """

    free_bytes: int
    used_bytes: dict[str, int]
    session_bytes: int


def disk_of(state: Path) -> Disk:
    used = {path.name: sum(_sizes(path)) for path in sorted(state.iterdir()) if path.is_dir()}
    used["other"] = sum(_size(path) for path in state.iterdir() if path.is_file())
    newest = [max(dataset.glob("session=*"), default=None) for dataset in sorted((state / "lake").glob("[!.]*"))]
    session = sum(sum(_sizes(partition)) for partition in newest if partition is not None)
    return Disk(shutil.disk_usage(state).free, used, session + max(_sizes(state / "tape"), default=0))


def _sizes(folder: Path) -> Iterator[int]:
    for place, _, names in os.walk(folder):
        yield from (_size(Path(place) / name) for name in names)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # gone between the two calls
