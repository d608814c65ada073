import asyncio
import os
import signal
from contextlib import asynccontextmanager
from datetime import date

import pytest

from tradeul.bus.embedded import EmbeddedServer
from tradeul.bus.redis import Bus
from tradeul.bus.topics import BASELINES_CHANGED, delta_channel
from tradeul.clock import SystemClock
from tradeul.records.events import BaselinesChanged
from tradeul.records.lists import ListFrame

SESSION = date(2026, 3, 9)


@asynccontextmanager
async def running(state):
    server = EmbeddedServer(state, SystemClock())
    await server.start()
    bus = Bus(server.url, SystemClock())
    try:
        yield server, bus
    finally:
        await bus.close()
        await server.stop()


async def first_of(iterator):
    return await anext(iterator)


async def subscribed(bus, channel, *, sharded=False):
    """Return once somebody listens."""
    async with asyncio.timeout(5):
        while await bus.redis.execute_command("PUBSUB", "SHARDNUMSUB" if sharded else "NUMSUB", channel) != [channel.encode(), 1]:
            await asyncio.sleep(0.01)


async def test_what_is_published_arrives_as_the_same_record(tmp_path):
    async with running(tmp_path) as (_, bus):
        waiting = asyncio.create_task(first_of(bus.subscribe(BASELINES_CHANGED)))
        await subscribed(bus, BASELINES_CHANGED.channel)
        await bus.publish(BASELINES_CHANGED, BaselinesChanged(SESSION))
        assert await waiting == BaselinesChanged(SESSION)


async def test_a_frame_its_keys_and_its_message_are_one(tmp_path):
    async with running(tmp_path) as (_, bus):
        waiting = asyncio.create_task(first_of(bus.deltas()))
        await subscribed(bus, delta_channel("winners"), sharded=True)
        frame = ListFrame(SESSION, 3, 7, [{"symbol": "A", "rank": 0, "price": None}], "SIMULATED", 1)
        await bus.publish_frames([("winners", frame, b'{"type":"delta"}', True), ("mine", frame, b"{}", False)])
        assert await waiting == ("winners", b'{"type":"delta"}')
        assert await bus.get_frame("winners") == frame == await bus.get_frame("mine")
        assert await bus.redis.get("scanner:sequence:winners") == b"7"
        assert sorted(await bus.redis.keys("scanner:*")) == [b"scanner:category:winners", b"scanner:sequence:winners"]


async def test_a_server_orphaned_by_a_kill_is_shut_down_by_the_next_start(tmp_path):
    orphan = EmbeddedServer(tmp_path, SystemClock())
    await orphan.start()
    async with running(tmp_path) as (_, bus):
        await bus.redis.ping()
        async with asyncio.timeout(5):
            assert await orphan._process.wait() == 0


async def test_a_server_that_dies_is_started_again_and_subscribers_go_on(tmp_path):
    async with running(tmp_path) as (server, bus):
        keeper = asyncio.create_task(server.run())
        waiting = asyncio.create_task(first_of(bus.subscribe(BASELINES_CHANGED)))
        await subscribed(bus, BASELINES_CHANGED.channel)
        os.kill(server._process.pid, signal.SIGKILL)
        await subscribed(bus, BASELINES_CHANGED.channel)
        await bus.publish(BASELINES_CHANGED, BaselinesChanged(SESSION))
        async with asyncio.timeout(5):
            assert await waiting == BaselinesChanged(SESSION)
        keeper.cancel()


async def test_a_long_state_path_gets_a_short_socket(tmp_path):
    state = tmp_path / ("x" * 120)
    state.mkdir()
    async with running(state) as (server, bus):
        assert await bus.redis.ping()
        assert len(os.fsencode(server.path)) <= 107


def test_the_channel_is_the_clusters_crc16():
    # crc16("123456789") = 0x31C3, the vector of the Redis Cluster specification
    assert delta_channel("123456789") == f"scanner:deltas:{0x31C3 % 16}"


@pytest.mark.parametrize("name", ["winners", "losers", "user list"])
def test_every_list_has_one_of_sixteen_channels(name):
    assert 0 <= int(delta_channel(name).rpartition(":")[2]) < 16
