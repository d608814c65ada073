from datetime import date

import numpy as np
import polars as pl
import pytest

from tradeul.errors import CorruptPartition, StoreError
from tradeul.store.by_ticker import ByTicker
from tradeul.store.lake import Lake

D, E = date(2026, 3, 5), date(2026, 3, 6)
NAME = "volume_slots"


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path / "lake", "test", simulated=True)


def write(lake, session, rows):
    schema = {"symbol": pl.String, "slot": pl.Int16, "volume": pl.Float64, "trades": pl.Int32, "vwap": pl.Float64}
    lake.write(NAME, session, pl.DataFrame(rows, schema=schema, orient="row"), "test")


def told(by_ticker, session, symbol):
    rows = by_ticker.rows(NAME, session, symbol, ("slot", "volume", "trades", "vwap"))
    return None if rows is None else {name: values.tolist() for name, values in rows.items()}


def test_each_ticker_has_its_own_rows_and_unknown_is_nan(lake, tmp_path):
    write(lake, D, [("A", 3, 1.5, 7, None), ("B", 0, 2.0, None, None), ("B", 9, 3.0, 4, None)])
    write(lake, E, [("B", 1, 4.0, 1, 9.5), ("NEW", 2, 5.0, 2, None)])
    by_ticker = ByTicker(lake, tmp_path)
    assert told(by_ticker, D, "A") == {"slot": [3], "volume": [1.5], "trades": [7.0]}
    b = told(by_ticker, D, "B")
    assert (b["slot"], b["volume"], np.isnan(b["trades"]).tolist()) == ([0, 9], [2.0, 3.0], [True, False])
    assert told(by_ticker, E, "B")["vwap"] == [9.5]
    assert told(by_ticker, D, "NEW")["slot"] == told(by_ticker, D, "NOBODY")["slot"] == []
    assert told(by_ticker, date(2026, 3, 4), "A") is None
    ((session, (volume, vwap)),) = by_ticker.single_rows(NAME, [D, E], "A", ("volume", "vwap"))
    assert (session, volume, np.isnan(vwap)) == (D, 1.5, True)
    assert [session for session, _ in by_ticker.single_rows(NAME, [E, date(2026, 3, 4), D], "NEW", ("slot",))] == [E]


def test_a_replaced_partition_is_told_anew_and_what_was_told_stays(lake, tmp_path):
    by_ticker = ByTicker(lake, tmp_path, look_seconds=0)
    write(lake, D, [("A", 3, 1.5, 7, None)])
    before = by_ticker.rows(NAME, D, "A", ("volume",))["volume"]
    mark = by_ticker.mark(NAME, D)
    write(lake, D, [("A", 3, 2.5, 7, None)])
    assert told(by_ticker, D, "A")["volume"] == [2.5]
    assert by_ticker.mark(NAME, D) != mark
    assert before.tolist() == [1.5]


def test_when_the_room_is_full_all_is_forgotten_and_read_again(lake, tmp_path):
    by_ticker = ByTicker(lake, tmp_path, room_bytes=20_000, look_seconds=0)
    sessions = [date(2026, 3, day) for day in (2, 3, 4, 5, 6)]
    for number, session in enumerate(sessions):
        write(lake, session, [(f"T{row:03d}", 0, float(number * 1000 + row), row, None) for row in range(300)])
    first = by_ticker.rows(NAME, sessions[0], "T007", ("volume",))["volume"]
    for number, session in [*enumerate(sessions), *enumerate(sessions)]:
        assert told(by_ticker, session, "T007")["volume"] == [number * 1000 + 7.0]
    assert first.tolist() == [7.0]
    with pytest.raises(StoreError, match="more than there is room for"):
        ByTicker(lake, tmp_path, room_bytes=4096).rows(NAME, D, "T007", ("volume",))


def test_nothing_stays_in_the_folder_and_a_damaged_partition_is_named(lake, tmp_path):
    write(lake, D, [("A", 3, 1.5, 7, None)])
    by_ticker = ByTicker(lake, tmp_path, look_seconds=0)
    told(by_ticker, D, "A")
    assert [path.name for path in tmp_path.iterdir()] == ["lake"]
    lake.path(NAME, D).write_bytes(b"PAR1")
    with pytest.raises(CorruptPartition, match="2026-03-05"):
        told(by_ticker, D, "A")
