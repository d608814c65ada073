"""Port 8000 with some routes beside its own, and who asks it."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import aiohttp

from tradeul.api.server import ApiServer
from tradeul.bus.redis import Bus
from tradeul.clock import SteppedClock
from tradeul.market_calendar import nyse
from tradeul.ops.callers import Callers

NOON = datetime(2026, 3, 9, 16, 0, tzinfo=UTC)


class Asker:
    def __init__(self, client, url):
        self.client, self.url = client, url

    async def ask(self, method, path, status=200, body=None, **headers):
        """The answer's JSON; None: it has no body."""
        async with self.client.request(method, self.url + path, data=body, headers=headers) as response:
            said = await response.read()
            assert response.status == status, said
            self.headers = response.headers
            if not said:
                return None
            assert response.content_type == ("application/json" if status < 400 else "application/problem+json")
            return await response.json()

    async def refused(self, method, path, status, body=None):
        return (await self.ask(method, path, status, body))["detail"]


@asynccontextmanager
async def serving(*routes, bus=None, token=None):
    """Without ``bus`` there is none: for calls that ask it nothing."""
    clock = SteppedClock(NOON)
    own = Bus("redis://127.0.0.1:9", clock)
    api = ApiServer(bus or own, clock, nyse(), "SIMULATED", Callers(token=token), 0, 9000, beside=routes)
    running = asyncio.create_task(api.run())
    async with asyncio.timeout(60), aiohttp.ClientSession() as client:
        await api.started.wait()
        yield Asker(client, f"http://127.0.0.1:{api.port}")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await own.close()
