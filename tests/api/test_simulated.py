from tests.api.serving import serving
from tests.simulator.conftest import instant
from tests.simulator.conftest import serving as simulating
from tradeul.api.client import SimulatorClient
from tradeul.api.simulated import SimulatedRoutes

CUT = "/api/simulated/cut"


async def test_the_feed_is_cut_for_ten_seconds():
    async with simulating(instant(9, 31)) as (simulator, _):
        address = f"http://127.0.0.1:{simulator.port}"
        routes = SimulatedRoutes(SimulatorClient(address, "k"))
        async with serving(routes) as asker, asker.client.ws_connect(f"{address}/stocks") as stream:
            await stream.receive()  # its greeting
            assert await asker.ask("POST", CUT) == {"seconds": 10.0}
            assert (await stream.receive()).type.name in ("CLOSE", "CLOSING", "CLOSED")


async def test_a_market_that_does_not_answer_is_said():
    async with serving(SimulatedRoutes(SimulatorClient("http://127.0.0.1:9", "k"))) as asker:
        assert "did not take it" in await asker.refused("POST", CUT, 503)


async def test_a_real_market_has_no_such_switch():
    async with serving() as asker:
        await asker.refused("POST", CUT, 404)
