"""What is of buckets alone: how they are refused, what is fetched and kept of them, a line that breaks."""

import os
import socket
from contextlib import closing
from datetime import date

import polars as pl
import pytest

from tests.s3_server import BUCKET, Line
from tradeul.errors import CorruptPartition, StoreError
from tradeul.store.lake import Lake
from tradeul.store.lake_objects import IN_USE_SECONDS, Objects, check, clear

SESSION = date(2026, 3, 6)
DAYS = [date(2026, 3, day) for day in (2, 3, 4, 5, 6)]
FRAME = pl.DataFrame({"symbol": ["A", "B"], "close": [1.0, 2.0]})
LARGE = pl.DataFrame({"symbol": [f"S{n}" for n in range(200_000)], "close": [n * 7919 % 1_000_003 for n in range(200_000)]})


def lake_in(bucket, folder, **room):
    return Lake(folder / "lake", "0.1", True, Objects(bucket, folder / "copies", **room))


@pytest.fixture
def line(s3):
    with closing(Line(s3.url)) as line:
        yield line


def fetches(line):
    return [request for request in line.asked if request.startswith("GET") and "list-type" not in request]


REFUSED = {
    "another's secret": ({"secret": "no"}, "check TRADEUL_LAKE_SECRET"),
    "an unknown key": ({"key": "no"}, "check TRADEUL_LAKE_KEY"),
    "no such bucket": ({"url": "s3://nonesuch/lake"}, "check TRADEUL_LAKE_URL"),
    "no rights": ({"who": "none"}, "grant it s3:ListBucket"),
    "the right to read only": ({"who": "reads"}, "grant it s3:PutObject"),
    "nobody at the address": ({"endpoint": "http://127.0.0.1:1"}, "see to TRADEUL_LAKE_ENDPOINT"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_a_bucket_that_cannot_be_used_is_refused_in_a_sentence_that_names_the_setting(s3, why):
    wrong, names = REFUSED[why]
    bucket = s3.bucket(**wrong)
    with pytest.raises(StoreError, match=names) as refused:
        check(bucket, writes=True)
    said = str(refused.value)
    assert said.startswith(f"{bucket.url} could not be ") and bucket.host in said and "\n" not in said and len(said) < 300
    assert s3.keys["all"][1] not in said


def test_an_address_that_takes_calls_and_never_answers_is_given_up(s3, monkeypatch):
    monkeypatch.setattr("tradeul.store.lake_objects.CHECK_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(StoreError, match="see to TRADEUL_LAKE_ENDPOINT"):
        check(s3.bucket(endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}"), writes=True)


def test_what_a_bucket_was_tried_with_does_not_stay_and_reading_needs_no_other_right(s3, tmp_path):
    bucket = s3.bucket()
    check(bucket, writes=True)
    assert list(bucket.store().list()) == []
    lake_in(bucket, tmp_path / "writer").write("d", SESSION, FRAME, "")
    reads = s3.bucket("reads", prefix=bucket.url.rpartition("/")[2])
    check(reads, writes=False)
    reader = lake_in(reads, tmp_path / "reader")
    assert reader.read("d", SESSION).equals(FRAME)
    with pytest.raises(StoreError, match="grant it s3:PutObject"):
        reader.write("d", SESSION, FRAME.head(1), "")
    with pytest.raises(StoreError, match="grant it s3:DeleteObject"):
        Objects(reads, tmp_path / "reader").delete("d", SESSION)
    assert reader.read("d", SESSION).equals(FRAME)


def test_the_simulated_market_has_a_folder_of_its_own_that_goes_alone(s3, tmp_path):
    bucket = s3.bucket()
    real, simulated = lake_in(bucket, tmp_path / "real"), lake_in(bucket.within("simulated"), tmp_path / "simulated")
    real.write("d", SESSION, FRAME, "")
    simulated.write("d", SESSION, FRAME.head(1), "")
    assert (real.read("d", SESSION).height, simulated.read("d", SESSION).height) == (2, 1)
    clear(bucket.within("simulated"))
    assert (real.sessions("d"), simulated.sessions("d")) == ([SESSION], [])


def test_an_object_is_fetched_once_and_again_when_it_is_another(s3, line, tmp_path):
    bucket = s3.bucket(endpoint=line.url)
    writer, reader = lake_in(bucket, tmp_path / "writer"), lake_in(bucket, tmp_path / "reader")
    for day in DAYS:
        writer.write("d", day, FRAME.with_columns(close=pl.lit(float(day.day))), "")
    for _ in range(2):
        assert reader.read_all("d", DAYS, ["close"])["close"].unique().sort().to_list() == [2.0, 3.0, 4.0, 5.0, 6.0]
        assert len(fetches(line)) == len(DAYS)
    writer.write("d", DAYS[0], FRAME.with_columns(close=pl.lit(20.0)), "")
    assert reader.read_all("d", DAYS, ["close"])["close"].max() == 20.0
    assert len(fetches(line)) == len(DAYS) + 1
    second = lake_in(bucket, tmp_path / "reader")  # of another process on the same folder
    assert second.read("d", DAYS[0], ["close"])["close"].to_list() == [20.0, 20.0]
    assert len(fetches(line)) == len(DAYS) + 1


def test_copies_keep_to_their_room_and_the_least_used_go_first(s3, line, tmp_path):
    bucket = s3.bucket(endpoint=line.url)
    lake = lake_in(bucket, tmp_path)
    for day in DAYS[:3]:
        lake.write("d", day, FRAME.with_columns(close=pl.lit(float(day.day))), "")
    copies = {path.parent.name: path for path in (tmp_path / "copies").rglob("*.parquet")}
    size = max(path.stat().st_size for path in copies.values())
    small = lake_in(bucket, tmp_path, room_bytes=3 * size)
    newest = max(path.stat().st_mtime for path in copies.values())
    for age, path in enumerate(copies[f"session={day}"] for day in (DAYS[1], DAYS[2], DAYS[0])):
        os.utime(path, (newest - (5 - age) * IN_USE_SECONDS,) * 2)
    small.read("d", DAYS[1])  # it is used now
    small.write("d", DAYS[3], FRAME.with_columns(close=pl.lit(5.0)), "")
    held = {path.parent.name for path in (tmp_path / "copies").rglob("*.parquet")}
    assert held == {f"session={day}" for day in (DAYS[0], DAYS[1], DAYS[3])}
    assert small.read("d", DAYS[2])["close"].to_list() == [4.0, 4.0]  # it is fetched again
    with pytest.raises(StoreError, match="what copies of the lake may take here"):
        small.read_all("d", DAYS[:4], ["close"])


def test_a_put_that_breaks_off_leaves_the_earlier_partition(s3, line, tmp_path):
    lake = lake_in(s3.bucket(endpoint=line.url), tmp_path / "writer")
    before = lake.write("d", SESSION, LARGE, "first")
    line.cut_after_bytes = 200_000
    with pytest.raises(StoreError, match="could not be written"):
        lake.write("d", SESSION, LARGE.with_columns(pl.col("close") * 3 % 1_000_003), "second")
    line.cut_after_bytes = None
    for standing in (lake, lake_in(s3.bucket(prefix=lake._partitions._bucket.url.rpartition("/")[2]), tmp_path / "reader")):
        assert standing.footer("d", SESSION)["checksum"] == before
        assert standing.read("d", SESSION).height == LARGE.height
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_copy_that_the_disk_does_not_take_is_not_called_corrupt(s3, tmp_path, monkeypatch):
    bucket = s3.bucket()
    lake_in(bucket, tmp_path / "writer").write("d", SESSION, FRAME, "")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tradeul.store.lake_objects.replace", full)
    with pytest.raises(StoreError, match=r"No space left.*see to the disk's space") as caught:
        lake_in(bucket, tmp_path / "reader").read("d", SESSION)
    assert not isinstance(caught.value, CorruptPartition)
    assert not list((tmp_path / "reader").rglob("*.tmp"))


def test_other_objects_of_the_bucket_are_no_partitions(s3, tmp_path):
    bucket = s3.bucket()
    lake = lake_in(bucket, tmp_path)
    lake.write("d", SESSION, FRAME, "")
    for name in ("d/notes.txt", "d/session=2026-03-05/other.parquet", "d2/session=2026-03-05/part.parquet", "d/session=x/part.parquet"):
        bucket.store().put(name, b"x")
    assert lake.sessions("d") == [SESSION]
    whole = lake_in(s3.bucket(url=f"s3://{BUCKET}"), tmp_path / "whole")  # no prefix
    assert whole.sessions("nothing") == []


def test_who_asks_what_stands_is_told_soon_when_the_bucket_is_silent(s3, tmp_path, monkeypatch):
    monkeypatch.setattr("tradeul.store.lake_objects.LIST_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        lake = lake_in(s3.bucket(endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}"), tmp_path)
        with pytest.raises(StoreError, match="could not be listed"):
            lake.has("d", SESSION)
