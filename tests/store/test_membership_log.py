import os
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradeul.errors import StoreError
from tradeul.records.membership import MembershipEvent
from tradeul.store.lake import Lake
from tradeul.store.membership_log import MembershipLog

SESSION, NEXT = date(2026, 3, 9), date(2026, 3, 10)
T = datetime(2026, 3, 9, 14, 0, 0, 250_000, tzinfo=UTC)


def event(symbol, kind="enter", name="winners", rank=0):
    return MembershipEvent(T, name, symbol, kind, rank, {"symbol": symbol, "rank": rank, "price": 1.5, "name": None})


def log_in(folder, keep=60):
    return MembershipLog(Path(folder) / "membership", Lake(Path(folder) / "lake", "0", simulated=True), keep)


def test_what_was_appended_is_read_in_order(tmp_path):
    log = log_in(tmp_path)
    assert list(log.read(SESSION)) == []
    log.append(SESSION, [event("A"), event("B", rank=1)])
    log.append(SESSION, [event("A", "leave")])
    assert list(log_in(tmp_path).read(SESSION)) == [event("A"), event("B", rank=1), event("A", "leave")]


@settings(deadline=None)
@given(st.data())
def test_torn_anywhere_the_whole_blocks_stand_and_what_comes_after_is_not_lost(data):
    with tempfile.TemporaryDirectory() as folder:
        log, sizes = log_in(folder), [0]
        for number in range(4):
            log.append(SESSION, [event(f"T{number}")])
            sizes.append(log.path(SESSION).stat().st_size)
        cut = data.draw(st.integers(0, sizes[-1]))
        os.truncate(log.path(SESSION), cut)
        whole = sum(size <= cut for size in sizes) - 1
        assert [each.symbol for each in log_in(folder).read(SESSION)] == [f"T{number}" for number in range(whole)]
        after = data.draw(st.sampled_from([log, log_in(folder)]))  # the same process, or the next one
        after.append(SESSION, [event("NEW")])
        assert [each.symbol for each in log_in(folder).read(SESSION)] == [*(f"T{number}" for number in range(whole)), "NEW"]


def test_a_flipped_bit_ends_the_log_there(tmp_path):
    log = log_in(tmp_path)
    log.append(SESSION, [event("A")])
    size = log.path(SESSION).stat().st_size
    log.append(SESSION, [event("B")])
    content = bytearray(log.path(SESSION).read_bytes())
    content[size + 12] ^= 1
    log.path(SESSION).write_bytes(content)
    assert [each.symbol for each in log.read(SESSION)] == ["A"]


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "membership").write_text("a file where the folder should be")
    with pytest.raises(StoreError, match=r"membership/2026-03-09\.log could not be written"):
        log_in(tmp_path).append(SESSION, [event("A")])


def test_the_lake_gets_a_closed_session_and_the_log_goes_when_it_is_over(tmp_path):
    log = log_in(tmp_path)
    log.append(SESSION, [event("B", name="losers", rank=3), event("A")])
    lake = Lake(tmp_path / "lake", "0", simulated=True)
    log.settle(SESSION, is_closed=False)
    assert lake.sessions("membership") == []
    for _ in range(2):  # closed, and closed once more after a restart
        log.settle(SESSION, is_closed=True)
        kept = lake.read("membership", SESSION)
        assert kept.drop("row").rows() == [(T, "winners", "A", "enter", 0), (T, "losers", "B", "enter", 3)]
        assert kept["row"][0] == '{"symbol":"A","rank":0,"price":1.5,"name":null}'
        assert log.path(SESSION).exists()
    log.append(SESSION, [event("A", "leave")])
    log.settle(NEXT, is_closed=False)
    assert lake.read("membership", SESSION).height == 3
    assert not log.path(SESSION).exists()
    log.settle(NEXT, is_closed=False)
    assert lake.read("membership", SESSION).height == 3


def test_old_partitions_go(tmp_path):
    log = log_in(tmp_path, keep=2)
    days = [date(2026, 3, day) for day in (4, 5, 6, 9)]
    for day in days:
        log.append(day, [event("A")])
    log.settle(NEXT, is_closed=False)
    assert Lake(tmp_path / "lake", "0", simulated=True).sessions("membership") == days[-2:]


WRITER = """
import sys
from datetime import date
sys.path[:0] = sys.argv[2:]
from tests.store.test_membership_log import SESSION, event, log_in
log = log_in(sys.argv[1])
number = sum(1 for _ in log.read(SESSION))
print("begun", flush=True)
while True:
    log.append(SESSION, [event(f"T{number}")])
    number += 1
    log.settle(SESSION, is_closed=True)
"""


def test_killed_again_and_again_nothing_is_lost_or_doubled(tmp_path):
    root = str(Path(__file__).parents[2])
    for turn in range(3):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), root], stdout=subprocess.PIPE)
        process.stdout.readline()
        before = log_in(tmp_path).path(SESSION)
        while not before.exists() or sum(1 for _ in log_in(tmp_path).read(SESSION)) < 10 * (turn + 1):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    log = log_in(tmp_path)
    symbols = [each.symbol for each in log.read(SESSION)]
    assert symbols == [f"T{number}" for number in range(len(symbols))]
    log.settle(NEXT, is_closed=False)
    assert Lake(tmp_path / "lake", "0", simulated=True).read("membership", SESSION).height == len(symbols)
