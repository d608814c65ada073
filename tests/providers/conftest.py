"""A real HTTP server in the test's own loop, and a stepped clock that is driven until something is done."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tradeul.clock import SteppedClock


@pytest.fixture
def clock():
    return SteppedClock(datetime(2026, 3, 9, 14, 0, tzinfo=UTC))


async def finish(clock, awaitable, within=timedelta(hours=2)):
    """The result of ``awaitable``, with the clock stepped as far as it takes; nothing waits in real time."""
    task = asyncio.ensure_future(awaitable)

    async def drive():
        end = clock.now() + within
        while clock.now() < end:
            await clock.settle()
            await clock.advance_to(min(end, clock._sleepers[0][0]) if clock._sleepers else clock.now())

    driver = asyncio.ensure_future(drive())
    await asyncio.wait([task, driver], return_when=asyncio.FIRST_COMPLETED)
    driver.cancel()
    await asyncio.wait([driver])
    assert task.done(), "it still waits"
    return await task


@asynccontextmanager
async def serving(handler, path="/{rest:.*}"):
    """The base URL of a server that answers everything with ``handler(request)``."""

    async def answer(request):
        return await handler(request)

    app = web.Application()
    app.router.add_get(path, answer)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")
