"""Maintenance against the simulated vendor over real sockets: provider, simulator and lake agree."""

from contextlib import AsyncExitStack
from datetime import date, time

import polars as pl

from tests.maintenance.conftest import CALENDAR, START
from tests.maintenance.simulated import SMALL, complete, reconciled, supplied
from tradeul.analytics.baselines import Baselines
from tradeul.maintenance.service import MaintenanceService, Windows
from tradeul.market_calendar import at
from tradeul.providers.http import HttpClient
from tradeul.providers.polygon.client import PolygonClient
from tradeul.providers.polygon.flat_files import PolygonFlatFiles
from tradeul.simulator.files import key_of
from tradeul.simulator.server import SimulatorConfig, SimulatorServer

SESSION = date(2026, 3, 9)
FILED = [date(2026, 3, 3), date(2026, 3, 4), date(2026, 3, 5)]  # of the small window; the last session has no file yet


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


async def test_a_file_that_was_replaced_is_loaded_again_and_what_was_made_from_it_follows(make_house):
    house = await make_house(windows=SMALL)
    heads = {f"/flatfiles/{key_of(session)}": 1 for session in FILED}
    async with supplied(house) as simulator:
        assert (await reconciled(house)).success
        assert not simulator.heads, "nothing stood that could have been replaced"
        stood = {session: house.lake.read("volume_slots", session) for session in house.lake.sessions("volume_slots")}
        blob, keys = await house.bus.get_baselines(SESSION), await slot_averages(house)

        simulator.requests.clear()
        assert (await reconciled(house)).completed == 0
        assert (simulator.heads, simulator.requests) == (heads, {})

        simulator.heads.clear()
        simulator.replace_file(FILED[1])
        run = await reconciled(house)
        assert run.success and run.completed == len({"volume_slots", "baselines", "redis_sync"})
        assert (simulator.heads, simulator.requests) == (heads, {f"/flatfiles/{key_of(FILED[1])}": 1})
        for session, slots in stood.items():
            larger = (house.lake.read("volume_slots", session)["volume"] - slots["volume"]).to_list()
            assert all(1 <= shares <= 5 for shares in larger) if session == FILED[1] else not any(larger)
        assert await house.bus.get_baselines(SESSION) != blob
        assert (await slot_averages(house)).keys() == keys.keys() and await slot_averages(house) != keys

        simulator.requests.clear()
        assert (await reconciled(house)).completed == 0
        assert not simulator.requests
        assert complete(house) >= {("volume_slots", session) for session in stood}


async def slot_averages(house):
    return {key: await house.bus.redis.hgetall(key) for key in await house.bus.redis.keys("rvol:hist:avg:*")}
