from hypothesis import given
from hypothesis import strategies as st

from tradeul.providers.polygon.backlog import Backlog
from tradeul.records.bars import HaltChange, StreamBar, StreamBatch

SYMBOLS = ["A", "B", "C"]


def second(symbol, start, volume=10.0, price=5.0):
    return StreamBar(symbol, start * 1000, start * 1000 + 1000, price, price + 1, price - 1, price, volume, price, 2.0)


def minute(symbol, number, volume=700.0):
    return StreamBar(symbol, number * 60_000, number * 60_000 + 60_000, 5, 9, 1, 6, volume, 5, 2.0)


stream_seconds = st.builds(second, st.sampled_from(SYMBOLS), st.integers(0, 300), st.floats(1, 99).map(round), st.integers(2, 9))
stream_minutes = st.builds(minute, st.sampled_from(SYMBOLS), st.integers(0, 4), st.floats(1, 99).map(round))
stream_batches = st.builds(
    StreamBatch, st.integers(0, 9), st.lists(stream_seconds, max_size=9), st.lists(stream_minutes, max_size=3), st.just([]), st.booleans()
)


@given(st.lists(stream_batches, max_size=20))
def test_the_last_minutes_stay_and_seconds_are_merged_by_symbol_and_minute(batches):
    backlog = Backlog()
    for batch in batches:
        backlog.add(batch)
    taken = backlog.take()
    last = {(bar.symbol, bar.start_ms): bar for batch in batches for bar in batch.minutes}
    assert {(bar.symbol, bar.start_ms): bar for bar in taken.minutes} == last and len(taken.minutes) == len(last)
    keys = [(bar.symbol, bar.start_ms // 60_000 * 60_000) for bar in taken.seconds]
    assert len(keys) == len(set(keys)) and not set(keys) & set(last)
    said = {(bar.symbol, bar.start_ms // 60_000 * 60_000) for batch in batches for bar in batch.seconds}
    assert set(keys) == said - set(last)
    assert len(backlog) + backlog.merged == sum(len(batch.seconds) + len(batch.minutes) for batch in batches)
    assert taken.resubscribed == any(batch.resubscribed for batch in batches) and backlog.dropped == 0


@given(st.lists(st.integers(0, 59), min_size=1, unique=True).map(sorted))
def test_seconds_in_order_are_summed(starts):
    backlog = Backlog()
    for place, start in enumerate(starts):
        backlog.add(StreamBatch(start, [second("A", start, volume=place + 1.0, price=10.0 + place)]))
    (bar,) = backlog.take().seconds
    last = len(starts)
    assert (bar.start_ms, bar.end_ms, bar.volume) == (starts[0] * 1000, starts[-1] * 1000 + 1000, last * (last + 1) / 2)
    assert (bar.open, bar.high, bar.low, bar.close) == (10.0, 10.0 + last, 9.0, 9.0 + last)
    assert round(bar.volume / bar.average_size_shares, 6) == bar.volume / 2


def test_a_second_that_comes_again_is_not_added_twice():
    backlog = Backlog()
    for bar in (second("A", 1), second("A", 2), second("A", 1, volume=15.0)):
        backlog.add(StreamBatch(0, [bar]))
    assert backlog.take().seconds[0].volume == 20


def test_the_last_word_on_a_halt_stays():
    backlog = Backlog()
    backlog.add(StreamBatch(0, halts=[HaltChange("A", True, 5), HaltChange("A", False, 9), HaltChange("B", True, 7)]))
    backlog.add(StreamBatch(0, halts=[HaltChange("A", True, 6)]))
    assert backlog.take().halts == [HaltChange("A", False, 9), HaltChange("B", True, 7)]


@given(st.lists(stream_batches, max_size=40), st.integers(0, 8))
def test_it_is_bounded_and_what_is_thrown_away_is_read_again(batches, most):
    backlog = Backlog(most)
    for batch in batches:
        backlog.add(batch)
        assert len(backlog) <= most
    taken = backlog.take()
    came = sum(len(batch.seconds) + len(batch.minutes) for batch in batches)
    assert len(backlog) + backlog.merged + backlog.dropped == came
    assert taken.resubscribed or not backlog.dropped
