"""Whatever stands in a frame, the table afterwards is what the good messages alone would have made of it."""

import json
from datetime import UTC, date, datetime

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tradeul.live.frames import market_frame
from tradeul.live.today_table import TodayTable
from tradeul.market_calendar import nyse
from tradeul.providers.polygon.wire_stream import AHEAD_MS, decode_frame

HOURS = nyse().hours(date(2025, 2, 13))
PRE_MS = int(HOURS.pre_open_at.timestamp()) * 1000
NOW_MS = PRE_MS + 6 * 3_600_000
SYMBOLS = ["AAA", "BBB", "BRK.B"]
NUMBERS = (0, -1, -0.5, 1e-320, 1e9, 1e30, 1e300, 10**40, 2**63, float("nan"), float("inf"), None, "12", "x" * 200, [], {}, [1], True)
FIELDS = ("ev", "sym", "v", "av", "op", "vw", "z", "o", "c", "h", "l", "s", "e", "T", "t", "i")


def good(number):
    price = 10 + number % 7
    start = NOW_MS - 60_000 + number % 50 * 1000
    prices = dict.fromkeys("oc", price) | {"h": price + 1, "l": price - 1}
    kind = {"ev": "A", "s": start, "e": start + 1000} if number % 3 else {"ev": "AM", "s": NOW_MS - 60_000, "e": NOW_MS}
    return {"sym": SYMBOLS[number % 3], "v": 100 + number, "av": 900, "vw": price, "z": 10, **prices, **kind}


def bad(number, field, value):
    """A good message with one field that cannot be, or without it: of a symbol that nothing good is said of."""
    message = good(number) | {"sym": "BAD"}
    if field in "Tti":
        message = {"ev": "LULD", "T": "BAD", "t": NOW_MS * 1_000_000, "i": [17]}
    if value == "gone":
        message.pop(field, None)
    else:
        message[field] = value
    return message


junk = st.builds(bad, st.integers(0, 99), st.sampled_from(FIELDS), st.sampled_from([*NUMBERS, "gone"]))
junk |= st.sampled_from([None, 5, "A", [], {}, {"ev": "XT"}, {"ev": "A", "sym": "A" * 200}, {"ev": 3}])


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 99), st.none() | junk), max_size=30))
def test_bad_messages_never_poison_the_table(said):
    frames = [[good(number) if message is None else message for number, message in said]]
    alone = [[good(number) for number, message in said if message is None]]
    mixed, wanted = tables(frames), tables(alone)
    for name, column in wanted.columns.items():
        got = mixed.columns[name][[mixed.symbols.index(symbol) for symbol in SYMBOLS]]
        np.testing.assert_array_equal(got, column, err_msg=name)
    assert all(not np.isinf(column).any() for column in mixed.columns.values())


def tables(frames):
    table = TodayTable(HOURS, 8)
    table.set_levels(SYMBOLS, np.ones(3), np.full(3, 9.0))
    for messages in frames:
        # The first message lets both tables know that this source tells trades.
        table.apply(decode_frame(json.dumps([good(1), *messages]), NOW_MS, NOW_MS + AHEAD_MS).batch)
    return market_frame(table, datetime.fromtimestamp(NOW_MS / 1000 + 3, UTC))
