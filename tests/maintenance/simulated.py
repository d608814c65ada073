"""Maintenance against the simulated vendor over real sockets, on the stepped clock; requests are counted at the simulator."""

import asyncio
import re
from collections import Counter
from contextlib import asynccontextmanager
from datetime import date

from aiohttp import web

from tests.maintenance.conftest import CALENDAR
from tradeul.maintenance.service import Windows
from tradeul.providers.http import HttpClient
from tradeul.providers.polygon.client import PolygonClient
from tradeul.providers.polygon.flat_files import PolygonFlatFiles
from tradeul.records.partitions import State
from tradeul.simulator.faults import Faults, parse
from tradeul.simulator.server import SimulatorConfig, SimulatorServer
from tradeul.store.lake import canonical_checksum

TICKERS = 60
SMALL = Windows(8, 4, 3)
OF_A_SESSION = {
    "ohlc_daily": re.compile(r"/v2/aggs/grouped/.*/(\d{4}-\d{2}-\d{2})$"),
    "volume_slots": re.compile(r"/flatfiles/.*/(\d{4}-\d{2}-\d{2})\.csv\.gz$"),
}
OF_A_RUN = {"/v3/reference/tickers": "tickers", "/stocks/v1/splits": "splits"}


class CountingSimulator(SimulatorServer):
    """``requests``: how often each path was asked for; ``heads``: for what a HEAD came."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.requests = Counter()
        self.heads = Counter()

    @web.middleware
    async def _guard(self, request, handler):
        (self.heads if request.method == "HEAD" else self.requests)[request.path] += 1
        return await super()._guard(request, handler)

    def asked(self, session):
        """The partitions that were asked for; ticker by ticker: ("by ticker", symbol)."""
        found = set()
        for path in self.requests:
            if path in OF_A_RUN:
                found.add((OF_A_RUN[path], session))
            elif symbol := re.search(r"/ticker/([^/]+)/range/", path):
                found.add(("by ticker", symbol[1]))
            else:
                matches = {name: form.search(path) for name, form in OF_A_SESSION.items()}
                found |= {(name, date.fromisoformat(match[1])) for name, match in matches.items() if match}
        return found


class Vendor(PolygonClient):
    """REST and files as one, as `House` wants its market."""

    def __init__(self, http, clock, address):
        super().__init__(http, address)
        self.calls = Counter()
        self._files = PolygonFlatFiles(clock, address, "flatfiles", "k", "k")

    async def minute_file(self, session):
        return await self._files.minute_file(session)

    async def is_replaced(self, session, etag):
        return await self._files.is_replaced(session, etag)


@asynccontextmanager
async def supplied(house, tickers=TICKERS, seed=3):
    """The house with the simulator as its vendor."""
    simulator = CountingSimulator(SimulatorConfig(seed=seed, tickers=tickers), house.clock, CALENDAR)
    await simulator.start()
    try:
        async with HttpClient(house.clock, 600_000, 10, "k") as http:
            house.market = Vendor(http, house.clock, f"http://127.0.0.1:{simulator.port}")
            house.restart()
            yield simulator
    finally:
        await simulator.stop()


def misbehaves(simulator, text):
    """From now on; `""`: no more. Counts begin anew."""
    simulator.faults = Faults(parse(text), 11)
    simulator.requests.clear()


async def reconciled(house):
    """One run; the clock moves only over waits between tries, over all of them at once."""
    run = asyncio.create_task(house.service.reconcile())
    clock = house.clock
    try:
        while not run.done():
            await clock.settle()
            waiting, clock._sleepers = clock._sleepers, []
            for instant, _, woken in waiting:
                clock._now = max(clock._now, instant)
                woken.set()
    finally:
        run.cancel()
    return run.result()


def standing(house):
    """What counts, as it must be in the end: states, counts and contents; slots are the same from a file and from REST."""
    found = {}
    for row in house.catalog.ledger():
        checksum = row.checksum
        if row.dataset == "volume_slots" and checksum is not None:
            checksum = canonical_checksum(house.lake.read(row.dataset, row.session, ["symbol", "slot", "volume"]))
        found[row.dataset, row.session] = (row.state, checksum, row.expected, row.got)
    return found


def complete(house):
    return {(row.dataset, row.session) for row in house.catalog.ledger() if row.state is State.COMPLETED}
