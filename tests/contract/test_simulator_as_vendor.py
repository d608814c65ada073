"""The contract on the simulator, in this process and on the stepped clock."""

from datetime import time
from pathlib import Path

import pytest

from tests.contract.provider_contract import CALENDAR, ProviderContract, Vendor
from tradeul.clock import SteppedClock
from tradeul.market_calendar import at
from tradeul.providers.http import HttpClient
from tradeul.providers.polygon.client import PolygonClient
from tradeul.providers.polygon.flat_files import PolygonFlatFiles
from tradeul.providers.polygon.stream import PolygonStream
from tradeul.settings import Settings
from tradeul.simulator.server import WRONG_KEY, SimulatorConfig, SimulatorServer

SESSION = Settings(state=Path()).simulator_start.date()


class TestSimulator(ProviderContract):
    @pytest.fixture
    async def vendor(self):
        clock = SteppedClock(at(SESSION, time(9, 20)))
        server = SimulatorServer(SimulatorConfig(tickers=1_200), clock, CALENDAR)
        await server.start()
        rest = f"http://127.0.0.1:{server.port}"
        socket = f"ws://127.0.0.1:{server.port}/stocks"
        try:
            async with HttpClient(clock, 60_000, 4, "key") as http, HttpClient(clock, 60_000, 4, WRONG_KEY) as wrong:
                yield Vendor(
                    clock,
                    PolygonClient(http, rest),
                    PolygonFlatFiles(clock, rest, "flatfiles", "key", "secret"),
                    PolygonStream(clock, socket, "key"),
                    PolygonClient(wrong, rest),
                    PolygonStream(clock, socket, WRONG_KEY),
                )
        finally:
            await server.stop()
