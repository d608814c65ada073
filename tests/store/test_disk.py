from tradeul.store.disk import disk_of


def write(path, size):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))


def test_what_a_session_adds_is_its_partition_of_each_dataset_and_a_recording(tmp_path):
    for session, size in (("2026-03-05", 100), ("2026-03-06", 30)):
        write(tmp_path / "lake" / "ohlc_daily" / f"session={session}" / "part.parquet", size)
        write(tmp_path / "tape" / f"{session}.tape", 10 * size)
    write(tmp_path / "lake" / "volume_slots" / "session=2026-03-06" / "part.parquet", 7)
    write(tmp_path / "lake" / ".staging" / "volume_slots" / "a" / "1.parquet", 1000)
    write(tmp_path / "catalog.db", 5)
    disk = disk_of(tmp_path)
    assert disk.session_bytes == 30 + 7 + 1000
    assert disk.used_bytes == {"lake": 1137, "tape": 1300, "other": 5}
    assert disk.free_bytes > 0


def test_an_empty_state_takes_nothing(tmp_path):
    assert (disk_of(tmp_path).session_bytes, disk_of(tmp_path).used_bytes) == (0, {"other": 0})
