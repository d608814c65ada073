"""Scanners on state folders of their own over one real Redis: one writes, whatever happens to it; other products are refused."""

import asyncio
import shutil
import signal
import threading
import urllib.request
from contextlib import aclosing, contextmanager
from datetime import date

import msgspec
import pytest
import redis

from tests.product import UP, Product, eventually
from tests.redis_server import running_redis
from tests.test_apart import Apart, apart
from tests.valkey_cluster import running_cluster
from tradeul import assemble
from tradeul.assemble.borders import refuse_others
from tradeul.bus.claim import Holder
from tradeul.bus.cluster import bus_at
from tradeul.bus.topics import claim_key
from tradeul.client import Client, Snapshot
from tradeul.clock import SystemClock
from tradeul.errors import StartError
from tradeul.records.lists import ListFrame
from tradeul.records.messages import decode
from tradeul.scanner.definitions import built_in_lists
from tradeul.settings import Settings

KEY = claim_key("scanner")
TOGETHER = ("maintenance", "scanner", "filings", "gateway")


def claim(client, market="simulated", milliseconds=3_600_000):
    """As another process does."""
    client.set(KEY, msgspec.json.encode(Holder("another's", market, "elsewhere:/state")), px=milliseconds)


async def never(*_):
    raise AssertionError("it started")


@pytest.mark.parametrize(
    ("simulate", "market", "services", "says"),
    [
        (True, "real", (), "the scanner of elsewhere:/state writes the real market there"),
        (True, "real", ("gateway",), "the scanner of elsewhere:/state writes the real market there"),
        (False, "simulated", ("scanner",), "the scanner of elsewhere:/state writes the simulated market there"),
        (True, "simulated", (), "the scanner of elsewhere:/state writes there, and a second product would write the same keys"),
    ],
)
async def test_another_market_and_a_second_product_are_refused_before_anything_is_touched(
    tmp_path, server, simulate, market, services, says
):
    server.empty()
    with redis.Redis.from_url(server.url) as client:
        claim(client, market)
        settings = Settings(state=tmp_path / "state", redis_url=server.url, MASSIVE_API_KEY="a key")
        with pytest.raises(StartError) as refused:
            await assemble.up(settings, simulate=simulate, fresh=False, ready=never, services=services)
    assert str(refused.value).startswith(f"TRADEUL_REDIS_URL: {says}") and not settings.state.exists()


async def test_what_a_killed_process_of_the_same_folder_still_claims_refuses_nobody(tmp_path, server):
    server.empty()
    with redis.Redis.from_url(server.url) as client:
        claim(client)
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / "scanner.claim").write_text("another's")
    await refuse_others(Settings(state=tmp_path, redis_url=server.url), simulated=True, is_whole=True)


def test_a_scanner_stands_by_while_another_writes_and_again_when_it_lost_its_claim(tmp_path):
    with running_redis() as server, redis.Redis.from_url(server.url) as client, apart(tmp_path, redis_url=server.url) as services:
        claim(client)
        client.set("lists:current", msgspec.json.encode([each.definition for each in built_in_lists()]))
        client.set("frames:gappers_up", msgspec.json.encode(ListFrame(date(2026, 3, 6), 1000, 0, [], "SIMULATED", 0)))  # of another catalog
        services.settings["simulator_tickers"] = 100
        services.up["all"] = Product(tmp_path, command=(*UP, *TOGETHER), **services.settings)
        services.up["all"].ready()
        assert [services.health(name)["role"] for name in ("scanner", "filings", "maintenance")] == ["stands by", "leads", "leads"]
        assert is_ready(services) == 503 and not client.exists("frames:winners")
        client.delete(KEY)
        before = services.next_snapshot()
        assert before.epoch == 1001
        assert services.health("scanner")["role"] == "leads" and is_ready(services) == 200
        claim(client, milliseconds=1_500)
        eventually(lambda: services.health("scanner")["role"] == "stands by")
        after = services.next_snapshot(lambda snapshot: snapshot.rows and snapshot.epoch > before.epoch)
        assert (after.session, after.mode) == (before.session, before.mode)
        assert services.end("all") == {"all": 0}
        assert not client.exists(KEY), "it was not let go"


def is_ready(services):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{services.settings['scanner_port']}/ready", timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


class Heard:
    """The epochs of one list, in order: of every message on the bus, and of every state that a client has."""

    def __init__(self, url, port):
        self.told, self.shown = [], []
        self._url, self._port = url, port
        self._thread = threading.Thread(target=lambda: asyncio.run(self._hear()))

    def __enter__(self):
        self._loop_ready = threading.Event()
        self._thread.start()
        self._loop_ready.wait()
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join()

    async def _hear(self):
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        self._loop_ready.set()
        bus = await bus_at(self._url, SystemClock())
        try:
            await asyncio.gather(self._listen(bus), self._follow())
        except asyncio.CancelledError:
            pass
        finally:
            await bus.close()

    async def _listen(self, bus):
        async with aclosing(bus.deltas()) as messages:
            async for name, message in messages:
                if name == "winners":
                    self.told.append(decode(message).epoch)

    async def _follow(self):
        client = Client(f"ws://127.0.0.1:{self._port}/ws", ["winners"])
        async with aclosing(client.events()) as events:
            async for event in events:
                if isinstance(event, Snapshot):
                    self.shown.append(event.epoch)


@contextmanager
def two_scanners(tmp_path, url):
    """A product, and a second scanner on a folder of its own: the same simulated market at the same time."""
    with apart(tmp_path / "a", redis_url=url, simulator_tickers=100) as first:
        first.start("maintenance", "gateway", "scanner")
        eventually(lambda: first.logged("scanner", "lead_taken"))
        second = Apart(tmp_path / "b", **first.settings)
        second.settings |= {"scanner_port": Apart(tmp_path / "b").settings["scanner_port"]}
        shutil.copytree(tmp_path / "a" / "simulated", tmp_path / "b" / "simulated", ignore=lambda *_: ["catalog.db", "lake", "bus.sock"])
        try:
            second.start("scanner")
            eventually(lambda: second.logged("scanner", "stands_by"))
            yield first, second
        finally:
            for service in second.up.values():
                service.kill()


def shows(heard, count):
    """Each so many epochs."""
    eventually(lambda: len(set(heard.told)) == len(set(heard.shown)) == count)


@pytest.mark.long
@pytest.mark.parametrize("running", [running_redis, running_cluster])
def test_of_two_scanners_the_second_goes_on_when_the_first_dies_or_freezes_and_nothing_of_a_frozen_one_arrives(tmp_path, running):
    with (
        running() as server,
        two_scanners(tmp_path, server.url) as (first, second),
        Heard(server.url, first.settings["gateway_port"]) as heard,
    ):
        shows(heard, 1)
        frozen = first.up["scanner"].process
        frozen.send_signal(signal.SIGSTOP)
        shows(heard, 2)
        frozen.send_signal(signal.SIGCONT)
        eventually(lambda: first.health("scanner")["role"] == "stands by")
        assert second.health("scanner")["role"] == "leads"
        counted = len(heard.shown)
        eventually(lambda: len(heard.shown) > counted + 3)

        second.up.pop("scanner").kill()
        shows(heard, 3)
        assert first.health("scanner")["role"] == "leads"
        first.up.pop("scanner").kill()
        first.start("scanner")  # its folder's claim is its own: nobody waits for it to expire
        shows(heard, 4)
        assert len(first.logged("scanner", "stands_by")) == 1
        assert heard.told == sorted(heard.told) and heard.shown == sorted(heard.shown)
        assert first.end("scanner", "gateway", "maintenance") == dict.fromkeys(("scanner", "gateway", "maintenance"), 0)
