import os
import resource
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradeul.errors import StoreError
from tradeul.store.backups import FILES, MANIFEST, UNFINISHED, Manifest, copied, filling, put_back, read_backup, write_backup

CONTENT = {"simulated/catalog.db": b"c" * 3000, "lists/ñ.toml": b"[lists]", "simulated/tape/session=2026-03-09.tape": b""}


def state_of(tmp_path):
    for name, content in CONTENT.items():
        (tmp_path / "state" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "state" / name).write_bytes(content)
    return tmp_path / "state"


def manifest_of(entries, form="0001"):
    return Manifest(made_at=datetime(2026, 3, 9, tzinfo=UTC), version="0.1", form=form, simulated=True, files=entries)


def backed_up(state, folder, **said):
    return write_backup(folder, lambda files: manifest_of(copied(state, CONTENT, files), **said))


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_was_backed_up_comes_back(tmp_path):
    state, folder, back = state_of(tmp_path), tmp_path / "backup", tmp_path / "back"
    written = backed_up(state, folder)
    assert read_backup(folder) == written and written.bytes == sum(map(len, CONTENT.values()))
    with filling(back):
        put_back(folder, written, back)
    assert files_of(back) == CONTENT


def test_what_is_gone_when_its_turn_comes_is_left_out(tmp_path):
    state = state_of(tmp_path)
    (state / "lists/ñ.toml").unlink()
    assert set(backed_up(state, tmp_path / "backup").files) == set(CONTENT) - {"lists/ñ.toml"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    backed_up(state_of(folder), folder / "backup")
    return folder / "backup"


@given(st.sampled_from([name for name, content in CONTENT.items() if content]), st.data())
def test_one_other_byte_anywhere_is_noticed(whole, name, data):
    path = whole / FILES / name
    right = path.read_bytes()
    place = data.draw(st.integers(0, len(right) - 1))
    try:
        path.write_bytes(right[:place] + bytes([right[place] ^ data.draw(st.integers(1, 255))]) + right[place + 1 :])
        with pytest.raises(StoreError, match=f"is damaged: {name} is not what was backed up"):
            read_backup(whole)
    finally:
        path.write_bytes(right)
    read_backup(whole)


def test_a_missing_file_a_foreign_path_and_a_later_version_are_refused(tmp_path):
    state, folder = state_of(tmp_path), tmp_path / "backup"
    backed_up(state, folder)
    (folder / FILES / "lists/ñ.toml").unlink()
    with pytest.raises(StoreError, match="is damaged"):
        read_backup(folder)
    entries = dict.fromkeys(["../outside"], next(iter(backed_up(state, tmp_path / "other").files.values())))
    (folder / MANIFEST).write_bytes(msgspec.json.encode(manifest_of(entries)))
    with pytest.raises(StoreError, match=r"names the file '\.\./outside'"):
        read_backup(folder)
    backed_up(state, tmp_path / "future", form="9999")
    with pytest.raises(StoreError, match=r"by a later version \(0.1\): restore it with that one"):
        read_backup(tmp_path / "future")


@pytest.mark.parametrize("folder", ["state", "state/lists/ñ.toml"])
def test_what_holds_anything_is_not_written_over(tmp_path, folder):
    state = state_of(tmp_path)
    with pytest.raises(StoreError, match="is not empty, and nothing is written over"):
        backed_up(state, tmp_path / folder)
    assert files_of(state) == CONTENT


def test_a_disk_that_takes_no_more_leaves_nothing(tmp_path):
    state, folder = state_of(tmp_path), tmp_path / "backup"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    try:
        with pytest.raises(StoreError, match=r"could not be written .*: see to the disk's space and rights"):
            backed_up(state, folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(folder.iterdir()) == []


DYING = """
import os, signal, sys
from pathlib import Path
from tests.store.test_backups import CONTENT, copied, manifest_of, write_backup

state, folder, most = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])

def names():
    for number, name in enumerate(CONTENT):
        if number == most:
            os.kill(os.getpid(), signal.SIGKILL)
        yield name

write_backup(folder, lambda files: manifest_of(copied(state, names(), files)))
"""


def test_a_killed_one_is_never_taken_for_a_whole_one_and_is_written_over(tmp_path):
    state, folder = state_of(tmp_path), tmp_path / "backup"
    died = subprocess.run([sys.executable, "-c", DYING, state, folder, "2"], check=False, timeout=60)
    assert died.returncode == -signal.SIGKILL
    assert len(files_of(folder / FILES)) == 2
    with pytest.raises(StoreError, match="is no whole backup: it was interrupted"):
        read_backup(folder)
    written = backed_up(state, folder)
    assert read_backup(folder) == written
    assert files_of(folder / FILES) == CONTENT


def test_a_folder_without_a_manifest_or_with_the_mark_is_no_backup(tmp_path):
    state, folder = state_of(tmp_path), tmp_path / "backup"
    for no_backup in (state, tmp_path / "nowhere"):
        with pytest.raises(StoreError, match="is no whole backup"):
            read_backup(no_backup)
    backed_up(state, folder)
    (folder / UNFINISHED).touch()
    with pytest.raises(StoreError, match="interrupted"):
        read_backup(folder)


def test_a_file_that_changes_between_the_check_and_the_copy_leaves_nothing(tmp_path):
    state, folder, back = state_of(tmp_path), tmp_path / "backup", tmp_path / "back"
    written = backed_up(state, folder)
    shutil.copy(os.devnull, folder / FILES / "lists/ñ.toml")
    with pytest.raises(StoreError, match="changed while it was restored"), filling(back):
        put_back(folder, written, back)
    assert list(back.iterdir()) == []
