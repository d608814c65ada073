"""A person's files of lists, as the page may change them: one list alone in a file of its own name.

    write: temp file in the same folder -> fsync -> rename

Files with several lists, or with floors of their own, are their writer's: they
are told of and never touched. Calls block: use a thread. Whether a list is
right the scanner says (`scanner/definitions.py`), which reads the same folder.
"""

import os
import tomllib
from contextlib import suppress
from pathlib import Path

import msgspec

from tradeul.errors import StoreError, TooMany

MOST_FILES = 100


class ListFile(msgspec.Struct, frozen=True):
    """``lists``: name -> title, where it has one. ``text`` is None: it could not be read; ``reason`` says why, or what is wrong with it."""

    name: str
    lists: dict[str, str | None]
    own_floors: bool = False
    text: str | None = None
    reason: str | None = None

    @property
    def owns(self) -> str | None:
        """The list that may be written here; None: none."""
        name = self.name.removesuffix(".toml")
        alone = self.reason is not None or (set(self.lists) == {name} and not self.own_floors)
        return name if alone else None


class ListFiles:
    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def files(self) -> list[ListFile]:
        return [_read(path) for path in sorted(self._folder.glob("*.toml"))]

    def put(self, name: str, text: str) -> None:
        """Write the file of list ``name``, or replace it whole.

        Raises:
            TooMany: it would be one more than `MOST_FILES`.
            StoreError: the disk did not take it; an earlier file still stands.
        """
        path = self._folder / f"{name}.toml"
        if not path.exists() and len(list(self._folder.glob("*.toml"))) >= MOST_FILES:
            raise TooMany(f"{MOST_FILES} files of lists are kept, no more: delete a list that nobody needs.")
        draft = path.with_suffix(".tmp")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with draft.open("w", encoding="utf-8", newline="\n") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, path)
        except OSError as error:
            with suppress(OSError):  # the folder may be none
                draft.unlink()
            raise StoreError(f"{path} could not be written ({error}): see to the disk's space and rights.") from error

    def delete(self, name: str) -> None:
        """Raises StoreError: it is there, and stays."""
        path = self._folder / f"{name}.toml"
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{path} could not be deleted ({error}): see to the folder's rights.") from error


def _read(path: Path) -> ListFile:
    stem = path.name.removesuffix(".toml")
    text = None
    try:
        text = path.read_text(encoding="utf-8")
        content = tomllib.loads(text)
    except (OSError, ValueError) as error:  # what is no UTF-8 or TOML is a ValueError
        return ListFile(path.name, {stem: None}, text=text, reason=f"{error}")
    lists = content.get("lists")
    if not isinstance(lists, dict) or not lists:
        return ListFile(path.name, {stem: None}, text=text, reason="it has no [lists.NAME]")
    return ListFile(path.name, {name: _title(body) for name, body in lists.items()}, "floors" in content, text)


def _title(body: object) -> str | None:
    title = body.get("title") if isinstance(body, dict) else None
    return title if isinstance(title, str) else None
