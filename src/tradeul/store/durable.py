"""What is written stays written, also when the machine loses its power. It knows no files of its own."""

import os
from pathlib import Path


def sync(path: Path) -> None:
    """A file's content, or a folder's names, on the disk before this returns. Raises OSError: the disk refuses."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(folder: Path) -> None:
    """Create it with its parents, each made durable in the folder above."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync(folder.parent)
