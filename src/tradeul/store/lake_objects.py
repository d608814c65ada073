"""The lake's partitions as objects of a bucket: one object each, one PUT each.

    s3://BUCKET/PREFIX/{dataset}/session=YYYY-MM-DD/part.parquet    the truth
    COPIES/{dataset}/session=YYYY-MM-DD/{mark}.parquet              what was read or written here, as a file

A PUT replaces an object whole or not at all. Who reads asks which one stands
(one LIST), and fetches it if no copy of it is here. A copy's name holds the
object's ETag, so it is never wrong, only unused; the least used ones go when
all take more than their room. Calls block: use a thread. Retries are the
library's: it knows which requests may be repeated.
"""

import hashlib
import os
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec
import obstore
from obstore.exceptions import BaseError

from tradeul.errors import StoreError
from tradeul.ops.s3 import REGION, s3_store
from tradeul.store.durable import make_folder
from tradeul.store.lake_folder import PART, Mark, replace

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import S3Store

ROOM_BYTES = 4 << 30  # several times the default windows
IN_USE_SECONDS = 600  # since it was last asked for: who asked may still read it
FETCHES = 8  # at once
RETRIES, CONNECT_SECONDS = 3, 3.0
LIST_SECONDS = 5.0  # a page of a thousand names; who asks history waits for it
CHECK_SECONDS = 6.0  # in all: with the start of a process, a person is told within ten
WRITABLE = ".writable"  # put and deleted by `check`
SESSION = re.compile(rf"/session=(\d{{4}}-\d\d-\d\d)/{re.escape(PART)}$")
CODE = re.compile(r"<Code>(\w+)</Code>|\(code: (\w+)\)")
# What a store says -> what is wrong here.
WRONG = {
    "InvalidAccessKeyId": "it does not know the key: check TRADEUL_LAKE_KEY",
    "SignatureDoesNotMatch": "the secret is not that of the key: check TRADEUL_LAKE_SECRET",
    "NoSuchBucket": "it has no such bucket: check TRADEUL_LAKE_URL",
    "AuthorizationHeaderMalformed": "the bucket is in another region: check TRADEUL_LAKE_REGION",
    "PermanentRedirect": "the bucket is in another region: check TRADEUL_LAKE_REGION",
}


class Bucket(msgspec.Struct, frozen=True):
    """Where the objects are, and as whom they are asked for (settings). ``url``: s3://bucket/prefix."""

    url: str
    key: str
    secret: str
    endpoint: str | None = None  # Amazon's
    region: str = REGION

    @property
    def host(self) -> str:
        return self.endpoint or f"https://s3.{self.region}.amazonaws.com"

    def within(self, folder: str) -> "Bucket":
        return msgspec.structs.replace(self, url=f"{self.url.rstrip('/')}/{folder}")

    def store(self, *, retries: int = RETRIES, **seconds: float) -> "S3Store":
        place = urlsplit(self.url)
        seconds = {"connect_seconds": CONNECT_SECONDS} | seconds
        return s3_store(
            place.netloc,
            self.host,
            self.key,
            self.secret,
            region=self.region,
            prefix=place.path.strip("/"),
            retries=retries,
            **seconds,
        )

    @contextmanager
    def errors(self, doing: str, grant: str) -> Iterator[None]:
        """The store's errors as ours, but FileNotFoundError of one object. ``grant``: the right that it needs."""
        try:
            yield
        except (BaseError, OSError) as error:
            said = str(error)
            code = next((one or other for one, other in CODE.findall(said)), "")
            if isinstance(error, FileNotFoundError) and code != "NoSuchBucket":
                raise
            why = WRONG.get(code)
            if why is None and (code == "AccessDenied" or "403 Forbidden" in said):
                why = f"TRADEUL_LAKE_KEY may not do that ({code or 'Forbidden'}): grant it {grant}"
            elif why is None and "incorrectly configured region" in said:
                why = WRONG["PermanentRedirect"]
            elif why is None:
                why = f"no good answer ({_short(said)}): see to TRADEUL_LAKE_ENDPOINT and the network"
            raise StoreError(f"{self.url} could not be {doing} at {self.host}: {why}.") from error


def check(bucket: Bucket, *, writes: bool) -> None:
    """Whether it can be used as it will be; nothing stays in it.

    Raises:
        StoreError: it cannot, and which setting is wrong. Within ten seconds.
    """
    until = time.monotonic() + CHECK_SECONDS

    def store() -> "S3Store":
        return bucket.store(retries=0, whole_seconds=max(until - time.monotonic(), 0.1))

    with bucket.errors("listed", "s3:ListBucket"):
        next(iter(obstore.list(store())), None)
    if writes:
        with bucket.errors("written", "s3:PutObject"):
            obstore.put(store(), WRITABLE, b"", use_multipart=False)
    with bucket.errors("read", "s3:GetObject"):
        try:
            obstore.get(store(), WRITABLE).bytes()
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                raise
    if writes:
        with bucket.errors("deleted from", "s3:DeleteObject"):
            obstore.delete(store(), WRITABLE)


def clear(bucket: Bucket) -> None:
    """Delete all objects. Raises StoreError."""
    store = bucket.store()
    with bucket.errors("deleted from", "s3:ListBucket and s3:DeleteObject"):
        names = [each["path"] for some in obstore.list(store) for each in some]
        if names:
            obstore.delete(store, names)


class Objects:
    """`Partitions` of a bucket."""

    def __init__(self, bucket: Bucket, copies: Path, room_bytes: int = ROOM_BYTES) -> None:
        """``copies``: other processes may use the same folder, and another bucket."""
        self._bucket, self._copies, self._room_bytes = bucket, copies, room_bytes
        self._store, self._listing = bucket.store(), bucket.store(whole_seconds=LIST_SECONDS)

    def name(self, dataset: str, session: date) -> str:
        return f"{self._bucket.url.rstrip('/')}/{_key(dataset, session)}"

    def draft(self, dataset: str, session: date) -> Path:
        folder = self._copies / dataset / f"session={session}"
        make_folder(folder)
        return folder / f"{secrets.token_hex(8)}.tmp"

    def put(self, draft: Path, dataset: str, session: date) -> None:
        with self._bucket.errors("written", "s3:PutObject"):
            answer = obstore.put(self._store, _key(dataset, session), draft, use_multipart=False)
        if answer["e_tag"]:
            replace(draft, self._copy(dataset, session, answer["e_tag"]))
            self._make_room()

    def files(self, dataset: str, sessions: Sequence[date]) -> list[Path]:
        found = self._listed(dataset, sessions[0] if len(sessions) == 1 else None)
        lacking = next((session for session in sessions if session not in found), None)
        if lacking is not None:
            raise FileNotFoundError(self.name(dataset, lacking))
        if (needed := sum(found[session]["size"] for session in sessions)) > self._room_bytes:
            most = f"{self._room_bytes / 1e9:.1f} GB, what copies of the lake may take here"
            raise StoreError(f"{dataset} takes {needed / 1e9:.1f} GB, more than {most}: ask for less.")
        paths = {session: self._copy(dataset, session, _mark(found[session])) for session in sessions}
        absent = [session for session, path in paths.items() if not _touched(path)]
        if absent:
            with ThreadPoolExecutor(FETCHES) as pool:
                paths |= dict(zip(absent, pool.map(lambda session: self._fetched(dataset, session), absent), strict=True))
            self._make_room()
        return [paths[session] for session in sessions]

    def marks(self, dataset: str, session: date | None = None) -> dict[date, Mark]:
        return {each: _mark(meta) for each, meta in self._listed(dataset, session).items()}

    def delete(self, dataset: str, session: date) -> None:
        with self._bucket.errors("deleted from", "s3:DeleteObject"):
            obstore.delete(self._store, _key(dataset, session))

    def clear_drafts(self, dataset: str) -> None:
        """Nothing: a draft may be another process's here, and those left behind make room like copies."""

    def _listed(self, dataset: str, session: date | None) -> "dict[date, ObjectMeta]":
        prefix = dataset if session is None else f"{dataset}/session={session}"
        with self._bucket.errors("listed", "s3:ListBucket"):
            metas = [meta for some in obstore.list(self._listing, prefix) for meta in some]
        named = ((SESSION.search(meta["path"]), meta) for meta in metas)
        return {date.fromisoformat(match[1]): meta for match, meta in named if match}

    def _fetched(self, dataset: str, session: date) -> Path:
        """As it stands now: it may have been replaced since it was listed."""
        with self._bucket.errors("read", "s3:GetObject"):
            answer = obstore.get(self._store, _key(dataset, session))
            content = answer.bytes()
        path = self._copy(dataset, session, _mark(answer.meta))
        try:
            draft = self.draft(dataset, session)
            try:
                draft.write_bytes(content)
                replace(draft, path)
            finally:
                draft.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{path} could not be written ({error}): see to the disk's space and rights.") from error
        return path

    def _copy(self, dataset: str, session: date, mark: str) -> Path:
        digest = hashlib.sha256(f"{self._bucket.host} {self.name(dataset, session)} {mark}".encode()).hexdigest()[:32]
        return self._copies / dataset / f"session={session}" / f"{digest}.parquet"

    def _make_room(self) -> None:
        held = []
        for path in self._copies.glob("*/session=*/*"):
            try:
                found = path.stat()
            except FileNotFoundError:  # another process makes room, too
                continue
            held.append((found.st_mtime, found.st_size, path))
        held.sort()
        over = sum(size for _, size, _ in held) - self._room_bytes
        for used_at, size, path in held:
            if over <= 0 or used_at > held[-1][0] - IN_USE_SECONDS:
                return
            path.unlink(missing_ok=True)
            over -= size


def _key(dataset: str, session: date) -> str:
    return f"{dataset}/session={session}/{PART}"


def _mark(meta: "ObjectMeta") -> str:
    return meta["e_tag"] or f"{meta['last_modified'].isoformat()} {meta['size']}"


def _touched(path: Path) -> bool:
    """Whether it is there; then it counts as used now."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


def _short(said: str) -> str:
    """Of what the library says the end of its first line: the rest repeats the request."""
    line = next(iter(said.splitlines()), "")
    return line.rpartition(" - ")[2].strip()[:200] or "none"
