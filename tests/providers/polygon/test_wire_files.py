import gzip

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradeul.errors import MalformedResponse
from tradeul.providers.polygon import wire_files
from tradeul.providers.polygon.wire_files import decode_minute_file

HEADER = "ticker,volume,open,close,high,low,window_start,transactions\n"
ROWS = [
    "AAPL,4930,200.29,200.5,200.63,200.29,1744792500000000000,129\n",
    "BRK.B,4930.5,200.29,200.5,200.63,200.29,1744792560000000000,1.0\n",
    "BACpM,0,25,25,25,25,1744792560000000000,0\n",
    "NA,1,25,25,25,25,1744792560000000000,1\n",
]
FILE = gzip.compress((HEADER + "".join(ROWS)).encode())


def packed(*rows, header=HEADER):
    return gzip.compress((header + "".join(rows)).encode())


def test_a_file_becomes_columns():
    found = decode_minute_file(FILE)
    assert dict(found.schema) == {
        "symbol": pl.Categorical,
        "start_ms": pl.Int64,
        **dict.fromkeys(("open", "high", "low", "close", "volume"), pl.Float64),
        "trades": pl.Int32,
    }
    assert found.rows() == [
        ("AAPL", 1744792500000, 200.29, 200.63, 200.29, 200.5, 4930.0, 129),
        ("BRK.B", 1744792560000, 200.29, 200.63, 200.29, 200.5, 4930.5, 1),
        ("BACpM", 1744792560000, 25.0, 25.0, 25.0, 25.0, 0.0, 0),
        ("NA", 1744792560000, 25.0, 25.0, 25.0, 25.0, 1.0, 1),
    ]


@pytest.mark.parametrize("size", [1, 7, 61, 62, 1000])
def test_the_size_of_the_pieces_changes_nothing(monkeypatch, size):
    whole = decode_minute_file(FILE)
    monkeypatch.setattr(wire_files, "CHUNK", size)
    assert decode_minute_file(FILE).rows() == whole.rows()


def test_several_gzip_members_are_one_file():
    assert decode_minute_file(packed(ROWS[0]) + gzip.compress("".join(ROWS[1:]).encode())).rows() == decode_minute_file(FILE).rows()


def test_the_last_line_needs_no_end():
    assert decode_minute_file(gzip.compress((HEADER + "".join(ROWS)).rstrip().encode())).height == 4


def test_a_file_of_a_header_alone_is_empty():
    assert decode_minute_file(packed()).rows() == []
    assert decode_minute_file(packed()).schema == decode_minute_file(FILE).schema


@given(st.integers(0, len(FILE) - 1))
def test_a_file_cut_anywhere_is_malformed(cut):
    with pytest.raises(MalformedResponse):
        decode_minute_file(FILE[:cut])


@given(st.integers(10, len(FILE) - 1), st.integers(1, 255))
def test_a_damaged_file_is_never_read_otherwise(place, change):
    damaged = bytearray(FILE)
    damaged[place] ^= change
    try:
        found = decode_minute_file(bytes(damaged))
    except MalformedResponse:
        return
    assert found.equals(decode_minute_file(FILE))  # bits that only fill up the last byte say nothing


NO_FILES = {
    "nothing": b"",
    "a page": b"<html>",
    "not packed": HEADER.encode(),
    "nothing, packed": gzip.compress(b""),
    "a page, packed": gzip.compress(b"<html>\n"),
    "with a tail": FILE + b"\0\0\0",
}


# Named, because a packed file holds the second in which it was made, and tests that run side by side must have the same names.
@pytest.mark.parametrize("data", NO_FILES.values(), ids=NO_FILES)
def test_what_is_no_such_file_is_malformed(data):
    with pytest.raises(MalformedResponse, match="the file"):
        decode_minute_file(data, "the file")


@pytest.mark.parametrize(
    "row",
    [
        "AAPL,4930,200.29,200.5,200.63,200.29,1744792500000000000\n",
        "AAPL,4930,200.29,200.5,200.63,200.29,1744792500000000000,129,5\n",
        "AAPL,,200.29,200.5,200.63,200.29,1744792500000000000,129\n",
        "AAPL,1,x,200.5,200.63,200.29,1744792500000000000,129\n",
        "AAPL,1,nan,200.5,200.63,200.29,1744792500000000000,129\n",
        "AAPL,1,inf,200.5,200.63,200.29,1744792500000000000,129\n",
        "AAPL,1,0,200.5,200.63,200.29,1744792500000000000,129\n",
        "AAPL,-1,200.29,200.5,200.63,200.29,1744792500000000000,129\n",
        "AAPL,1,200.29,200.5,200.63,200.29,,129\n",
        "AAPL,1,200.29,200.5,200.63,200.29,1744792500000000000,1e12\n",
        ",1,200.29,200.5,200.63,200.29,1744792500000000000,129\n",
        "two  words,1,200.29,200.5,200.63,200.29,1744792500000000000,129\n",
    ],
)
def test_a_wrong_row_is_malformed_and_its_line_is_told(row):
    with pytest.raises(MalformedResponse, match=r"line (2|6)"):
        decode_minute_file(packed(*ROWS, row, *ROWS))


def test_another_order_of_columns_is_refused():
    with pytest.raises(MalformedResponse, match="line 1"):
        decode_minute_file(packed(*ROWS, header=HEADER.replace("open,close", "close,open")))
