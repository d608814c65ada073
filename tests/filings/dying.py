"""Filings in a process of its own, to be killed."""

import asyncio
import multiprocessing

from tests.filings.house import House
from tradeul.bus.redis import Bus
from tradeul.clock import SteppedClock
from tradeul.providers.edgar.client import EdgarClient
from tradeul.providers.http import HttpClient
from tradeul.providers.polygon.client import PolygonClient

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.filings.dying"])


async def _read(root, url, address, now, pipe):
    clock = SteppedClock(now)
    bus = Bus(url, clock)
    house = House(root, bus, clock)
    async with HttpClient(clock, 60_000, 4, "k", agent="a@b.c") as http:
        register = EdgarClient(http, address)
        service = house.service(register, PolygonClient(http, address))
        pipe.send("begun")
        service._adopt(await register.companies())
        await asyncio.gather(service.read_feed(), service.read_news())
        await service.fill_in()
    house.catalog.close()
    await bus.close()
    pipe.send("done")


def read(*arguments):
    asyncio.run(_read(*arguments))
