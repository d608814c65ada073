"""A flat file of minute bars into columns. Pure; the store of files is `flat_files.py`'s.

A day is some 1.7 million rows, 100 MB of CSV: it is unpacked and parsed in
chunks, so that text and columns are never whole in memory together.
"""

import io
import zlib
from collections.abc import Iterator

import polars as pl

from tradeul.errors import MalformedResponse
from tradeul.providers.polygon.wire import SYMBOL

SCHEMA = {
    "ticker": pl.String(),
    "volume": pl.Float64(),
    "open": pl.Float64(),
    "close": pl.Float64(),
    "high": pl.Float64(),
    "low": pl.Float64(),
    "window_start": pl.Int64(),
    "transactions": pl.Float64(),
}
HEADER = ",".join(SCHEMA).encode()
CHUNK = 2 << 20  # bytes of CSV parsed at a time: joining them holds the interpreter
# Packed bytes unpacked at a time. zlib copies what it has not taken yet, and holds the interpreter meanwhile: of a whole file
# that is 0.3 s on a loaded machine, in which the event loop stands still.
PACKED_PIECE = 256 << 10
PRICES = ("open", "high", "low", "close")


def decode_minute_file(data: bytes | memoryview, name: str = "minute file") -> pl.DataFrame:
    """Columns symbol (categorical), start_ms i64, open, high, low, close, volume f64, trades i32; rows in the file's order.

    ticker,volume,open,close,high,low,window_start,transactions
    AAPL,4930,200.29,200.5,200.63,200.29,1744792500000000000,129
    """
    frames: list[pl.DataFrame] = []
    line = 2
    for text in _chunks(data, name):
        if not frames:
            header, _, text = text.partition(b"\n")
            if header.strip() != HEADER:
                raise MalformedResponse(name, f"line 1 is {header[:80]!r}, not {HEADER.decode()!r}")
        frames.append(_parse(text, name, line))
        line += frames[-1].height
    if not frames:
        raise MalformedResponse(name, "it is empty")
    # One piece per chunk: joining them would copy everything once more.
    return pl.concat(frames, rechunk=False)


def _chunks(data: bytes | memoryview, name: str) -> Iterator[bytes]:
    """The unpacked text, cut at line ends."""
    pieces: list[bytes] = []
    size = 0
    for piece in _unpacked(memoryview(data), name):
        pieces.append(piece)
        size += len(piece)
        if size >= CHUNK:
            text = b"".join(pieces)
            end = text.rfind(b"\n") + 1
            pieces, size = [text[end:]], len(text) - end
            if end:
                yield text[:end]
    if size:
        yield b"".join(pieces)


def _unpacked(data: memoryview, name: str) -> Iterator[bytes]:
    unpacker, packed, place = zlib.decompressobj(wbits=31), b"", 0
    try:
        while packed or place < len(data):
            if not packed:
                packed, place = bytes(data[place : place + PACKED_PIECE]), place + PACKED_PIECE
            yield unpacker.decompress(packed, CHUNK)
            packed = unpacker.unconsumed_tail
            if unpacker.eof:
                # The format allows several members, one after the other.
                packed = unpacker.unused_data
                unpacker = zlib.decompressobj(wbits=31) if packed or place < len(data) else unpacker
        yield unpacker.flush()
    except zlib.error as error:
        raise MalformedResponse(name, f"no gzip, or damaged: {error}") from error
    if not unpacker.eof:
        raise MalformedResponse(name, f"the gzip ends early, after {len(data)} bytes")


def _parse(text: bytes, name: str, first_line: int) -> pl.DataFrame:
    if not text:
        return _renamed(pl.DataFrame(schema=SCHEMA))
    try:
        rows = pl.read_csv(io.BytesIO(text), has_header=False, new_columns=list(SCHEMA), schema=SCHEMA, quote_char=None)
    except pl.exceptions.PolarsError as error:
        raise MalformedResponse(name, f"in the rows from line {first_line} on: {str(error).splitlines()[0]}") from error
    # A null is not wrong by itself to a comparison: hence the filter's `fill_null`.
    good = (
        pl.all_horizontal(pl.col(price).is_finite() & (pl.col(price) > 0) for price in PRICES)
        & pl.all_horizontal(pl.col(amount).is_finite() & (pl.col(amount) >= 0) for amount in ("volume", "transactions"))
        & (pl.col("transactions") < 2**31)
        & (pl.col("window_start") > 0)
        & pl.col("ticker").str.strip_chars().str.contains(SYMBOL)
    ).fill_null(False)  # noqa: FBT003
    bad = rows.with_row_index("line", offset=first_line).filter(~good)
    if bad.height:
        raise MalformedResponse(name, f"line {bad['line'][0]} has no symbol, or a number is missing or out of range: {bad.row(0)[1:]}")
    return _renamed(rows)


def _renamed(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.select(
        pl.col("ticker").str.strip_chars().cast(pl.Categorical).alias("symbol"),
        (pl.col("window_start") // 1_000_000).alias("start_ms"),
        *PRICES,
        "volume",
        pl.col("transactions").cast(pl.Int32).alias("trades"),
    )
