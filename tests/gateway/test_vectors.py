"""The shared vectors, heard by the gateway as its scanner's messages: its copies and a client's follow the same rules."""

import json
from datetime import date

import msgspec
import pytest

from tests.vectors import VECTORS, expected
from tradeul.errors import SequenceGap
from tradeul.gateway.fan_out import FanOut

# The others say in their `about` why they are none of the gateway's.
SHARED = [vector for vector in VECTORS if "client only" not in vector.get("about", "")]


@pytest.mark.parametrize("vector", SHARED, ids=lambda vector: vector["name"])
def test_the_copies_are_what_the_vectors_say_and_a_gap_is_what_a_client_would_ask_about(vector):
    fan_out, gaps = FanOut(date(2026, 3, 9)), set()
    for step, session, holds in expected(vector["steps"]):
        message = step.get("hear", {"type": "nothing"})
        if message["type"] in ("connected", "new_day"):
            fan_out.roll_over(date.fromisoformat(message["session"]), 0.0)
        elif message["type"] == "unsubscribed":
            del fan_out.feeds[message["list"]]
        elif message["type"] in ("snapshot", "delta"):
            fan_out.feed(message["list"])  # a variant is copied while somebody watches it
            try:
                list(fan_out.take_message(message["list"], json.dumps(message).encode(), 0.0) or ())
            except SequenceGap:
                gaps.add(message["list"])
            else:
                assert message["list"] not in step.get("asks", [])
                gaps -= {message["list"]} if message["type"] == "snapshot" else set()
        assert gaps >= set(step.get("asks", []))
        assert fan_out.session == date.fromisoformat(session)
        copies = {name: feed.copy for name, feed in fan_out.feeds.items() if feed.copy is not None}
        assert copies.keys() == holds.keys() - gaps
        for name, copy in copies.items():
            state = json.loads(msgspec.json.encode(copy.snapshot()))
            assert {"lacking": []} | {key: state[key] for key in holds[name] if key in state} == holds[name]
