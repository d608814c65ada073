"""A checkpoint and the rest of the tape are the table that heard it all; one that cannot be used is passed over."""

import random

import msgspec
import numpy as np
import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.live.test_recovery import HOURS, OPEN
from tests.live.test_tape import assert_same, told_day
from tradeul.live import checkpoint
from tradeul.live.arrivals import Heard
from tradeul.live.checkpoint import Standing, restored, write_down
from tradeul.live.tape import Decoder, Encoder, Opened, perform, replay
from tradeul.live.today_table import TodayTable
from tradeul.market_calendar import nyse
from tradeul.store.checkpoints import CheckpointFiles
from tradeul.store.tape import TapeFiles

SESSION = HOURS.session


@pytest.fixture(autouse=True)
def small_tables(monkeypatch):
    monkeypatch.setattr(checkpoint, "ROOM", 8)


class Recorder:
    """A tape, and checkpoints of it."""

    def __init__(self, folder):
        self.tape, self.files, self.encoder = TapeFiles(folder, 20), CheckpointFiles(folder), Encoder()
        self.path = self.tape.path(SESSION)
        self.tape.open(SESSION)
        assert not list(self.tape.blocks())

    def tell(self, events):
        for event in events:
            self.tape.append(self.encoder.blocks([event]))

    def write_down(self):
        write_down(self.files, HOURS, self.path)

    def started(self, hours=HOURS):
        """As a start finds it: the table, how many bars the checkpoint spared it, and what was said."""
        self.tape.close()
        with structlog.testing.capture_logs() as logs:
            standing = restored(self.files, hours, self.path)
        spared = standing.table.counts["bars"]
        self.tape.open(SESSION)
        blocks = self.tape.blocks(standing.end)
        while replay(blocks, standing.decoder, standing.table):
            pass
        self.tape.close()
        return standing.table, spared, [line.get("reason") for line in logs]


def told(seed):
    """A day whose bars also say what the tape keeps as a difference from what was said before."""
    events = told_day(seed, OPEN - 80, TodayTable(HOURS, 8))
    accumulated, official = iter(range(10**6, 10**9)), random.Random(seed)
    for place, event in enumerate(events):
        if isinstance(event, Heard):
            said = {"accumulated": [float(next(accumulated)) for _ in event.bars.symbol]}
            said["official_open"] = [official.choice([np.nan, 20.0, 20.5]) for _ in event.bars.symbol]
            bars = msgspec.structs.replace(event.bars, **{name: np.array(values, np.float64) for name, values in said.items()})
            events[place] = msgspec.structs.replace(event, bars=bars)
    return events


def heard(events):
    table = TodayTable(HOURS, 8)
    for event in events:
        perform(table, event)
    return table


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 99), cuts=st.lists(st.floats(0, 1), min_size=1, max_size=2).map(sorted))
def test_made_anywhere_it_and_what_the_tape_says_after_it_are_the_table_that_heard_it_all(tmp_path_factory, seed, cuts):
    events = told(seed)
    kept, done = Recorder(tmp_path_factory.mktemp("tape")), 0
    for cut in cuts:
        kept.tell(events[done : (end := round(cut * len(events)))])
        kept.write_down()
        done = end
    expected = heard(events[:done]).counts["bars"]
    kept.tell(events[done:])
    table, spared, reasons = kept.started()
    assert (spared, reasons) == (expected, [None] if done else [])
    assert_same(heard(events), table)
    assert table.universe == heard(events).universe


def test_all_that_a_table_consists_of_is_written_down():
    standing = Standing(TodayTable(HOURS, 8), Decoder())
    derived = {"_order", "_sorted", "index", "hours", "session", "newcomers"}
    apart = {"symbols", "universe", "columns", "counts", "minutes", "seconds", "windows"}
    for part, held in checkpoint._parts(standing).items():
        plain = {name for name, value in held.items() if checkpoint._is_plain(value) or isinstance(value, np.ndarray)}
        assert held.keys() - plain - derived - apart == set(), part
    assert vars(standing.table).keys() >= derived | apart


@pytest.fixture
def twice(tmp_path):
    """A tape with two checkpoints, and what was told."""
    events = told(3)
    kept = Recorder(tmp_path)
    for first, last in ((0, 70), (70, 150), (150, len(events))):
        kept.tell(events[first:last])
        if last < len(events):
            kept.write_down()
    return kept, events


def newest(kept):
    return kept.files.newest_first(SESSION)[0]


def flip(kept, place):
    data = bytearray(newest(kept).read_bytes())
    data[place] ^= 1
    newest(kept).write_bytes(data)


@pytest.mark.parametrize("place", [3, 40, 2000, -3])
def test_a_damaged_one_is_passed_over_for_the_one_before_it(twice, place):
    kept, events = twice
    flip(kept, place)
    table, spared, reasons = kept.started()
    assert spared == heard(events[:70]).counts["bars"] > 0
    assert reasons[0] is not None and reasons[1:] == [None]
    assert_same(heard(events), table)


def test_a_cut_one_is_passed_over_for_the_one_before_it(twice):
    kept, events = twice
    newest(kept).write_bytes(newest(kept).read_bytes()[:-200])
    table, spared, reasons = kept.started()
    assert (spared, reasons) == (heard(events[:70]).counts["bars"], ["It is cut or damaged.", None])
    assert_same(heard(events), table)


def test_of_other_code_none_is_believed(twice, monkeypatch):
    kept, events = twice
    monkeypatch.setattr(checkpoint, "CODE", "a later version's")
    table, spared, reasons = kept.started()
    assert (spared, reasons) == (0, ["Other code wrote it."] * 2)
    assert_same(heard(events), table)


def test_of_other_hours_none_is_believed(twice):
    kept, _ = twice
    early = nyse().hours(SESSION)
    table, spared, reasons = kept.started(
        type(early)(*[getattr(early, name) for name in early.__struct_fields__[:4]], HOURS.open_at, HOURS.close_at)
    )
    assert (spared, reasons) == (0, ["It is of other hours."] * 2) and table.hours != HOURS


def test_a_tape_that_ends_before_it_is_believed_and_not_the_checkpoint(twice):
    kept, events = twice
    end = int(newest(kept).name.rpartition(".")[2])
    kept.path.write_bytes(kept.path.read_bytes()[: end - 1])
    table, spared, reasons = kept.started()
    assert spared == heard(events[:70]).counts["bars"] and reasons == [f"The tape is another, or ends before byte {end:,}.", None]
    assert_same(heard(events[:149]), table)


def test_another_tape_of_the_session_is_not_continued_from_it(twice):
    kept, _ = twice
    kept.tape.set_aside(SESSION)
    kept.tape.close()
    other = Recorder(kept.path.parent)
    events = told(4)
    other.tell(events)
    table, spared, reasons = other.started()
    assert spared == 0 and len(reasons) == 2
    assert_same(heard(events), table)


def test_nothing_new_makes_no_other_checkpoint(tmp_path):
    kept = Recorder(tmp_path)
    kept.write_down()
    assert kept.files.newest_first(SESSION) == []
    kept.tell([Opened(SESSION, 0.0)])
    kept.write_down()
    kept.write_down()
    assert len(kept.files.newest_first(SESSION)) == 1
    kept.tape.close()
