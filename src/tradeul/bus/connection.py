"""How the server of `TRADEUL_REDIS_URL`, or the embedded one, is connected to. What is asked of it, `redis.py` and `cluster.py` know."""

import asyncio
import socket
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import redis.asyncio as aioredis
import structlog
from redis.asyncio.retry import Retry
from redis.backoff import DecorrelatedJitterBackoff
from redis.exceptions import AuthenticationError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from tradeul.clock import Clock
from tradeul.errors import StartError

SETTING = "TRADEUL_REDIS_URL"
FOR_EVER = -1
TRIES = 5
SLOTS = 16_384  # of a cluster
# A server that is gone without a word is noticed in half a minute.
KEEP_ALIVE = {
    getattr(socket, name): value
    for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 20_000))
    if hasattr(socket, name)
}
REACH_SECONDS, LOOK_SECONDS, SAY_TURNS = 5.0, 1.0, 10

log = structlog.get_logger()


def backoff() -> DecorrelatedJitterBackoff:
    """Exponential ones would overflow after a quarter of an hour."""
    return DecorrelatedJitterBackoff(base=0.05, cap=1.0)


def client_of(url: str, tries_again: int = TRIES) -> aioredis.Redis:
    """``tries_again``: how often a command that the connection failed is tried again; or `FOR_EVER`."""
    keep_alive: dict[str, Any] = {} if url.startswith("unix") else {"socket_keepalive": True, "socket_keepalive_options": KEEP_ALIVE}
    # No time-out of redis-py's own: it would use `asyncio.wait_for`, which before Python 3.12 loses a
    # cancellation that arrives as the command ends. The bus bounds commands; a subscriber waits as long as it takes.
    return aioredis.Redis.from_url(
        url,
        socket_timeout=None,
        socket_connect_timeout=None,
        retry=Retry(backoff(), tries_again),
        retry_on_error=[RedisConnectionError, RedisTimeoutError],
        **keep_alive,
    )


async def reached(url: str, clock: Clock, *, wait: bool) -> bool:
    """Return once the server takes commands: whether it is of a cluster. ``wait`` for one that is not there yet, and say so.

    Raises:
        StartError: it refuses us; or it is not there, and we do not wait.
    """
    parts = urlsplit(url)
    name, turn = f"{SETTING}={parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}", 0
    async with client_of(url, tries_again=0) as client:
        while isinstance(found := await _found(client, name), str):
            if not wait:
                raise StartError(f"{name} {found}, or correct the setting.")
            if turn % SAY_TURNS == 0:
                log.warning("redis_waited_for", server=name, reason=found)
            turn += 1
            await clock.back_off(LOOK_SECONDS)
    if turn:
        log.warning("redis_answers", server=name)
    return found


async def _found(client: aioredis.Redis, name: str) -> bool | str:
    """Whether it is of a cluster; or what is wrong that may still come right."""
    try:
        async with asyncio.timeout(REACH_SECONDS):
            if not (await client.info("cluster"))["cluster_enabled"]:
                return False
            whole = await client.execute_command("CLUSTER INFO")  # type: ignore[no-untyped-call]
    except (AuthenticationError, ResponseError) as error:
        raise StartError(f"{name} refuses us ({error}): correct the user, password or database in it.") from error
    except TypeError as error:  # redis-py's way to refuse what follows the question mark
        raise StartError(f"{name} has an option that is not known ({error}): correct what follows its question mark.") from error
    except (RedisError, OSError) as error:  # a TimeoutError is an OSError
        return f"does not answer ({str(error) or type(error).__name__}): start that server"
    if client.connection_pool.connection_kwargs.get("db"):
        raise StartError(f"{name} is of a cluster, which has database 0 only for us: leave the number out.")
    return True if is_whole(whole) else f"is of a cluster that is not whole ({shown_state(whole)}): give every slot a master that runs"


def is_whole(found: Mapping[str, str]) -> bool:
    """Whether every slot is served, as a node tells it by CLUSTER INFO."""
    return found["cluster_state"] == "ok" and int(found["cluster_slots_ok"]) == SLOTS


def shown_state(found: Mapping[str, str]) -> str:
    return f"state {found['cluster_state']}, {int(found['cluster_slots_ok']):,} of {SLOTS:,} slots served"
