"""A session's checkpoints: files beside its tape, each there as a whole or not at all. What they say, `live/checkpoint.py` knows.

    TAPE/checkpoints/session=YYYY-MM-DD.BYTES     16 bytes of magic, then blocks as the tape's; BYTES of the tape are in it

The newest two of one session are kept, so that one that cannot be read costs some
minutes of the tape and not all of it. Those of other sessions go: nobody starts
in the past. Calls block: use a thread.
"""

import os
from collections.abc import Iterable, Iterator
from datetime import date
from io import FileIO
from pathlib import Path

from tradeul.errors import StoreError
from tradeul.store.tape import Block, framed, read_block, write_all

MAGIC = b"tradeul check 1\n"
KEPT = 2


class CheckpointFiles:
    def __init__(self, tape: Path) -> None:
        """``tape``: the folder of the tapes."""
        self._root = tape / "checkpoints"

    def newest_first(self, session: date) -> list[Path]:
        return sorted(self._root.glob(f"session={session}." + "[0-9]" * 12), reverse=True)

    def read(self, path: Path) -> Iterator[Block]:
        """The blocks that are whole, up to the first that is not: who reads knows how many there must be.

        Raises:
            StoreError: the disk refuses, or the file is of another form.
        """
        try:
            with path.open("rb") as reader:
                if reader.read(len(MAGIC)) != MAGIC:
                    raise StoreError(f"{path} is no checkpoint of this version.")
                while (block := read_block(reader)) is not None:
                    yield block
        except OSError as error:
            raise StoreError(f"The checkpoint {path} cannot be read ({error.strerror}): see to the disk.") from error

    def write(self, session: date, end: int, blocks: Iterable[Block]) -> None:
        """``end``: how many bytes of the tape it stands for.

        Raises:
            StoreError: the disk is full or refuses; what stood before stands.
        """
        path = self._root / f"session={session}.{end:012}"
        draft = path.with_suffix(f".draft{os.getpid()}")
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            with FileIO(draft, "w") as file:
                write_all(file, MAGIC)
                for part in framed(blocks):
                    write_all(file, part)
                os.fsync(file)
            os.replace(draft, path)
            kept = self.newest_first(session)[:KEPT]
            for other in self._root.iterdir():
                if other not in kept:
                    other.unlink(missing_ok=True)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise StoreError(f"The checkpoint {path} cannot be written ({error.strerror}): see to the disk's space.") from error
