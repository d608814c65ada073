"""A recorded day, 2025-02-13, played through simulator, maintenance, live and scanner on the stepped clock.

What comes out is held against an independent polars computation from the raw
file, written from CONTRACT.md: bars that ended by t against the session before.
"""

import asyncio
from contextlib import AsyncExitStack
from datetime import date, time, timedelta

import numpy as np
import polars as pl
import pytest
import talib

from tradeul.analytics.baselines import Baselines
from tradeul.bus.embedded import EmbeddedServer
from tradeul.bus.redis import Bus
from tradeul.clock import SteppedClock, SystemClock
from tradeul.live.service import LiveService
from tradeul.maintenance.service import MaintenanceService, Windows
from tradeul.market_calendar import at, nyse
from tradeul.providers.http import HttpClient
from tradeul.providers.polygon.client import PolygonClient
from tradeul.providers.polygon.flat_files import PolygonFlatFiles
from tradeul.providers.polygon.stream import PolygonStream
from tradeul.scanner.columns import market_table
from tradeul.scanner.service import ScannerService
from tradeul.simulator.server import SimulatorConfig, SimulatorServer
from tradeul.store.catalog import Catalog
from tradeul.store.lake import Lake

SESSION = date(2025, 2, 13)
RECORDING = "bars/us_1min_ext_2025-01-02_2025-02-28.parquet"
EARLIER_SESSIONS = 28
TIMES = (time(10, 0), time(12, 0), time(15, 55))
AFTER_THE_FEED = timedelta(seconds=10)  # a minute bar is sent within seconds of its end
FIVE_PERCENT = """
[lists.five_percent]
title = "Five percent"
floors = false
where = "change_pct >= 5"
order = [["change_pct", "desc"]]
columns = ["price", "change_pct"]
"""


class Day:
    """What the product says at each of `TIMES`, and what its daily history was."""

    tables: dict[time, pl.DataFrame]
    five_percent: list[str]
    atr: dict[str, float]


@pytest.fixture(scope="module")
def recording(shared_data):
    bars = pl.read_parquet(shared_data / RECORDING)
    eastern = pl.col("ts").dt.convert_time_zone("America/New_York")
    return bars.with_columns(
        session=eastern.dt.date(), minute=eastern.dt.hour().cast(pl.Int32) * 60 + eastern.dt.minute().cast(pl.Int32)
    ).sort("ticker", "ts")


@pytest.fixture(scope="module")
def day(shared_data, tmp_path_factory):
    return asyncio.run(play(shared_data / RECORDING, tmp_path_factory.mktemp("state")))


async def play(recording_path, state):
    calendar = nyse()
    clock = SteppedClock(at(SESSION, time(3, 50)))
    (state / "lists").mkdir()
    (state / "lists" / "mine.toml").write_text(FIVE_PERCENT)
    async with AsyncExitStack() as stack:
        server = EmbeddedServer(state, SystemClock())
        await server.start()
        stack.push_async_callback(server.stop)
        bus = Bus(server.url, clock)
        stack.push_async_callback(bus.close)
        config = SimulatorConfig(seed=1, tickers=100, key=None, recording=recording_path, host="127.0.0.1", port=0)
        simulator = SimulatorServer(config, clock, calendar)
        await simulator.start()
        stack.push_async_callback(simulator.stop)
        address = f"http://127.0.0.1:{simulator.port}"
        http = await stack.enter_async_context(HttpClient(clock, 6000, 10, "k"))
        market = PolygonClient(http, address)
        files = PolygonFlatFiles(clock, address, "flatfiles", "k", "k")
        catalog = Catalog(f"sqlite:///{state / 'catalog.db'}")
        windows = Windows(EARLIER_SESSIONS, EARLIER_SESSIONS, 20)
        maintenance = MaintenanceService(market, files, Lake(state / "lake", "test", True), catalog, bus, clock, calendar, windows)
        result = await maintenance.reconcile()
        assert result.success, result
        stream = PolygonStream(clock, f"ws://127.0.0.1:{simulator.port}/stocks", "k")
        live = LiveService(market, stream, bus, clock, calendar, "SIMULATED")
        scanner = ScannerService(live.frame, bus, clock, calendar, "SIMULATED", 1, state / "lists", 60.0)
        return await look(clock, live, scanner, bus)


async def look(clock, live, scanner, bus):
    """Run the session and write down what is seen at each of `TIMES`."""
    seen = Day()
    seen.tables = {}
    tasks = [asyncio.create_task(live.run()), asyncio.create_task(scanner.run())]
    try:
        baselines = Baselines.from_arrow(await bus.get_baselines(SESSION))
        seen.atr = dict(baselines.table.select("symbol", "atr").iter_rows())
        for wall in TIMES:
            as_of = at(SESSION, wall)
            await clock.advance_to(as_of + AFTER_THE_FEED)
            for task in tasks:
                assert not task.done(), task.exception()
            frame = live.frame(as_of)
            seen.tables[wall] = market_table(frame, baselines, nyse().hours(SESSION))
            await scanner.cycle(as_of)
        seen.five_percent = [row["symbol"] for row in (await bus.get_frame("five_percent")).rows]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return seen


def minutes(wall):
    return wall.hour * 60 + wall.minute


def previous_closes(recording):
    before = nyse().previous(SESSION)
    regular = recording.filter((pl.col("session") == before) & (pl.col("minute") < 960))
    return regular.group_by("ticker", maintain_order=True).agg(prev_close=pl.col("close").last())


def expected(recording, wall):
    """One row a ticker: volume, change_pct, high, low, rvol."""
    until = pl.col("minute") + 1 <= minutes(wall)
    today = recording.filter((pl.col("session") == SESSION) & until).group_by("ticker", maintain_order=True)
    now = today.agg(volume=pl.col("volume").sum(), high=pl.col("high").max(), low=pl.col("low").min(), price=pl.col("close").last())
    sessions = nyse().before(SESSION, 20)
    earlier = recording.filter(pl.col("session").is_in(sessions) & until).group_by("ticker").agg(mean=pl.col("volume").sum() / 20)
    joined = now.join(earlier, on="ticker", how="left").join(previous_closes(recording), on="ticker", how="left")
    return joined.select(
        "ticker",
        pl.col("volume").cast(pl.Float64),
        "high",
        "low",
        change_pct=100 * (pl.col("price") - pl.col("prev_close")) / pl.col("prev_close"),
        rvol=pl.col("volume") / pl.col("mean"),
    ).sort("ticker")


@pytest.mark.parametrize("wall", TIMES, ids=str)
def test_every_ticker_has_the_numbers_of_the_raw_file(day, recording, wall):
    want = expected(recording, wall)
    got = day.tables[wall].filter(pl.col("price").is_not_null()).sort("symbol")
    assert got["symbol"].to_list() == want["ticker"].to_list()
    assert len(want) == 75
    for column in ("volume", "change_pct", "high", "low", "rvol"):
        np.testing.assert_allclose(got[column].to_numpy(), want[column].to_numpy(), rtol=1e-9, atol=1e-9, err_msg=column)


def test_atr_equals_ta_lib_on_the_same_daily_bars(day, recording):
    regular = recording.filter((pl.col("session") < SESSION) & pl.col("minute").is_between(570, 959))
    bars = regular.group_by("ticker", "session", maintain_order=True).agg(
        high=pl.col("high").max(), low=pl.col("low").min(), close=pl.col("close").last()
    )
    for (ticker,), daily in bars.group_by("ticker", maintain_order=True):
        assert len(daily) == EARLIER_SESSIONS
        want = talib.ATR(*(daily[name].to_numpy() for name in ("high", "low", "close")), timeperiod=14)[-1]
        assert day.atr[ticker] == pytest.approx(want, rel=1e-9), ticker


def test_a_user_list_without_floors_holds_the_tickers_that_a_filter_by_hand_finds(day, recording):
    wanted = expected(recording, time(15, 55)).filter(pl.col("change_pct") >= 5).sort("change_pct", descending=True)
    assert day.five_percent == wanted["ticker"].to_list()
    assert len(day.five_percent) == 9
