from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tradeul.errors import StoreError
from tradeul.market_calendar import Phase
from tradeul.records.membership import MembershipEvent
from tradeul.scanner.membership import Membership, events_between, held_by, replay

T = datetime(2026, 3, 9, 19, 0, tzinfo=UTC)
CLOSE = datetime(2026, 3, 9, 20, 0, tzinfo=UTC)
lists_of_rows = st.dictionaries(
    st.sampled_from(["winners", "losers", "mine"]), st.lists(st.sampled_from("ABCDE"), unique=True), max_size=3
).map(lambda lists: {name: [{"symbol": symbol, "rank": rank} for rank, symbol in enumerate(found)] for name, found in lists.items()})


def members(held):
    return {name: set(found) for name, found in held.items() if found}


@given(lists_of_rows, lists_of_rows)
def test_the_events_lead_from_the_old_members_to_the_new_ones(old, new):
    first = events_between({}, old, T)
    second = events_between(held_by(old), new, T)
    assert members(replay(first, {})[0]) == members(held_by(old))
    assert members(replay([*first, *second], {})[0]) == members(held_by(new))
    touched = [(event.list, event.symbol) for event in second]
    assert len(set(touched)) == len(touched)


def test_an_event_carries_the_row_as_first_and_as_last_shown():
    entered = {"winners": [{"symbol": "A", "rank": 0, "price": 5}]}
    moved = {"winners": [{"symbol": "B", "rank": 0, "price": 9}, {"symbol": "A", "rank": 1, "price": 4}]}
    assert events_between({}, entered, T) == [MembershipEvent(T, "winners", "A", "enter", 0, {"symbol": "A", "rank": 0, "price": 5})]
    assert [(each.event, each.symbol, each.rank, each.row["price"]) for each in events_between(held_by(moved), {"winners": []}, T)] == [
        ("leave", "B", 0, 9),
        ("leave", "A", 1, 4),
    ]


def event(minutes, kind, symbol):
    return MembershipEvent(CLOSE + timedelta(minutes=minutes), "gappers_up", symbol, kind, 0, {"symbol": symbol, "rank": 0})


def at_the_close(*events):
    return replay(events, {Phase.MARKET_OPEN: CLOSE})[1]


def test_the_log_says_who_stood_there_at_the_close_if_it_reaches_so_far():
    before = [event(-60, "enter", "A"), event(-60, "enter", "B"), event(-2, "leave", "A")]
    assert at_the_close(*before) == {Phase.MARKET_OPEN: {"gappers_up": ["B"]}}
    assert at_the_close(*before, event(0, "enter", "C")) == {Phase.MARKET_OPEN: {"gappers_up": ["B"]}}
    assert at_the_close(*before[:2], event(30, "enter", "C")) == {}  # nobody was watching the close
    assert at_the_close(event(1, "enter", "C")) == {}
    assert at_the_close() == {}


class FullDisk:
    def __init__(self):
        self.events, self.is_full = [], True

    def read(self, _):
        return iter(self.events)

    def append(self, _, events):
        if self.is_full:
            raise StoreError("full")
        self.events += events


def test_what_the_disk_did_not_take_is_written_once_it_does(make):
    disk = FullDisk()
    membership = Membership(disk)
    membership.begin(make.hours)
    rows = {"winners": [{"symbol": "A", "rank": 0}]}
    membership.note(rows, T)
    assert disk.events == []
    disk.is_full = False
    membership.note(rows, T)
    membership.note(rows, T)
    assert [(each.event, each.symbol) for each in disk.events] == [("enter", "A")]
