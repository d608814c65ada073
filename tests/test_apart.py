"""Services apart: each a process of its own, over a real Redis with a password; what cannot work alone is refused."""

import asyncio
import json
import signal
import socket
from contextlib import ExitStack, aclosing, contextmanager

from tests.product import PORTS, UP, Product, eventually
from tests.redis_server import RedisServer
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
    redis = RedisServer()
    with apart(tmp_path, redis_url=redis.url) as services:
        services.start(*SERVICES)
        for name in SERVICES:
            eventually(lambda name=name: services.logged(name, "redis_waited_for"))
        redis.start()
        try:
            before = services.next_snapshot()
            page = services.up["api"].ready()
            assert page.get("api/config")["socket"] == f"ws://127.0.0.1:{services.settings['gateway_port']}/ws"
            assert page.get("api/maintenance/status")["mode"] == "SIMULATED"  # asked of its own process

            services.up.pop("scanner").kill()
            services.start("scanner")
            again = services.next_snapshot(lambda snapshot: snapshot.rows and snapshot.epoch > before.epoch)
            assert (again.session, again.mode) == (before.session, before.mode)
            assert services.end(*SERVICES) == dict.fromkeys(SERVICES, 0)
        finally:
            redis.stop()
