"""What only a cluster can do to the bus: slots that move, masters that die and come back empty, settings that cannot work on one."""

import asyncio

import pytest

from tests.bus.test_bus import FRAME, subscribed
from tests.valkey_cluster import eventually, running_cluster
from tradeul.bus.cluster import ClusterBus, bus_at
from tradeul.bus.redis import Bus
from tradeul.bus.topics import DELTA_CHANNELS, delta_channel
from tradeul.clock import SystemClock
from tradeul.errors import BusUnavailable, StartError

CHANNELS = [f"scanner:deltas:{number}" for number in range(DELTA_CHANNELS)]
LISTS = [f"list{number}" for number in range(64)]


async def test_any_node_names_the_cluster(cluster):
    for node in cluster.nodes:
        bus = await bus_at(cluster.url.replace(str(cluster.nodes[0].port), str(node.port)), SystemClock())
        assert isinstance(bus, ClusterBus) and await bus.answers()
        await bus.close()


async def test_one_server_is_no_cluster(server):
    bus = await bus_at(server.url, SystemClock())
    assert type(bus) is Bus
    await bus.close()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda url: url.replace("open%20sesame@", "wrong@"), "correct the user, password or database"),
        (lambda url: url.replace(":open%20sesame@", ""), "correct the user, password or database"),
        (lambda url: f"{url}/3", "correct the user, password or database"),
    ],
)
async def test_a_wrong_or_missing_password_and_another_database_are_refused_in_a_sentence(cluster, wrong, said):
    with pytest.raises(StartError, match=rf"^TRADEUL_REDIS_URL=redis://127\.0\.0\.1:\d+.* refuses us .*{said}") as refused:
        await bus_at(wrong(cluster.url), SystemClock(), wait=True)
    assert "sesame" not in str(refused.value)


async def test_the_readers_and_writers_follow_a_slot_that_moves_to_another_master(cluster):
    cluster.empty()
    bus = await bus_at(cluster.url, SystemClock())
    name = LISTS[0]
    channel = delta_channel(name)
    heard = asyncio.Queue()

    async def listen():
        async for said in bus.deltas():
            heard.put_nowait(said)

    listening = asyncio.create_task(listen())
    await subscribed(bus, *CHANNELS, sharded=True)
    moved = cluster.move(channel)
    try:
        async with asyncio.timeout(10):
            while b"here" not in [message for _, message in drained(heard)]:
                await bus.publish_frames([(name, FRAME, b"here", False)])
                await asyncio.sleep(0.01)
        assert channel.encode() in moved.client.execute_command("PUBSUB", "SHARDCHANNELS")
    finally:
        cluster.move_back(channel)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    await bus.close()


def drained(queue):
    return [queue.get_nowait() for _ in range(queue.qsize())]


async def test_a_master_that_dies_is_said_waited_for_and_heard_again_when_it_is_back_and_empty():
    with running_cluster() as cluster:
        hurried = await bus_at(cluster.url, SystemClock())
        patient = hurried.patient()
        newest = {}

        async def listen():
            async for name, message in patient.deltas():
                newest.update({name: message})

        listening = asyncio.create_task(listen())
        await subscribed(patient, *CHANNELS, sharded=True)
        dying = cluster.nodes[0]  # the one that the setting names
        dying.stop()
        assert not await patient.answers()
        with pytest.raises(BusUnavailable, match="TRADEUL_REDIS_URL"):
            await hurried.publish_frames([(name, FRAME, b"lost", False) for name in LISTS])
        writing = asyncio.create_task(patient.publish_frames([(name, FRAME, b"late", True) for name in LISTS]))
        assert not (await asyncio.wait([writing], timeout=0.5))[0]
        dying.start()
        async with asyncio.timeout(20):
            await writing
            while not await patient.answers() or set(newest) != set(LISTS) or set(newest.values()) != {b"after"}:
                await patient.publish_frames([(name, FRAME, b"after", True) for name in LISTS])
        dying.client.flushall()
        assert await hurried.lacks(LISTS)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await patient.close()
        await hurried.close()


@pytest.mark.long
async def test_when_a_replica_takes_over_everything_goes_on_there():
    with running_cluster() as cluster:
        dying = cluster.nodes[0]
        replica = cluster.add_replica(dying)
        bus = (await bus_at(cluster.url, SystemClock())).patient()
        newest = {}

        async def listen():
            async for name, message in bus.deltas():
                newest.update({name: message})

        listening = asyncio.create_task(listen())
        await subscribed(bus, *CHANNELS, sharded=True)
        await bus.publish_frames([(name, FRAME, b"before", True) for name in LISTS])
        eventually(lambda: replica.client.dbsize() == dying.client.dbsize() > 0)
        dying.stop()
        async with asyncio.timeout(30):
            assert all([await bus.get_frame(name) == FRAME for name in LISTS])
            while not await bus.answers() or set(newest.values()) != {b"after"}:
                await bus.publish_frames([(name, FRAME, b"after", True) for name in LISTS])
        assert replica.client.execute_command("PUBSUB", "SHARDCHANNELS")
        assert set(newest) == set(LISTS)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await bus.close()


async def test_a_cluster_with_slots_that_nobody_serves_is_refused_or_waited_for():
    with running_cluster(last_slot=16_000) as cluster:
        with pytest.raises(StartError, match=r"^TRADEUL_REDIS_URL=\S+ is of a cluster that is not whole .*16,001 of 16,384 slots"):
            await bus_at(cluster.url, SystemClock())
        waiting = asyncio.create_task(bus_at(cluster.url, SystemClock(), wait=True))
        assert not (await asyncio.wait([waiting], timeout=0.3))[0]
        cluster.nodes[2].client.execute_command("CLUSTER ADDSLOTSRANGE", 16_001, 16_383)
        async with asyncio.timeout(20):
            bus = await waiting
        assert isinstance(bus, ClusterBus)
        await bus.close()
