"""The stream's frames into our records. Pure; the connection is `stream.py`'s.

The form is checked message by message only when a frame as a whole does not
fit: one bad message costs its frame some speed and nothing else, even where it
makes the frame no JSON (a bare NaN, a cut in its middle).
"""

import re
from collections import Counter
from typing import Annotated, Any

import msgspec

from tradeul.providers.polygon.wire import Instant, Text, epoch_ms, symbol_of
from tradeul.records.bars import HaltChange, Quote, StreamBar, StreamBatch

HALTED, RESUMED = 17, 18  # LULD indicators; the others move price bands
NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
# Beyond these a number is an error of its sender: the dearest share costs under a million dollars, and no issue trades a trillion a day.
LEAST_DOLLARS, MOST_DOLLARS, MOST_SHARES = 1e-6, 10_000_000, 10**12
AHEAD_MS = 60_000  # a bar may end this much after its arrival: clocks differ

Price = Annotated[float, msgspec.Meta(ge=LEAST_DOLLARS, le=MOST_DOLLARS)]
Amount = Annotated[float, msgspec.Meta(ge=0, le=MOST_SHARES)]
_objects = re.compile(rb"\{[^{}]*\}").findall  # messages hold no objects


class _Bar(msgspec.Struct, gc=False, tag_field="ev"):
    sym: Text
    s: Instant
    e: Instant
    o: Price
    h: Price
    l: Price  # noqa: E741
    c: Price
    v: Amount
    vw: Amount | None = None
    z: Amount | None = None
    av: Amount | None = None
    op: Amount | None = None
    a: Amount | None = None


class _Second(_Bar, gc=False, tag="A"):
    pass


class _MinuteBar(_Bar, gc=False, tag="AM"):
    pass


class _Band(msgspec.Struct, gc=False, tag_field="ev", tag="LULD"):
    T: Text
    t: Instant
    i: list[int] = []


class _Quote(msgspec.Struct, gc=False, tag_field="ev", tag="Q"):
    sym: Text
    t: Instant
    bp: Amount | None = None
    ap: Amount | None = None


class StreamStatus(msgspec.Struct, frozen=True, tag_field="ev", tag="status"):
    status: str
    message: str = ""


class Frame(msgspec.Struct, frozen=True):
    """One WebSocket frame: its data, what the server says of the connection, and what could not be used."""

    batch: StreamBatch
    statuses: list[StreamStatus]
    problems: Counter[str]  # kind -> messages: "invalid A", "unknown T", "no JSON array" ...


_Message = _Second | _MinuteBar | _Band | _Quote | StreamStatus
_message: msgspec.json.Decoder[_Message] = msgspec.json.Decoder(_Message)
_messages: msgspec.json.Decoder[list[_Message]] = msgspec.json.Decoder(list[_Message])
_raws: msgspec.json.Decoder[list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw])


def decode_frame(body: bytes | str, received_ms: int, latest_ms: int = 2**63) -> Frame:
    """One frame. A message that cannot be used is counted and loses no other. A bar that ends after ``latest_ms`` cannot be: it
    would make every other look late.

    [{"ev":"AM","sym":"GTE","v":4110,"av":9470157,"op":0.4372,"vw":0.4488,"o":0.4488,"c":0.4486,"h":0.4489,"l":0.4486,"a":0.4352,
      "z":685,"s":1610144640000,"e":1610144700000,"dv":"4110.0","dav":"9470157.0"},
     {"ev":"LULD","T":"MSFT","h":218.96,"l":198.11,"i":[17],"z":3,"t":1601316752683746000,"q":290317},
     {"ev":"Q","sym":"MSFT","bx":4,"bp":114.125,"bs":100,"ax":7,"ap":114.128,"as":160,"c":0,"i":[604],"t":1536036818784,"q":50385480,"z":3},
     {"ev":"status","status":"auth_success","message":"authenticated"}]
    """
    problems: Counter[str] = Counter()
    try:
        messages = _messages.decode(body)
    except NOT_JSON:
        messages = _one_by_one(body, problems)
    seconds: list[StreamBar] = []
    minutes: list[StreamBar] = []
    halts: list[HaltChange] = []
    quotes: dict[str, Quote] = {}
    statuses: list[StreamStatus] = []
    for m in messages:
        if isinstance(m, StreamStatus):
            statuses.append(m)
        elif (symbol := symbol_of(m.T if isinstance(m, _Band) else m.sym)) is None:
            problems["invalid symbol"] += 1
        elif isinstance(m, _Band):
            if HALTED in m.i or RESUMED in m.i:
                halts.append(HaltChange(symbol, HALTED in m.i, epoch_ms(m.t) or received_ms))
        elif isinstance(m, _Quote):
            quotes[symbol] = Quote(symbol, m.bp or None, m.ap or None, m.t)
        elif m.e > latest_ms:
            problems["from the future"] += 1
        else:
            # Zero stands for "none yet" where a price or a size cannot be zero.
            bar = StreamBar(symbol, m.s, m.e, m.o, m.h, m.l, m.c, m.v, m.vw or None, m.z or None, m.av or None, m.op or None, m.a or None)
            (seconds if isinstance(m, _Second) else minutes).append(bar)
    return Frame(StreamBatch(received_ms, seconds, minutes, halts, quotes=[*quotes.values()]), statuses, problems)


def _one_by_one(body: bytes | str, problems: Counter[str]) -> list[_Message]:
    raws: list[msgspec.Raw] | list[bytes]
    try:
        raws = _raws.decode(body)
    except NOT_JSON:
        raws = _salvaged(body)
        problems["no JSON array"] += 1
    messages = []
    for raw in raws:
        try:
            messages.append(_message.decode(raw))
        except NOT_JSON:
            problems[_kind_of(raw)] += 1
    return messages


def _salvaged(body: bytes | str) -> list[bytes]:
    """What looks like messages in an array that is no JSON as a whole."""
    data = body.encode("utf-8", "replace") if isinstance(body, str) else body
    return _objects(data) if data.lstrip()[:1] == b"[" else []


def _kind_of(raw: msgspec.Raw | bytes) -> str:
    try:
        message: Any = msgspec.json.decode(raw)
    except NOT_JSON:
        return "invalid JSON"
    ev = message.get("ev") if isinstance(message, dict) else None
    if ev in ("A", "AM", "LULD", "Q", "status"):
        return f"invalid {ev}"
    return f"unknown {ev[:12]}" if isinstance(ev, str) else "without ev"
