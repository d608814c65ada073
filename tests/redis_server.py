"""A Redis server with a password for tests: Debian's where it is installed, else the embedded one's binary; killed and started at will."""

import shutil
import socket
import subprocess
import time
from contextlib import contextmanager

import redis

from tests.lifeline import started
from tradeul.bus.embedded import server_binary

PASSWORD, SECONDS = "open sesame", 10


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class RedisServer:
    def __init__(self):
        self.port = free_port()
        self.url = f"redis://:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{self.port}"
        self._process = None

    def start(self):
        binary = shutil.which("redis-server") or server_binary()
        arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--requirepass", PASSWORD]
        self._process = started([binary, *arguments], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + SECONDS
        while not self._answers():
            assert self._process.poll() is None and time.monotonic() < deadline

    def stop(self):
        """Nothing of what it held is kept."""
        self._process.kill()
        self._process.wait(SECONDS)

    def empty(self):
        with redis.Redis.from_url(self.url) as client:
            client.flushall()

    def _answers(self):
        try:
            with redis.Redis.from_url(self.url) as client:
                return client.ping()
        except redis.RedisError:
            return False


@contextmanager
def running_redis():
    server = RedisServer()
    server.start()
    try:
        yield server
    finally:
        server.stop()
