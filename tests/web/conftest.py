"""The whole way from the bus to a real Chromium: embedded Valkey, gateway, API, and an invented market."""

import asyncio
import importlib.util
import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Error, async_playwright, expect

from tradeul.api.layouts import LayoutRoutes
from tradeul.api.server import ApiServer
from tradeul.bus.embedded import EmbeddedServer
from tradeul.bus.redis import Bus
from tradeul.clock import SimulatedClock, SystemClock
from tradeul.gateway.server import GatewayServer
from tradeul.market_calendar import nyse
from tradeul.ops.callers import Callers
from tradeul.store.catalog import Catalog
from tradeul.store.layouts import LayoutStore

expect.set_options(timeout=10_000)
CHROMIUM = "/usr/bin/chromium"
PATIENCE_MS = 20_000  # beyond any machine that does something else too
expect.set_options(timeout=PATIENCE_MS)
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
ARGUMENTS += ["--disable-component-update", "--disable-sync"]


def load_fake_market():
    """Test modules do not import each other under pytest's importlib mode."""
    spec = importlib.util.spec_from_file_location("fake_market", Path(__file__).parent / "fake_market.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def fake_market():
    return load_fake_market()


class Stand:
    """What serves the page. The market moves when a test says so."""

    def __init__(self, state, fake_market, token=None):
        self.clock = SimulatedClock(datetime.now(UTC), fake_market.START, 1.0)
        self.valkey = EmbeddedServer(state, SystemClock())
        self.market = fake_market.Market()
        self.callers = Callers(token=token)
        self.catalog = Catalog(f"sqlite:///{state / 'catalog.db'}")
        self.gateway_port = 0
        self.tasks = {}

    async def start(self):
        await self.valkey.start()
        self.bus = Bus(self.valkey.url, SystemClock())
        await self.bus.put_lists(self.market.definitions)
        await self.start_gateway()
        self.api = ApiServer(self.bus, self.clock, nyse(), "SIMULATED", self.callers, 0, self.gateway_port, beside=self.beside())
        self.tasks["api"] = asyncio.create_task(self.api.run())
        await self.api.started.wait()
        self.callers.page_ports.add(self.api.port)
        self.url = f"http://127.0.0.1:{self.api.port}/"
        await self.step()

    def beside(self):
        return [LayoutRoutes(LayoutStore(self.catalog))]

    async def start_gateway(self):
        gateway = GatewayServer(self.bus, self.clock, nyse(), "SIMULATED", self.callers, self.gateway_port)
        self.tasks["gateway"] = asyncio.create_task(gateway.run())
        await gateway.started.wait()
        self.gateway, self.gateway_port = gateway, gateway.port

    async def step(self):
        await self.market.step(self.bus)

    async def end(self, name):
        task = self.tasks.pop(name)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def stop(self):
        for name in list(self.tasks):
            await self.end(name)
        await self.bus.close()
        await self.valkey.stop()
        self.catalog.close()


@asynccontextmanager
async def chromium_running():
    async with async_playwright() as playwright:
        try:
            chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        except Error as error:
            pytest.skip(f"no Chromium at {CHROMIUM}: {str(error).splitlines()[0]}")
        yield chromium
        await chromium.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser():
    async with chromium_running() as chromium:
        yield chromium


@asynccontextmanager
async def standing(state, fake_market, token=None):
    stand = Stand(state, fake_market, token)
    try:
        await stand.start()
        yield stand
    finally:
        await stand.stop()


@pytest.fixture(scope="session")
def make_stand():
    return standing


@pytest_asyncio.fixture(loop_scope="module")
async def stand(tmp_path, fake_market):
    async with standing(tmp_path, fake_market) as stand:
        yield stand


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def quiet_page(browser, tmp_path_factory, fake_market):
    """One page for tests that only look: its market stands still."""
    stand = Stand(tmp_path_factory.mktemp("quiet"), fake_market)
    context = await browser.new_context(viewport={"width": 1600, "height": 1000})
    try:
        await stand.start()
        page = await context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        await page.goto(stand.url)
        yield page
    finally:
        await context.close()
        await stand.stop()


class Watched:
    """A page with everything it complained about and everything it asked for."""

    def __init__(self, page, stand):
        self.page, self.stand, self.complaints, self.hosts, self.sent = page, stand, [], set(), []
        page.on("console", lambda message: self.complaints.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.hosts.add(urlsplit(request.url).netloc))
        page.on("websocket", self.listen)
        self.own_hosts = {f"127.0.0.1:{stand.api.port}", f"127.0.0.1:{stand.gateway_port}", ""}  # the last: data: addresses

    def listen(self, socket):
        self.hosts.add(urlsplit(socket.url).netloc)
        socket.on("framesent", lambda frame: self.sent.append(json.loads(frame)))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def watched_page(browser, tmp_path_factory, fake_market):
    """One page and its stand for a whole module: for tests that leave it as they found it."""
    stand = Stand(tmp_path_factory.mktemp("watched"), fake_market)
    context = await browser.new_context(viewport={"width": 1600, "height": 1000}, permissions=["clipboard-read", "clipboard-write"])
    try:
        await stand.start()
        page = await context.new_page()
        page.set_default_timeout(10_000)
        watched = Watched(page, stand)
        await page.goto(stand.url)
        yield watched
    finally:
        await context.close()
        await stand.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def open_page(browser, stand):
    contexts = []

    async def open_page(**options):
        context = await browser.new_context(**({"viewport": {"width": 1600, "height": 1000}} | options))
        contexts.append(context)
        page = await context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        watched = Watched(page, stand)
        await page.goto(stand.url)
        return watched

    yield open_page
    for context in contexts:
        await context.close()
