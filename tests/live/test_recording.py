"""What is recorded when, what a disk may do to it, and how a start finds it again."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import structlog

from tests.live.test_recovery import HOURS, OPEN, PRE
from tradeul.clock import SteppedClock
from tradeul.errors import StoreError
from tradeul.live import recording
from tradeul.live.frames import market_frame
from tradeul.live.recording import Recording
from tradeul.live.tape import Connected, Levels
from tradeul.live.today_table import TodayTable
from tradeul.market_calendar import nyse
from tradeul.records.bars import StreamBar, StreamBatch
from tradeul.store.tape import TapeFiles

NEXT = nyse().hours(nyse().next(HOURS.session))


def batch(t, symbols=("AAA", "BBB"), hours=HOURS):
    ms = (int(hours.pre_open_at.timestamp()) + t) * 1000
    return StreamBatch(ms + 3000, [StreamBar(symbol, ms, ms + 1000, 10.0, 11.0, 9.0, 10.0 + t % 7, 5.0) for symbol in symbols])


def begun(files, t=-100.0, hours=HOURS):
    clock = SteppedClock(datetime.fromtimestamp(PRE + t, UTC))
    kept, table = Recording(files, clock), TodayTable(hours, 8)
    kept.begin(table, t)
    return kept, table


def hear(kept, table, first, last, hours=HOURS):
    for t in range(first, last):
        kept.hear(table, [batch(t, hours=hours)])


def assert_same_frame(one, other):
    expected, got = (market_frame(table, HOURS.pre_open_at + timedelta(seconds=50)) for table in (one, other))
    assert expected.symbols == got.symbols
    assert all(column.tobytes() == got.columns[name].tobytes() for name, column in expected.columns.items())


async def reread(folder, t=-50.0):
    kept, _ = begun(TapeFiles(folder, 20), t)
    assert kept.is_reading
    table = await kept.rebuilt()
    kept.close()
    return table


async def test_what_was_written_is_there_after_a_death_and_what_waited_is_not(tmp_path):
    kept, table = begun(TapeFiles(tmp_path, 20))
    hear(kept, table, 10, 20)
    await kept.written()
    hear(kept, table, 20, 30)
    kept.close()
    then = TodayTable(HOURS, 8)
    for t in range(10, 20):
        then.apply(batch(t))
    assert_same_frame(await reread(tmp_path), then)


async def test_what_is_heard_while_the_tape_is_read_comes_behind_it_and_is_recorded(tmp_path, monkeypatch):
    monkeypatch.setattr(recording, "CAUGHT_UP_BARS", 3)
    kept, table = begun(TapeFiles(tmp_path, 20))
    hear(kept, table, 10, 20)
    await kept.written()
    kept.close()
    again, visible = begun(TapeFiles(tmp_path, 20), 25.0)
    hear(again, visible, 25, 35)
    await again.written()  # does not wait for the reading
    rebuilt = await again.rebuilt()
    hear(again, rebuilt, 35, 40)
    await again.written()
    again.close()
    assert [visible.counts["bars"], rebuilt.counts["bars"]] == [20, 50]
    assert rebuilt.subscribed_s == 25.0
    third = await reread(tmp_path, 41.0)
    third.reconnected(25.0)
    assert_same_frame(third, rebuilt)


async def test_too_much_heard_while_the_tape_is_read_is_left_to_the_vendor(tmp_path, monkeypatch):
    kept, table = begun(TapeFiles(tmp_path, 20))
    hear(kept, table, 10, 20)
    await kept.written()
    kept.close()
    monkeypatch.setattr(recording, "MOST_WAITING", 30)
    again, visible = begun(TapeFiles(tmp_path, 20), 25.0)
    hear(again, visible, 25, 45)
    rebuilt = await again.rebuilt()
    again.close()
    assert (rebuilt.counts["bars"], rebuilt.subscribed_s) == (28, 43.0)  # as if connected when the last that was left out came


async def test_a_connection_lost_while_the_tape_is_read_is_known_behind_it(tmp_path):
    kept, table = begun(TapeFiles(tmp_path, 20))
    hear(kept, table, 10, 20)
    await kept.written()
    kept.close()
    again, visible = begun(TapeFiles(tmp_path, 20), 25.0)
    again.do(visible, Connected(200.0))
    rebuilt = await again.rebuilt()
    again.close()
    assert rebuilt.subscribed_s == 200.0


async def test_a_session_that_ends_while_its_tape_is_read_is_let_go(tmp_path):
    kept, table = begun(TapeFiles(tmp_path, 20))
    hear(kept, table, 10, 20)
    await kept.written()
    kept.close()
    again, _ = begun(TapeFiles(tmp_path, 20), 25.0)
    reading = asyncio.create_task(again.rebuilt())
    await asyncio.sleep(0)
    new = TodayTable(NEXT, 8)
    again.begin(new, -3600.0)
    assert await reading is None
    hear(again, new, 10, 12, NEXT)
    await again.written()
    again.close()
    assert TapeFiles(tmp_path, 20).has(NEXT.session)


async def test_each_session_has_its_file_and_the_last_of_the_old_one_goes_to_the_old(tmp_path):
    kept, table = begun(TapeFiles(tmp_path, 20))
    hear(kept, table, 10, 20)
    new = TodayTable(NEXT, 8)
    kept.begin(new, -3600.0)
    hear(kept, new, 10, 13, NEXT)
    kept.hear(table, [batch(21)])  # too late to be anybody's
    await kept.written()
    kept.close()
    assert (await reread(tmp_path)).counts["bars"] == 20
    again = Recording(TapeFiles(tmp_path, 20), SteppedClock(NEXT.pre_open_at))
    again.begin(TodayTable(NEXT, 8), 0.0)
    assert (await again.rebuilt()).counts["bars"] == 6
    again.close()


class Refusing(TapeFiles):
    refuses = False

    def append(self, blocks):
        if self.refuses:
            raise StoreError("No space left on device")
        super().append(blocks)


async def test_a_full_disk_is_said_once_and_live_goes_on_until_the_next_session_begins_a_tape(tmp_path):
    files = Refusing(tmp_path, 20)
    kept, table = begun(files)
    hear(kept, table, 10, 20)
    await kept.written()
    files.refuses = True
    with structlog.testing.capture_logs() as logs:
        for t in range(20, 30):
            hear(kept, table, t, t + 1)
            await kept.written()
    assert [line["event"] for line in logs] == ["live_tape_stopped"] and "No space left" in logs[0]["reason"]
    assert table.counts["bars"] == 40
    files.refuses = False
    new = TodayTable(NEXT, 8)
    kept.begin(new, -3600.0)
    hear(kept, new, 10, 12, NEXT)
    await kept.written()
    kept.close()
    assert (await reread(tmp_path)).counts["bars"] == 20 and files.has(NEXT.session)


class Hanging(TapeFiles):
    """As a dead mount."""

    released = threading.Event()

    def append(self, blocks):
        self.released.wait()


async def test_a_disk_that_hangs_holds_nobody_up_for_longer_than_it_may(tmp_path, monkeypatch):
    monkeypatch.setattr(recording, "PATIENCE_SECONDS", 0.01)
    kept, table = begun(Hanging(tmp_path, 20))
    hear(kept, table, 10, 12)
    with structlog.testing.capture_logs() as logs:
        await kept.written()
        await kept.written()
    Hanging.released.set()
    assert [line["reason"] for line in logs] == ["the disk took longer than 0.01 s"] and table.counts["bars"] == 4
    kept.close()


async def test_a_tape_that_another_process_writes_is_left_alone(tmp_path):
    kept, table = begun(TapeFiles(tmp_path, 20))
    hear(kept, table, 10, 20)
    await kept.written()
    second, visible = begun(TapeFiles(tmp_path, 20), OPEN + 10.0)
    with structlog.testing.capture_logs() as logs:
        rebuilt = await second.rebuilt()
    assert [line["event"] for line in logs] == ["live_tape_stopped"] and rebuilt.live_from_s == visible.live_from_s
    hear(second, rebuilt, OPEN + 11, OPEN + 12)
    await second.written()
    second.close()
    hear(kept, table, 20, 30)
    await kept.written()
    kept.close()
    assert (await reread(tmp_path)).counts["bars"] == 40


async def test_what_waits_for_the_disk_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(recording, "MOST_WAITING", 30)
    kept, table = begun(TapeFiles(tmp_path, 20))
    with structlog.testing.capture_logs() as logs:
        hear(kept, table, 10, 100)
    assert [line["event"] for line in logs] == ["live_tape_stopped"] and kept._waiting == [] and table.counts["bars"] == 180
    await kept.written()
    kept.close()


@pytest.mark.parametrize("damage", [b"some other program's file", None])
async def test_an_unreadable_tape_is_set_aside_and_a_new_one_begun(tmp_path, damage):
    path = TapeFiles(tmp_path, 20).path(HOURS.session)
    if damage is None:
        files = TapeFiles(tmp_path, 20)
        files.open(HOURS.session)
        list(files.blocks())
        files.append([(1, b"whole, but no marks")])
        files.close()
    else:
        path.write_bytes(damage)
    kept, visible = begun(TapeFiles(tmp_path, 20), OPEN + 10.0)
    hear(kept, visible, OPEN + 11, OPEN + 15)
    with structlog.testing.capture_logs() as logs:
        table = await kept.rebuilt()
    assert [line["event"] for line in logs] == ["live_tape_unreadable"] and path.with_suffix(".unreadable").exists()
    await kept.written()
    kept.close()
    assert (table.live_from_s, table.counts["bars"]) == (visible.live_from_s, 8)
    again = await reread(tmp_path, OPEN + 20.0)
    assert (again.live_from_s, again.counts["bars"]) == (visible.live_from_s, 8)


async def test_a_file_that_holds_nothing_yet_is_a_first_start(tmp_path):
    TapeFiles(tmp_path, 20).path(HOURS.session).touch()
    table = await reread(tmp_path, OPEN + 10.0)
    assert (table.live_from_s, table.subscribed_s) == (OPEN + 60.0, OPEN + 10.0)


async def test_started_again_before_the_session_nothing_is_missing(tmp_path):
    kept, table = begun(TapeFiles(tmp_path, 20), -100.0)
    kept.do(table, Levels(["AAA"], np.array([1.0]), np.array([9.0])))
    await kept.written()
    kept.close()
    again = await reread(tmp_path, -50.0)
    assert (again.subscribed_s, again.live_from_s, again.columns["prev_close"][0]) == (None, 0.0, 9.0)


async def test_without_files_everything_is_performed_and_nothing_kept():
    kept, table = begun(None)
    hear(kept, table, 10, 20)
    await kept.written()
    kept.close()
    assert table.counts["bars"] == 20 and kept._waiting == [] and not kept.is_reading
