import asyncio
import os
import signal
from contextlib import asynccontextmanager
from datetime import date

import msgspec
import numpy as np
import pytest

from tradeul.bus.cluster import ClusterBus
from tradeul.bus.embedded import EmbeddedServer
from tradeul.bus.redis import Bus
from tradeul.bus.slot_averages import restores
from tradeul.bus.topics import BASELINES_CHANGED, EXPLAIN, FILINGS, delta_channel
from tradeul.clock import SystemClock
from tradeul.errors import NoAnswer
from tradeul.records.events import BaselinesChanged
from tradeul.records.explanations import ExplainAnswer
from tradeul.records.lists import ListFrame

SESSION = date(2026, 3, 9)
FRAME = ListFrame(SESSION, 3, 7, [{"symbol": "A", "rank": 0, "price": None}], "SIMULATED", 1)


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


async def of_every_node(bus, *command):
    """What the one server, or each master, lists, together."""
    nodes = bus.redis.get_primaries() if isinstance(bus, ClusterBus) else [bus.redis]
    return [each for node in nodes for each in await node.execute_command(*command)]


async def subscribed(bus, *channels, sharded=False):
    """Return once somebody listens to each."""
    asked = "SHARDCHANNELS" if sharded else "CHANNELS"
    async with asyncio.timeout(5):
        while not {channel.encode() for channel in channels} <= {*await of_every_node(bus, "PUBSUB", asked)}:
            await asyncio.sleep(0.01)


async def test_what_is_published_arrives_as_the_same_record_and_who_published_knows_how_many_heard(bus):
    assert await bus.publish(BASELINES_CHANGED, BaselinesChanged(SESSION)) == 0
    heard = [asyncio.Queue(), asyncio.Queue()]

    async def listen(queue):
        async for record in bus.subscribe(BASELINES_CHANGED):
            queue.put_nowait(record)

    listening = [asyncio.create_task(listen(queue)) for queue in heard]
    async with asyncio.timeout(5):
        while await bus.publish(BASELINES_CHANGED, BaselinesChanged(SESSION)) != 2:
            await asyncio.sleep(0.01)
        assert [await queue.get() for queue in heard] == [BaselinesChanged(SESSION)] * 2
    for task in listening:
        task.cancel()
    await asyncio.gather(*listening, return_exceptions=True)


async def test_a_frame_its_keys_and_its_message_are_one(bus):
    messages = bus.deltas()
    waiting = asyncio.create_task(first_of(messages))
    await subscribed(bus, delta_channel("winners"), delta_channel("mine"), sharded=True)
    await bus.publish_frames([("winners", FRAME, b'{"type":"delta"}', True), ("mine", FRAME, b"{}", False)])
    assert dict([await waiting, await anext(messages)]) == {"winners": b'{"type":"delta"}', "mine": b"{}"}
    assert await bus.get_frame("winners") == FRAME == await bus.get_frame("mine")
    assert await bus.redis.get("scanner:sequence:winners") == b"7"
    assert sorted(await of_every_node(bus, "KEYS", "scanner:*")) == [b"scanner:category:winners", b"scanner:sequence:winners"]


async def test_every_message_of_every_list_arrives_in_its_order_and_never_ahead_of_its_frame(bus):
    names = [f"list{number}" for number in range(32)]
    heard = {name: [] for name in names}

    async def listen():
        async for name, message in bus.deltas():
            heard[name].append(int(message))
            assert (await bus.get_frame(name)).sequence >= int(message)
            if all(len(messages) == 20 for messages in heard.values()):
                return

    listening = asyncio.create_task(listen())
    await subscribed(bus, *(f"scanner:deltas:{number}" for number in range(16)), sharded=True)
    for sequence in range(20):
        frame = msgspec.structs.replace(FRAME, sequence=sequence)
        await bus.publish_frames([(name, frame, b"%d" % sequence, False) for name in names])
    async with asyncio.timeout(10):
        await listening
    assert all(messages == list(range(20)) for messages in heard.values())


async def test_a_key_that_is_gone_is_missed(bus):
    await bus.put_lists([])
    await bus.publish_frames([(name, FRAME, b"{}", True) for name in ("winners", "losers")])
    assert not await bus.lacks(["winners", "losers"]) and await bus.lacks(["winners", "gappers_up"])
    await bus.redis.delete("lists:current")
    assert await bus.lacks(["winners"])


async def test_the_universe_is_replaced_at_once_and_what_left_it_is_forgotten(bus):
    for symbols in ([f"T{number}" for number in range(300)], [f"T{number}" for number in range(200, 400)]):
        await bus.put_metadata(dict.fromkeys(symbols, b"{}"))
        await bus.put_averages(restores(symbols, np.ones((len(symbols), 192), dtype=np.int64)))
        await bus.draft_universe(symbols)
        await bus.put_universe()
    assert await bus.count_universe() == 200
    assert await bus.without_keys(["T1", *symbols], symbols) == ["T1"]
    await bus.drop_averages(["T200", "T201"])
    assert await bus.without_keys(symbols, symbols) == ["T200", "T201"]


async def test_what_is_lost_of_a_session_is_noticed(bus):
    assert await bus.has_lost(SESSION, universe=False)
    await bus.put_baselines(SESSION, b"blob")
    assert not await bus.has_lost(SESSION, universe=False) and await bus.has_lost(SESSION, universe=True)
    symbols = [f"T{number}" for number in range(50)]
    await bus.put_metadata(dict.fromkeys(symbols, b"{}"))
    await bus.draft_universe(symbols)
    await bus.put_universe()
    assert not await bus.has_lost(SESSION, universe=True)
    await bus.redis.unlink("metadata:ticker:T7")  # all fifty are drawn
    assert await bus.has_lost(SESSION, universe=False)


async def test_a_blob_of_many_pieces_is_whole(bus):
    blob = bytes(range(256)) * 20_000
    await bus.put_baselines(SESSION, blob)
    assert await bus.get_baselines(SESSION) == blob
    assert await bus.drop_baselines([SESSION, date(2026, 3, 10)]) == 1


async def test_the_active_symbols_are_those_put_last(bus):
    for symbols in ({"A", "B"}, {"B", "C"}, set(), {"D"}):
        await bus.put_active(symbols)
        assert await bus.get_active() == symbols


async def test_a_stream_is_followed_over_its_end_and_from_its_start(bus):
    await bus.append(FILINGS, [(3, b"c"), (4, b"d")])
    assert await bus.last_number(FILINGS) == 4
    following = bus.follow(FILINGS, from_start=True)
    assert await anext(following) == [b"c", b"d"]
    waiting = asyncio.create_task(first_of(following))
    await bus.append(FILINGS, [(5, b"e")])
    async with asyncio.timeout(10):
        assert await waiting == [b"e"]


async def test_who_asks_gets_the_answer_and_hears_at_once_that_nobody_is_there(bus):
    with pytest.raises(NoAnswer, match="No scanner listens"):
        await bus.ask_to_explain("winners", "A")

    async def answer():
        asked = await first_of(bus.subscribe(EXPLAIN))
        await bus.answer(asked.reply_to, ExplainAnswer(unknown_list=f"{asked.list} {asked.symbol}"))

    answering = asyncio.create_task(answer())
    await subscribed(bus, EXPLAIN.channel)
    assert (await bus.ask_to_explain("winners", "A")).unknown_list == "winners A"
    await answering


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
