"""One bad row of the snapshot is told of in its place and costs no other; many are no snapshot."""

import json

import pytest

from tests.providers.polygon.test_wire import SNAPSHOT_ROW
from tradeul.errors import MalformedResponse
from tradeul.providers.polygon.wire_snapshot import decode_snapshot

MANY = 250


def answer(*bad, many=MANY):
    """A snapshot whose first rows are ``bad``."""
    rows = [*bad, *(SNAPSHOT_ROW | {"ticker": f"T{number}"} for number in range(many - len(bad)))]
    return json.dumps({"count": len(rows), "status": "OK", "tickers": rows}).encode()


@pytest.mark.parametrize(
    ("row", "symbol", "reason"),
    [
        (SNAPSHOT_ROW | {"ticker": "BAD", "day": {"o": "20.64"}}, "BAD", "Expected `float"),
        (SNAPSHOT_ROW | {"ticker": "BAD", "min": {"v": -5}}, "BAD", ">= 0"),
        (SNAPSHOT_ROW | {"ticker": "BAD", "updated": 10**19}, "BAD", "updated"),
        (SNAPSHOT_ROW | {"ticker": "<b>"}, "", "'<b>' is no symbol"),
        (SNAPSHOT_ROW | {"ticker": None}, "", "ticker"),
        ({"updated": 1}, "", "ticker"),
        ([], "", "Expected `object`"),
    ],
)
def test_one_bad_row_is_told_of_in_its_place_and_costs_no_other(row, symbol, reason):
    whole, found = decode_snapshot(answer()), decode_snapshot(answer(row))
    assert found[1:] == whole[:-1] and all(row.unreadable is None for row in whole)
    assert found[0].symbol == symbol and reason in found[0].unreadable
    assert (found[0].last_ms, found[0].minute_start_ms, found[0].updated_ms) == (None, None, None)


def test_more_than_one_in_a_hundred_is_no_snapshot_and_the_first_is_named():
    bad = SNAPSHOT_ROW | {"day": {"o": []}}
    assert sum(row.unreadable is not None for row in decode_snapshot(answer(bad, bad))) == 2
    with pytest.raises(MalformedResponse, match=r"3 of 250 rows.*\$\.tickers\[0\]"):
        decode_snapshot(answer(bad, bad, bad))
    with pytest.raises(MalformedResponse, match="1 of 1 rows"):
        decode_snapshot(answer(bad, many=1))


def test_bad_rows_or_not_the_answer_is_held_against_its_own_count():
    body = answer([]).replace(b'"count": 250', b'"count": 251')
    with pytest.raises(MalformedResponse, match="counts 251 rows but holds 250"):
        decode_snapshot(body)
