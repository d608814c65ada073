"""Whatever was recorded reads back, and replayed it is the table that heard it."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.live.test_recovery import HOURS, OPEN, PRE, market, minutes_of, snapshot_of
from tradeul.errors import StoreError
from tradeul.live.arrivals import SAID, Bars, Heard, Minutes, joined
from tradeul.live.recovery import OpensTold, official_opens, read_snapshot
from tradeul.live.tape import (
    BARS,
    MARKS,
    MINUTES,
    Connected,
    Decoder,
    Encoder,
    Levels,
    Opened,
    Seeded,
    Settled,
    Symbols,
    perform,
)
from tradeul.live.today_table import TodayTable
from tradeul.records.bars import HaltChange, StreamBatch

SESSION = HOURS.session


def state(table):
    """All that a table is, for comparison bit by bit; but in which row a minute is kept."""
    kept = table.minutes
    found = {f"columns.{name}": column for name, column in table.columns.items()}
    found |= {f"minutes.{name}": getattr(kept, name)[kept._index] for name in ("volume", "dollars", "trades", "high", "low", "closed")}
    for part in ("seconds", "windows"):
        found |= {f"{part}.{name}": value for name, value in vars(getattr(table, part)).items()}
    plain = ("session", "symbols", "live_from_s", "subscribed_s", "whole_from_s", "seeded", "tells_trades", "newest_end_s", "counts")
    return found | {name: getattr(table, name) for name in plain}


def assert_same(one, other):
    expected, got = state(one), state(other)
    for name, value in expected.items():
        same = value.tobytes() == got[name].tobytes() if isinstance(value, np.ndarray) else value == got[name]
        assert same, name


# Any double, also those that no honest vendor sends; NaN only in its usual form, as `None` becomes it.
number = st.one_of(st.just(float("nan")), st.floats(allow_nan=False), st.integers(0, 10**6).map(lambda ticks: ticks / 100))
instant = st.integers(-(2**62), 2**62) | st.integers((PRE - 100) * 1000, (PRE + 60_000) * 1000)
bar = st.tuples(st.integers(-1, 6), st.booleans(), instant, instant, *[number] * 10)
bars_said = st.lists(bar, min_size=1, max_size=12)


def columns(rows):
    dtypes = np.int64, np.bool_, np.int64, np.int64, *[np.float64] * 10
    return Bars(*(np.array(column, dtype) for column, dtype in zip(zip(*rows, strict=True), dtypes, strict=True)))


@given(blocks=st.lists(bars_said, min_size=1, max_size=5))
def test_every_bit_of_every_bar_comes_back(blocks):
    events = [Opened(SESSION, 0.0), *(Heard(columns(rows), []) for rows in blocks)]
    encoder, encoded = Encoder(), []
    for event in events:
        encoded += encoder.blocks([event])
    opened, *heard = Decoder().events(encoded)
    assert opened == events[0]
    expected, got = joined([event.bars for event in events[1:]]), joined([event.bars for event in heard])
    for name in SAID:
        assert getattr(got, name).tobytes() == getattr(expected, name).tobytes(), name


@given(rows=bars_said)
def test_minutes_of_many_symbols_in_one_block_come_back_one_by_one(rows):
    asked = [[row] for row in rows]
    events = [Opened(SESSION, 0.0), Minutes(rows[0][0], columns(rows[:1])), *(Minutes(row[0][0], columns(row)) for row in asked)]
    blocks = Encoder().blocks(events)
    assert [kind for kind, _ in blocks] == [MARKS, MINUTES]
    _, *got = Decoder().events(blocks)
    expected = joined([event.bars for event in events[1:]])
    again = joined([event.bars for event in got])
    assert all(getattr(again, name).tobytes() == getattr(expected, name).tobytes() for name in SAID)
    assert all(len(set(event.bars.symbol)) == 1 and (np.diff(event.bars.start_ms) > 0).all() for event in got)


def test_bars_are_a_few_blocks_each_second_not_one_a_frame():
    heard = [Heard(columns([(row, False, row, row + 1, *[1.0] * 10)]), []) for row in range(3)]
    halts = [HaltChange("AAA", True, 5)]
    blocks = Encoder().blocks([Opened(SESSION, 0.0), *heard, Heard(heard[0].bars, halts)])
    assert [kind for kind, _ in blocks] == [MARKS, BARS, MARKS, BARS]


def test_a_block_of_an_unknown_kind_is_left_to_those_who_know_it():
    blocks = Encoder().blocks([Opened(SESSION, 1.0), Settled(3.0)])
    assert list(Decoder().events([blocks[0], (77, b"membership"), *blocks[1:]])) == [Opened(SESSION, 1.0), Settled(3.0)]


@pytest.mark.parametrize("kind", [MARKS, BARS, MINUTES])
def test_a_block_that_is_not_what_it_says_is_an_error_of_ours(kind):
    with pytest.raises(StoreError, match="tape"):
        list(Decoder().events([(kind, b"nonsense" * 40)]))


def test_symbols_that_are_not_where_they_were_are_an_error():
    table = TodayTable(HOURS, 8)
    table.add_symbols(["ZZZ"])
    with pytest.raises(StoreError, match="contradicts itself"):
        perform(table, Symbols(0, ["AAA"]))


# --- a day's story ------------------------------------------------------------------------------------------------------


class Teller:
    """Performs events and keeps them with the symbols that they need, as `Recording` does."""

    def __init__(self, table):
        self.table, self.events, self.told = table, [], 0

    def do(self, event):
        if len(self.table.symbols) > self.told:
            self.events.append(Symbols(self.told, self.table.symbols[self.told :]))
            self.told = len(self.table.symbols)
        self.events.append(event)
        return perform(self.table, event)


def told_day(seed, start, table):
    """A start inside the session, recovery, halts, a lost connection, late and replaced bars, levels that come late."""
    rng = random.Random(seed)
    shift = start - 1200
    symbols = ["AAA", "BBB", "CCC", "DDD"]
    bars = [shifted(b, shift) for b in market(seed, symbols, 2400)]
    stream, rest = minutes_of(bars)
    teller = Teller(table)
    teller.do(Opened(SESSION, float(start)))

    def recover(t, known):
        told = read_snapshot([snapshot_of(symbol, bars, t) for symbol in symbols], HOURS)
        table.add_symbols(told.symbols)
        teller.do(official_opens(table, told))
        for symbol in teller.do(Seeded(told)):
            answer = [b for b in rest if b.symbol == symbol and b.start_ms + 60_000 <= (PRE + t) * 1000] if known else []
            teller.do(table.read_minutes(symbol, answer))

    for t in range(start, start + 900):
        if t == start + 3:
            recover(t, known=True)
        if t == start + 200:
            teller.do(Levels(["BBB", "EEE"], np.array([1.5, np.nan]), np.array([40.0, 50.0])))
        if start + 300 <= t < start + 370:
            continue
        if t == start + 370:
            teller.do(Connected(float(t)))
            recover(t, known=seed % 2)
        ended = [b for b in bars if b.end_ms == (PRE + t - 2) * 1000]
        late = [b for b in bars if b.end_ms == (PRE + t - 40) * 1000 and rng.random() < 0.1]
        closed = [b for b in stream if b.end_ms == (PRE + t - 2) * 1000]
        halts = [HaltChange("CCC", rng.random() < 0.5, (PRE + t) * 1000)] if rng.random() < 0.01 else []
        if ended or late or closed or halts:
            teller.do(table.read(StreamBatch((PRE + t) * 1000, late + ended, closed, halts)))
        if table.settles(t):
            teller.do(Settled(float(t)))
    return teller.events


def shifted(bar, seconds):
    return type(bar)(bar.symbol, bar.start_ms + seconds * 1000, bar.end_ms + seconds * 1000, *list(fields(bar))[3:])


def fields(bar):
    return (getattr(bar, name) for name in bar.__struct_fields__)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("start", [1300, OPEN - 80, OPEN + 1234])
def test_a_replayed_tape_is_the_table_that_heard_it(seed, start):
    heard = TodayTable(HOURS, 8)
    events = told_day(seed, start, heard)
    kinds = {type(event) for event in events}
    assert kinds == {Opened, Symbols, Levels, Seeded, OpensTold, Minutes, Settled, Connected, Heard}
    rng = random.Random(seed)
    encoder, blocks, left = Encoder(), [], events
    while left:  # whatever is written at a time
        size = rng.randrange(1, 40)
        blocks += encoder.blocks(left[:size])
        left = left[size:]
    replayed, decoder = TodayTable(HOURS, 8), Decoder()
    while blocks:  # and read at a time
        size = rng.randrange(1, 60)
        for event in decoder.events(blocks[:size]):
            perform(replayed, event)
        blocks = blocks[size:]
    assert_same(heard, replayed)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 99), cut=st.floats(0, 1))
def test_cut_anywhere_it_is_the_table_as_it_was_then(seed, cut):
    events = told_day(seed, OPEN - 80, TodayTable(HOURS, 8))
    encoder = Encoder()
    groups = [encoder.blocks([event]) for event in events]
    kept = round(cut * len(groups))
    then, replayed = TodayTable(HOURS, 8), TodayTable(HOURS, 8)
    for event in events[:kept]:
        perform(then, event)
    for event in Decoder().events([block for group in groups[:kept] for block in group]):
        perform(replayed, event)
    assert_same(then, replayed)
