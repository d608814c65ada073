"""``tradeul sql "SELECT ..."``: over the lake of the folder, whether or not Tradeul runs. A table on a terminal, JSON lines elsewhere."""

import asyncio
import sys
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tradeul.assemble.state import COPIES, LAKE, is_simulated, lake_of, standing_catalog, state_folder
from tradeul.errors import NotKept
from tradeul.records.partitions import LedgerRow
from tradeul.settings import Settings
from tradeul.store.filings import FilingsStore
from tradeul.store.filings_files import write_files
from tradeul.store.lake import Lake
from tradeul.store.lake_sql import datasets_of, select, views_aside

SHOWN_ROWS = 100
SHOWN_CHARACTERS = 40


async def sql(settings: Settings, statement: str) -> int:
    """Raises QuestionRefused: what is asked cannot be asked so; NotKept: the folder has no lake; StoreError: the bucket does not answer."""
    simulated = is_simulated(settings)
    state = state_folder(settings, simulated=simulated)
    lake, files = state / LAKE, None
    if settings.lake_url is not None:
        lake, files = state / COPIES, await asyncio.to_thread(_fetched, lake_of(settings, state, simulated=simulated), statement)
    elif not lake.is_dir():
        raise NotKept(f"{state} has no lake yet: `tradeul up` or `tradeul maintain` loads one.")
    with tempfile.TemporaryDirectory(prefix="tradeul-sql-") as folder:
        ledger = await asyncio.to_thread(_read_catalog, settings, simulated, statement, Path(folder))
        return await _say(select(lake, ledger, statement, aside=Path(folder), files=files))


def _fetched(lake: Lake, statement: str) -> dict[str, list[Path]]:
    return {dataset: lake.files(dataset) for dataset in datasets_of(statement)}


async def _say(rows: AsyncGenerator[bytes, None]) -> int:
    if not sys.stdout.isatty():
        async for lines in rows:
            sys.stdout.buffer.write(lines)
        return 0
    shown: list[dict[str, Any]] = []
    async for lines in rows:
        shown += map(msgspec.json.decode, lines.splitlines())
        if len(shown) > SHOWN_ROWS:
            break
    await rows.aclose()
    show(shown[:SHOWN_ROWS], more=len(shown) > SHOWN_ROWS)
    return 0


def show(rows: list[dict[str, Any]], *, more: bool) -> None:
    console = Console()
    if not rows:
        console.print("No rows.")
        return
    table = Table()
    for name, value in rows[0].items():
        table.add_column(Text(name), justify="right" if isinstance(value, int | float) else "left")
    for row in rows:
        table.add_row(*(Text(_said(value)) for value in row.values()))
    console.print(table)
    if more:
        console.print(f'The first {SHOWN_ROWS} rows; all of them go into a file: tradeul sql "…" > rows.jsonl', style="dim", markup=False)


def _said(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, list | dict):
        return msgspec.json.encode(value).decode()[:SHOWN_CHARACTERS]
    return str(value)


def _read_catalog(settings: Settings, simulated: bool, statement: str, folder: Path) -> list[LedgerRow]:
    """The ledger; what else the statement may read of the catalog lies in the folder then."""
    with standing_catalog(settings, simulated=simulated) as catalog:
        if catalog is None:
            return []
        write_files(FilingsStore(catalog), folder, views_aside(statement))
        return catalog.ledger()
