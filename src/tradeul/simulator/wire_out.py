"""Columns and records into the vendor's JSON. No HTTP, no market."""

import base64
import binascii
import hashlib
import zlib
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import msgspec
import numpy as np
import orjson
import polars as pl
from numpy.typing import NDArray

from tradeul.errors import TradeulError


class BadRequest(TradeulError):
    """A question that the vendor would not take; the text goes into the answer."""


class NotFound(TradeulError):
    """Something that the vendor does not know."""


class Answer(msgspec.Struct, frozen=True):
    body: bytes
    items: int = 1
    next_url: str | None = None


def rows(frame: pl.DataFrame) -> bytes:
    """A JSON array of objects; nulls and NaN are keys left out, as the vendor does. Rows with gaps come last."""
    parts = []
    frame = frame.with_columns(pl.selectors.float().fill_nan(None))
    gaps = [name for name in frame.columns if frame[name].null_count()]
    for holes, part in (
        frame.with_columns(pl.concat_str([pl.col(name).is_null().cast(pl.Int8) for name in gaps]).alias("_holes")).group_by(
            "_holes", maintain_order=True
        )
        if gaps
        else [((None,), frame)]
    ):
        missing = [name for name, hole in zip(gaps, holes[0] or "", strict=False) if hole == "1"]
        parts.append((len(missing), part.drop("_holes", *missing, strict=False)))
    parts.sort(key=lambda item: item[0])
    return b"[" + b",".join(_objects(part) for _, part in parts if part.height) + b"]"


def _objects(frame: pl.DataFrame) -> bytes:
    return frame.write_ndjson().encode().rstrip(b"\n").replace(b"\n", b",")


def envelope(head: Mapping[str, Any], key: str | None = None, array: bytes | None = None) -> bytes:
    """``head`` with status and a request id, and one prebuilt value under ``key``."""
    body = orjson.dumps({"status": "OK", "request_id": hashlib.md5(repr(head).encode(), usedforsecurity=False).hexdigest(), **head})
    return body if array is None else body[:-1] + b',"' + str(key).encode() + b'":' + array + b"}"


def gzipped(body: bytes) -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    return packer.compress(body) + packer.flush()


def page_of(query: Mapping[str, str], default: int, most: int) -> tuple[int, int]:
    """(offset, limit) asked for."""
    try:
        limit = int(query.get("limit", default))
        offset = int(base64.urlsafe_b64decode(query["cursor"])) if "cursor" in query else 0
    except (ValueError, binascii.Error) as error:
        raise BadRequest(f"limit={query.get('limit')!r} or cursor={query.get('cursor')!r} cannot be read.") from error
    return offset, min(max(limit, 1), most)


def next_page(url: str, query: Mapping[str, str], offset: int) -> str:
    """``url``: scheme, host and path."""
    kept = {name: value for name, value in query.items() if name not in ("cursor", "apiKey")}
    return f"{url}?{urlencode(kept | {'cursor': base64.urlsafe_b64encode(str(offset).encode()).decode()})}"


def listing(url: str, query: Mapping[str, str], found: list[Any], default: int = 100, most: int = 1000) -> Answer:
    """One page of records, with ``count`` of the page and `next_url` until the last."""
    offset, limit = page_of(query, default, most)
    page = found[offset : offset + limit]
    head: dict[str, Any] = {"count": len(page)}
    following = next_page(url, query, offset + limit) if offset + limit < len(found) else None
    if following is not None:
        head["next_url"] = following
    return Answer(envelope(head, "results", orjson.dumps(page)), len(page), following)


def whole(values: NDArray[Any]) -> NDArray[np.int64]:
    return np.asarray(np.rint(values), np.int64)
