"""A recorded day, 2025-02-13, played through simulator, maintenance, bus, live and scanner on the stepped clock.

What comes out is what the reference says of the raw file (`tests/reference/`, where whole days are compared minute by minute).
"""

import asyncio
from contextlib import AsyncExitStack
from datetime import date, time, timedelta

import pytest

from tests.reference.lists import LISTS
from tests.reference.model import Reference
from tests.reference.product import differences
from tests.reference.recorded import RecordedDay, read
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
from tradeul.scanner.columns import Join, Market
from tradeul.scanner.service import ScannerService
from tradeul.simulator.server import SimulatorConfig, SimulatorServer
from tradeul.store.catalog import Catalog
from tradeul.store.lake import Lake

SESSION = date(2025, 2, 13)
RECORDING = "bars/us_1min_ext_2025-01-02_2025-02-28.parquet"
EARLIER_SESSIONS = 28
TIMES = (time(9, 31), time(10, 0))
SHARES = {"weighted_shares_outstanding": 100_000_000}  # the file knows nothing of companies; the simulated vendor says this of each
AFTER_THE_FEED = timedelta(seconds=10)  # a minute bar is sent within seconds of its end
FIVE_PERCENT = """
[lists.five_percent]
title = "Five percent"
floors = false
where = "change_pct >= 5"
order = [["change_pct", "desc"]]
columns = ["price", "change_pct"]
"""


@pytest.fixture(scope="module")
def day(shared_data, tmp_path_factory):
    """Market and lists at each of `TIMES`."""
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
    seen, hours = {}, nyse().hours(SESSION)
    tasks = [asyncio.create_task(live.run()), asyncio.create_task(scanner.run())]
    try:
        baselines = Baselines.from_arrow(await bus.get_baselines(SESSION))
        for wall in TIMES:
            as_of = at(SESSION, wall)
            await clock.advance_to(as_of + AFTER_THE_FEED)
            for task in tasks:
                assert not task.done(), task.exception()
            frame = live.frame(as_of)
            await scanner.cycle(as_of)
            frames = {name: await bus.get_frame(name) for name in (*LISTS, "five_percent")}
            lists = {name: [row["symbol"] for row in found.rows] for name, found in frames.items()}
            seen[wall] = Market(frame, Join(frame.symbols, baselines), hours), lists
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return seen


@pytest.fixture(scope="module")
def reference(shared_data):
    """What the reference says at each of `TIMES`."""
    raw = RecordedDay(read(shared_data / RECORDING), SESSION)
    assert len(raw.past.sessions) == EARLIER_SESSIONS
    symbols = [row["ticker"] for row in raw.past.tickers]
    told = Reference(raw.past._replace(details=dict.fromkeys(symbols, SHARES)), raw.hours)
    looks, sent = {}, sorted(raw.frames)
    for wall in TIMES:
        t = at(SESSION, wall).timestamp() - raw.hours.pre_open
        for second in [second for second in sent if second <= t + 2]:
            told.hear(raw.frames[second])
        sent = [second for second in sent if second > t + 2]
        looks[wall] = told.look(t)
    return looks


@pytest.mark.parametrize("wall", TIMES, ids=str)
def test_every_column_and_list_is_the_references(day, reference, wall):
    market, lists = day[wall]
    traded = [row for row in reference[wall].rows.values() if row["price"] is not None]
    assert len(traded) == 75
    t = at(SESSION, wall).timestamp() - market.hours.pre_open_at.timestamp()
    assert differences(market, lists, reference[wall], t) == []


def test_a_users_list_without_floors_holds_what_a_filter_by_hand_finds(day, reference):
    wall = TIMES[-1]
    up = [row for row in reference[wall].rows.values() if row["change_pct"] is not None and row["change_pct"] >= 5]
    assert day[wall][1]["five_percent"] == [row["symbol"] for row in sorted(up, key=lambda row: -row["change_pct"])]
    assert len(up) == 3
