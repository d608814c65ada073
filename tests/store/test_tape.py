"""The tape's files against cuts, damage, full disks and a second writer."""

import resource
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradeul.errors import StoreError
from tradeul.store.tape import HEAD, MAGIC, TapeFiles

SESSION = date(2026, 3, 9)
blocks_written = st.lists(st.tuples(st.integers(1, 9), st.binary(max_size=40)), max_size=8)


def opened(folder, session=SESSION, keep=20):
    """Ready to append, and what it held."""
    files = TapeFiles(folder, keep)
    files.open(session)
    return files, list(files.blocks())


def written(folder, *groups):
    files, held = opened(folder)
    for group in groups:
        files.append(group)
    files.close()
    return held


@given(groups=st.lists(blocks_written, max_size=3), more=blocks_written, cut=st.floats(0, 1))
def test_cut_anywhere_the_whole_blocks_before_are_read_and_recording_goes_on(tmp_path_factory, groups, more, cut):
    folder = tmp_path_factory.mktemp("tape")
    written(folder, *groups)
    path = TapeFiles(folder, 0).path(SESSION)
    data = path.read_bytes()
    path.write_bytes(data[: (length := round(cut * len(data)))])
    blocks, end, whole = [block for group in groups for block in group], len(MAGIC), 0
    for _, payload in blocks:
        end += HEAD.size + len(payload)
        whole += end <= length
    assert written(folder, more) == blocks[:whole]
    assert written(folder) == blocks[:whole] + more


@given(blocks=blocks_written.filter(bool), place=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
def test_a_damaged_byte_ends_the_reading_before_its_block(tmp_path_factory, blocks, place, flip):
    folder = tmp_path_factory.mktemp("tape")
    written(folder, blocks)
    path = TapeFiles(folder, 0).path(SESSION)
    data = bytearray(path.read_bytes())
    where = len(MAGIC) + int(place * (len(data) - len(MAGIC)))
    data[where] ^= flip
    path.write_bytes(data)
    ends, end = [], len(MAGIC)
    for _, payload in blocks:
        ends.append(end := end + HEAD.size + len(payload))
    assert written(folder) == blocks[: sum(end <= where for end in ends)]


def test_zeros_after_a_power_cut_are_no_blocks(tmp_path):
    written(tmp_path, [(1, b"one")])
    with TapeFiles(tmp_path, 0).path(SESSION).open("ab") as file:
        file.write(bytes(4096))
    assert written(tmp_path, [(2, b"two")]) == [(1, b"one")]
    assert written(tmp_path) == [(1, b"one"), (2, b"two")]


def test_another_form_is_refused_and_can_be_set_aside(tmp_path):
    path = TapeFiles(tmp_path, 0).path(SESSION)
    path.write_bytes(b"tradeul tape 9\n\0 and blocks of another kind")
    files = TapeFiles(tmp_path, 3)
    files.open(SESSION)
    with pytest.raises(StoreError, match="no tape of this version"):
        list(files.blocks())
    files.set_aside(SESSION)
    assert not files.has(SESSION) and path.with_suffix(".unreadable").exists()
    files.close()
    assert written(tmp_path) == []


def test_there_are_never_two_writers(tmp_path):
    files, _ = opened(tmp_path)
    with pytest.raises(StoreError, match="Another process records"):
        TapeFiles(tmp_path, 20).open(SESSION)
    files.close()
    assert written(tmp_path) == []


@pytest.mark.parametrize("keep", [0, 2])
def test_the_oldest_sessions_are_forgotten(tmp_path, keep):
    sessions = [SESSION + timedelta(days=day) for day in range(5)]
    for session in sessions:
        files, _ = opened(tmp_path, session, keep)
        files.close()
    assert [files.has(session) for session in sessions] == [False] * (4 - keep) + [True] * (keep + 1)


def test_a_disk_that_takes_no_more_is_said_in_one_sentence_and_costs_the_half_block_only(tmp_path):
    files, _ = opened(tmp_path)
    files.append([(1, b"one")])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The nearest to a full disk that a process can do to itself: the file may grow by 50 bytes more.
    resource.setrlimit(resource.RLIMIT_FSIZE, (files.path(SESSION).stat().st_size + 50, hard))
    try:
        with pytest.raises(StoreError, match="cannot be written"):
            files.append([(1, b"x" * 100)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    files.close()
    assert written(tmp_path, [(2, b"two")]) == [(1, b"one")]
    assert written(tmp_path) == [(1, b"one"), (2, b"two")]


def test_who_recorded_two_sessions_lets_go_of_both(tmp_path):
    files, _ = opened(tmp_path)
    files.open(SESSION + timedelta(days=1))
    files.close()
    assert written(tmp_path) == []
