"""What changes today's table, as events; and events as blocks of bytes and back. Pure: `store/tape.py` keeps files, `recording.py` order.

    event -> perform(table, event)                               the only way in which live changes its table
      \\--> Encoder.blocks -> file ... file -> Decoder.events -> perform(an empty table, event): the same table again

    block       payload
    MARKS       deflated MessagePack: a list of the small and rare events
    BARS        how many (4 bytes), and one Arrow record batch, zstd: what the stream said
    MINUTES     the same: what REST said; a new row of events begins where the symbol changes or time goes back
    another     skipped: for what else belongs to a session, and for later versions

A record batch comes without the schema, which is always the same (`_SCHEMA`), so that
a thousand blocks are read as one stream. What repeats itself is kept small without losing a bit: prices as the
distance of their bits from the close's, the official open from the last one told for the symbol, accumulated
volume from what the last one and this bar's volume make. That memory is empty at each `Opened` and `Connected`.
"""

import io
import zlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Any, TypeAlias

import msgspec
import numpy as np
import polars as pl

from tradeul.errors import StoreError
from tradeul.live.arrivals import SAID, Bars, Heard, IntArray, Minutes, joined
from tradeul.live.recovery import OpensTold, Told, seed_from_snapshot, take_opens
from tradeul.live.today_table import ROOM, TodayTable
from tradeul.records.bars import HaltChange
from tradeul.records.frame import FloatArray

MARKS, BARS, MINUTES = 1, 2, 3
Block = tuple[int, bytes]


class Opened(msgspec.Struct, frozen=True, tag=True):
    """An empty table, which hears from ``since_s`` (seconds since 04:00) on; 0 or less: from the session's first bar."""

    session: date
    since_s: float


class Symbols(msgspec.Struct, frozen=True, tag=True):
    """The table's symbols from index ``first`` on: what indexes in bars mean."""

    first: int
    names: list[str]


class Connected(msgspec.Struct, frozen=True, tag=True):
    """Heard again from ``since_s`` on, after a gap; 0 or less: there is nothing that could be missing."""

    since_s: float


class Levels(msgspec.Struct, frozen=True, tag=True):
    symbols: list[str]
    atr: FloatArray
    prev_close: FloatArray


class Seeded(msgspec.Struct, frozen=True, tag=True):
    """A snapshot was taken for what it knows."""

    told: Told


class Settled(msgspec.Struct, frozen=True, tag=True):
    """Rows became whole."""

    t: float


class _Halts(msgspec.Struct, frozen=True, tag=True):
    changes: list[HaltChange]


class _NoMinutes(msgspec.Struct, frozen=True, tag=True):
    symbol: int


Event: TypeAlias = Opened | Symbols | Connected | Levels | Seeded | OpensTold | Settled | Heard | Minutes
_Mark: TypeAlias = Opened | Symbols | Connected | Levels | Seeded | OpensTold | Settled | _Halts | _NoMinutes


def perform(table: TodayTable, event: Event) -> list[str]:
    """Change the table; return the symbols whose minutes are missing, if a snapshot told so, in the order to ask for them.

    Raises:
        StoreError: the symbols are not those that the event was recorded with.
    """
    match event:
        case Opened(_, since_s):
            table.begin_live(since_s)
        case Symbols(first, names):
            table.add_symbols(names)
            if table.symbols[first : first + len(names)] != names:
                raise StoreError(f"The tape of {table.session} contradicts itself at symbol {first}.")
        case Connected(since_s):
            if since_s > 0:
                table.reconnected(since_s)
        case Levels(symbols, atr, prev_close):
            table.set_levels(symbols, atr, prev_close)
        case Seeded(told):
            return seed_from_snapshot(table, told)
        case OpensTold():
            take_opens(table, event)
        case Settled(t):
            table.settle(t)
        case Heard():
            table.take(event)
        case Minutes():
            table.take_minutes(event)
    return []


def size(event: Event) -> int:
    """Bars in it."""
    return len(event.bars) if isinstance(event, Heard | Minutes) else 0


# --- bars as record batches ----------------------------------------------------------------------------------------------

MOST_JOINED = 16  # blocks of a second: a bar much older than the newest beside it would be counted alone (`windows.py`)
FROM_CLOSE = ("open", "high", "low", "vwap", "session_vwap")
_END = b"\xff\xff\xff\xff\0\0\0\0"


class _Memory:
    """What was last said of each symbol; index 0 is for symbols that the table does not know."""

    def __init__(self) -> None:
        self._accumulated = np.zeros(ROOM)
        self._official = np.zeros(ROOM, np.int64)

    def expect(self, number: IntArray, volume: FloatArray) -> tuple[IntArray, IntArray]:
        """Accumulated volume and official open as bits, if all goes on as it was."""
        if len(number) and (most := int(number.max())) >= len(self._official):
            self._accumulated = np.concatenate((self._accumulated, np.zeros(most)))
            self._official = np.concatenate((self._official, np.zeros(most, np.int64)))
        return _bits(self._accumulated[number] + volume), self._official[number]

    def remember(self, number: IntArray, accumulated: FloatArray, official: FloatArray) -> None:
        self._accumulated[number] = accumulated
        self._official[number] = _bits(official)


def _bits(values: FloatArray) -> IntArray:
    return np.ascontiguousarray(values).view(np.int64)


def _stream(bars: Bars, memory: _Memory) -> bytes:
    """``bars`` as an Arrow stream of one record batch. Integers wrap around, both ways."""
    number, close = bars.symbol + 1, _bits(bars.close)
    accumulated, official = memory.expect(number, bars.volume)
    columns: dict[str, Any] = {name: _bits(getattr(bars, name)) - close for name in FROM_CLOSE}
    columns["symbol"] = number.astype(np.uint32)
    columns["end_ms"] = bars.end_ms - bars.start_ms
    columns["accumulated"] = _bits(bars.accumulated) - accumulated
    columns["official_open"] = _bits(bars.official_open) - official
    memory.remember(number, bars.accumulated, bars.official_open)
    sink = io.BytesIO()
    pl.DataFrame({name: columns.get(name, getattr(bars, name)) for name in SAID}).write_ipc_stream(sink, compression="zstd")
    return sink.getvalue()


def _empty() -> Bars:
    whole, real = np.zeros(0, np.int64), np.zeros(0)
    return Bars(whole, np.zeros(0, np.bool_), whole, whole, *[real] * 10)


def _schema() -> bytes:
    """The first message of every such stream: its length stands in its second word."""
    stream = _stream(_empty(), _Memory())
    return stream[: 8 + int.from_bytes(stream[4:8], "little")]


_SCHEMA = _schema()


def _record_batch(bars: Bars, memory: _Memory) -> bytes:
    stream = _stream(bars, memory)
    assert stream.startswith(_SCHEMA) and stream.endswith(_END)  # noqa: S101 Arrow's stream format
    return len(bars).to_bytes(4, "little") + stream[len(_SCHEMA) : -len(_END)]


def _read_batches(payloads: Sequence[bytes]) -> list[Bars]:
    """As written, but for what depends on a memory."""
    if not payloads:
        return []
    try:
        frame = pl.read_ipc_stream(io.BytesIO(b"".join((_SCHEMA, *(payload[4:] for payload in payloads), _END))))
    except pl.exceptions.PolarsError as error:
        raise StoreError(f"The tape's bars cannot be read ({str(error).splitlines()[0]}).") from error
    # Polars joins small batches as it likes: its chunks are not the blocks.
    ends = np.cumsum([int.from_bytes(payload[:4], "little") for payload in payloads])
    if frame.height != ends[-1]:
        raise StoreError(f"The tape says {ends[-1]} bars and holds {frame.height}.")
    columns = {name: frame[name].to_numpy() for name in SAID}
    close = _bits(columns["close"])
    columns |= {name: (columns[name] + close).view(np.float64) for name in FROM_CLOSE}
    columns["symbol"] = columns["symbol"].astype(np.int64) - 1
    columns["end_ms"] = columns["end_ms"] + columns["start_ms"]
    starts = np.concatenate(([0], ends[:-1]))
    return [Bars(**{name: columns[name][start:end] for name in SAID}) for start, end in zip(starts, ends, strict=True)]


def _recalled(bars: Bars, memory: _Memory) -> Bars:
    number = bars.symbol + 1
    accumulated, official = memory.expect(number, bars.volume)
    told = (bars.accumulated.view(np.int64) + accumulated).view(np.float64), (bars.official_open.view(np.int64) + official).view(np.float64)
    memory.remember(number, *told)
    return msgspec.structs.replace(bars, accumulated=told[0], official_open=told[1])


# --- events as blocks ----------------------------------------------------------------------------------------------------


def _dump(array: object) -> bytes:
    if isinstance(array, np.ndarray):
        return array.astype(np.float64).tobytes()
    raise NotImplementedError(type(array))


def _load(_: type, data: bytes) -> FloatArray:
    return np.frombuffer(data)


class Encoder:
    """One for a file and a process: it begins with `Opened` or `Connected`, as the decoder expects."""

    def __init__(self) -> None:
        self._marks = msgspec.msgpack.Encoder(enc_hook=_dump)
        self._forget()

    def _forget(self) -> None:
        self._memories = {BARS: _Memory(), MINUTES: _Memory()}

    def blocks(self, events: Iterable[Event]) -> list[Block]:
        """In order; neighbours of a kind share a block."""
        found: list[Block] = []
        kind = 0
        waiting: list[Bars | _Mark] = []
        for part_kind, part in _parts(events):
            if kind not in (0, part_kind):
                found.append(self._block(kind, waiting))
                waiting = []
            kind = part_kind
            waiting.append(part)
        return [*found, self._block(kind, waiting)] if waiting else found

    def _block(self, kind: int, parts: list[Any]) -> Block:
        if kind != MARKS:
            return kind, _record_batch(joined(parts), self._memories[kind])
        if any(isinstance(mark, Opened | Connected) for mark in parts):
            self._forget()
        return kind, zlib.compress(self._marks.encode(parts), 1)


def _parts(events: Iterable[Event]) -> Iterator[tuple[int, Bars | _Mark]]:
    for event in events:
        match event:
            case Heard(bars, halts):
                if halts:
                    yield MARKS, _Halts(halts)
                if len(bars):
                    yield BARS, bars
            case Minutes(symbol, bars):
                yield (MINUTES, bars) if len(bars) else (MARKS, _NoMinutes(symbol))
            case _:
                yield MARKS, event


class Decoder:
    def __init__(self) -> None:
        self._marks = msgspec.msgpack.Decoder(list[_Mark], dec_hook=_load)
        self._forget()

    def _forget(self) -> None:
        self.memories = {BARS: _Memory(), MINUTES: _Memory()}

    def events(self, blocks: Iterable[Block]) -> Iterator[Event]:
        """What the blocks tell, a few that follow each other as one event; blocks of unknown kinds tell nothing.

        Raises:
            StoreError: a block is not what its kind says.
        """
        known = [block for block in blocks if block[0] in (MARKS, BARS, MINUTES)]
        batches = iter(_read_batches([payload for kind, payload in known if kind != MARKS]))
        heard: list[Bars] = []
        for kind, payload in known:
            if heard and (kind != BARS or len(heard) == MOST_JOINED):
                yield Heard(joined(heard), [])
                heard = []
            if kind == MARKS:
                yield from self._marked(payload)
            elif kind == BARS:
                heard.append(_recalled(next(batches), self.memories[kind]))
            else:
                yield from _by_symbol(_recalled(next(batches), self.memories[kind]))
        if heard:
            yield Heard(joined(heard), [])

    def _marked(self, payload: bytes) -> Iterator[Event]:
        try:
            marks = self._marks.decode(zlib.decompress(payload))
        except (zlib.error, msgspec.MsgspecError) as error:
            raise StoreError(f"The tape's marks cannot be read ({error}).") from error
        if any(isinstance(mark, Opened | Connected) for mark in marks):
            self._forget()
        for mark in marks:
            match mark:
                case _Halts(changes):
                    yield Heard(_empty(), changes)
                case _NoMinutes(symbol):
                    yield Minutes(symbol, _empty())
                case _:
                    yield mark


def _by_symbol(bars: Bars) -> Iterator[Minutes]:
    begins = np.flatnonzero((np.diff(bars.symbol, prepend=-2) != 0) | (np.diff(bars.start_ms, prepend=0) <= 0))
    for start, end in zip(begins, [*begins[1:], len(bars)], strict=True):
        yield Minutes(int(bars.symbol[start]), Bars(*(getattr(bars, name)[start:end] for name in SAID)))


SLICE_BYTES = 4 << 20  # read at a time: some 300,000 bars


def replay(blocks: Iterator[Block], decoder: Decoder, table: TodayTable) -> bool:
    """Perform a slice of what ``blocks`` tell; False when there is no more.

    Raises:
        StoreError: a block is not what its kind says, or contradicts the table.
    """
    part, length = [], 0
    for block in blocks:
        part.append(block)
        length += len(block[1])
        if length >= SLICE_BYTES:
            break
    for event in decoder.events(part):
        perform(table, event)
    return bool(part)
