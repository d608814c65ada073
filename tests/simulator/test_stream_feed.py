import json
from collections import defaultdict

import pytest

from tests.simulator.conftest import SESSION
from tradeul.simulator.market import Shown
from tradeul.simulator.stream_feed import FRAME_ROWS, Batch, StreamFeed

ALL = frozenset({"A", "AM", "LULD"})


def told(market, first, last, kinds=ALL):
    """Every message of seconds first..last since 04:00, with the second it was sent in."""
    feed = StreamFeed(market)
    for second in range(first, last + 1):
        for batch in feed.batches(SESSION, second, kinds):
            for frame in batch.encoded():
                for message in json.loads(frame):
                    yield second, message


def test_what_the_stream_said_ends_as_what_rest_says(market):
    """A bar with a known start replaces the earlier one; the last word is the truth."""
    said = {"A": {}, "AM": {}}
    for _, message in told(market, 19_680, 19_980):
        if message["ev"] != "LULD":
            said[message["ev"]][message["sym"], message["s"]] = message
    start_ms = int(market.hours(SESSION).pre_open_at.timestamp() * 1000)
    issues = market.source.issues
    minutes = market.minutes(SESSION)
    for start in (19_740, 19_800, 19_860):
        here = minutes.take(minutes.start == start)
        state = market.state(Shown(SESSION, start + 60.0)).totals
        seconds = market.seconds(SESSION, start)
        for bars, kind in ((here, "AM"), (seconds, "A")):
            for row in range(len(bars)):
                message = said[kind][issues[bars.issue[row]].symbol, start_ms + int(bars.start[row]) * 1000]
                assert (message["v"], message["c"]) == (bars.volume[row], bars.close[row] / 10_000)
                assert (message["h"], message["l"]) == (bars.high[row] / 10_000, bars.low[row] / 10_000)
                if kind == "AM":
                    number = bars.issue[row]
                    assert message["av"] == state.volume[number]
                    assert message["a"] == pytest.approx(state.dollars[number] / state.volume[number], abs=1e-3)
                    if start >= 19_800:
                        assert message["op"] == state.open[number]
                    else:
                        assert "op" not in message


def test_messages_come_when_the_vendor_sends_them(market):
    start_ms = int(market.hours(SESSION).pre_open_at.timestamp() * 1000)
    seen = set()
    for second, message in told(market, 19_800, 19_930):
        if message["ev"] == "LULD":
            continue
        due = start_ms + second * 1000
        delay = due - message["e"]
        first = (message["ev"], message["sym"], message["s"]) not in seen
        seen.add((message["ev"], message["sym"], message["s"]))
        if first and message["s"] >= start_ms + 19_800_000:
            assert delay == 2000
        assert 2000 <= delay <= 43_000


def test_a_late_bar_comes_too_small_and_then_right(market):
    corrected = market.source.issues[market.source.story.cast(SESSION).corrected].symbol
    minute = [(s, m) for s, m in told(market, 19_800, 19_860, frozenset({"AM"})) if m["sym"] == corrected]
    (first_at, first), (second_at, second) = minute[:2]
    assert first["s"] == second["s"]
    assert first["v"] < second["v"]
    assert second["av"] - first["av"] == second["v"] - first["v"]
    assert (first_at, 20 <= second_at - first_at <= 40) == (19_802, True)


def test_the_halt_is_announced_and_silent_between(market):
    lead = market.source.issues[market.source.story.cast(SESSION).lead].symbol
    mine = defaultdict(list)
    for second, message in told(market, 19_740, 19_860):
        if lead in (message.get("sym"), message.get("T")):
            mine[message["ev"]].append((second, message))
    assert [(second, m["i"]) for second, m in mine["LULD"]] == [(19_760, [17]), (19_820, [18])]
    assert len(str(mine["LULD"][0][1]["t"])) == 19
    assert not [second for second, _ in mine["A"] if 19_763 <= second < 19_823 and _["s"] % 60_000 >= 20_000 and second < 19_820]


def test_frames_stay_below_a_mebibyte(market):
    feed = StreamFeed(market)
    [batch] = feed.batches(SESSION, 19_862, frozenset({"AM"}))
    times = 2 * FRAME_ROWS // batch.frame.height + 1
    frame = batch.frame.clear().vstack(batch.frame)
    for _ in range(times - 1):
        frame = frame.vstack(batch.frame)
    frames = list(Batch("AM", batch.numbers, frame.rechunk()).encoded())
    assert len(frames) > 1
    assert max(map(len, frames)) < 1 << 20
    assert sum(len(json.loads(part)) for part in frames) == frame.height
