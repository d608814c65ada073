import multiprocessing
import os
import signal
from datetime import date

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradeul.errors import CorruptPartition, StoreError
from tradeul.store.lake import Lake, canonical_checksum

SESSION = date(2026, 3, 6)
FRAME = pl.DataFrame({"symbol": ["B", "A", "A"], "slot": [0, 7, 3], "volume": [1.0, 2.0, None]})


def test_a_partition_reads_back_sorted(lake, place):
    checksum = lake.write("volume_slots", SESSION, FRAME, "etag-1")
    assert lake.read("volume_slots", SESSION).rows() == [("A", 3, None), ("A", 7, 2.0), ("B", 0, 1.0)]
    assert lake.read("volume_slots", SESSION, ["slot"]).columns == ["slot"]
    footer = {"schema": "1", "version": "0.1", "simulated": "true", "source": "etag-1", "checksum": checksum}
    assert lake.footer("volume_slots", SESSION) == footer
    assert lake.sessions("volume_slots") == [SESSION]
    assert lake.sessions("other") == []
    assert lake.has("volume_slots", SESSION) and not lake.has("volume_slots", date(2026, 3, 5)) and not lake.has("other", SESSION)
    assert [path.suffix for path in place.files()] == [".parquet"]


def test_the_checksum_knows_rows_and_nothing_else(tmp_path):
    first = Lake(tmp_path / "a", "0.1", simulated=True).write("d", SESSION, FRAME, "one")
    assert Lake(tmp_path / "b", "9.9", simulated=False).write("d", SESSION, FRAME.reverse(), "two") == first
    assert first != Lake(tmp_path / "c", "0.1", simulated=True).write("d", SESSION, FRAME.with_columns(volume=pl.lit(1.0)), "one")


values = st.lists(st.one_of(st.none(), st.integers(-5, 5)), min_size=1, max_size=6)


@given(values, values)
def test_different_columns_have_different_checksums(one, other):
    """Null is not zero, and lengths count."""
    frames = [pl.DataFrame({"x": pl.Series(column, dtype=pl.Int64)}) for column in (one, other)]
    assert (canonical_checksum(frames[0]) == canonical_checksum(frames[1])) == (one == other)


texts = st.lists(st.one_of(st.none(), st.text("ab\n", max_size=2)), min_size=1, max_size=4)


@given(texts, texts)
def test_texts_do_not_run_into_each_other(one, other):
    frames = [pl.DataFrame({"x": pl.Series(column, dtype=pl.String)}) for column in (one, other)]
    assert (canonical_checksum(frames[0]) == canonical_checksum(frames[1])) == (one == other)


def test_several_partitions_are_read_as_one_and_the_broken_one_is_named(lake, place):
    days = [SESSION, date(2026, 3, 9), date(2026, 3, 10)]
    for day in days:
        lake.write("volume_slots", day, FRAME.with_columns(volume=pl.lit(float(day.day))), "one")
    both = lake.read_all("volume_slots", days[1:], ["symbol", "volume"])
    assert sorted(both.rows()) == [(day, symbol, float(day.day)) for day in days[1:] for symbol in "AAB"]
    place.damage("volume_slots", days[1], b"PAR1")
    with pytest.raises(CorruptPartition) as caught:
        lake.read_all("volume_slots", days, ["symbol"])
    assert caught.value.session == days[1]
    place.remove("volume_slots", days[1])
    with pytest.raises(StoreError, match="no volume_slots of 2026-03-09"):
        lake.read_all("volume_slots", days, ["symbol"])


@pytest.mark.parametrize("damage", [b"", b"PAR1", None])
def test_a_corrupt_partition_is_named(lake, place, damage):
    lake.write("ohlc_daily", SESSION, FRAME, "")
    place.damage("ohlc_daily", SESSION, place.content("ohlc_daily", SESSION)[:-30] if damage is None else damage)
    with pytest.raises(CorruptPartition, match=r"ohlc_daily/session=2026-03-06/part\.parquet") as caught:
        lake.read("ohlc_daily", SESSION)
    assert (caught.value.dataset, caught.value.session) == ("ohlc_daily", SESSION)
    with pytest.raises(CorruptPartition):
        lake.footer("ohlc_daily", SESSION)
    with pytest.raises(CorruptPartition):
        lake.read_ticker("ohlc_daily", SESSION, "A")


def test_an_absent_partition_is_no_corrupt_one(lake):
    with pytest.raises(StoreError, match="no ohlc_daily of 2026-03-06") as caught:
        lake.read("ohlc_daily", SESSION)
    assert not isinstance(caught.value, CorruptPartition)


def test_a_full_disk_leaves_the_earlier_partition(lake, place, monkeypatch):
    lake.write("ohlc_daily", SESSION, FRAME, "")

    def full(self, path, **_):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", full)
    with pytest.raises(StoreError, match="No space left"):
        lake.write("ohlc_daily", SESSION, FRAME.head(1), "")
    assert lake.read("ohlc_daily", SESSION).height == 3
    assert [path.suffix for path in place.files()] == [".parquet"]


def _write_for_ever(place):
    lake = place.lake()
    size = 1
    while True:
        size += 1
        lake.write("d", SESSION, pl.DataFrame({"symbol": [f"S{n}" for n in range(size * 1000)], "size": size}), "")


def test_a_writer_killed_at_any_instant_leaves_a_whole_partition(lake, place):
    lake.write("d", SESSION, pl.DataFrame({"symbol": [f"S{n}" for n in range(1000)], "size": 1}), "")
    for _ in range(3):
        writer = multiprocessing.get_context("spawn").Process(target=_write_for_ever, args=(place,))
        before = lake.marks("d")
        writer.start()
        while lake.marks("d") == before:
            pass
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        frame = lake.read("d", SESSION)
        assert frame.height == 1000 * frame["size"][0]
    lake.clear_drafts("d")
    assert lake.has("d", SESSION)
    assert place.bucket is not None or not list(place.root.rglob("*.tmp"))  # a draft beside a bucket makes room as a copy does


def test_two_writers_of_one_partition_do_not_write_into_each_other(lake, place, monkeypatch):
    """One led and was frozen in the midst; it goes on when another has led since."""
    other, write = place.lake(), pl.DataFrame.write_parquet

    def interrupted(frame, path, **options):
        write(frame, path, **options)
        monkeypatch.setattr(pl.DataFrame, "write_parquet", write)
        other.write("d", SESSION, FRAME.head(1), "")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", interrupted)
    lake.write("d", SESSION, FRAME, "")
    assert lake.read("d", SESSION).height == 3


def test_what_one_process_replaced_or_deleted_another_does_not_read(lake, place):
    other = place.lake()
    days = [date(2026, 3, 5), SESSION]
    for day in days:
        lake.write("d", day, FRAME, "one")
    assert other.read("d", SESSION).height == 3
    marks = other.marks("d")
    lake.write("d", SESSION, FRAME.head(1), "two")
    assert other.read("d", SESSION).height == other.read_ticker("d", SESSION, "B").height == 1
    assert other.footer("d", SESSION)["source"] == "two"
    now = other.marks("d")
    assert (now[days[0]] == marks[days[0]], now[SESSION] == marks[SESSION]) == (True, False)
    assert [pl.read_parquet(path, hive_partitioning=False).height for path in other.files("d")] == [3, 1]
    lake.keep_newest("d", 1)
    assert other.sessions("d") == [SESSION] and not other.has("d", days[0])
    with pytest.raises(StoreError, match="no d of 2026-03-05"):
        other.read("d", days[0])


def test_staged_batches_stand_until_cleared(lake):
    lake.stage("volume_slots", "r1", "0000", FRAME)
    lake.stage("volume_slots", "r2", "0000", FRAME)
    assert lake.staged("volume_slots", "r1", "0000").equals(FRAME)
    assert lake.staged("volume_slots", "r1", "0001") is None
    lake.clear_staging("volume_slots", keep="r1")
    assert lake.staged("volume_slots", "r2", "0000") is None
    lake.clear_staging("volume_slots")
    assert lake.staged("volume_slots", "r1", "0000") is None
