"""The fake scanner as a fixture: test modules do not import each other under pytest's importlib mode."""

import importlib.util
from pathlib import Path

import pytest

from tests.gateway.stand import standing
from tradeul.bus.embedded import EmbeddedServer
from tradeul.clock import SystemClock
from tradeul.gateway import server as gateway_server


@pytest.fixture(scope="session")
def scanner():
    spec = importlib.util.spec_from_file_location("fake_scanner", Path(__file__).parent / "fake_scanner.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
async def valkey(tmp_path):
    server = EmbeddedServer(tmp_path, SystemClock())
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def stand(valkey, scanner, monkeypatch):
    monkeypatch.setattr(gateway_server, "LOOK_SECONDS", 0.05)
    async with standing(valkey, scanner) as stand:
        yield stand


@pytest.fixture
async def guarded(valkey, scanner):
    """One that asks for a token."""
    async with standing(valkey, scanner, token="secret") as stand:
        yield stand
