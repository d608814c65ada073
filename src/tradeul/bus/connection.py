"""How the server of `TRADEUL_REDIS_URL`, or the embedded one, is connected to. What is asked of it, `redis.py` knows."""

import asyncio
import socket
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
# A server that is gone without a word is noticed in half a minute.
KEEP_ALIVE = {
    getattr(socket, name): value
    for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 20_000))
    if hasattr(socket, name)
}
REACH_SECONDS, LOOK_SECONDS, SAY_TURNS = 5.0, 1.0, 10

log = structlog.get_logger()


def client_of(url: str, tries_again: int = 5) -> aioredis.Redis:
    """``tries_again``: how often a command that the connection failed is tried again; or `FOR_EVER`."""
    # Exponential ones would overflow after a quarter of an hour.
    backoff = DecorrelatedJitterBackoff(base=0.05, cap=1.0)
    keep_alive: dict[str, Any] = {} if url.startswith("unix") else {"socket_keepalive": True, "socket_keepalive_options": KEEP_ALIVE}
    # No time-out of redis-py's own: it would use `asyncio.wait_for`, which before Python 3.12 loses a
    # cancellation that arrives as the command ends. The bus bounds commands; a subscriber waits as long as it takes.
    return aioredis.Redis.from_url(
        url,
        socket_timeout=None,
        socket_connect_timeout=None,
        retry=Retry(backoff, tries_again),
        retry_on_error=[RedisConnectionError, RedisTimeoutError],
        **keep_alive,
    )


async def reached(url: str, clock: Clock, *, wait: bool) -> None:
    """Return once the server takes commands; ``wait`` for one that is not there yet, and say so.

    Raises:
        StartError: it refuses us; or it is not there, and we do not wait.
    """
    parts = urlsplit(url)
    name, turn = f"{SETTING}={parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}", 0
    async with client_of(url, tries_again=0) as client:
        while (reason := await _refusal(client, name)) is not None:
            if not wait:
                raise StartError(f"{name} does not answer ({reason}): start that server, or correct the setting.")
            if turn % SAY_TURNS == 0:
                log.warning("redis_waited_for", server=name, reason=reason)
            turn += 1
            await clock.back_off(LOOK_SECONDS)
    if turn:
        log.warning("redis_answers", server=name)


async def _refusal(client: aioredis.Redis, name: str) -> str | None:
    try:
        async with asyncio.timeout(REACH_SECONDS):
            await client.ping()
    except (AuthenticationError, ResponseError) as error:
        raise StartError(f"{name} refuses us ({error}): correct the user, password or database in it.") from error
    except TypeError as error:  # redis-py's way to refuse what follows the question mark
        raise StartError(f"{name} has an option that is not known ({error}): correct what follows its question mark.") from error
    except (RedisError, OSError) as error:  # a TimeoutError is an OSError
        return str(error) or type(error).__name__
    return None
