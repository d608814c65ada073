"""A person's SQL over the lake, run in a child process that can be ended at any time (`sql_child.py` says what is fenced in).

It yields rows as they come, and ends the child when the reader stops. What the
child holds back is bounded by the pipe: a slow reader slows the query.
"""

import asyncio
import re
import sys
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from tradeul.errors import QuestionRefused
from tradeul.ops.child import end
from tradeul.records.partitions import LedgerRow
from tradeul.store.sql_child import VIEWS, VIEWS_ASIDE

CHILD = "tradeul.store.sql_child"
MEMORY_BYTES = 512 << 20
WAIT_SECONDS = 30.0  # wall time for the next rows
PROCESSOR_SECONDS = 120  # of all threads, in all
PIECE_BYTES, LONGEST_LINE_BYTES = 256 << 10, 16 << 20


class Limits(msgspec.Struct, frozen=True):
    wait_seconds: float = WAIT_SECONDS
    memory_bytes: int = MEMORY_BYTES
    processor_seconds: int = PROCESSOR_SECONDS


def views_aside(statement: str) -> list[str]:
    """Those of the views that lie outside the lake and that the statement may read: what has no such word in it cannot name them."""
    return [view for view in VIEWS_ASIDE if view in statement.lower()]


def datasets_of(statement: str) -> set[str]:
    """Those of the lake that it may read, likewise."""
    return {dataset for view, (dataset, _) in VIEWS.items() if re.search(rf"\b{view}\b", statement.lower())}


async def select(
    lake: Path,
    ledger: Iterable[LedgerRow],
    statement: str,
    limits: Limits | None = None,
    aside: Path | None = None,
    files: Mapping[str, Sequence[Path]] | None = None,
) -> AsyncGenerator[bytes, None]:
    """The rows of one SELECT, each a JSON object and a line; some whole lines at a time.

    ``aside``: the folder that holds `views_aside` as files; without it they are empty. ``files``: the partitions of
    `datasets_of`, below ``lake``, which is no folder of partitions then.

    Raises:
        QuestionRefused: it is no SELECT over the views, it is wrong, or it takes more than the limits.
    """
    limits = limits or Limits()
    body = {
        "lake": str(lake),
        "aside": None if aside is None else str(aside),
        "files": None if files is None else {dataset: list(map(str, paths)) for dataset, paths in files.items()},
        "statement": statement,
        "ledger": [_values(row) for row in ledger],
        "memory_bytes": limits.memory_bytes,
        "processor_seconds": limits.processor_seconds,
    }
    pipe = asyncio.subprocess.PIPE
    # Isolated and with an empty environment: no key is there to be read, no folder of the asker's is searched for code.
    process = await asyncio.create_subprocess_exec(sys.executable, "-I", "-m", CHILD, stdin=pipe, stdout=pipe, stderr=pipe, env={})
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None  # noqa: S101 asked for
    try:
        async with asyncio.timeout(limits.wait_seconds):
            with suppress(BrokenPipeError, ConnectionResetError):  # it ended early: its words follow
                process.stdin.write(msgspec.json.encode(body))
                process.stdin.write_eof()
                await process.stdin.drain()
        begun = b""
        while True:
            async with asyncio.timeout(limits.wait_seconds):
                piece = await process.stdout.read(PIECE_BYTES)
            if not piece:
                break
            whole, newline, rest = piece.rpartition(b"\n")
            if newline:
                yield begun + whole + newline
                begun = rest
            elif len(begun) + len(piece) > LONGEST_LINE_BYTES:
                raise QuestionRefused(f"A row is longer than {LONGEST_LINE_BYTES >> 20} MB: ask for less of it.")
            else:
                begun += piece
        async with asyncio.timeout(limits.wait_seconds):
            said = (await process.stderr.read()).decode(errors="replace").strip()
            code = await process.wait()
    except TimeoutError as error:
        raise QuestionRefused(f"It took longer than {limits.wait_seconds:g} s: ask for fewer sessions or tickers.") from error
    finally:
        await end(process)
    if code < 0:
        limit = f"{limits.processor_seconds} s of processor time or {limits.memory_bytes >> 20} MB"
        raise QuestionRefused(f"It was ended at a limit ({limit}): ask for fewer sessions or tickers.")
    if code:
        raise QuestionRefused(said or f"It ended with code {code} and without a word.")


def _values(row: LedgerRow) -> tuple[object, ...]:
    names = ("dataset", "session", "state", "attempts", "expected", "got")
    after = ("checksum", "started_at", "finished_at", "error", "code_version")
    return (*(getattr(row, name) for name in names), ", ".join(row.missing), *(getattr(row, name) for name in after))
