"""Today's table written down, so that a start reads only what the tape says after it.

    tape ---> table ---> dumped: blocks of bytes ---> loaded: the same table again, bit by bit

A checkpoint is nothing of its own: it is what a start makes of the tape's first bytes. So it is made as a start
makes it, from the one before and what the tape says since, by a child (``python -m tradeul.live.checkpoint``)
that takes neither the event loop's time nor the running table's memory, and that may die at any instant.

One that cannot be used is passed over, and the one before it or the tape alone is read: it is damaged, other code
wrote it (whatever decides what the table becomes, by its text), other hours, or the tape is another or ends before it.

    block   payload
    HEAD    MessagePack: what it is of, which arrays follow, and all that is no array
    ARRAY   an Arrow stream of one column, zstd: the next array of the head, row by row

What a table consists of is not listed here but found (`_parts`), so that nothing added to it can be forgotten.
"""

import hashlib
import io
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import numpy as np
import polars as pl
import structlog

from tradeul import analytics
from tradeul.errors import StoreError
from tradeul.live.tape import BARS, MINUTES, Block, Decoder, replay
from tradeul.live.today_table import ROOM, TodayTable
from tradeul.market_calendar import SessionHours
from tradeul.store.checkpoints import CheckpointFiles
from tradeul.store.tape import MAGIC, bytes_before, bytes_of, read_tape

HEAD, ARRAY = 1, 2
NICE = 10
Part: TypeAlias = dict[str, Any]

log = structlog.get_logger()


class Standing(msgspec.Struct):
    """A table that stands where the first ``end`` bytes of its tape lead, and what its decoder remembers of them."""

    table: TodayTable
    decoder: Decoder
    end: int = len(MAGIC)


class _Array(msgspec.Struct, frozen=True):
    part: str
    name: str
    dtype: str
    shape: tuple[int, ...]


class _Head(msgspec.Struct, frozen=True):
    code: str
    hours: SessionHours
    end: int  # bytes of the tape
    before: bytes  # the tape's bytes just before it
    capacity: int
    symbols: list[str]
    universe: list[int]
    plain: dict[str, dict[str, float | int | bool | None]]
    arrays: list[_Array]


def _code() -> str:
    """The text of all code that decides what a tape makes of a table."""
    rooms = [Path(__file__).parent, Path(str(analytics.__file__)).parent]
    return hashlib.sha256(b"".join(path.read_bytes() for room in rooms for path in sorted(room.glob("*.py")))).hexdigest()


CODE = _code()


def _parts(standing: Standing) -> dict[str, Part]:
    """All that changes in a table, by name, as it is kept; but what is derived, or comes again by itself (newcomers)."""
    table, memories = standing.table, standing.decoder.memories
    return {
        "table": {name: value for name, value in vars(table).items() if name != "_order"},
        "columns": table.columns,
        "counts": table.counts,
        "minutes": vars(table.minutes),
        "seconds": vars(table.seconds),
        "windows": vars(table.windows),
        "heard": vars(memories[BARS]),
        "asked": vars(memories[MINUTES]),
    }


def dumped(standing: Standing, before: bytes) -> Iterator[Block]:
    table, parts = standing.table, _parts(standing)
    used = len(table.symbols)
    arrays = {(part, name): value for part, held in parts.items() for name, value in held.items() if isinstance(value, np.ndarray)}
    kept = {key: _used(array, used, table.minutes.rows_used + 1 if key[0] == "minutes" else None) for key, array in arrays.items()}
    head = _Head(
        code=CODE,
        hours=table.hours,
        end=standing.end,
        before=before,
        capacity=len(table.columns["price"]),
        symbols=table.symbols,
        universe=[table.index[symbol] for symbol in table.universe],
        plain={part: {name: value for name, value in held.items() if _is_plain(value)} for part, held in parts.items()},
        arrays=[_Array(*key, array.dtype.str, array.shape) for key, array in kept.items()],
    )
    yield HEAD, msgspec.msgpack.encode(head)
    for array in kept.values():
        sink = io.BytesIO()
        pl.DataFrame({"": np.ascontiguousarray(array).reshape(-1)}).write_ipc_stream(sink, compression="zstd")
        yield ARRAY, sink.getvalue()


def _used(array: Any, symbols: int, rows: int | None) -> Any:
    """Of a grid of symbols their columns, of the kept minutes the rows in use; the rest is as in an empty table."""
    return array[:rows] if array.ndim == 1 else array[..., :symbols]


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, bool | int | float)


def loaded(blocks: Iterator[Block], hours: SessionHours, tape: Path) -> Standing:
    """What was dumped of a table of these hours, if it is of the file ``tape``.

    Raises:
        StoreError: why it cannot be used.
    """
    try:
        kind, payload = next(blocks, (0, b""))
        if kind != HEAD:
            raise StoreError("It has no head that can be read.")
        head = msgspec.msgpack.decode(payload, type=_Head)
        if head.code != CODE:
            raise StoreError("Other code wrote it.")
        if head.hours != hours:
            raise StoreError("It is of other hours.")
        if not head.before or bytes_before(tape, head.end) != head.before:
            raise StoreError(f"The tape is another, or ends before byte {head.end:,}.")
        standing = Standing(TodayTable(hours, head.capacity), Decoder(), head.end)
        table, parts = standing.table, _parts(standing)
        table.add_symbols(head.symbols)
        table.universe = frozenset(head.symbols[row] for row in head.universe)
        for part, values in head.plain.items():
            (vars(table) if part == "table" else parts[part]).update(values)
        for array in head.arrays:
            _put(parts[array.part], array, next(blocks, (0, b"")))
    except (msgspec.MsgspecError, pl.exceptions.PolarsError, ValueError, IndexError, KeyError) as error:
        raise StoreError(f"It cannot be read ({str(error).splitlines()[0] or type(error).__name__}).") from error
    return standing


def _put(part: Part, array: _Array, block: Block) -> None:
    if block[0] != ARRAY:
        raise StoreError("It is cut or damaged.")
    values = pl.read_ipc_stream(io.BytesIO(block[1])).to_series().to_numpy()
    if len(values) != math.prod(array.shape) or values.dtype != np.dtype(array.dtype):
        raise StoreError(f"Its {array.part}.{array.name} is of another form.")
    if len(array.shape) == 1 and array.shape[0] > len(part[array.name]):
        part[array.name] = np.zeros(array.shape, array.dtype)
    part[array.name][..., : array.shape[-1]] = values.reshape(array.shape)


# --- from files ----------------------------------------------------------------------------------------------------------


def restored(files: CheckpointFiles, hours: SessionHours, tape: Path) -> Standing:
    """As the newest checkpoint says that can be used; without one an empty table before the tape's first block."""
    for path in files.newest_first(hours.session):
        try:
            standing = loaded(files.read(path), hours, tape)
        except StoreError as error:
            log.warning("live_checkpoint_passed_over", file=path.name, reason=str(error))
            continue
        log.info("live_checkpoint_read", file=path.name, bars=standing.table.counts["bars"])
        return standing
    return Standing(TodayTable(hours, ROOM), Decoder())


def write_down(files: CheckpointFiles, hours: SessionHours, tape: Path) -> None:
    """A checkpoint of all that the tape says by now.

    Raises:
        StoreError: the tape contradicts itself, or the disk refuses.
    """
    standing = restored(files, hours, tape)
    begun = standing.end

    def told() -> Iterator[Block]:
        for block in read_tape(tape, begun):
            standing.end += bytes_of(block)
            yield block

    blocks = told()
    while replay(blocks, standing.decoder, standing.table):
        pass
    if standing.end > begun:
        files.write(hours.session, standing.end, dumped(standing, bytes_before(tape, standing.end)))


def main(tape: str, hours: str) -> None:
    """The child: ``tape`` is a session's file, ``hours`` the session's, as JSON. It ends with 0, or with a sentence."""
    os.nice(NICE)
    path = Path(tape)
    try:
        write_down(CheckpointFiles(path.parent), msgspec.json.decode(hours, type=SessionHours), path)
    except StoreError as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main(*sys.argv[1:])
