"""The bus on a Redis or Valkey Cluster: what is otherwise there than on one server (`redis.py`).

    commands   redis-py's RedisCluster finds the master of a key; tried again here, since it gives up on what heals
    several    keys are on several masters, so in no MULTI: frames first, then their messages, so that no message is ahead of its frame
    deltas     16 sharded channels, each told by the master of its slot: one connection a master, made anew when
               it breaks or a slot moves away (the server says so); the others read on meanwhile

redis-py's own reader of sharded channels is not used: it asks its connections
in turn, each with a time-out. Nor are its transactions: they start a thread and
an event loop for each command.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

import msgspec
import redis.asyncio as aioredis
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AskError, ClusterDownError, ClusterError, ReadOnlyError, RedisClusterException, SlotNotCoveredError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from tradeul.bus.claim import Claim
from tradeul.bus.connection import KEEP_ALIVE, REACH_SECONDS, TRIES, backoff, is_whole, reached, shown_state
from tradeul.bus.redis import PING_SECONDS, RECONNECT_SECONDS, Bus, Command
from tradeul.bus.topics import Record, Topic, metadata_key
from tradeul.clock import Clock
from tradeul.errors import BusUnavailable

T = TypeVar("T")
# A MovedError is an AskError; the library follows it, but not in everything.
HEALS = RedisConnectionError, RedisTimeoutError, ClusterError, SlotNotCoveredError, AskError, ReadOnlyError, OSError
LOST = RedisConnectionError, RedisTimeoutError, ClusterDownError, AskError, OSError


async def bus_at(url: str, clock: Clock, *, wait: bool = False) -> Bus:
    """The bus of the server at ``url``, whatever it is, once it takes commands. ``wait`` and raises: as `reached`."""
    return (ClusterBus if await reached(url, clock, wait=wait) else Bus)(url, clock)


class Nodes(RedisCluster):
    """redis-py's client of a cluster, that tries again, after a while and with what it then learns of the nodes."""

    tries_again = TRIES

    @classmethod
    def at(cls, url: str, tries_again: int) -> "Nodes":
        nodes = cls.from_url(
            url,
            socket_timeout=None,
            # A host that is gone must not hold up who asks the others where its slots are now.
            socket_connect_timeout=REACH_SECONDS,
            socket_keepalive=True,
            socket_keepalive_options=KEEP_ALIVE,
            retry=Retry(NoBackoff(), 0),
        )
        assert isinstance(nodes, cls)  # noqa: S101 it is typed as its base
        nodes.tries_again = tries_again
        return nodes

    async def initialize(self, *args: Any, **kwargs: Any) -> "Nodes":
        await self._learn(super().initialize(*args, **kwargs))
        return self

    async def look_again(self) -> None:
        """Ask which node has which slots now.

        Raises:
            RedisConnectionError: no node can be asked, or some slot has no master.
        """
        await self._learn(self.nodes_manager.initialize())

    async def _learn(self, asking: Awaitable[Any]) -> None:
        try:
            await asking
        except RedisClusterException as error:
            # All nodes may have come back under new addresses: then it is the setting's that is still right.
            self.nodes_manager.startup_nodes.update({node.name: node for node in self.startup_nodes})
            raise RedisConnectionError(str(error)) from error

    async def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        run = super().execute_command
        return await self.again(lambda: run(*args, **kwargs))

    async def again(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do ``work`` until it succeeds.

        Raises:
            RedisConnectionError: it was tried often enough.
        """
        pauses = backoff()
        for turn in itertools.count():
            try:
                await self.initialize()
                if turn:
                    await self.look_again()
                return await work()
            except HEALS as error:
                if turn == self.tries_again:
                    raise RedisConnectionError(str(error) or type(error).__name__) from error
            await asyncio.sleep(pauses.compute(turn))
        raise AssertionError("itertools.count() never ends")

    async def each(self, commands: Sequence[Command], claim: Claim | None = None) -> list[Any]:
        """Those of one node in order; all again when one of them finds no node: what is sent this way may be done twice.

        Raises:
            LeadLost: the ``claim`` is another process's before we send, be it once more.
        """

        async def work() -> list[Any]:
            if claim is not None:
                await claim.keep(cast(aioredis.Redis, self))
            async with self.pipeline() as pipe:
                for command in commands:
                    pipe.execute_command(*command)
                return await pipe.execute()

        return await self.again(work)


class ClusterBus(Bus):
    def _client(self, tries_again: int = TRIES) -> aioredis.Redis:
        return cast(aioredis.Redis, Nodes.at(self._url, tries_again))  # of the same commands

    async def _at_one_stroke(self, commands: Sequence[Command]) -> list[Any]:
        async with self.asking() as redis:
            return await _nodes(redis).each(commands, self.claim)

    async def _each(self, commands: Sequence[Command]) -> list[Any]:
        async with self.asking() as redis:
            return await _nodes(redis).each(commands)

    async def _write_and_tell(self, keys: Sequence[Command], messages: Sequence[Command]) -> None:
        await self._at_one_stroke(keys)
        await self._at_one_stroke(messages)

    async def publish(self, topic: Topic[Record], record: Record) -> int:
        """How many heard it, on whichever node: a node answers for its own connections only."""
        async with self.asking() as redis:
            if self.claim is not None:
                await self.claim.keep(redis)
            if heard := await redis.publish(topic.channel, msgspec.json.encode(record)):
                return int(heard)
            return await _nodes(redis).again(lambda: _listeners(_nodes(redis), topic.channel))

    async def put_metadata(self, documents: Mapping[str, bytes]) -> None:
        await self._each([("SET", metadata_key(symbol), document) for symbol, document in documents.items()])

    async def put_averages(self, commands: Sequence[bytes]) -> None:
        await self._each([_unpacked(command) for command in commands])

    async def answers(self) -> bool:
        """Whether every slot has a master that is up."""
        try:
            async with asyncio.timeout(PING_SECONDS), self.asking() as redis:
                await _nodes(redis).again(lambda: _see_whole(_nodes(redis)))
        except (BusUnavailable, TimeoutError):
            return False
        return True

    # Messages

    async def _listen(self, channels: Sequence[str], *, sharded: bool) -> AsyncIterator[bytes]:
        """Of every reader, as it comes; a reader that ends is replaced by one at each node that now has its channels."""
        nodes, turn = _nodes(self.redis), 0
        reading: dict[asyncio.Task[bytes | None], tuple[AsyncIterator[bytes], list[str]]] = {}
        unread = list(channels)
        try:
            while True:
                if unread:
                    for node, of_node in (await self._placed(nodes, unread, turn, sharded=sharded)).items():
                        reader = self._read(node, of_node, sharded=sharded)
                        reading[asyncio.create_task(_next(reader))] = reader, of_node
                    unread, turn = [], turn + 1
                for task in (await asyncio.wait(reading, return_when=asyncio.FIRST_COMPLETED))[0]:
                    reader, of_node = reading.pop(task)
                    payload = task.result()
                    if payload is None:
                        unread += of_node
                        continue
                    reading[asyncio.create_task(_next(reader))] = reader, of_node
                    yield payload
        finally:
            for task in reading:
                task.cancel()
            await asyncio.gather(*reading, return_exceptions=True)

    async def _placed(self, nodes: Nodes, channels: Sequence[str], turn: int, *, sharded: bool) -> dict[ClusterNode, list[str]]:
        """Whom to ask for each channel, as the nodes have it now: sharded ones their masters, the others any."""
        while True:
            try:
                await nodes.initialize()
                if turn:
                    await nodes.look_again()
                placed: dict[ClusterNode, list[str]] = {}
                for channel in channels:
                    masters = nodes.get_primaries()
                    any_one = masters[(nodes.keyslot(channel) + turn) % len(masters)]
                    placed.setdefault(nodes.get_node_from_key(channel) or any_one if sharded else any_one, []).append(channel)
                return placed
            except HEALS:
                await self._clock.back_off(RECONNECT_SECONDS)

    async def _read(self, node: ClusterNode, channels: Sequence[str], *, sharded: bool) -> AsyncIterator[bytes]:
        """Until the connection breaks, or the node has one of the channels no more."""
        told, gone = (b"smessage", b"sunsubscribe") if sharded else (b"message", b"unsubscribe")
        # The older form of the protocol: a message is an answer like others.
        options = node.connection_kwargs | {"protocol": 2, "retry": Retry(NoBackoff(), 0)}
        connection = node.connection_class(**options)
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
            for channel in channels:  # of several slots, so not in one command
                await connection.send_command("SSUBSCRIBE" if sharded else "SUBSCRIBE", channel)
            while (message := await connection.read_response())[0] != gone:
                if message[0] == told:
                    yield message[2]
        except LOST:
            await self._clock.back_off(RECONNECT_SECONDS)
        finally:
            await connection.disconnect()


def _nodes(redis: aioredis.Redis) -> Nodes:
    return cast(Nodes, redis)


async def _next(reader: AsyncIterator[bytes]) -> bytes | None:
    return await anext(reader, None)


async def _see_whole(nodes: Nodes) -> None:
    """Raises RedisConnectionError: a master is away, or says that slots are not served."""
    for found in await asyncio.gather(*(node.execute_command("CLUSTER INFO") for node in nodes.get_primaries())):
        if not is_whole(found):
            raise RedisConnectionError(shown_state(found))


async def _listeners(nodes: Nodes, channel: str) -> int:
    found = await asyncio.gather(*(node.execute_command("PUBSUB NUMSUB", channel) for node in nodes.get_nodes()))
    return sum(count for ((_, count),) in found)


def _unpacked(command: bytes) -> Command:
    """A RESTORE of `slot_averages`, for redis-py to send: it must know the key."""
    *_, key, _, _, size, rest = command.split(b"\r\n", 8)
    return "RESTORE", key, 0, rest[: int(size[1:])], "REPLACE"
