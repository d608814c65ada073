"""The stream's frames into our records. Pure; the connection is `stream.py`'s.

The form is checked message by message only when a frame as a whole does not
fit: one bad message costs its frame some speed and nothing else.
"""

from collections import Counter
from typing import Any

import msgspec

from tradeul.providers.polygon.wire import Amount, Instant, Price, Text, epoch_ms, symbol_of
from tradeul.records.bars import HaltChange, StreamBar, StreamBatch

HALTED, RESUMED = 17, 18  # LULD indicators; the others move price bands
NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


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


class StreamStatus(msgspec.Struct, frozen=True, tag_field="ev", tag="status"):
    status: str
    message: str = ""


class Frame(msgspec.Struct, frozen=True):
    """One WebSocket frame: its data, what the server says of the connection, and what could not be used."""

    batch: StreamBatch
    statuses: list[StreamStatus]
    problems: Counter[str]  # kind -> messages: "invalid A", "unknown T", "no JSON array" ...


_Message = _Second | _MinuteBar | _Band | StreamStatus
_message: msgspec.json.Decoder[_Message] = msgspec.json.Decoder(_Message)
_messages: msgspec.json.Decoder[list[_Message]] = msgspec.json.Decoder(list[_Message])
_raws: msgspec.json.Decoder[list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw])


def decode_frame(body: bytes | str, received_ms: int) -> Frame:
    """One frame. A message that cannot be used is counted and loses no other; only a frame that is no JSON array is lost whole.

    [{"ev":"AM","sym":"GTE","v":4110,"av":9470157,"op":0.4372,"vw":0.4488,"o":0.4488,"c":0.4486,"h":0.4489,"l":0.4486,"a":0.4352,
      "z":685,"s":1610144640000,"e":1610144700000,"dv":"4110.0","dav":"9470157.0"},
     {"ev":"LULD","T":"MSFT","h":218.96,"l":198.11,"i":[17],"z":3,"t":1601316752683746000,"q":290317},
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
    statuses: list[StreamStatus] = []
    for m in messages:
        if isinstance(m, StreamStatus):
            statuses.append(m)
        elif (symbol := symbol_of(m.T if isinstance(m, _Band) else m.sym)) is None:
            problems["invalid symbol"] += 1
        elif isinstance(m, _Band):
            if HALTED in m.i or RESUMED in m.i:
                halts.append(HaltChange(symbol, HALTED in m.i, epoch_ms(m.t) or received_ms))
        else:
            # Zero stands for "none yet" where a price or a size cannot be zero.
            bar = StreamBar(symbol, m.s, m.e, m.o, m.h, m.l, m.c, m.v, m.vw or None, m.z or None, m.av or None, m.op or None, m.a or None)
            (seconds if isinstance(m, _Second) else minutes).append(bar)
    return Frame(StreamBatch(received_ms, seconds, minutes, halts), statuses, problems)


def _one_by_one(body: bytes | str, problems: Counter[str]) -> list[_Message]:
    try:
        raws = _raws.decode(body)
    except NOT_JSON:
        problems["no JSON array"] += 1
        return []
    messages = []
    for raw in raws:
        try:
            messages.append(_message.decode(raw))
        except NOT_JSON:
            problems[_kind_of(raw)] += 1
    return messages


def _kind_of(raw: msgspec.Raw) -> str:
    try:
        message: Any = msgspec.json.decode(raw)
    except NOT_JSON:
        return "invalid JSON"
    ev = message.get("ev") if isinstance(message, dict) else None
    if ev in ("A", "AM", "LULD", "status"):
        return f"invalid {ev}"
    return f"unknown {ev[:12]}" if isinstance(ev, str) else "without ev"
