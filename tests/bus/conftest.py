"""Every server that the bus may stand on: one suite for all."""

import pytest

from tradeul.bus.cluster import bus_at
from tradeul.bus.embedded import EmbeddedServer
from tradeul.clock import SystemClock


@pytest.fixture(params=["embedded", "server", "cluster"])
async def bus(request, tmp_path):
    """An empty one."""
    embedded = EmbeddedServer(tmp_path, SystemClock())
    if request.param == "embedded":
        await embedded.start()
        url = embedded.url
    else:
        running = request.getfixturevalue(request.param)
        running.empty()
        url = running.url
    bus = await bus_at(url, SystemClock())
    yield bus
    await bus.close()
    await embedded.stop()
