"""Maintenance against the simulated vendor over real sockets: provider, simulator and lake agree."""

from contextlib import AsyncExitStack
from datetime import date, time

import polars as pl

from tests.maintenance.conftest import CALENDAR, START
from tradeul.analytics.baselines import Baselines
from tradeul.maintenance.service import MaintenanceService, Windows
from tradeul.market_calendar import at
from tradeul.providers.http import HttpClient
from tradeul.providers.polygon.client import PolygonClient
from tradeul.providers.polygon.flat_files import PolygonFlatFiles
from tradeul.simulator.server import SimulatorConfig, SimulatorServer

SESSION = date(2026, 3, 9)


async def test_a_first_load_and_an_evening_end_complete(make_house):
    house = await make_house()
    async with AsyncExitStack() as stack:
        simulator = SimulatorServer(SimulatorConfig(seed=3, tickers=120), house.clock, CALENDAR)
        await simulator.start()
        stack.push_async_callback(simulator.stop)
        address = f"http://127.0.0.1:{simulator.port}"
        http = await stack.enter_async_context(HttpClient(house.clock, 60_000, 10, "k"))
        market, files = PolygonClient(http, address), PolygonFlatFiles(house.clock, address, "flatfiles", "k", "k")
        service = MaintenanceService(market, files, house.lake, house.catalog, house.bus, house.clock, CALENDAR, Windows(20, 6, 5))
        result = await service.reconcile()
        assert result.success, result
        baselines = Baselines.from_arrow(await house.bus.get_baselines(SESSION))
        assert (baselines.complete, baselines.rvol_sessions) == (True, 5)
        known = baselines.table.filter(pl.col("kind") == "CS")
        assert known.height > 20
        assert known.select("shares", "free_float", "short_interest", "industry").null_count().row(0) == (0, 0, 0, 0)
        assert known.filter((pl.col("free_float") > pl.col("shares")) | (pl.col("short_interest") > pl.col("free_float"))).is_empty()
        assert house.clock.now() >= START
        for session in house.lake.sessions("volume_slots"):
            slots = house.lake.read("volume_slots", session).group_by("symbol").agg(slots=pl.col("volume").sum())
            both = house.lake.read("ohlc_daily", session, ["symbol", "volume"]).join(slots, on="symbol", how="full")
            assert both.filter((pl.col("slots") - pl.col("volume")).abs() > 0.5).is_empty()
            assert both["slots"].null_count() == 0
        house.clock._now = at(SESSION, time(20, 15))
        result = await service.reconcile()
        assert result.success, result
        assert Baselines.from_arrow(await house.bus.get_baselines(date(2026, 3, 10))).complete
