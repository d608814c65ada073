import json
import random
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradeul.errors import SequenceGap
from tradeul.gateway.client_session import ClientSession
from tradeul.gateway.fan_out import BUFFER_LIMIT_BYTES, DRAINED_BYTES, STUCK_SECONDS, FanOut, Viewer
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
    viewer = Viewer("v", Pipe(), ClientSession())
    fan_out.viewers.add(viewer)
    return viewer


def types(viewer):
    return [message["type"] for message in viewer.transport.messages()]


@pytest.fixture
def running(scanner):
    """A list in full flow, and its one viewer with the first snapshot behind it."""
    fan_out, flow = FanOut(SESSION), scanner.Flow("winners", 5)
    fan_out.take_message("winners", encode(flow.snapshot), 0.0)
    viewer = viewer_of(fan_out)
    fan_out.feed("winners").watch(viewer, 0.0)
    assert types(viewer) == ["snapshot"]
    return fan_out, flow, viewer


@given(seed=st.integers(0, 1_000_000))
def test_whenever_a_viewer_comes_and_however_slow_it_is_there_is_no_gap_and_no_duplicate(scanner, seed):
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

    for turn in range(25):
        viewer = chance.choice(viewers)
        match chance.randrange(6):
            case 0:
                fan_out.feed("winners").watch(viewer, turn)
            case 1:
                viewer.transport.buffered = chance.choice([0, BUFFER_LIMIT_BYTES + 1])
                fan_out.sweep(0.0)
            case 2:  # the scanner starts again
                flow.epoch += 1
                fan_out.take_message("winners", encode(flow.snapshot), turn)
            case _:
                payload = encode(flow.step())
                for _ in range(chance.choice([0, 1, 1, 1, 2])):  # the bus loses some, and some come twice
                    try:
                        fan_out.take_message("winners", payload, turn)
                    except SequenceGap:
                        fan_out.take_frame("winners", flow.frame, turn)
        read(viewer)
    for viewer in viewers:
        viewer.transport.buffered = 0
        fan_out.feed("winners").watch(viewer, 30.0)
    fan_out.reconcile("winners", flow.frame, 30.0)
    fan_out.reconcile("winners", flow.frame, 30.0)
    fan_out.sweep(30.0)
    for viewer in viewers:
        read(viewer)
        assert held[viewer] == (flow.epoch, flow.sequence, flow.frame.rows)


def test_everyone_gets_the_same_bytes(running):
    fan_out, flow, first = running
    second = viewer_of(fan_out)
    fan_out.feed("winners").watch(second, 0.0)
    second.transport.messages()
    fan_out.take_message("winners", encode(flow.step()), 0.0)
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
    fan_out.take_frame("winners", flow.frame, 0.0)
    assert types(viewer) == ["snapshot"]


def test_a_delta_before_any_snapshot_is_a_gap(scanner):
    with pytest.raises(SequenceGap):
        FanOut(SESSION).take_message("winners", encode(scanner.Flow("winners", 5).step()), 0.0)


@pytest.mark.parametrize("payload", [b"", b"{}", b"[]", b'{"type":"pong","timestamp":1}'])
def test_a_message_that_is_none_of_the_lists_is_a_gap(running, payload):
    fan_out, flow, viewer = running
    with pytest.raises(SequenceGap):
        fan_out.take_message("winners", payload, 0.0)
    with pytest.raises(SequenceGap):
        fan_out.take_message("losers", encode(flow.step()), 0.0)
    assert types(viewer) == []


def test_a_full_viewer_gets_no_deltas_and_one_fresh_snapshot_when_it_has_drained(running):
    fan_out, flow, viewer = running
    viewer.transport.buffered = BUFFER_LIMIT_BYTES + 1
    for _ in range(3):
        fan_out.take_message("winners", encode(flow.step()), 1.0)
    viewer.transport.buffered = DRAINED_BYTES + 1
    fan_out.sweep(2.0)
    assert types(viewer) == []
    viewer.transport.buffered = DRAINED_BYTES
    fan_out.sweep(3.0)
    fan_out.sweep(4.0)
    (snapshot,) = viewer.transport.messages()
    assert snapshot["sequence"] == flow.sequence
    fan_out.take_message("winners", encode(flow.step()), 5.0)
    assert types(viewer) == ["delta"]


def test_a_viewer_that_stays_full_is_cut_off_and_one_that_drains_is_not(running):
    fan_out, flow, viewer = running
    viewer.transport.buffered = BUFFER_LIMIT_BYTES + 1
    fan_out.take_message("winners", encode(flow.step()), 1.0)
    assert fan_out.sweep(1.0 + STUCK_SECONDS - 0.1) == 0
    viewer.transport.buffered = 0
    assert fan_out.sweep(1.0 + STUCK_SECONDS) == 0
    viewer.transport.buffered = BUFFER_LIMIT_BYTES + 1
    fan_out.take_message("winners", encode(flow.step()), 50.0)
    assert fan_out.sweep(50.0 + STUCK_SECONDS) == 1
    assert viewer.transport.aborted


def test_what_belongs_to_an_older_session_is_refused_and_counted(running, scanner):
    fan_out, _, viewer = running
    yesterday = scanner.Flow("winners", 6, session=date(2026, 3, 6), epoch=9)
    delta = yesterday.step()
    fan_out.take_message("winners", encode(delta), 0.0)
    fan_out.take_message("winners", encode(yesterday.snapshot), 0.0)
    fan_out.take_frame("winners", yesterday.frame, 0.0)
    fan_out.reconcile("winners", yesterday.frame, 0.0)
    fan_out.reconcile("winners", yesterday.frame, 0.0)
    assert fan_out.refused == 4
    assert types(viewer) == []


def test_a_newer_session_is_said_once_to_everyone_before_its_rows(running, scanner):
    fan_out, flow, viewer = running
    idle = viewer_of(fan_out)
    tomorrow = scanner.Flow("winners", 6, session=NEXT, epoch=2)
    fan_out.take_message("winners", encode(tomorrow.snapshot), 0.0)
    fan_out.take_message("winners", encode(tomorrow.step()), 0.0)
    assert [(message["type"], message["session"]) for message in viewer.transport.messages()] == [
        ("new_day", "2026-03-10"),
        ("snapshot", "2026-03-10"),
        ("delta", "2026-03-10"),
    ]
    assert types(idle) == ["new_day"]
    fan_out.take_message("winners", encode(flow.step()), 0.0)
    assert types(viewer) == []
    assert fan_out.refused == 1


def test_a_late_viewer_after_the_calendars_roll_over_sees_nothing_of_yesterday(running):
    fan_out, flow, viewer = running
    assert fan_out.roll_over(NEXT, 0.0) == 1
    assert fan_out.roll_over(NEXT, 0.0) == 0
    fan_out.feed("winners").watch(viewer, 0.0)
    fan_out.take_frame("winners", flow.frame, 0.0)
    assert types(viewer) == ["new_day"]


def test_a_lost_last_message_is_noticed_at_the_second_look(running):
    fan_out, flow, viewer = running
    fan_out.reconcile("winners", flow.frame, 0.0)
    flow.step()
    fan_out.reconcile("winners", flow.frame, 5.0)
    (snapshot,) = viewer.transport.messages()
    assert snapshot["sequence"] == 1


def test_messages_under_way_are_no_loss(running):
    fan_out, flow, viewer = running
    fan_out.reconcile("winners", flow.frame, 0.0)
    fan_out.take_message("winners", encode(flow.step()), 1.0)
    late = flow.step()
    fan_out.reconcile("winners", flow.frame, 5.0)
    fan_out.take_message("winners", encode(late), 5.0)
    assert types(viewer) == ["delta", "delta"]


def test_who_left_gets_nothing(running):
    fan_out, flow, viewer = running
    fan_out.remove(viewer)
    fan_out.take_message("winners", encode(flow.step()), 0.0)
    fan_out.broadcast(b"", 0.0)
    fan_out.roll_over(NEXT, 0.0)
    assert viewer.transport.frames == []
