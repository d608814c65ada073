"""``backup`` and ``restore``: a sentence on a terminal, one JSON line elsewhere."""

import asyncio
import sys
from pathlib import Path

import msgspec

from tradeul.assemble import backup as shell
from tradeul.clock import SystemClock
from tradeul.settings import Settings
from tradeul.store.backups import Manifest


async def backup(settings: Settings, folder: Path, *, simulate: bool, lake: bool) -> None:
    made = await asyncio.to_thread(shell.backup, settings, folder, SystemClock().now(), simulate=simulate, lake=lake)
    _say(made, "Backed up", folder)


async def restore(settings: Settings, folder: Path) -> None:
    _say(await asyncio.to_thread(shell.restore, settings, folder), "Restored", settings.state)


def _say(of: Manifest, done: str, folder: Path) -> None:
    if sys.stdout.isatty():
        print(f"{done}: {len(of.files):,} files, {of.bytes / 1e6:,.1f} MB, in {folder}")  # noqa: T201
        return
    told = {"done": done.lower(), "folder": str(folder), "files": len(of.files), "bytes": of.bytes, "made_at": of.made_at}
    print(msgspec.json.encode(told).decode())  # noqa: T201
