"""What a browser and the gateway say to each other: CONTRACT.md's "WebSocket", as records.

Server messages carry ``type``, the steps of a delta ``action``; field names are
the wire's. `encode` gives the bytes of one JSON text message: NaN and infinity
become null there, instants ISO 8601 UTC. No rule about who gets what (`gateway/`)
and none about how a delta is computed (`scanner/deltas.py`).
"""

from datetime import date, datetime
from typing import Any, TypeAlias

import msgspec

# The codes of CONTRACT.md, with the moment each is sent.
BAD_JSON = "bad_json"  # not a JSON object, not text, or a field of a wrong type
UNKNOWN_ACTION = "unknown_action"
UNKNOWN_LIST = "unknown_list"
TOO_LARGE = "too_large"  # a longer message than any of ours
TOO_MANY = "too_many"  # more subscriptions, or more messages in a while, than a page needs
UNAUTHORIZED = "unauthorized"


class Remove(msgspec.Struct, frozen=True, tag_field="action", tag="remove"):
    symbol: str


class Add(msgspec.Struct, frozen=True, tag_field="action", tag="add"):
    """``rank`` is final and 0-based; ``data`` is the whole row."""

    symbol: str
    rank: int
    data: dict[str, Any]


class Rerank(msgspec.Struct, frozen=True, tag_field="action", tag="rerank"):
    symbol: str
    rank: int


class Update(msgspec.Struct, frozen=True, tag_field="action", tag="update"):
    """``data`` holds the changed fields only; null is a value."""

    symbol: str
    data: dict[str, Any]


Row: TypeAlias = dict[str, Any]  # symbol, rank, and the list's columns
Rows: TypeAlias = list[Row]
Step: TypeAlias = Remove | Add | Rerank | Update
# In this order: every remove, then adds, reranks and updates. Final ranks are 0..n-1.
Steps: TypeAlias = list[Step]


class ListHead(msgspec.Struct, frozen=True, rename={"issue_class": "class"}):
    """What a page needs to show one list. ``issue_class``: the list's own; the switch asks another."""

    name: str
    title: str
    where: str
    order: tuple[tuple[str, str], ...]
    columns: tuple[str, ...]
    issue_class: str = "stocks"


class Connected(msgspec.Struct, frozen=True, tag_field="type", tag="connected"):
    connection_id: str
    session: date
    phase: str
    mode: str
    server_time: datetime
    lists: list[ListHead]


class Snapshot(msgspec.Struct, frozen=True, tag_field="type", tag="snapshot", omit_defaults=True):
    """``lacking``: inputs of the list's question that nobody delivers now, so that it may be empty for want of data."""

    list: str
    session: date
    mode: str
    epoch: int
    sequence: int
    count: int
    rows: Rows
    timestamp: int
    lacking: tuple[str, ...] = ()


class Delta(msgspec.Struct, frozen=True, tag_field="type", tag="delta", omit_defaults=True):
    """From sequence ``base`` to ``sequence`` of the same epoch; a client that holds another one asks for `resync`."""

    list: str
    session: date
    mode: str
    epoch: int
    sequence: int
    base: int
    deltas: Steps
    timestamp: int
    lacking: tuple[str, ...] = ()  # as it is now, not what changed of it


class NewDay(msgspec.Struct, frozen=True, tag_field="type", tag="new_day"):
    """Drop everything shown."""

    session: date


class Status(msgspec.Struct, frozen=True, tag_field="type", tag="status"):
    """The feed's health, every 5 s. ``stale``: what is shown may be old."""

    feed_age_ms: int | None
    feed_lag_p99_ms: int | None
    stale: bool
    phase: str
    mode: str


class Subscribed(msgspec.Struct, frozen=True, tag_field="type", tag="subscribed"):
    list: str


class Unsubscribed(msgspec.Struct, frozen=True, tag_field="type", tag="unsubscribed"):
    list: str


class Pong(msgspec.Struct, frozen=True, tag_field="type", tag="pong"):
    """``timestamp``: the product's clock, which the page shows; simulated time runs at another speed than the browser's."""

    timestamp: int


class ErrorMessage(msgspec.Struct, frozen=True, tag_field="type", tag="error"):
    code: str
    message: str


ServerMessage: TypeAlias = Connected | Snapshot | Delta | NewDay | Status | Subscribed | Unsubscribed | Pong | ErrorMessage

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[ServerMessage] = msgspec.json.Decoder(ServerMessage)


def encode(message: ServerMessage) -> bytes:
    return _encoder.encode(message)


def decode(data: bytes | str) -> ServerMessage:
    """Raises msgspec.DecodeError (its ValidationError too): not one of our messages."""
    return _decoder.decode(data)
