"""The protocol's law: whoever applies what was sent holds what is true, rank for rank and field for field."""

import json
from dataclasses import dataclass
from datetime import date

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradeul.client.follower import apply
from tradeul.errors import SequenceGap
from tradeul.records.messages import Add, Remove, Rerank, Snapshot, Update, encode
from tradeul.scanner.deltas import after, follow, steps_between

SESSION = date(2026, 3, 9)
values = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from([0.5, 1.25]), st.sampled_from(["x", "y"]))


@st.composite
def rows_of(draw):
    symbols = draw(st.lists(st.sampled_from("ABCDEFGH"), unique=True, max_size=8))
    return [{"symbol": symbol, "rank": rank, "price": draw(values), "name": draw(values)} for rank, symbol in enumerate(symbols)]


def snapshot(rows, **changes):
    fields = {"list": "winners", "session": SESSION, "mode": "SIMULATED", "epoch": 3, "sequence": 7, "timestamp": 1} | changes
    return Snapshot(count=len(rows), rows=rows, **fields)


@settings(deadline=None)
@given(st.lists(st.tuples(rows_of(), st.sampled_from([(), ("chg_5m",)])), min_size=2, max_size=5))
def test_applying_every_delta_gives_the_rows_exactly_and_what_is_not_known(states):
    sent = held = snapshot(states[0][0], lacking=states[0][1])
    for rows, lacking in states[1:]:
        delta = follow(sent, rows, 2, "SIMULATED", lacking)
        if delta is None:
            assert (rows, lacking) == (sent.rows, sent.lacking)
            continue
        held = apply(held, delta)
        sent = after(sent, delta, rows)
        assert held == sent
        assert [row["rank"] for row in held.rows] == list(range(len(rows)))


@settings(deadline=None)
@given(rows_of(), rows_of())
def test_steps_stand_in_the_documented_order_and_say_no_more_than_changed(old, new):
    steps = steps_between(old, new)
    order = [Remove, Add, Rerank, Update]
    kinds = [order.index(type(step)) for step in steps]
    assert kinds == sorted(kinds)
    was, now = ({row["symbol"]: row for row in rows} for rows in (old, new))
    assert {step.symbol for step in steps if isinstance(step, Remove)} == was.keys() - now.keys()
    assert {step.symbol for step in steps if isinstance(step, Add)} == now.keys() - was.keys()
    both = was.keys() & now.keys()
    assert {step.symbol: step.rank for step in steps if isinstance(step, Rerank)} == {
        symbol: now[symbol]["rank"] for symbol in both if was[symbol]["rank"] != now[symbol]["rank"]
    }
    for step in steps:
        if isinstance(step, Update):
            assert step.data
            assert all(was[step.symbol][name] != value for name, value in step.data.items())
            assert not {"rank", "symbol"} & step.data.keys()


@dataclass
class Viewer:
    """A naive client in another language: JSON, a map of rows, one step after the other, sorted at the end."""

    rows: dict

    def take(self, message):
        for step in json.loads(message)["deltas"]:
            match step:
                case {"action": "remove", "symbol": symbol}:
                    del self.rows[symbol]
                case {"action": "add", "symbol": symbol, "rank": rank, "data": data}:
                    self.rows[symbol] = data | {"symbol": symbol, "rank": rank}
                case {"action": "rerank", "symbol": symbol, "rank": rank}:
                    self.rows[symbol]["rank"] = rank
                case {"action": "update", "symbol": symbol, "data": data}:
                    self.rows[symbol] |= data
        return sorted(self.rows.values(), key=lambda row: row["rank"])


@settings(deadline=None)
@given(rows_of(), rows_of())
def test_a_naive_client_of_the_wire_ends_at_the_same_rows(old, new):
    delta = follow(snapshot(old), new, timestamp=2, mode="SIMULATED")
    if delta is not None:
        assert Viewer({row["symbol"]: dict(row) for row in old}).take(encode(delta)) == json.loads(msgspec.json.encode(new))


@settings(deadline=None)
@given(rows_of())
def test_what_did_not_change_sends_nothing(rows):
    assert follow(snapshot(rows), [dict(row) for row in rows], timestamp=9, mode="LIVE") is None


def test_the_sequence_counts_messages():
    delta = follow(snapshot([]), [{"symbol": "A", "rank": 0}], timestamp=2, mode="SIMULATED")
    assert (delta.base, delta.sequence, delta.epoch, delta.session) == (7, 8, 3, SESSION)


def test_a_changed_mode_comes_with_the_next_change_and_alone_sends_nothing():
    held = snapshot([A])
    assert follow(held, [A], timestamp=2, mode="DELAYED") is None
    assert apply(held, follow(held, [], timestamp=2, mode="DELAYED")).mode == "DELAYED"


def test_null_is_a_value():
    old, new = ([{"symbol": "A", "rank": 0, "price": price}] for price in (1.0, None))
    assert steps_between(old, new) == [Update("A", {"price": None})]
    assert steps_between(new, old) == [Update("A", {"price": 1.0})]


A, B = ({"symbol": symbol, "rank": 0, "price": 1} for symbol in "AB")


@pytest.mark.parametrize(
    "changes", [{"epoch": 4}, {"epoch": 2}, {"sequence": 6}, {"sequence": 8}, {"session": date(2026, 3, 6)}, {"list": "losers"}], ids=str
)
def test_a_delta_that_follows_another_state_is_refused(changes):
    delta = follow(snapshot([A]), [B], timestamp=2, mode="SIMULATED")
    with pytest.raises(SequenceGap, match="ask for a snapshot"):
        apply(snapshot([A], **changes), delta)


@pytest.mark.parametrize(
    ("held", "steps"),
    [([], [Remove("A")]), ([], [Update("A", {"price": 2})]), ([], [Rerank("A", 0)]), ([A], [Add("B", 0, B)]), ([A], [Add("B", 5, B)])],
)
def test_a_delta_that_contradicts_the_rows_is_refused(held, steps):
    delta = msgspec.structs.replace(follow(snapshot([]), [A], timestamp=2, mode="SIMULATED"), deltas=steps)
    with pytest.raises(SequenceGap, match="ask for a snapshot"):
        apply(snapshot(held), delta)
