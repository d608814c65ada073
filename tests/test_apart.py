"""Services apart: each a process of its own, over a real Redis with a password, some also over PostgreSQL."""

import asyncio
import json
import signal
import socket
import urllib.request
from contextlib import ExitStack, aclosing, contextmanager

import pytest
import redis

from tests.postgres import running_postgres
from tests.product import PORTS, UP, Product, eventually
from tests.redis_server import RedisServer, running_redis
from tradeul.client import Client, Snapshot

SERVICES = ("maintenance", "scanner", "filings", "gateway", "historical", "api")
FEW = {"daily_sessions": 30, "slot_sessions": 6, "rvol_sessions": 5}


class Apart:
    """Services of one state folder, each started and ended by itself."""

    def __init__(self, state, **settings):
        self.state = state
        with ExitStack() as stack:
            free = {name: stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for name in PORTS}
        self.settings = free | FEW | settings
        self.up = {}

    def start(self, *names):
        for name in names:
            self.up[name] = Product(self.state, command=(*UP, name), **self.settings)

    def logged(self, name, event):
        path = self.state / "logs" / f"{name}.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in map(json.loads, lines) if line["event"] == event]

    def health(self, name, **headers):
        asked = urllib.request.Request(f"http://127.0.0.1:{self.settings[f'{name}_port']}/health", headers=headers)
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return json.load(answer)

    def end(self, *names):
        """The exit codes after SIGTERM."""
        for name in names:
            self.up[name].process.send_signal(signal.SIGTERM)
        codes = {}
        for name in names:
            service = self.up.pop(name)
            service.ended(20)
            codes[name] = service.process.returncode
        return codes

    def next_snapshot(self, is_right=lambda snapshot: snapshot.rows):
        """Of a client of the gateway."""

        async def follow():
            client = Client(f"ws://127.0.0.1:{self.settings['gateway_port']}/ws", ["gappers_up"])
            async with asyncio.timeout(60), aclosing(client.events()) as events:
                async for event in events:
                    if isinstance(event, Snapshot) and is_right(event):
                        return event
            return None

        return asyncio.run(follow())


@contextmanager
def apart(state, **settings):
    services = Apart(state, **settings)
    try:
        yield services
    finally:
        for service in services.up.values():
            service.kill()


def test_six_processes_are_one_product_and_each_may_end_and_come_back(tmp_path):
    server = RedisServer()
    with apart(tmp_path, redis_url=server.url, simulator_tickers=100) as services:
        services.start(*SERVICES)
        for name in SERVICES:
            eventually(lambda name=name: "redis_waited_for" in services.up[name].said())
        server.start()
        try:
            before = services.next_snapshot()
            page = services.up["api"].ready()
            assert page.get("api/config")["socket"] == f"ws://127.0.0.1:{services.settings['gateway_port']}/ws"
            assert services.health("gateway", Origin=page.page.rstrip("/"))["status"] == "ok"  # the page is let in
            assert page.get("api/maintenance/status")["mode"] == "SIMULATED"  # asked of its own process

            services.up.pop("scanner").kill()
            services.start("scanner")
            again = services.next_snapshot(lambda snapshot: snapshot.rows and snapshot.epoch > before.epoch)
            assert (again.session, again.mode) == (before.session, before.mode)
            assert services.end(*SERVICES) == dict.fromkeys(SERVICES, 0)
        finally:
            server.stop()


STORING = ("maintenance", "scanner", "filings", "historical", "api")
DOCUMENTED = ("ticker:universe", "baselines:current", "maintenance:last_run", "trading:session", "lists:current")


def test_a_lost_redis_is_said_costs_nothing_and_is_whole_again_once_it_is_back(tmp_path):
    """Away for half a minute, and empty then."""
    server = RedisServer()
    server.start()
    try:
        with apart(tmp_path, redis_url=server.url) as services, redis.Redis.from_url(server.url) as client:
            services.start(*SERVICES)
            eventually(lambda: any(run["success"] for run in services.logged("maintenance", "maintenance_cycle_finished")), 120)
            before = services.next_snapshot()
            processes = {name: service.process.pid for name, service in services.up.items()}
            server.stop()
            for name in SERVICES:
                eventually(lambda name=name: services.health(name)["redis"] == "does not answer")
                assert services.health(name)["status"] == "degraded"
            with pytest.raises(TimeoutError):  # half a minute, in which nobody ends
                eventually_ended(services, 30)
            server.start()
            after = services.next_snapshot(lambda snapshot: snapshot.rows and snapshot.timestamp > before.timestamp)
            assert after.epoch == before.epoch, "a scanner that was started anew"
            eventually(lambda: all(client.exists(name) for name in DOCUMENTED), 30)
            for name in SERVICES:
                eventually(lambda name=name: services.health(name)["redis"] == "connected")
            assert {name: service.process.pid for name, service in services.up.items() if service.process.poll() is None} == processes
            server.stop()  # who waits for it ends in order, too
            assert services.end(*SERVICES) == dict.fromkeys(SERVICES, 0)
    finally:
        server.stop()


def eventually_ended(services, seconds):
    """Raises TimeoutError: none of them ended."""

    async def wait():
        async with asyncio.timeout(seconds):
            await asyncio.wait(
                [asyncio.create_task(asyncio.to_thread(service.process.wait, seconds)) for service in services.up.values()],
                return_when=asyncio.FIRST_COMPLETED,
            )

    asyncio.run(wait())


@pytest.mark.long
def test_on_postgresql_and_each_service_killed_in_turn(tmp_path, postgres):
    server = RedisServer()
    server.start()
    try:
        with apart(tmp_path, redis_url=server.url, database_url=postgres.new_database()) as services:
            services.start(*SERVICES)
            services.up["api"].ready()
            services.next_snapshot()
            for name in SERVICES:
                before = services.next_snapshot()
                services.up.pop(name).kill()
                services.start(name)
                services.up[name].ready()
                services.next_snapshot(lambda snapshot, before=before: snapshot.rows and snapshot.timestamp > before.timestamp)
            page = services.up["api"]
            eventually(lambda: page.get("api/maintenance/runs")[0]["success"], 120)
            assert page.get("api/lists/gappers_up")["rows"] and page.get("api/breadth")
            assert services.end(*SERVICES) == dict.fromkeys(SERVICES, 0)
    finally:
        server.stop()


def test_a_lost_database_is_said_by_all_who_need_it_and_nobody_ends(tmp_path, postgres):
    with (
        running_redis() as redis_server,
        running_postgres() as database,
        apart(tmp_path, redis_url=redis_server.url, database_url=database.new_database()) as services,
    ):
        services.start(*SERVICES)
        services.up["api"].ready()
        eventually(lambda: any(run["success"] for run in services.logged("maintenance", "maintenance_cycle_finished")), 120)
        before = services.next_snapshot()
        for words, change in (("does not answer", database.stop), ("connected", database.start)):
            change()
            for name in STORING:
                eventually(lambda name=name, words=words: services.health(name)["catalog"] == words)
            assert "catalog" not in services.health("gateway")
            eventually(lambda words=words: services.logged("api", {"connected": "database_answers"}.get(words, "database_lost")))
            services.next_snapshot(lambda snapshot: snapshot.rows and snapshot.timestamp > before.timestamp)
        assert services.end(*SERVICES) == dict.fromkeys(SERVICES, 0)
