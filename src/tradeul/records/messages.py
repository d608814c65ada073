"""What a client and the gateway say to each other: docs/protocol.md, as records.

Server messages carry ``type``, a client's and the steps of a delta ``action``; field names are
the wire's. `encode` gives the bytes of one JSON text message: NaN and infinity
become null there, instants ISO 8601 UTC. `schema` is the JSON Schema of docs/protocol/.
No rule about who gets what (`gateway/`) and none about how a delta is computed (`scanner/deltas.py`).
"""

from datetime import date, datetime
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta

from tradeul.records.entitlements import Mode
from tradeul.records.filings import Article, Filing
from tradeul.records.lists import CLASSES

# The codes of CONTRACT.md, with the moment each is sent.
BAD_JSON = "bad_json"  # not a JSON object, not text, or a field of a wrong type
UNKNOWN_ACTION = "unknown_action"
UNKNOWN_LIST = "unknown_list"
TOO_LARGE = "too_large"  # a longer message than any of ours
TOO_MANY = "too_many"  # more subscriptions, or more messages in a while, than a page needs
UNAUTHORIZED = "unauthorized"
CODES = (BAD_JSON, UNKNOWN_ACTION, UNKNOWN_LIST, TOO_LARGE, TOO_MANY, UNAUTHORIZED)
PHASES = ("PRE_MARKET", "MARKET_OPEN", "POST_MARKET", "CLOSED")

# What only the schema says more than the type; decoding does not check it.
Natural: TypeAlias = Annotated[int, Meta(extra_json_schema={"minimum": 0})]
PhaseName: TypeAlias = Annotated[str, Meta(extra_json_schema={"enum": PHASES})]
ModeName: TypeAlias = Annotated[str, Meta(extra_json_schema={"enum": [mode.value for mode in Mode]})]
ClassName: TypeAlias = Annotated[str, Meta(extra_json_schema={"enum": CLASSES})]
Code: TypeAlias = Annotated[str, Meta(extra_json_schema={"enum": CODES})]
VALUES = {"additionalProperties": {"type": ["number", "string", "boolean", "null"]}}
ROW = VALUES | {"properties": {"symbol": {"type": "string"}, "rank": {"type": "integer", "minimum": 0}}, "required": ["symbol", "rank"]}
CHANGED = VALUES | {"properties": {"symbol": False, "rank": False}, "minProperties": 1}


class Remove(msgspec.Struct, frozen=True, tag_field="action", tag="remove"):
    symbol: str


class Add(msgspec.Struct, frozen=True, tag_field="action", tag="add"):
    """``rank`` is final and 0-based; ``data`` is the whole row."""

    symbol: str
    rank: Natural
    data: "Row"


class Rerank(msgspec.Struct, frozen=True, tag_field="action", tag="rerank"):
    symbol: str
    rank: Natural


class Update(msgspec.Struct, frozen=True, tag_field="action", tag="update"):
    """``data`` holds the changed fields only; null is a value."""

    symbol: str
    data: Annotated[dict[str, Any], Meta(extra_json_schema=CHANGED)]


Row: TypeAlias = Annotated[dict[str, Any], Meta(extra_json_schema=ROW)]  # symbol, rank, and the list's columns
Rows: TypeAlias = list[Row]
Step: TypeAlias = Remove | Add | Rerank | Update
# In this order: every remove, then adds, reranks and updates. Final ranks are 0..n-1.
Steps: TypeAlias = list[Step]


class ListHead(msgspec.Struct, frozen=True, rename={"issue_class": "class"}):
    """What a page needs to show one list. ``class``: the list's own; the switch asks another."""

    name: str
    title: str
    where: str
    order: tuple[tuple[str, str], ...]
    columns: tuple[str, ...]
    issue_class: ClassName = "stocks"


class Connected(msgspec.Struct, frozen=True, tag_field="type", tag="connected"):
    connection_id: str
    session: date
    phase: PhaseName
    mode: ModeName
    server_time: Annotated[datetime, Meta(tz=True)]
    lists: list[ListHead]


class Snapshot(msgspec.Struct, frozen=True, tag_field="type", tag="snapshot", omit_defaults=True):
    """``lacking``: inputs of the list's question that nobody delivers now, so that it may be empty for want of data."""

    list: str
    session: date
    mode: ModeName
    epoch: Natural
    sequence: Natural
    count: Natural
    rows: Rows
    timestamp: int
    lacking: tuple[str, ...] = ()


class Delta(msgspec.Struct, frozen=True, tag_field="type", tag="delta", omit_defaults=True):
    """From sequence ``base`` to ``sequence`` of the same epoch; a client that holds another one asks for `resync`."""

    list: str
    session: date
    mode: ModeName
    epoch: Natural
    sequence: Natural
    base: Natural
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
    phase: PhaseName
    mode: ModeName


class Subscribed(msgspec.Struct, frozen=True, tag_field="type", tag="subscribed"):
    list: str


class Unsubscribed(msgspec.Struct, frozen=True, tag_field="type", tag="unsubscribed"):
    list: str


class Pong(msgspec.Struct, frozen=True, tag_field="type", tag="pong"):
    """``timestamp``: the product's clock, which the page shows; simulated time runs at another speed than the browser's."""

    timestamp: int


class ErrorMessage(msgspec.Struct, frozen=True, tag_field="type", tag="error"):
    code: Code
    message: str


ServerMessage: TypeAlias = (
    Connected | Snapshot | Delta | NewDay | Status | Subscribed | Unsubscribed | Filing | Article | Pong | ErrorMessage
)  # Filing is `filing`, Article `news`


class _OfList(msgspec.Struct, frozen=True, tag_field="action", rename={"issue_class": "class"}, omit_defaults=True):
    """``class`` left out: the list's own, or as the name says it (winners~etf)."""

    list: str
    issue_class: ClassName | None = None


class Subscribe(_OfList, frozen=True, tag="subscribe"):
    pass


class Unsubscribe(_OfList, frozen=True, tag="unsubscribe"):
    pass


class Resync(_OfList, frozen=True, tag="resync"):
    """Ask for a snapshot of what is subscribed to."""


class Ping(msgspec.Struct, frozen=True, tag_field="action", tag="ping"):
    pass


class SubscribeFilings(msgspec.Struct, frozen=True, tag_field="action", tag="subscribe_filings"):
    pass


class UnsubscribeFilings(msgspec.Struct, frozen=True, tag_field="action", tag="unsubscribe_filings"):
    pass


class SubscribeNews(msgspec.Struct, frozen=True, tag_field="action", tag="subscribe_news"):
    pass


class UnsubscribeNews(msgspec.Struct, frozen=True, tag_field="action", tag="unsubscribe_news"):
    pass


ClientMessage: TypeAlias = Subscribe | Unsubscribe | Resync | Ping | SubscribeFilings | UnsubscribeFilings | SubscribeNews | UnsubscribeNews

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[ServerMessage] = msgspec.json.Decoder(ServerMessage)


def encode(message: ServerMessage | ClientMessage) -> bytes:
    return _encoder.encode(message)


def decode(data: bytes | str) -> ServerMessage:
    """Raises msgspec.DecodeError (its ValidationError too): not one of our messages."""
    return _decoder.decode(data)


def schema(title: str, messages: object) -> dict[str, Any]:
    """JSON Schema 2020-12 of a union of messages."""
    (whole,), parts = msgspec.json.schema_components([messages], ref_template="#/$defs/{name}")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title, **whole, "$defs": parts}
