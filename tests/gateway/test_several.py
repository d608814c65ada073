"""Several gateways behind one address over a cluster: one truth, whichever of them a client reaches."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager

from tests.followed import Crowd
from tests.gateway.stand import NOON
from tests.one_address import one_address
from tradeul.bus.cluster import bus_at
from tradeul.bus.topics import DELTA_CHANNELS, delta_channel
from tradeul.clock import SteppedClock
from tradeul.gateway.server import GatewayServer
from tradeul.market_calendar import nyse
from tradeul.ops.callers import Callers
from tradeul.records.lists import ListDefinition

LISTS = [f"list_{number}" for number in range(6)]
STEPS = 12


@asynccontextmanager
async def gateway_of(cluster):
    clock = SteppedClock(NOON)
    bus = await bus_at(cluster.url, clock)
    gateway = GatewayServer(bus, clock, nyse(), "SIMULATED", Callers(), 0)
    running = asyncio.create_task(gateway.run())
    await gateway.started.wait()
    try:
        yield gateway
    finally:
        running.cancel()
        await asyncio.wait([running])
        await bus.close()


async def until_heard(cluster, gateways):
    """Every channel, by each gateway."""
    for number in range(DELTA_CHANNELS):
        channel = f"scanner:deltas:{number}"
        client = cluster.owner(channel).client
        while client.execute_command("PUBSUB", "SHARDNUMSUB", channel)[1] != gateways:
            await asyncio.sleep(0.01)


async def test_fifty_clients_over_two_gateways_get_every_delta_and_go_on_at_the_other_one_when_theirs_ends(cluster, scanner):
    assert {cluster.owner(delta_channel(name)) for name in LISTS} == set(cluster.nodes)
    cluster.empty()
    bus = await bus_at(cluster.url, SteppedClock(NOON))
    flows = [scanner.Flow(name, seed) for seed, name in enumerate(LISTS)]
    frames = {}

    async def publish(messages=None):
        await scanner.publish(bus, *flows, messages=messages)
        frames.update({(flow.name, flow.epoch, flow.sequence): flow.frame.rows for flow in flows})

    await bus.put_lists([ListDefinition(name, name, "price > 1", (("price", "desc"),), scanner.COLUMNS, built_in=True) for name in LISTS])
    await publish()
    async with asyncio.timeout(60), AsyncExitStack() as stack:
        staying = await stack.enter_async_context(gateway_of(cluster))
        second = await stack.enter_async_context(AsyncExitStack())
        leaving = await second.enter_async_context(gateway_of(cluster))
        await until_heard(cluster, 2)
        front = await stack.enter_async_context(one_address(staying.port, leaving.port))
        crowd = Crowd(front.address, LISTS)
        stack.push_async_callback(crowd.leave)
        await crowd.all_hold(lambda state: state.sequence == 0)
        for _ in range(STEPS):
            await publish([flow.step() for flow in flows])
        await crowd.all_hold(lambda state: state.sequence == STEPS)
        assert [len(gateway._viewers) for gateway in (staying, leaving)] == [25, 25]
        assert [each.deltas for each in crowd.clients] == [dict.fromkeys(LISTS, STEPS)] * 50

        await second.aclose()
        for after in (1, 2):
            await publish([flow.step() for flow in flows])
            await crowd.all_hold(lambda state, goal=STEPS + after: state.sequence == goal)
        assert (len(staying._viewers), staying._gaps) == (50, 0)
        assert sorted(each.losses for each in crowd.clients) == [0] * 25 + [1] * 25
        assert [each.gaps for each in crowd.clients] == [[]] * 50
        assert crowd.shown == frames
    await bus.close()
