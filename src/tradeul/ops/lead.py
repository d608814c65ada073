"""Doing a role's work whenever we are the one process that may. Who that is, is known elsewhere (`store/leadership.py`, `bus/claim.py`)."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import structlog

from tradeul.errors import LeadLost

log = structlog.get_logger()


async def lead(
    role: str, held: Callable[[], AbstractAsyncContextManager[None]], work: Callable[[], Awaitable[None]], again_seconds: float = 1.0
) -> None:
    """Do ``work`` whenever ``held`` lets us in, from its beginning; for ever. A LeadLost ends it, from ``held`` or from a write."""
    while True:
        try:
            async with held():
                log.info("lead_taken", role=role)
                await work()
        except* LeadLost as lost:
            log.warning("lead_lost", role=role, reason=str(_first(lost)))
        await asyncio.sleep(again_seconds)


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error
