import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradeul.gateway.client_session import (
    BURST_MESSAGES,
    MAX_ERRORS_IN_A_ROW,
    MAX_SUBSCRIPTIONS,
    Attend,
    ClientSession,
    HangUp,
    Reply,
    Unwatch,
    Watch,
)
from tradeul.records.messages import ErrorMessage, Pong, Subscribed, Unsubscribed, encode

KNOWN = {"winners": "stocks", "losers": "stocks", "funds": "etf"}


def say(session, message, at=0.0, known=KNOWN):
    text = message if isinstance(message, str | bytes) else json.dumps(message)
    return session.receive(text, known, now_seconds=at, clock_ms=7)


def code(actions):
    return actions[0].message.code if isinstance(actions[0], Reply) and isinstance(actions[0].message, ErrorMessage) else None


@pytest.mark.parametrize("action", ["subscribe", "subscribe_list"])
def test_a_subscription_is_confirmed_and_then_watched(action):
    assert say(ClientSession(), {"action": action, "list": "winners"}) == [Reply(Subscribed("winners")), Watch("winners")]


def test_an_unsubscription_stops_the_list_before_it_is_confirmed():
    session = ClientSession()
    say(session, {"action": "subscribe", "list": "winners"})
    assert say(session, {"action": "unsubscribe", "list": "winners"}) == [Unwatch("winners"), Reply(Unsubscribed("winners"))]
    assert not session.subscriptions


def test_a_resync_is_a_snapshot_of_what_is_subscribed_to():
    session = ClientSession()
    assert code(say(session, {"action": "resync", "list": "winners"})) == "unknown_list"
    say(session, {"action": "subscribe", "list": "winners"})
    assert say(session, {"action": "resync", "list": "winners"}) == [Watch("winners")]


@pytest.mark.parametrize(("what", "stream"), [("filings", "stream:sec:filings"), ("news", "stream:news")])
def test_filings_and_news_are_asked_for_and_ended_as_often_as_one_likes(what, stream):
    session = ClientSession()
    for _ in range(2):
        assert say(session, {"action": f"subscribe_{what}"}) == [Reply(Subscribed(stream)), Attend(stream)]
    for _ in range(2):
        assert say(session, {"action": f"unsubscribe_{what}"}) == [Attend(stream, wanted=False), Reply(Unsubscribed(stream))]


def test_a_ping_is_answered_with_the_products_clock():
    assert say(ClientSession(), {"action": "ping"}) == [Reply(Pong(7))]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("{", "bad_json"),
        ("[]", "bad_json"),
        ('"ping"', "bad_json"),
        ("{}", "bad_json"),
        ('{"action":1}', "bad_json"),
        ('{"action":"subscribe","list":["winners"]}', "bad_json"),
        (b'{"action":"ping"}', "bad_json"),
        ('{"action":"buy"}', "unknown_action"),
        ('{"action":"subscribe"}', "unknown_list"),
        ('{"action":"subscribe","list":"nothing"}', "unknown_list"),
        ('{"action":"subscribe","list":"winners","class":"bonds"}', "unknown_list"),
        ('{"action":"subscribe","list":"winners~","class":null}', "unknown_list"),
        ('{"action":"subscribe","list":"nothing~etf"}', "unknown_list"),
        ('{"action":"unsubscribe","list":"winners"}', "unknown_list"),
        ('{"action":"ping","pad":"' + "x" * 5000 + '"}', "too_large"),
        ('{"action":"ping","pad":"' + "é" * 2500 + '"}', "too_large"),
    ],
)
def test_each_mistake_has_its_code(message, expected):
    assert code(say(ClientSession(), message)) == expected


def test_subscriptions_are_limited_and_repeating_one_is_free():
    session, known = ClientSession(), {f"list{number}": "stocks" for number in range(MAX_SUBSCRIPTIONS + 1)}
    for number in range(MAX_SUBSCRIPTIONS):
        assert code(say(session, {"action": "subscribe", "list": f"list{number}"}, known=known)) is None
    assert code(say(session, {"action": "subscribe", "list": f"list{MAX_SUBSCRIPTIONS}"}, known=known)) == "too_many"
    assert code(say(session, {"action": "subscribe", "list": "list0"}, known=known)) is None


def test_a_flood_is_refused_and_a_pause_forgives_it():
    session = ClientSession()
    assert {code(say(session, {"action": "ping"})) for _ in range(BURST_MESSAGES)} == {None}
    assert code(say(session, {"action": "ping"})) == "too_many"
    assert code(say(session, {"action": "ping"}, at=1.0)) is None


def test_abuse_that_goes_on_ends_the_socket_and_one_good_message_does_not_count_as_abuse():
    session = ClientSession()
    for _ in range(MAX_ERRORS_IN_A_ROW - 1):
        assert not isinstance(say(session, "{")[-1], HangUp)
    say(session, {"action": "ping"})
    for _ in range(MAX_ERRORS_IN_A_ROW - 1):
        assert not isinstance(say(session, "{")[-1], HangUp)
    assert isinstance(say(session, "{")[-1], HangUp)


def test_a_list_that_is_gone_ends_its_subscription():
    session = ClientSession()
    say(session, {"action": "subscribe", "list": "winners"})
    assert session.forget({"losers"}) == [Unwatch("winners"), Reply(Unsubscribed("winners"))]
    assert session.forget({"losers"}) == []


@given(st.one_of(st.text(), st.binary(), st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps)))
def test_whatever_arrives_the_answer_can_be_sent(message):
    for action in say(ClientSession(), message):
        if isinstance(action, Reply):
            assert encode(action.message)


@given(st.text(max_size=60), st.text(max_size=60))
def test_whatever_is_asked_the_answer_can_be_sent(action, name):
    for answer in say(ClientSession(), json.dumps({"action": action, "list": name})):
        assert isinstance(answer, Reply)
        assert encode(answer.message)


def test_a_class_is_a_subscription_of_its_own_under_the_name_that_the_answer_tells():
    session = ClientSession()
    etf = [Reply(Subscribed("winners~etf")), Watch("winners~etf")]
    assert say(session, {"action": "subscribe", "list": "winners", "class": "etf"}) == etf
    assert say(session, {"action": "subscribe", "list": "winners~etf"}) == etf
    assert say(session, {"action": "subscribe", "list": "winners"})[0] == Reply(Subscribed("winners"))
    assert session.subscriptions == {"winners", "winners~etf"}
    assert say(session, {"action": "resync", "list": "winners~etf"}) == [Watch("winners~etf")]
    assert say(session, {"action": "unsubscribe", "list": "winners", "class": "etf"})[0] == Unwatch("winners~etf")
    assert session.subscriptions == {"winners"}


@pytest.mark.parametrize(("name", "issue_class"), [("winners", "stocks"), ("funds", "etf"), ("funds~etf", None)])
def test_a_lists_own_class_is_the_list_itself(name, issue_class):
    session = ClientSession()
    say(session, {"action": "subscribe", "list": name, "class": issue_class})
    assert session.subscriptions == {name.partition("~")[0]}


def test_a_variant_goes_with_its_list():
    session = ClientSession()
    say(session, {"action": "subscribe", "list": "winners", "class": "all"})
    assert session.forget({"winners", "losers"}) == []
    assert session.forget({"losers"}) == [Unwatch("winners~all"), Reply(Unsubscribed("winners~all"))]
