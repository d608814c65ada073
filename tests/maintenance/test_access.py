"""Against the simulated vendor's plans, over real sockets."""

from contextlib import asynccontextmanager

import pytest

from tests.maintenance.conftest import CALENDAR, START
from tests.maintenance.simulated import CountingSimulator, reconciled
from tradeul.clock import SteppedClock
from tradeul.errors import NotEntitled, Unauthorized
from tradeul.maintenance.access import Access
from tradeul.maintenance.service import Windows
from tradeul.providers.http import HttpClient
from tradeul.providers.polygon.flat_files import PolygonFlatFiles
from tradeul.providers.polygon.probe import PolygonProbe
from tradeul.records.entitlements import Entitlements, Mode
from tradeul.records.partitions import State
from tradeul.simulator.server import SimulatorConfig

WINDOWS = Windows(8, 4, 3)


class Told:
    """The bus, as far as a mode is told on it."""

    def __init__(self):
        self.published = []

    async def publish(self, topic, record):
        self.published.append(record)
        return 0


class Scripted:
    def __init__(self, *answers):
        self.answers = list(answers)

    async def entitlements(self, session):
        return self.answers.pop(0)


def access_with(probe, bus=None, clock=None):
    return Access(probe, bus or Told(), clock or SteppedClock(START), CALENDAR, WINDOWS, 6000, chosen=False)


@asynccontextmanager
async def probing(key):
    clock = SteppedClock(START)
    simulator = CountingSimulator(SimulatorConfig(tickers=60), clock, CALENDAR)
    await simulator.start()
    address = f"http://127.0.0.1:{simulator.port}"
    try:
        async with HttpClient(clock, 6000, 10, key) as http:
            yield access_with(PolygonProbe(http, address, PolygonFlatFiles(clock, address, "flatfiles", key, "s")), clock=clock), simulator
    finally:
        await simulator.stop()


@pytest.mark.parametrize(
    ("key", "mode", "files"),
    [
        ("free-plan", Mode.END_OF_DAY, False),
        ("starter-plan", Mode.DELAYED, True),
        ("developer-plan", Mode.DELAYED, True),
        ("advanced-plan", Mode.LIVE, True),
    ],
)
async def test_a_plan_is_known_by_five_requests_and_the_stream_is_left_alone(key, mode, files):
    async with probing(key) as (access, simulator):
        await access.look()
        assert (access.mode, access.had.files, access.had.minutes, access.had.stream) == (mode, files, True, None)
        assert simulator.requests.total() + simulator.heads.total() == 5 and not any(
            path.strip("/") == "stocks" for path in simulator.requests
        )
        assert bool(access.missing) == (mode is not Mode.LIVE)


async def test_a_refused_key_is_told_at_once():
    async with probing("wrong-key") as (access, simulator):
        with pytest.raises(Unauthorized, match="MASSIVE_API_KEY"):
            await access.look()
        assert simulator.requests.total() == 1


async def test_a_downgrade_is_told_once_and_to_all():
    bus, heard = Told(), []
    access = access_with(Scripted(*[Entitlements(snapshot=True, real_time=True)] * 2, *[Entitlements(snapshot=False)] * 2), bus)
    for _ in range(2):
        await access.look()
    access.on_change(lambda: heard.append(access.mode))
    for _ in range(2):
        await access.look()
    assert [(each.previous, each.mode) for each in bus.published] == [(None, "LIVE"), ("LIVE", "END_OF_DAY")]
    assert bus.published[-1].missing and heard == [Mode.LIVE, Mode.END_OF_DAY]


async def test_an_answer_that_did_not_come_takes_nothing_away():
    access = access_with(Scripted(Entitlements(snapshot=True, real_time=False), Entitlements()))
    await access.look()
    await access.look()
    assert access.mode is Mode.DELAYED


async def test_a_refused_stream_is_told_with_its_cost_and_without_snapshot_it_is_end_of_day():
    access = access_with(Scripted(Entitlements(snapshot=False)))
    await access.stream_refused()
    assert access.mode is Mode.LIVE and "No stream" in access.missing[0]
    await access.look()
    assert access.mode is Mode.END_OF_DAY and "No snapshot and no stream" in access.missing[0]


async def test_without_a_probe_it_is_simulated_and_nobody_is_asked():
    access = access_with(None)
    await access.look()
    assert (access.mode, access.missing, access.windows) == (Mode.SIMULATED, (), WINDOWS)


async def test_a_refusal_in_a_run_has_the_key_looked_at(house):
    house.service._access = access_with(Scripted(Entitlements(snapshot=False)), house.bus)
    house.market.faults["minute_file"] = NotEntitled("403")
    await reconciled(house)
    assert house.service._access.mode is Mode.END_OF_DAY
    assert (await house.service.status("END_OF_DAY")).missing_entitlements


async def test_without_slots_the_run_is_complete_and_says_that_there_is_no_rvol(make_house):
    house = await make_house(windows=Windows(8, 0, 3))
    run = await reconciled(house)
    assert run.success and not house.states("volume_slots")
    assert set(house.states("ohlc_daily").values()) == {State.COMPLETED}
    assert "no RVOL (volume_slots: not entitled)" in (await house.service.status("END_OF_DAY")).summary
    assert not any(call[0] in ("minute_file", "intraday_bars") for call in house.market.calls)
