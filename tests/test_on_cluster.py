"""The product over a cluster of three masters: services apart, two gateways behind one address, fifty clients, a master that dies."""

import asyncio

import pytest

from tests.followed import Crowd
from tests.one_address import one_address
from tests.product import UP, Product, eventually
from tests.redis_server import free_port
from tests.test_apart import DOCUMENTED, SERVICES, apart
from tests.valkey_cluster import running_cluster
from tradeul.bus.cluster import bus_at
from tradeul.clock import SystemClock
from tradeul.scanner.definitions import built_in_lists

STATES = 12  # of its busiest list, that every client follows


@pytest.mark.long
def test_fifty_clients_over_two_gateways_get_every_delta_and_a_master_may_die(tmp_path):
    with running_cluster() as cluster, apart(tmp_path, redis_url=cluster.url) as services:
        services.settings["second_port"] = free_port()
        services.start(*SERVICES)
        second = services.settings | {"gateway_port": services.settings["second_port"]}
        second.pop("second_port")
        services.up["second"] = Product(tmp_path, command=(*UP, "gateway"), **second)
        services.next_snapshot()
        eventually(lambda: services.health("second")["redis"] == "connected")
        asyncio.run(everything_arrives(services, cluster.url))
        eventually(lambda: any(run["success"] for run in services.logged("maintenance", "maintenance_cycle_finished")), 120)

        before, talks = services.next_snapshot(), (*SERVICES, "second")
        processes = {name: service.process.pid for name, service in services.up.items()}
        dying = cluster.owner("ticker:universe")
        dying.stop()
        for name in talks:
            eventually(lambda name=name: services.health(name)["redis"] == "does not answer")
        dying.start()
        after = services.next_snapshot(lambda snapshot: snapshot.rows and snapshot.timestamp > before.timestamp)
        assert after.epoch == before.epoch, "a scanner that was started anew"
        eventually(lambda: all(cluster.owner(name).client.exists(name) for name in DOCUMENTED), 30)
        for name in talks:
            eventually(lambda name=name: services.health(name)["redis"] == "connected")
        assert {name: service.process.pid for name, service in services.up.items() if service.process.poll() is None} == processes
        asyncio.run(everything_arrives(services, cluster.url))
        assert services.end(*SERVICES, "second") == dict.fromkeys((*SERVICES, "second"), 0)


async def everything_arrives(services, url):
    """Each state of each list, one after the other, at each client; and rows as the frame has them that stands meanwhile."""
    lists = [each.name for each in built_in_lists()]
    ports = [services.settings[name] for name in ("gateway_port", "second_port")]
    bus, frames = await bus_at(url, SystemClock()), {}
    async with asyncio.timeout(120), one_address(*ports) as front:
        crowd = Crowd(front.address, lists)
        try:
            await crowd.all_hold(lambda _: True)
            begun = {name: max(each.held[name].sequence for each in crowd.clients) for name in lists}
            while max(sequence - begun[name] for name, _, sequence in crowd.shown) < STATES:
                for name in lists:
                    frame = await bus.get_frame(name)
                    frames[name, frame.epoch, frame.sequence] = frame.rows
                await asyncio.sleep(0.1)
            ends = {name: max(sequence for known, _, sequence in crowd.shown if known == name) for name in lists}
            await crowd.all_hold(lambda state: state.sequence >= ends[state.list])
        finally:
            await crowd.leave()
            await bus.close()
    assert [(each.gaps, each.losses) for each in crowd.clients] == [([], 0)] * 50
    common = frames.keys() & crowd.shown.keys()
    assert len(common) > STATES and {place: frames[place] for place in common} == {place: crowd.shown[place] for place in common}
    counted = [sum(each.deltas.values()) for each in crowd.clients]
    print(f"{sum(counted):,} deltas at {len(counted)} clients, {len(common)} frames compared")
