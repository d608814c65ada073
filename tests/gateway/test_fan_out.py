import json
import random
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradeul.errors import SequenceGap
from tradeul.gateway import fan_out as fan_out_module
from tradeul.gateway.client_session import ClientSession
from tradeul.gateway.fan_out import BUFFER_LIMIT_BYTES, DRAINED_BYTES, STUCK_SECONDS, FanOut, Viewer
from tradeul.gateway.frames import Framed
from tradeul.records.messages import encode

SESSION, NEXT = date(2026, 3, 9), date(2026, 3, 10)


class Pipe:
    """A transport whose reader the test is: it keeps what was written, and pretends to hold `buffered` bytes."""

    def __init__(self):
        self.frames, self.buffered, self.aborted = [], 0, False

    def write(self, data):
        self.frames.append(data)

    def get_write_buffer_size(self):
        return self.buffered

    def is_closing(self):
        return self.aborted

    def abort(self):
        self.aborted = True

    def messages(self):
        """What arrived since the last look, decoded; our frames are unmasked."""
        frames, self.frames = self.frames, []
        return [json.loads(frame[{126: 4, 127: 10}.get(frame[1], 2) :]) for frame in frames]


def viewer_of(fan_out):
    viewer = Viewer("v", Pipe(), ClientSession(), fan_out.session)
    fan_out.viewers.add(viewer)
    return viewer


def through(chunks):
    """Nothing else happens in between."""
    for _ in chunks:
        pass


def types(viewer):
    return [message["type"] for message in viewer.transport.messages()]


@pytest.fixture(scope="module")
def one_a_turn():
    """So that everything may happen between the writes to two viewers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fan_out_module, "CHUNK_VIEWERS", 1)
        yield


@pytest.fixture
def running(scanner):
    """A list in full flow, and its one viewer with the first snapshot behind it."""
    fan_out, flow = FanOut(SESSION), scanner.Flow("winners", 5)
    through(fan_out.take_message("winners", encode(flow.snapshot), 0.0))
    viewer = viewer_of(fan_out)
    fan_out.feed("winners").watch(viewer, 0.0)
    assert types(viewer) == ["snapshot"]
    return fan_out, flow, viewer


@given(seed=st.integers(0, 1_000_000))
def test_whenever_a_viewer_comes_and_however_slow_it_is_there_is_no_gap_and_no_duplicate(scanner, one_a_turn, seed):
    chance, fan_out, flow = random.Random(seed), FanOut(SESSION), scanner.Flow("winners", seed)
    viewers, held = [viewer_of(fan_out) for _ in range(4)], {}

    def read(viewer):
        for message in viewer.transport.messages():
            if message["type"] == "snapshot":
                held[viewer] = (message["epoch"], message["sequence"], message["rows"])
            elif message["type"] == "delta":
                epoch, sequence, rows = held[viewer]
                assert (message["epoch"], message["base"]) == (epoch, sequence)
                held[viewer] = (epoch, message["sequence"], scanner.apply(rows, message))

    def passes(payload, turn):
        """What the list's task does with one message."""
        try:
            yield from fan_out.take_message("winners", payload, turn)
        except SequenceGap:
            yield from fan_out.take_frame("winners", flow.frame, turn)

    passing, others = iter(()), []
    for turn in range(40):
        viewer = chance.choice(viewers)
        match chance.randrange(9):
            case 0:
                fan_out.feed("winners").watch(viewer, turn)
            case 1:
                viewer.transport.buffered = chance.choice([0, BUFFER_LIMIT_BYTES + 1])
                others.append(iter(fan_out.sweep(0.0)))
            case 2:  # the scanner starts again
                flow.epoch += 1
                through(passing)
                passing = passes(encode(flow.snapshot), turn)
            case 3:
                others.append(iter(fan_out.reconcile("winners", flow.frame, turn)))
            case 4:
                fan_out.feed("winners").unwatch(viewer)
            case _:
                payload = encode(flow.step())
                for _ in range(chance.choice([0, 1, 1, 1, 2])):  # the bus loses some, and some come twice
                    through(passing)
                    passing = passes(payload, turn)
        for chunks in (passing, *others):  # others work between two chunks
            for _ in range(chance.randrange(4)):
                next(chunks, None)
        read(viewer)
    for chunks in (passing, *others):
        through(chunks)
    for viewer in viewers:
        viewer.transport.buffered = 0
        fan_out.feed("winners").watch(viewer, 30.0)
    through(fan_out.reconcile("winners", flow.frame, 30.0))
    through(fan_out.reconcile("winners", flow.frame, 30.0))
    through(fan_out.sweep(30.0))
    for viewer in viewers:
        read(viewer)
        assert held[viewer] == (flow.epoch, flow.sequence, flow.frame.rows)


def test_each_pass_begins_with_another_viewer(scanner, one_a_turn):
    fan_out, flow = FanOut(SESSION), scanner.Flow("winners", 5)
    through(fan_out.take_message("winners", encode(flow.snapshot), 0.0))
    viewers = [viewer_of(fan_out) for _ in range(3)]
    for viewer in viewers:
        fan_out.feed("winners").watch(viewer, 0.0)
        viewer.transport.messages()
    firsts = set()
    for _ in viewers:
        chunks = iter(fan_out.take_message("winners", encode(flow.step()), 0.0))
        next(chunks)
        firsts |= {viewer for viewer in viewers if viewer.transport.messages()}
        through(chunks)
        for viewer in viewers:
            viewer.transport.messages()
    assert firsts == set(viewers)


def test_a_new_session_between_two_chunks_ends_the_pass_and_is_said_before_its_rows(scanner, one_a_turn):
    fan_out, flow = FanOut(SESSION), scanner.Flow("winners", 5)
    through(fan_out.take_message("winners", encode(flow.snapshot), 0.0))
    viewers = [viewer_of(fan_out) for _ in range(3)]
    for viewer in viewers:
        fan_out.feed("winners").watch(viewer, 0.0)
        viewer.transport.messages()
    old = iter(fan_out.take_message("winners", encode(flow.step()), 0.0))
    next(old)
    new = iter(fan_out.take_message("winners", encode(scanner.Flow("winners", 6, session=NEXT, epoch=2).snapshot), 0.0))
    next(new)
    through(old)
    through(new)
    said = sorted(tuple((message["type"], message["session"]) for message in viewer.transport.messages()) for viewer in viewers)
    news = (("new_day", "2026-03-10"), ("snapshot", "2026-03-10"))
    assert said == [(("delta", "2026-03-09"), *news), news, news]


def test_who_negotiated_compression_gets_one_deflated_frame_and_the_others_the_plain_one(running):
    fan_out, flow, plain = running
    packed = [viewer_of(fan_out) for _ in range(2)]
    for viewer in packed:
        viewer.deflates = True
        fan_out.feed("winners").watch(viewer, 0.0)
    payload = encode(flow.step())
    through(fan_out.take_message("winners", payload, 0.0))
    assert packed[0].transport.frames[-1] is packed[1].transport.frames[-1]
    assert packed[0].transport.frames[-1] == Framed(payload).deflated != plain.transport.frames[-1] == Framed(payload).plain


def test_everyone_gets_the_same_bytes(running):
    fan_out, flow, first = running
    second = viewer_of(fan_out)
    fan_out.feed("winners").watch(second, 0.0)
    second.transport.messages()
    through(fan_out.take_message("winners", encode(flow.step()), 0.0))
    assert first.transport.frames[0] is second.transport.frames[0]


def test_a_snapshot_is_encoded_once_while_the_sequence_stands(running):
    fan_out, _, first = running
    second = viewer_of(fan_out)
    fan_out.feed("winners").watch(first, 0.0)
    fan_out.feed("winners").watch(second, 0.0)
    assert first.transport.frames[0] is second.transport.frames[0]


def test_who_waits_for_a_list_without_rows_gets_its_first_snapshot_when_it_comes(scanner):
    fan_out, flow = FanOut(SESSION), scanner.Flow("winners", 5)
    viewer = viewer_of(fan_out)
    fan_out.feed("winners").watch(viewer, 0.0)
    assert types(viewer) == []
    through(fan_out.take_frame("winners", flow.frame, 0.0))
    assert types(viewer) == ["snapshot"]


def test_a_delta_before_any_snapshot_is_a_gap(scanner):
    with pytest.raises(SequenceGap):
        FanOut(SESSION).take_message("winners", encode(scanner.Flow("winners", 5).step()), 0.0)


@pytest.mark.parametrize("payload", [b"", b"{}", b"[]", b'{"type":"pong","timestamp":1}'])
def test_a_message_that_is_none_of_the_lists_is_a_gap(running, payload):
    fan_out, flow, viewer = running
    with pytest.raises(SequenceGap):
        through(fan_out.take_message("winners", payload, 0.0))
    with pytest.raises(SequenceGap):
        through(fan_out.take_message("losers", encode(flow.step()), 0.0))
    assert types(viewer) == []


def test_a_full_viewer_gets_no_deltas_and_one_fresh_snapshot_when_it_has_drained(running):
    fan_out, flow, viewer = running
    viewer.transport.buffered = BUFFER_LIMIT_BYTES + 1
    for _ in range(3):
        through(fan_out.take_message("winners", encode(flow.step()), 1.0))
    viewer.transport.buffered = DRAINED_BYTES + 1
    through(fan_out.sweep(2.0))
    assert types(viewer) == []
    viewer.transport.buffered = DRAINED_BYTES
    through(fan_out.sweep(3.0))
    through(fan_out.sweep(4.0))
    (snapshot,) = viewer.transport.messages()
    assert snapshot["sequence"] == flow.sequence
    through(fan_out.take_message("winners", encode(flow.step()), 5.0))
    assert types(viewer) == ["delta"]


def test_a_viewer_that_stays_full_is_cut_off_and_one_that_drains_is_not(running):
    fan_out, flow, viewer = running
    viewer.transport.buffered = BUFFER_LIMIT_BYTES + 1
    through(fan_out.take_message("winners", encode(flow.step()), 1.0))
    assert fan_out.cut_off_stuck(1.0 + STUCK_SECONDS - 0.1) == 0
    viewer.transport.buffered = 0
    assert fan_out.cut_off_stuck(1.0 + STUCK_SECONDS) == 0
    viewer.transport.buffered = BUFFER_LIMIT_BYTES + 1
    through(fan_out.take_message("winners", encode(flow.step()), 50.0))
    assert fan_out.cut_off_stuck(50.0 + STUCK_SECONDS) == 1
    assert viewer.transport.aborted


def test_what_belongs_to_an_older_session_is_refused_and_counted(running, scanner):
    fan_out, _, viewer = running
    yesterday = scanner.Flow("winners", 6, session=date(2026, 3, 6), epoch=9)
    delta = yesterday.step()
    through(fan_out.take_message("winners", encode(delta), 0.0))
    through(fan_out.take_message("winners", encode(yesterday.snapshot), 0.0))
    through(fan_out.take_frame("winners", yesterday.frame, 0.0))
    through(fan_out.reconcile("winners", yesterday.frame, 0.0))
    through(fan_out.reconcile("winners", yesterday.frame, 0.0))
    assert fan_out.refused == 4
    assert types(viewer) == []


def test_a_newer_session_is_said_once_to_everyone_before_its_rows(running, scanner):
    fan_out, flow, viewer = running
    idle = viewer_of(fan_out)
    tomorrow = scanner.Flow("winners", 6, session=NEXT, epoch=2)
    through(fan_out.take_message("winners", encode(tomorrow.snapshot), 0.0))
    through(fan_out.take_message("winners", encode(tomorrow.step()), 0.0))
    assert [(message["type"], message["session"]) for message in viewer.transport.messages()] == [
        ("new_day", "2026-03-10"),
        ("snapshot", "2026-03-10"),
        ("delta", "2026-03-10"),
    ]
    assert types(idle) == ["new_day"]
    through(fan_out.take_message("winners", encode(flow.step()), 0.0))
    assert types(viewer) == []
    assert fan_out.refused == 1


def test_a_late_viewer_after_the_calendars_roll_over_sees_nothing_of_yesterday(running):
    fan_out, flow, viewer = running
    assert fan_out.roll_over(NEXT, 0.0) == 1
    assert fan_out.roll_over(NEXT, 0.0) == 0
    through(fan_out.announce())
    fan_out.feed("winners").watch(viewer, 0.0)
    through(fan_out.take_frame("winners", flow.frame, 0.0))
    assert types(viewer) == ["new_day"]


def test_a_lost_last_message_is_noticed_at_the_second_look(running):
    fan_out, flow, viewer = running
    through(fan_out.reconcile("winners", flow.frame, 0.0))
    flow.step()
    through(fan_out.reconcile("winners", flow.frame, 5.0))
    (snapshot,) = viewer.transport.messages()
    assert snapshot["sequence"] == 1


def test_messages_under_way_are_no_loss(running):
    fan_out, flow, viewer = running
    through(fan_out.reconcile("winners", flow.frame, 0.0))
    through(fan_out.take_message("winners", encode(flow.step()), 1.0))
    late = flow.step()
    through(fan_out.reconcile("winners", flow.frame, 5.0))
    through(fan_out.take_message("winners", encode(late), 5.0))
    assert types(viewer) == ["delta", "delta"]


def test_who_left_gets_nothing(running):
    fan_out, flow, viewer = running
    fan_out.remove(viewer)
    through(fan_out.take_message("winners", encode(flow.step()), 0.0))
    through(fan_out.broadcast(Framed(b"{}"), 0.0))
    fan_out.roll_over(NEXT, 0.0)
    through(fan_out.announce())
    assert viewer.transport.frames == []
