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
