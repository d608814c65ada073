"""The follower against the shared vectors, and what vectors cannot say."""

import json
from datetime import UTC, date, datetime

import jsonschema_rs
import msgspec
import pytest

from tests.vectors import VECTORS, expected, lists_of
from tradeul.client.follower import Follower, read
from tradeul.records import messages
from tradeul.records.messages import Connected, Delta, ListHead, NewDay, Resync, ServerMessage, Snapshot, Subscribe, encode

vectors = pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
D, N = date(2026, 3, 9), date(2026, 3, 10)


@vectors
def test_the_follower_asks_and_holds_what_the_vectors_say(vector):
    follower, now = Follower(lists_of(vector)), 0.0
    for step, session, holds in expected(vector["steps"]):
        now += step.get("wait_seconds", 0.0)
        said = []
        if "reconnect" in step:
            follower.begin()
        else:
            message = read(json.dumps(step["hear"]))
            said = [] if message is None else follower.hear(message, now).to_say
        assert [message.list for message in said if isinstance(message, Resync)] == step.get("asks", []), step
        assert follower.session == (session and date.fromisoformat(session)), step
        assert held(follower) == holds, step


def held(follower):
    fields = "session", "epoch", "sequence", "rows", "lacking"
    states = json.loads(msgspec.json.encode({name: msgspec.structs.asdict(state) for name, state in follower.held.items()}))
    return {name: {field: state[field] for field in fields} for name, state in states.items()}


@vectors
def test_the_vectors_are_of_the_schema_but_for_what_is_not_known_yet(vector):
    schema = jsonschema_rs.validator_for(messages.schema("", ServerMessage), validate_formats=True)
    heard = [step["hear"] for step in vector["steps"] if "hear" in step]
    assert [message["type"] for message in heard if not schema.is_valid(message)] == ["weather"] * (
        vector["name"] == "what is not known yet is ignored"
    )


def connected(session=D, *names, issue_class="stocks"):
    heads = [ListHead(name, name, "price > 1", (), ("price",), issue_class) for name in names]
    return Connected("c", session, "CLOSED", "LIVE", datetime(2026, 3, 9, 12, tzinfo=UTC), heads)


def snapshot(*symbols, session=D, sequence=1, name="winners"):
    return Snapshot(name, session, "LIVE", 1, sequence, len(symbols), [{"symbol": each, "rank": at} for at, each in enumerate(symbols)], 0)


def test_what_is_wanted_is_subscribed_to_once_a_socket_and_as_soon_as_it_exists():
    follower = Follower(["winners", "mine~etf", "winners"])
    assert follower.hear(connected(D), 0).to_say == []
    assert follower.hear(connected(D, "winners"), 0).to_say == [Subscribe("winners")]
    assert follower.hear(connected(D, "winners", "mine"), 0).to_say == [Subscribe("mine~etf")]
    follower.begin()
    assert follower.hear(connected(D, "winners", "mine"), 0).to_say == [Subscribe("mine~etf"), Subscribe("winners")]


def test_a_list_in_its_own_class_is_the_list_itself():
    follower = Follower(["funds~etf"])
    assert follower.hear(connected(D, "funds", issue_class="etf"), 0).to_say == [Subscribe("funds")]
    follower.hear(snapshot("A", name="funds"), 0)
    assert follower.name_of("funds~etf") == "funds" and follower.held["funds"].count == 1


def test_events_are_whole_lists_and_a_turn_of_the_session_is_told_before_its_rows():
    follower = Follower(["winners"])
    assert follower.hear(connected(D, "winners"), 0).events == [connected(D, "winners")]
    follower.hear(snapshot("A", "B"), 0)
    delta = Delta("winners", D, "DELAYED", 1, 2, 1, [messages.Remove("A"), messages.Rerank("B", 0)], 7, ("rvol",))
    (state,) = follower.hear(delta, 0).events
    assert state == Snapshot("winners", D, "DELAYED", 1, 2, 1, [{"symbol": "B", "rank": 0}], 7, ("rvol",))
    assert follower.hear(delta, 0).events == []
    tomorrow = snapshot(session=N)
    assert follower.hear(tomorrow, 0).events == [NewDay(N), tomorrow]
    assert follower.hear(NewDay(N), 0).events == []
    follower.begin()
    assert [type(event) for event in follower.hear(connected(date(2026, 3, 11), "winners"), 0).events] == [Connected, NewDay]


def test_what_is_of_an_older_session_is_refused_and_counted():
    follower = Follower(["winners"])
    follower.hear(connected(N, "winners"), 0.0)
    for _ in range(2):
        assert follower.hear(snapshot("A"), 0.0) == ([], [])
    assert (follower.refused, follower.held) == (2, {})


def test_only_what_no_gap_and_no_lost_connection_has_left_behind_is_current():
    follower = Follower(["winners"])
    follower.hear(connected(D, "winners"), 0)
    follower.hear(snapshot("A"), 0)
    assert follower.current == {"winners"}
    follower.hear(Delta("winners", D, "LIVE", 1, 9, 8, [], 0), 0)
    assert follower.current == set() and follower.held["winners"].rows
    follower.hear(snapshot("A", sequence=9), 0)
    assert follower.current == {"winners"}
    follower.begin()
    assert follower.current == set() and follower.held["winners"].rows


def test_what_nobody_here_watches_is_ignored():
    follower = Follower(["winners"])
    follower.hear(connected(D, "winners", "losers"), 0)
    assert follower.hear(snapshot("A", name="losers"), 0) == ([], [])
    assert follower.held == {}


@pytest.mark.parametrize(
    "rows", [[{"symbol": "A"}], [{"rank": 0}], [{"symbol": "A", "rank": 0}, {"symbol": "A", "rank": 1}], [{"symbol": "A", "rank": [0]}]]
)
def test_rows_without_a_place_of_their_own_do_not_count(rows):
    follower = Follower(["winners"])
    follower.hear(connected(D, "winners"), 0)
    message = Snapshot("winners", D, "LIVE", 1, 1, len(rows), rows, 0)
    assert follower.hear(read(encode(message)), 0) == ([], [Resync("winners")])
    assert follower.held == {}


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"type":7}', '{"type":"snapshot"}', '{"type":"delta","list":1}'])
def test_what_is_no_message_of_the_protocol_is_an_error(text):
    with pytest.raises(msgspec.DecodeError):
        read(text)


def test_a_type_that_is_not_known_yet_is_none():
    assert read('{"type":"weather","rows":1}') is None
