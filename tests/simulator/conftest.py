"""A small synthetic market, and a simulator server around it under a stepped clock."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, datetime, time

import pytest

from tradeul.clock import SteppedClock
from tradeul.market_calendar import at, nyse
from tradeul.simulator.market import Market
from tradeul.simulator.server import SimulatorConfig, SimulatorServer
from tradeul.simulator.synthetic import SyntheticMarket

SESSION = date(2026, 3, 9)
SIZE = 300


def instant(hour: int, minute: int, second: int = 0, session: date = SESSION) -> datetime:
    """Eastern wall time of a session."""
    return at(session, time(hour, minute, second))


@pytest.fixture(scope="session")
def synthetic() -> SyntheticMarket:
    return SyntheticMarket(7, SIZE, nyse())


@pytest.fixture
def market(synthetic: SyntheticMarket) -> Market:
    return Market(synthetic, nyse())


@asynccontextmanager
async def serving(now: datetime, **config: object) -> AsyncIterator[tuple[SimulatorServer, SteppedClock]]:
    clock = SteppedClock(now)
    server = SimulatorServer(SimulatorConfig(**{"tickers": SIZE, **config}), clock, nyse())
    await server.start()
    try:
        yield server, clock
    finally:
        await server.stop()
