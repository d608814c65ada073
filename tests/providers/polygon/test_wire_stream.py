import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradeul.providers.polygon.wire_stream import StreamStatus, decode_frame
from tradeul.records.bars import HaltChange, Quote, StreamBar, StreamBatch

SECOND = {"ev": "A", "sym": "SPCE", "v": 200, "av": 8642007, "op": 25.66, "vw": 25.3981, "o": 25.3, "c": 25.39, "h": 25.4, "l": 25.2}
SECOND |= {"a": 25.3714, "z": 50, "s": 1610144868000, "e": 1610144869000, "dv": "200.0", "dav": "8642007.0"}
MINUTE = SECOND | {"ev": "AM", "sym": "BRK.B", "e": 1610144928000}
HALT = {"ev": "LULD", "T": "MSFT", "h": 0, "l": 0, "i": [17], "z": 3, "t": 1601316752683746000, "q": 290317}
STATUS = {"ev": "status", "status": "success", "message": "subscribed to: A.*"}
BAR = StreamBar("SPCE", 1610144868000, 1610144869000, 25.3, 25.4, 25.2, 25.39, 200, 25.3981, 50, 8642007, 25.66, 25.3714)


def frame(*messages):
    return decode_frame(json.dumps(messages), 77, 1610144928000)


def test_a_frame_is_split_by_kind_in_its_order():
    found = frame(STATUS, SECOND, MINUTE, HALT, SECOND | {"sym": "A"})
    assert found.batch == StreamBatch(
        77,
        [BAR, StreamBar("A", *[getattr(BAR, field) for field in BAR.__struct_fields__[1:]])],
        [StreamBar("BRK.B", 1610144868000, 1610144928000, 25.3, 25.4, 25.2, 25.39, 200, 25.3981, 50, 8642007, 25.66, 25.3714)],
        [HaltChange("MSFT", True, 1601316752683)],
    )
    assert found.statuses == [StreamStatus("success", "subscribed to: A.*")]
    assert not found.problems


@pytest.mark.parametrize("body", [json.dumps([SECOND]), json.dumps([SECOND]).encode()])
def test_text_and_bytes_frames_are_the_same(body):
    assert decode_frame(body, 77).batch.seconds == [BAR]


def test_what_may_be_absent_or_zero_is_none():
    bare = {key: value for key, value in SECOND.items() if key not in ("op", "vw", "z", "av")}
    for message in (bare, SECOND | {"op": 0, "vw": 0, "z": 0, "av": 0}, SECOND | dict.fromkeys(("op", "vw", "z", "av"))):
        bar = frame(message).batch.seconds[0]
        assert (bar.vwap, bar.average_size_shares, bar.accumulated_volume, bar.official_open) == (None, None, None, None)


@pytest.mark.parametrize(("indicators", "halted"), [([17], True), ([18], False), ([21, 17], True)])
def test_indicators_17_and_18_are_halt_and_resumption(indicators, halted):
    assert frame(HALT | {"i": indicators}).batch.halts == [HaltChange("MSFT", halted, 1601316752683)]


def test_band_updates_are_no_halts_and_no_problem():
    found = frame(HALT | {"i": [15, 16]}, HALT | {"i": []})
    assert (found.batch.halts, dict(found.problems)) == ([], {})


def test_of_quotes_the_last_of_each_symbol_is_kept_and_no_price_is_none():
    quote = {"ev": "Q", "sym": "MSFT", "bx": 4, "bp": 114.125, "bs": 100, "ax": 7, "ap": 114.128, "as": 160, "t": 1536036818784, "z": 3}
    found = frame(quote, quote | {"sym": "A", "ap": 0}, quote | {"bp": 114.1}, quote | {"bp": -1}, quote | {"ap": 1e13})
    assert found.batch.quotes == [Quote("MSFT", 114.1, 114.128, 1536036818784), Quote("A", 114.125, None, 1536036818784)]
    assert found.problems == {"invalid Q": 2}


@pytest.mark.parametrize("instant", [1601316752683746000, 1601316752683746, 1601316752683])
def test_a_halts_instant_is_milliseconds_whichever_unit_came(instant):
    assert frame(HALT | {"t": instant}).batch.halts[0].at_ms == 1601316752683


BAD = [
    (SECOND | {"o": -1}, "invalid A"),
    (SECOND | {"o": 0}, "invalid A"),
    (SECOND | {"v": -200}, "invalid A"),
    (SECOND | {"c": None}, "invalid A"),
    (MINUTE | {"s": "yesterday"}, "invalid AM"),
    ({"ev": "AM"}, "invalid AM"),
    (HALT | {"i": 17}, "invalid LULD"),
    ({"ev": "T", "sym": "A", "p": 1}, "unknown T"),
    ({"ev": "N" * 500}, "unknown " + "N" * 12),
    ({"sym": "A"}, "without ev"),
    ({"ev": 5}, "without ev"),
    (["A"], "without ev"),
    (None, "without ev"),
    (SECOND | {"sym": "<script>"}, "invalid symbol"),
    (SECOND | {"sym": ""}, "invalid A"),
    (SECOND | {"sym": "A" * 200}, "invalid A"),
    (SECOND | {"sym": 7}, "invalid A"),
    (SECOND | {"h": 1e12}, "invalid A"),
    (SECOND | {"v": 1e300}, "invalid A"),
    (SECOND | {"e": 10**30}, "invalid A"),
    (SECOND | {"s": 2**63}, "invalid A"),
    (SECOND | {"e": 1610154869000}, "from the future"),
]


@given(st.lists(st.sampled_from(BAD) | st.just(None), max_size=12))
def test_a_bad_message_is_counted_and_costs_no_other(places):
    sent = [SECOND | {"sym": f"S{number}"} if bad is None else bad[0] for number, bad in enumerate(places)]
    kinds = [bad[1] for bad in places if bad is not None]
    found = frame(*sent)
    assert [bar.symbol for bar in found.batch.seconds] == [f"S{n}" for n, bad in enumerate(places) if bad is None]
    assert found.problems == {kind: kinds.count(kind) for kind in kinds}


NO_JSON = ['{"ev":"A","sym":"X","v":NaN}', '{"ev":"A","c":Infinity}', '{"ev":"A","sym":nul}', '{"ev":"A","v":1e}', "\x00", "{", "}", '"']


@given(st.lists(st.sampled_from(NO_JSON) | st.just(None), max_size=8), st.booleans())
def test_what_is_no_json_costs_no_neighbour(places, is_cut):
    texts = [json.dumps(SECOND | {"sym": f"S{number}"}) if bad is None else bad for number, bad in enumerate(places)]
    text = "[" + ",".join(texts) + (',{"ev":"A","sy' if is_cut else "]")
    found = decode_frame(text, 77)
    symbols = [bar.symbol for bar in found.batch.seconds]
    whole = [f"S{n}" for n, bad in enumerate(places) if bad is None]
    # A message right behind an open brace or quote cannot be told from it.
    behind = {f"S{n + 1}" for n, bad in enumerate(places) if bad in ("{", '"')}
    assert set(whole) - behind <= set(symbols) and symbols == [symbol for symbol in whole if symbol in symbols]
    assert found.problems.total() >= bool(is_cut or len(whole) < len(places))


@pytest.mark.parametrize("text", ["", "[", "{}", "null", "<html>", '[{"ev":"A"', "[" * 5000, "5", json.dumps(SECOND)])
def test_a_frame_that_is_no_array_is_one_problem(text):
    found = decode_frame(text, 77)
    assert found.batch == StreamBatch(77)
    assert found.problems["no JSON array"] == found.problems.total() == 1


@given(st.binary(max_size=300))
def test_no_bytes_break_it(body):
    assert decode_frame(body, 77).batch.received_ms == 77
