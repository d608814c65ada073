"""Checkpoints' files against damage, full disks, and too many of them."""

import resource
from datetime import date, timedelta

import pytest

from tradeul.errors import StoreError
from tradeul.store.checkpoints import CheckpointFiles

SESSION = date(2026, 3, 9)


def test_the_newest_two_of_one_session_are_kept_and_drafts_of_the_dead_go(tmp_path):
    files = CheckpointFiles(tmp_path)
    for end in (99, 1000, 20):
        files.write(SESSION, end, [(1, b"up to %d" % end)])
    (tmp_path / "checkpoints" / f"session={SESSION}.draft77").write_bytes(b"half")
    files.write(SESSION, 3000, [(1, b"up to 3000"), (2, b"more")])
    assert [path.name for path in files.newest_first(SESSION)] == [f"session={SESSION}.{end:012}" for end in (3000, 1000)]
    assert [*files.read(files.newest_first(SESSION)[0])] == [(1, b"up to 3000"), (2, b"more")]
    later = SESSION + timedelta(days=1)
    files.write(later, 5, [(1, b"new")])
    assert len([*(tmp_path / "checkpoints").iterdir()]) == len(files.newest_first(later)) == 1


def test_a_damaged_block_ends_the_reading_and_another_form_is_an_error(tmp_path):
    files = CheckpointFiles(tmp_path)
    files.write(SESSION, 5, [(1, b"one"), (2, b"two")])
    (path,) = files.newest_first(SESSION)
    data = path.read_bytes()
    path.write_bytes(data[:-1] + b"x")
    assert [*files.read(path)] == [(1, b"one")]
    path.write_bytes(b"another" + data)
    with pytest.raises(StoreError, match="no checkpoint of this version"):
        next(files.read(path))


def test_a_disk_that_takes_no_more_leaves_what_stood(tmp_path):
    files = CheckpointFiles(tmp_path)
    files.write(SESSION, 5, [(1, b"one")])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50, hard))
    try:
        with pytest.raises(StoreError, match="cannot be written"):
            files.write(SESSION, 9, [(1, b"x" * 100)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == [f"session={SESSION}.{5:012}"]
