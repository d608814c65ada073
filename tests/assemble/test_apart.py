"""What some services alone cannot work with is refused in one sentence, before anything is touched; the mode is live's."""

import asyncio
from datetime import date, time

import pytest

from tests.redis_server import RedisServer, running_redis
from tradeul import assemble
from tradeul.assemble.apart import follow_changes, follow_mode, look_daily, servers_there
from tradeul.bus.connection import reached
from tradeul.bus.redis import Bus
from tradeul.bus.topics import FEED_STATUS, MODE_CHANGED
from tradeul.clock import SteppedClock, SystemClock
from tradeul.errors import SettingsError, StartError, Unauthorized
from tradeul.maintenance.access import Access
from tradeul.maintenance.datasets import Schedule, Windows
from tradeul.market_calendar import at, nyse
from tradeul.records.entitlements import Entitlements, Mode
from tradeul.records.events import FeedStatus
from tradeul.settings import Settings, load_settings

CALENDAR = nyse()
REDIS = "redis://127.0.0.1:1"


async def never(*_):
    raise AssertionError("it started")


@pytest.mark.parametrize(
    ("services", "settings", "fresh", "says"),
    [
        (["gateway"], {}, False, "TRADEUL_REDIS_URL is not set: `tradeul up gateway` meets"),
        (["maintenance", "scanner"], {}, False, "TRADEUL_REDIS_URL is not set: `tradeul up scanner maintenance` meets"),
        (["maintenance"], {"redis_url": REDIS}, True, "--fresh with `tradeul up maintenance`"),
        (["scanner"], {"redis_url": REDIS, "simulator_port": 0}, False, "TRADEUL_SIMULATOR_PORT=0"),
        (["maintenance"], {"redis_url": REDIS, "simulator_port": 0}, False, "TRADEUL_SIMULATOR_PORT=0"),
        (["gateway"], {"redis_url": REDIS, "api_port": 0}, False, "TRADEUL_API_PORT=0"),
        (["api"], {"redis_url": REDIS, "gateway_port": 0}, False, "TRADEUL_GATEWAY_PORT=0"),
    ],
)
async def test_what_cannot_work_is_refused_before_the_folder_is_touched(tmp_path, services, settings, fresh, says):
    state = tmp_path / "state"
    with pytest.raises(SettingsError) as refused:
        await assemble.up(Settings(state=state, **settings), simulate=True, fresh=fresh, ready=never, services=services)
    assert str(refused.value).startswith(says) and not state.exists()


@pytest.mark.parametrize("wrong", ["localhost:6379", "http://127.0.0.1:6379", "redis:"])
def test_a_redis_address_of_a_wrong_form_is_refused_and_not_repeated(monkeypatch, wrong):
    monkeypatch.setenv("TRADEUL_REDIS_URL", wrong)
    with pytest.raises(SettingsError, match=r"^TRADEUL_REDIS_URL='…': an address as redis://"):
        load_settings()


@pytest.mark.parametrize("wait", [True, False])
async def test_a_password_that_redis_refuses_is_refused_in_one_sentence_without_it(wait):
    with running_redis() as server:
        wrong = f"redis://:wrong@127.0.0.1:{server.port}/0"
        with pytest.raises(StartError) as refused:
            await reached(wrong, SystemClock(), wait=wait)
    said = str(refused.value)
    assert said.startswith(f"TRADEUL_REDIS_URL=redis://127.0.0.1:{server.port}/0 refuses us") and "wrong@" not in said


async def test_a_redis_that_is_not_there_ends_the_whole_product_and_is_waited_for_by_a_part():
    server = RedisServer()
    with pytest.raises(StartError, match=r"^TRADEUL_REDIS_URL=redis://127\.0\.0\.1:\d+ does not answer"):
        await reached(server.url, SystemClock(), wait=False)
    waiting = asyncio.create_task(reached(server.url, SystemClock(), wait=True))
    server.start()
    try:
        async with asyncio.timeout(30):
            await waiting
    finally:
        server.stop()


async def test_a_command_of_a_service_outlasts_a_redis_that_is_away_and_a_question_by_http_does_not():
    with running_redis() as server:
        hurried = Bus(server.url, SystemClock())
        patient = hurried.patient()
        await patient.put_active(["A"])
        server.stop()
        assert not await hurried.answers() and not await patient.answers()
        waiting = asyncio.create_task(patient.put_active(["B"]))
        assert not (await asyncio.wait([waiting], timeout=0.5))[0]
        server.start()
        async with asyncio.timeout(30):
            await waiting
            assert await hurried.get_active() == {"B"}
        await patient.close()
        await hurried.close()


async def test_a_database_is_waited_for_by_whoever_uses_it(postgres, tmp_path):
    nowhere = Settings(state=tmp_path, database_url="postgresql://tradeul@127.0.0.1:1/tradeul")
    there = Settings(state=tmp_path, database_url=postgres.url("nowhere"))  # which database is not asked here
    async with asyncio.timeout(30):
        await servers_there(nowhere, ["gateway"])
        await servers_there(there, ["api"])
    waiting = asyncio.create_task(servers_there(nowhere, ["api"]))
    assert not (await asyncio.wait([waiting], timeout=0.5))[0]
    waiting.cancel()


class Probe:
    """A vendor's plan, as it is set."""

    def __init__(self):
        self.real_time, self.asked, self.refuses = True, 0, False

    async def entitlements(self, _):
        self.asked += 1
        if self.refuses:
            raise Unauthorized("401")
        return Entitlements(snapshot=True, real_time=self.real_time)


def access_of(probe, bus, clock):
    return Access(probe, bus, clock, CALENDAR, Windows(), 6000, chosen=False)


async def test_who_asks_the_vendor_looks_again_when_another_process_found_another_mode():
    with running_redis() as server:
        clock, bus = SystemClock(), Bus(server.url, SystemClock())
        probe, modes = Probe(), asyncio.Queue()
        maintenance, scanner = access_of(probe, bus, clock), access_of(probe, bus, clock)
        await maintenance.look()
        await scanner.look()
        scanner.on_change(lambda: modes.put_nowait(scanner.mode))
        assert await modes.get() is Mode.LIVE
        following = asyncio.create_task(follow_changes(scanner, bus))
        async with asyncio.timeout(30):
            while not (await bus.redis.pubsub_numsub(MODE_CHANGED.channel))[0][1]:
                await asyncio.sleep(0)
            probe.real_time = False
            await maintenance.look()
            assert await modes.get() is Mode.DELAYED
            asked = probe.asked
            await maintenance.look()  # nothing changed: nobody is told, and nobody asks
            assert probe.asked == asked + 1
        following.cancel()
        await bus.close()


async def test_who_asks_the_vendor_looks_as_each_session_is_announced_and_outlives_a_refused_key():
    clock, told, probe = SteppedClock(at(date(2026, 3, 9), time(9, 30))), Hearer(), Probe()
    access = access_of(probe, told, clock)
    looking = asyncio.create_task(look_daily(access, clock, Schedule(CALENDAR, Windows())))
    probe.refuses = True
    await clock.advance_to(at(date(2026, 3, 10), time(3, 1)))
    probe.refuses, probe.real_time = False, False
    await clock.advance_to(at(date(2026, 3, 11), time(3, 1)))
    assert (probe.asked, access.mode) == (2, Mode.DELAYED)
    looking.cancel()


class Hearer:
    """The bus, as far as a mode is told on it."""

    async def publish(self, _topic, _record):
        return 0


async def test_who_does_not_ask_the_vendor_takes_the_mode_from_live():
    with running_redis() as server:
        bus = Bus(server.url, SystemClock())
        shown = asyncio.Queue()
        following = asyncio.create_task(follow_mode(bus, shown.put_nowait))
        status = FeedStatus(date(2026, 3, 9), "MARKET_OPEN", "DELAYED", 1200, 2300, stale=False, messages=5, symbols=12)
        async with asyncio.timeout(30):
            while not await bus.publish(FEED_STATUS, status):
                await asyncio.sleep(0)
            assert await shown.get() == "DELAYED"
        following.cancel()
        await bus.close()
