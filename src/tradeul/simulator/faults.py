"""How the simulated vendor misbehaves when asked to: which request gets which fault, and what it makes of a body. Pure.

    TRADEUL_SIMULATOR_FAULTS=endpoint:kind:percent,...     grouped:500:10,files:reset:5,all:429:1

The same seed and the same number of a request to an endpoint have the same
fault. The first rule that hits wins. Refusals and connections are acted out in
`server.py` and `stream_server.py`; of several pages or seconds each has its turn.
"""

import gzip
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
import orjson

from tradeul.errors import SettingsError
from tradeul.simulator.hashing import word

SETTING = "TRADEUL_SIMULATOR_FAULTS"
STREAM, FILES, EDGAR, ALL = "stream", "files", "edgar", "all"
REST = ("grouped", "range", "snapshot", "tickers", "details", "float", "short-interest", "splits", "news", "status")
ENDPOINTS = (*REST, FILES, STREAM, EDGAR)

REFUSALS = {"401": 401, "403": 403, "429": 429, "429-later": 429, "500": 500, "503": 503, "html": 502}
CONNECTIONS = ("hang", "cut", "reset")  # no answer; ended before one; ended in the middle of one
BODIES = ("truncated", "malformed", "empty", "fewer", "twice", "circle")
KINDS = (*REFUSALS, *CONNECTIONS, *BODIES)
OF_STREAM = ("hang", "cut", "truncated", "malformed", "fewer", "twice")  # what a second's frames can suffer
OF_EDGAR = ("401", "403", "429", "429-later", "500", "503", "html", "hang", "cut", "truncated")
NOT_OF_FILES = ("twice", "circle")
ARRAYS = ("results", "tickers")
COUNTS = ("count", "resultsCount", "queryCount")
LATER_SECONDS = 2  # Retry-After
_DRAW = 0xFA017


class Rule(msgspec.Struct, frozen=True):
    endpoint: str
    kind: str
    percent: float

    def meets(self, endpoint: str) -> bool:
        return self.endpoint in (endpoint, ALL) and can(endpoint, self.kind)


def can(endpoint: str, kind: str) -> bool:
    if endpoint == STREAM:
        return kind in OF_STREAM
    if endpoint == EDGAR:
        return kind in OF_EDGAR
    return not (endpoint == FILES and kind in NOT_OF_FILES)


def parse(text: str) -> tuple[Rule, ...]:
    """Raises SettingsError: names the part that cannot be read, and what can stand there."""
    return tuple(_rule(part.strip()) for part in text.split(",") if part.strip())


def _rule(part: str) -> Rule:
    words = part.split(":")
    if len(words) != 3:
        raise SettingsError(f"{SETTING}: {part[:60]!r} is not endpoint:kind:percent, as in grouped:500:10.")
    endpoint, kind, share = words
    if endpoint not in (*ENDPOINTS, ALL):
        raise SettingsError(f"{SETTING}: {part[:60]!r} names no endpoint: one of {', '.join(ENDPOINTS)}, or all.")
    if kind not in KINDS:
        raise SettingsError(f"{SETTING}: {part[:60]!r} names no kind of fault: one of {', '.join(KINDS)}.")
    if endpoint != ALL and not can(endpoint, kind):
        raise SettingsError(f"{SETTING}: {part[:60]!r}: {endpoint} cannot have the fault {kind}.")
    try:
        percent = float(share)
    except ValueError as error:
        raise SettingsError(f"{SETTING}: {part[:60]!r}: {share[:20]!r} is no number of percent.") from error
    if not 0 <= percent <= 100:
        raise SettingsError(f"{SETTING}: {part[:60]!r}: a percentage lies between 0 and 100.")
    return Rule(endpoint, kind, percent)


def fault_of(rules: Sequence[Rule], seed: int, endpoint: str, number: int) -> str | None:
    """The kind of fault of the ``number``-th request to an endpoint; of the stream, of the ``number``-th second told."""
    for place, rule in enumerate(rules):
        if rule.meets(endpoint):
            drawn = word(seed, _DRAW, ENDPOINTS.index(endpoint), place, number) % 1_000_000
            if drawn < rule.percent * 10_000:
                return rule.kind
    return None


class Faults:
    """The rules, and how often each endpoint was asked."""

    def __init__(self, rules: Sequence[Rule] = (), seed: int = 0) -> None:
        self._rules, self._seed = tuple(rules), seed
        self.asked: Counter[str] = Counter()

    def next(self, endpoint: str) -> str | None:
        self.asked[endpoint] += 1
        return fault_of(self._rules, self._seed, endpoint, self.asked[endpoint])


def spoiled(kind: str, body: bytes, url: str) -> bytes:
    """A JSON body with the fault; ``url`` is what was asked for."""
    if kind == "truncated":
        return body[: len(body) // 2]
    if kind == "malformed":
        return b'{"status":"OK","results":[{"T":"A","c":nul'
    said: Any = orjson.loads(body)
    if isinstance(said, list):
        return orjson.dumps(changed(kind, said))
    if kind == "circle":
        return orjson.dumps(said | {"next_url": url})
    for name in ARRAYS:
        if isinstance(said.get(name), list):
            said[name] = changed(kind, said[name])
            said |= {count: len(said[name]) for count in COUNTS if count in said}
            if kind == "empty":
                said.pop("next_url", None)
    return orjson.dumps(said)


def spoiled_file(kind: str, data: bytes) -> bytes:
    """A gzipped CSV with the fault."""
    if kind == "truncated":
        return data[: len(data) // 2]
    if kind == "malformed":
        return gzip.compress(b"<html><body>not a file</body></html>")
    if kind not in ("empty", "fewer"):
        return data
    head, *lines = gzip.decompress(data).splitlines(keepends=True)
    return gzip.compress(b"".join([head, *changed(kind, lines)]), 1)


def changed(kind: str, rows: list[Any]) -> list[Any]:
    match kind:
        case "empty":
            return []
        case "fewer":
            return rows[::2]
        case "twice":
            return [row for row in rows for _ in range(2)]
    return rows


def spoiled_frames(kind: str | None, frames: list[bytes]) -> list[bytes]:
    """A second's frames of the stream with the fault."""
    match kind:
        case "hang":
            return []
        case "truncated":
            return [frame[: len(frame) // 2] for frame in frames]
        case "malformed":
            return [b'[{"ev":"A","sym":nul' for _ in frames]
        case "fewer" | "twice":
            return changed(kind, frames)
    return frames
