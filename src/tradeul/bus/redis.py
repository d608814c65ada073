"""The bus on any Redis-protocol server; the embedded one is `embedded.py`, and what is otherwise on a cluster, `cluster.py`.

A lost connection is not an error for a subscriber: it is made again with
backoff, and the iterator goes on. What was published meanwhile is gone, which
the readers of `topics.py` allow for.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import date
from typing import Any, TypeAlias, TypeVar

import msgspec
import redis.asyncio as aioredis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from tradeul.bus.claim import Claim, at_one_stroke
from tradeul.bus.connection import FOR_EVER, TRIES, client_of
from tradeul.bus.topics import (
    ACTIVE_KEY,
    BREADTH_KEY,
    DELTA_CHANNELS,
    EXPLAIN,
    LAST_RUN_KEY,
    LISTS_CHANGED,
    LISTS_KEY,
    MINUTES,
    POINTER_KEY,
    PREVIEW,
    STREAM_LENGTH,
    TRADING_SESSION_KEY,
    UNIVERSE_KEY,
    Record,
    Stream,
    Topic,
    answer_key,
    averages_key,
    baselines_key,
    delta_channel,
    draft_key,
    frame_key,
    metadata_key,
    run_status_key,
)
from tradeul.clock import Clock
from tradeul.errors import BusUnavailable, NoAnswer
from tradeul.records.bars import MinutesRequest, SessionMinutes
from tradeul.records.breadth import Breadth
from tradeul.records.events import TradingSession
from tradeul.records.explanations import ExplainAnswer, ExplainRequest
from tradeul.records.lists import ListDefinition, ListFrame
from tradeul.records.previews import Preview, PreviewRequest
from tradeul.records.runs import Run, RunStatus

Answer = TypeVar("Answer")
Command: TypeAlias = tuple[str | bytes | int, ...]
COMMAND_TIMEOUT_SECONDS = 10.0
PING_SECONDS = 2.0
ANSWER_SECONDS = 5.0  # how long a question waits; a cycle and a scan take a tenth of it
ANSWER_KEPT_SECONDS = 10
SCANNER = "scanner", "`tradeul up` starts one"
LIVE = "live feed", "`tradeul up` starts one, if the key's plan has more than closes"
RUN_STATUS_SECONDS = 7 * 24 * 3600
RECONNECT_SECONDS = 0.2
BLOB_PIECE_BYTES = 2 << 20
DRAWN = 64  # a master with a tenth of the keys has one of them in 849 of 850 draws
STREAM_READ = 1000  # entries at once
STREAM_LOOK_MS = 5_000  # how long a reader waits before it looks whether the stream is still the same
UNIVERSE_DRAFT, ACTIVE_DRAFT = draft_key(UNIVERSE_KEY), draft_key(ACTIVE_KEY)
SEPARATOR = b"\n"  # between list name and message on a delta channel; no list name holds it


class Bus:
    """One client of the bus, shared by the services of a process."""

    def __init__(self, url: str, clock: Clock, *, patient: bool = False) -> None:
        """``patient``: commands wait for a server that is away, as long as it is: a service goes on then, where others give up."""
        self._url, self._clock = url, clock
        self.redis = self._client()
        self._asked = self._client(FOR_EVER) if patient else self.redis
        self._patience_seconds = None if patient else COMMAND_TIMEOUT_SECONDS
        self.claim: Claim | None = None  # what is written at one stroke is written only while it is ours
        self._frames = msgspec.json.Decoder(ListFrame)
        self._lists = msgspec.json.Decoder(list[ListDefinition])

    def patient(self) -> "Bus":
        """The same server, for services."""
        return type(self)(self._url, self._clock, patient=True)

    def _client(self, tries_again: int = TRIES) -> aioredis.Redis:
        return client_of(self._url, tries_again)

    async def close(self) -> None:
        await self.redis.aclose()
        await self._asked.aclose()

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[aioredis.Redis]:
        """Commands, in bounded time; `redis` is for looking at the server in tests.

        Raises:
            BusUnavailable: no answer, after the retries.
        """
        with self._clock.busy():
            try:
                async with asyncio.timeout(self._patience_seconds):
                    yield self._asked
            except ResponseError as error:
                raise BusUnavailable(f"The bus refuses a command ({error}): Redis 7 or newer is needed, and its every command.") from error
            except (RedisError, TimeoutError) as error:
                raise BusUnavailable(f"The bus does not answer ({error!r}): is the server that TRADEUL_REDIS_URL names up?") from error

    async def _at_one_stroke(self, commands: Sequence[Command]) -> list[Any]:
        """In one MULTI, with a look at our `claim`. On a cluster in order for each key, and no more than that: a reader may see
        some done and others not.

        Raises:
            LeadLost: the claim is another process's; nothing is written.
        """
        async with self.asking() as redis:
            return await at_one_stroke(redis, commands, self.claim)

    async def _each(self, commands: Sequence[Command]) -> list[Any]:
        """What each of many commands answers, with one wait."""
        async with self.asking() as redis, redis.pipeline(transaction=False) as pipe:
            for command in commands:
                pipe.execute_command(*command)
            return await pipe.execute()

    async def publish(self, topic: Topic[Record], record: Record) -> int:
        """How many heard it."""
        (heard,) = await self._at_one_stroke([("PUBLISH", topic.channel, msgspec.json.encode(record))])
        return int(heard)

    async def subscribe(self, topic: Topic[Record]) -> AsyncIterator[Record]:
        async for payload in self._listen([topic.channel], sharded=False):
            yield topic.decode(payload)

    async def deltas(self) -> AsyncIterator[tuple[str, bytes]]:
        """Every encoded message of every list, as it must go to browsers."""
        channels = [f"scanner:deltas:{number}" for number in range(DELTA_CHANNELS)]
        async for payload in self._listen(channels, sharded=True):
            name, _, message = payload.partition(SEPARATOR)
            yield name.decode(), message

    async def _listen(self, channels: Sequence[str], *, sharded: bool) -> AsyncIterator[bytes]:
        while True:
            pubsub = self.redis.pubsub(ignore_subscribe_messages=True)
            try:
                await (pubsub.ssubscribe(*channels) if sharded else pubsub.subscribe(*channels))
                async for message in pubsub.listen():
                    yield message["data"]
            except (RedisConnectionError, RedisTimeoutError):
                await self._clock.back_off(RECONNECT_SECONDS)
            finally:
                await pubsub.aclose()  # type: ignore[no-untyped-call]

    async def append(self, stream: Stream[Any], entries: Sequence[tuple[int, bytes]]) -> None:
        """Entries by their numbers, above `last_number`; all or none, on a cluster perhaps only the first."""
        trimmed = "MAXLEN", "~", STREAM_LENGTH
        await self._at_one_stroke([("XADD", stream.key, *trimmed, f"{number}-0", stream.field, payload) for number, payload in entries])

    async def last_number(self, stream: Stream[Any]) -> int:
        """0 while it is empty."""
        async with self.asking() as redis:
            found: Any = await redis.xrevrange(stream.key, count=1)
        return _number(found[0][0]) if found else 0

    async def drop_stream(self, stream: Stream[Any]) -> None:
        await self._at_one_stroke([("UNLINK", stream.key)])

    async def follow(self, stream: Stream[Any], *, from_start: bool = False) -> AsyncIterator[list[bytes]]:
        """Each entry once, as it arrives, over lost connections and an emptied server; first those that are there, if asked for.

        A stream that was begun anew by another catalog counts as another stream.
        """
        position: int | None = 0 if from_start else None
        while True:
            try:
                if position is None:
                    position = await self.last_number(stream)
                found: Any = await self.redis.xread({stream.key: f"{position}-0"}, count=STREAM_READ, block=STREAM_LOOK_MS)
                if found:
                    entries = found[0][1]
                    position = _number(entries[-1][0])
                    yield [fields[stream.field.encode()] for _, fields in entries]
                elif 0 < (last := await self.last_number(stream)) < position:
                    position = 0 if from_start else last
            except (RedisConnectionError, RedisTimeoutError, BusUnavailable):
                await self._clock.back_off(RECONNECT_SECONDS)

    async def publish_frames(self, frames: Sequence[tuple[str, ListFrame, bytes, bool]]) -> None:
        """Write frames and their messages at one stroke.

        Each: list name, frame, the encoded message for browsers, whether it is
        a built-in list (only those have the people's ``scanner:*`` keys).
        """
        keys: list[Command] = []
        for name, frame, _, built_in in frames:
            keys.append(("SET", frame_key(name), msgspec.json.encode(frame)))
            if built_in:
                keys.append(("SET", f"scanner:category:{name}", msgspec.json.encode(frame.rows)))
                keys.append(("SET", f"scanner:sequence:{name}", frame.sequence))
        told = [("SPUBLISH", delta_channel(name), name.encode() + SEPARATOR + message) for name, _, message, _ in frames]
        await self._write_and_tell(keys, told)

    async def _write_and_tell(self, keys: Sequence[Command], messages: Sequence[Command]) -> None:
        await self._at_one_stroke([*keys, *messages])

    async def lacks(self, list_names: Sequence[str]) -> bool:
        """Whether a key of the lists is not there: of a cluster one master may have come back empty."""
        return not all(await self._each([("EXISTS", key) for key in (LISTS_KEY, *map(frame_key, list_names))]))

    async def get_frame(self, list_name: str) -> ListFrame | None:
        async with self.asking() as redis:
            payload = await redis.get(frame_key(list_name))
        return None if payload is None else self._frames.decode(payload)

    async def put_active(self, symbols: Collection[str]) -> None:
        """Replace the set of symbols on any list, at one stroke."""
        filled = [("SADD", ACTIVE_DRAFT, *symbols), ("RENAME", ACTIVE_DRAFT, ACTIVE_KEY)] if symbols else [("DEL", ACTIVE_KEY)]
        await self._at_one_stroke([("DEL", ACTIVE_DRAFT), *filled])

    async def get_active(self) -> set[str]:
        async with self.asking() as redis:
            found = await redis.smembers(ACTIVE_KEY)
        return {symbol.decode() if isinstance(symbol, bytes) else symbol for symbol in found}

    async def put_breadth(self, breadth: Breadth) -> None:
        await self._at_one_stroke([("SET", BREADTH_KEY, msgspec.json.encode(breadth))])

    async def get_breadth(self) -> Breadth | None:
        async with self.asking() as redis:
            payload = await redis.get(BREADTH_KEY)
        return None if payload is None else msgspec.json.decode(payload, type=Breadth)

    async def put_lists(self, lists: Sequence[ListDefinition]) -> None:
        await self._at_one_stroke([("SET", LISTS_KEY, msgspec.json.encode(lists))])
        await self.publish(LISTS_CHANGED, tuple(lists))

    async def drop_frame(self, list_name: str) -> None:
        await self._at_one_stroke([("DEL", frame_key(list_name))])

    async def ask_to_explain(self, list_name: str, symbol: str) -> ExplainAnswer:
        """Raises as `_ask`."""
        return await self._ask(EXPLAIN, lambda key: ExplainRequest(key, list_name, symbol), ExplainAnswer, *SCANNER)

    async def ask_to_preview(self, text: str) -> Preview:
        """What the list of ``text`` would be. Raises as `_ask`."""
        return await self._ask(PREVIEW, lambda key: PreviewRequest(key, text), Preview, *SCANNER)

    async def ask_for_minutes(self, symbol: str) -> SessionMinutes:
        """The symbol's minute bars of the running session. Raises as `_ask`."""
        return await self._ask(MINUTES, lambda key: MinutesRequest(key, symbol), SessionMinutes, *LIVE)

    async def _ask(self, topic: Topic[Record], request: Callable[[str], Record], kind: type[Answer], who: str, remedy: str) -> Answer:
        """Ask another service, and wait for the answer.

        Raises:
            NoAnswer: nobody hears, or no answer comes in time.
        """
        key = answer_key(secrets.token_hex(8))
        if not await self.publish(topic, request(key)):
            raise NoAnswer(f"No {who} listens: {remedy}.")
        async with self.asking() as redis:
            found = await redis.blpop([key], timeout=ANSWER_SECONDS)
        if found is None:
            raise NoAnswer(f"The {who} did not answer within {ANSWER_SECONDS:.0f} s: it is starting, or has too much to do; ask again.")
        return msgspec.json.decode(found[1], type=kind)

    async def answer(self, reply_to: str, answer: msgspec.Struct) -> None:
        # It expires: the asker may be gone.
        await self._at_one_stroke([("RPUSH", reply_to, msgspec.json.encode(answer)), ("EXPIRE", reply_to, ANSWER_KEPT_SECONDS)])

    async def get_lists(self) -> list[ListDefinition]:
        async with self.asking() as redis:
            payload = await redis.get(LISTS_KEY)
        return [] if payload is None else self._lists.decode(payload)

    async def put_baselines(self, session: date, blob: bytes) -> None:
        """Replace the blob: sent in pieces, since one write of 36 MB holds up the event loop for 80 ms, then renamed."""
        key = baselines_key(session.isoformat())
        draft = draft_key(key)
        async with self.asking() as redis:
            await redis.delete(draft)
            for start in range(0, len(blob), BLOB_PIECE_BYTES):
                await redis.append(draft, blob[start : start + BLOB_PIECE_BYTES])
            await redis.rename(draft, key)

    async def get_baselines(self, session: date) -> bytes | None:
        async with self.asking() as redis:
            payload = await redis.get(baselines_key(session.isoformat()))
            assert payload is None or isinstance(payload, bytes)  # noqa: S101 decode_responses is off
            return payload

    async def baselines_bytes(self, session: date) -> int:
        """How long the blob of ``session`` is; 0 when there is none."""
        async with self.asking() as redis:
            return int(await redis.strlen(baselines_key(session.isoformat())))

    async def has_lost(self, session: date, *, universe: bool) -> bool:
        """Whether the session's blob is gone, or metadata of tickers drawn by lot; ``universe``: there must be such tickers."""
        async with self.asking() as redis:
            drawn: Any = await redis.srandmember(UNIVERSE_KEY, DRAWN)
        keys = [baselines_key(session.isoformat()), *(metadata_key(symbol.decode()) for symbol in drawn)]
        return (universe and not drawn) or not all(await self._each([("EXISTS", key) for key in keys]))

    async def put_run_status(self, run: Run) -> None:
        """How a run of the session stands, for other programs to read."""
        status = RunStatus(run.date, run.started_at, run.finished_at, run.duration_seconds, run.success, run.tasks)
        async with self.asking() as redis:
            await redis.set(run_status_key(run.date.isoformat()), msgspec.json.encode(status), ex=RUN_STATUS_SECONDS)
            if run.finished_at is not None:
                await redis.set(LAST_RUN_KEY, run.date.isoformat())

    async def answers(self) -> bool:
        """Whether the server is up."""
        try:
            async with asyncio.timeout(PING_SECONDS), self.asking() as redis:
                return bool(await redis.ping())
        except (BusUnavailable, TimeoutError):
            return False

    async def drop_baselines(self, sessions: Sequence[date]) -> int:
        """Forget the blobs of sessions that nobody reads any more; how many there were."""
        async with self.asking() as redis:
            return int(await redis.delete(*(baselines_key(session.isoformat()) for session in sessions)))

    async def put_trading_session(self, session: TradingSession) -> None:
        await self._at_one_stroke([("SET", TRADING_SESSION_KEY, msgspec.json.encode(session))])

    async def get_trading_session(self) -> TradingSession | None:
        async with self.asking() as redis:
            payload = await redis.get(TRADING_SESSION_KEY)
        return None if payload is None else msgspec.json.decode(payload, type=TradingSession)

    # What other programs look tickers up by. In batches, so that neither the loop nor the server is held for long.

    async def put_metadata(self, documents: Mapping[str, bytes]) -> None:
        async with self.asking() as redis:
            await redis.mset({metadata_key(symbol): document for symbol, document in documents.items()})

    async def put_averages(self, commands: Sequence[bytes]) -> None:
        """Encoded commands (`slot_averages.restores`)."""
        async with self.asking() as redis:
            connection = await redis.connection_pool.get_connection()  # type: ignore[no-untyped-call]
            unread = True
            try:
                await connection.send_packed_command(list(commands))
                for _ in commands:
                    await connection.read_response()
                unread = False
            finally:
                if unread:  # it must not serve another with these answers
                    await connection.disconnect()
                await redis.connection_pool.release(connection)

    async def drop_averages(self, symbols: Sequence[str]) -> None:
        await self._each([("UNLINK", averages_key(symbol)) for symbol in symbols])

    async def draft_universe(self, symbols: Sequence[str]) -> None:
        """Begin a new set of symbols, or go on with it; `put_universe` puts it in place."""
        await self._at_one_stroke([("SADD", UNIVERSE_DRAFT, *symbols)])

    async def drop_universe_draft(self) -> None:
        await self._at_one_stroke([("UNLINK", UNIVERSE_DRAFT)])

    async def put_universe(self) -> None:
        """Replace the set by its draft, and forget the keys of what is in it no more."""
        async with self.asking() as redis:
            found = await redis.sdiff([UNIVERSE_KEY, UNIVERSE_DRAFT])
            gone = [symbol.decode() if isinstance(symbol, bytes) else symbol for symbol in found]
            if gone:  # before the rename: killed in between, the next difference names them again
                await redis.unlink(*map(metadata_key, gone), *map(averages_key, gone))
            await redis.rename(UNIVERSE_DRAFT, UNIVERSE_KEY)

    async def count_universe(self) -> int:
        async with self.asking() as redis:
            return int(await redis.scard(UNIVERSE_KEY))

    async def without_keys(self, symbols: Sequence[str], averaged: Sequence[str]) -> list[str]:
        """Those of ``symbols`` without metadata, and of ``averaged`` without averages."""
        keys = [(symbol, metadata_key(symbol)) for symbol in symbols] + [(symbol, averages_key(symbol)) for symbol in averaged]
        there = await self._each([("EXISTS", key) for _, key in keys])
        return sorted({symbol for (symbol, _), found in zip(keys, there, strict=True) if not found})

    async def point_to_baselines(self, session: date) -> None:
        await self._at_one_stroke([("SET", POINTER_KEY, session.isoformat())])


def _number(entry_id: bytes) -> int:
    return int(entry_id.partition(b"-")[0])
