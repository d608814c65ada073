"""Of the processes that would write the same keys of one server, one does: whose claim stands under `claim:{role}`.

    stands by: another's claim is looked at each second -> gone, and still gone 2 s later -> taken
    holds it:  kept each second, expires 6 s after that -> another's since: LeadLost, stands by
    ends:      let go of at once

That somebody else may write is not left to our own clock: a process may be
frozen at any instant, and wake when another holds the claim. So each write of
ours goes with a look at the claim (`Bus.claim`), in one MULTI on one server;
on a cluster, where claim and lists are on several masters, right before it.
The seconds are the server's and real ones, whatever the market's clock.

A claim that is merely gone (the server came back empty, or we slept and nobody
came) is ours again by the next look: so who stands by waits a little, for the
one who wrote to go on. Whichever comes first, the other's token is refused.

A process that was killed leaves its claim. Who starts on its state folder,
whose lock says that it is gone, takes it at once: the folder keeps the token
that was held last. Two folders that are copies of each other take it so at
most once; from then on each has a token of its own.
"""

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import structlog
from redis.exceptions import WatchError

from tradeul.bus.topics import claim_key
from tradeul.errors import BusUnavailable, LeadLost, StartError

if TYPE_CHECKING:
    import redis.asyncio as aioredis

    from tradeul.bus.redis import Bus

EXPIRES_MS = 6_000
KEEP_SECONDS, LOOK_SECONDS, GRACE_SECONDS = 1.0, 1.0, 2.0
LET_GO_SECONDS = 1.0  # a server that does not answer lets it expire

# 1: our claim, 2: milliseconds, 3: the token that counts as ours, too, 4: "1" to begin the milliseconds anew.
# Returns another's claim; nothing if ours stands now.
KEEP = """
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] and cjson.decode(held).token ~= ARGV[3] then return held end
if held ~= ARGV[1] or ARGV[4] == '1' then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
"""
LET_GO = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"

log = structlog.get_logger()


class Holder(msgspec.Struct, frozen=True):
    """What stands under the key while a process holds it."""

    token: str  # of that process alone
    market: str  # real, or simulated
    by: str  # its machine and state folder, for people


async def at_one_stroke(redis: "aioredis.Redis", commands: Sequence[tuple[str | bytes | int, ...]], claim: "Claim | None") -> list[Any]:
    """In one MULTI, which the server refuses when the claim changed after our look at it.

    Raises:
        LeadLost: it is another process's.
    """
    while True:
        # A WatchError: the claim was kept, taken or lost meanwhile, or the connection was.
        async with redis.pipeline(transaction=True) as pipe:
            with suppress(WatchError):
                if claim is not None:
                    await pipe.watch(claim.key)
                    await claim.keep(pipe)
                    pipe.multi()  # type: ignore[no-untyped-call]
                for command in commands:
                    pipe.execute_command(*command)
                return await pipe.execute()


async def holder(bus: "Bus", role: str) -> Holder | None:
    """Whose claim stands."""
    async with bus.asking() as redis:
        payload = await redis.get(claim_key(role))
    return None if payload is None else msgspec.json.decode(payload, type=Holder)


class Claim:
    def __init__(self, bus: "Bus", role: str, market: str, state: Path) -> None:
        """``bus`` writes from now on only while the claim is ours. ``state`` is locked by us in this role."""
        bus.claim = self
        self._bus, self._role = bus, role
        self.key = claim_key(role)
        self._ours = Holder(secrets.token_hex(8), market, f"{socket.gethostname()}:{state}")
        self._value = msgspec.json.encode(self._ours)
        self._state = state
        self.is_held = False

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Write while the context lasts; its body is cancelled when another process does.

        Raises:
            LeadLost, in an ExceptionGroup: another does.
            StartError: another writes, of the other market.
        """
        await self._take()
        try:
            async with asyncio.TaskGroup() as group:
                keeping = group.create_task(self._keep_on())
                self.is_held = True
                yield
                keeping.cancel()
        finally:
            self.is_held = False
            await self._let_go()

    async def keep(self, redis: "aioredis.Redis", *, longer: bool = False) -> None:
        """Look at the claim, and take it if it is nobody's. ``longer``: it stands for the whole time again.

        Raises:
            LeadLost: it is another process's.
        """
        if (other := await self._ask(redis, longer=longer)) is not None:
            raise LeadLost(f"{other.by} writes since what the {self._role} writes on the server of TRADEUL_REDIS_URL.")

    async def _take(self) -> None:
        earlier = last_token(self._state, self._role)
        while (other := await self._asked(earlier)) is not None:
            if other.market != self._ours.market:
                raise StartError(of_another_market(self._role, other))
            log.info("stands_by", role=self._role, writes=other.by)
            while await holder(self._bus, self._role) is not None:
                await asyncio.sleep(LOOK_SECONDS)
            await asyncio.sleep(GRACE_SECONDS)
        _token_file(self._state, self._role).write_text(self._ours.token)

    async def _asked(self, earlier: str) -> Holder | None:
        async with self._bus.asking() as redis:
            return await self._ask(redis, earlier, longer=True)

    async def _keep_on(self) -> None:
        while True:
            await asyncio.sleep(KEEP_SECONDS)
            async with self._bus.asking() as redis:
                await self.keep(redis, longer=True)

    async def _let_go(self) -> None:
        try:
            async with asyncio.timeout(LET_GO_SECONDS), self._bus.asking() as redis:
                await redis.execute_command("EVAL", LET_GO, 1, self.key, self._value)  # type: ignore[no-untyped-call]
        except (TimeoutError, BusUnavailable):
            log.info("claim_left", role=self._role)

    async def _ask(self, redis: "aioredis.Redis", earlier: str = "", *, longer: bool) -> Holder | None:
        """Whose it is, if not ours."""
        arguments = self._value, EXPIRES_MS, earlier, int(longer)
        found: Any = await redis.execute_command("EVAL", KEEP, 1, self.key, *arguments)  # type: ignore[no-untyped-call]
        return None if found is None else msgspec.json.decode(found, type=Holder)


def last_token(state: Path, role: str) -> str:
    """Of the process that held the claim last on this folder."""
    kept = _token_file(state, role)
    return kept.read_text() if kept.exists() else ""


def _token_file(state: Path, role: str) -> Path:
    return state / "locks" / f"{role}.claim"


def of_another_market(role: str, other: Holder) -> str:
    return (
        f"TRADEUL_REDIS_URL: the {role} of {other.by} writes the {other.market} market there, and both markets have the same keys: "
        "give this one a server of its own, or end that one."
    )


def of_another_product(role: str, other: Holder) -> str:
    return (
        f"TRADEUL_REDIS_URL: the {role} of {other.by} writes there, and a second product would write the same keys: give this one a server "
        f"of its own, end that one (killed, it counts for {EXPIRES_MS // 1000} s more), or have `tradeul up scanner` stand by for it."
    )
