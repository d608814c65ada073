"""What one server of the bus takes to tell gateways: processor time for each message and byte that leaves it, by the server's own count.

    python benchmarks/bus.py [--gateways 1,10,50,200] [--bytes 5600] [--rounds 300]

A gateway is a connection that hears the 16 sharded channels and reads; a round is a cycle of the scanner, eleven lists with
their frames and the people's keys, as `Bus.publish_frames` writes them. The server is the embedded one, over TCP
here as it would be for other machines. Then: how large one value may become (`baselines:{session}` is one).
"""

import argparse
import asyncio
import selectors
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import redis
from redis.exceptions import RedisError

from tradeul.bus.embedded import server_binary
from tradeul.bus.redis import BLOB_PIECE_BYTES, Bus
from tradeul.bus.topics import DELTA_CHANNELS
from tradeul.clock import SystemClock
from tradeul.records.lists import ListFrame
from tradeul.scanner.definitions import built_in_lists

ROWS, CELLS = 48, 24  # of a list on average: 524 rows are on eleven
SESSION = date(2026, 3, 9)


@contextmanager
def running_server(folder: Path) -> Iterator[tuple[int, int]]:
    """The embedded one's binary over TCP: its port, and its process."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    arguments = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(folder)]
    process = subprocess.Popen([server_binary(), *arguments, "--logfile", str(folder / "bus.log")])
    try:
        time.sleep(1)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(10)


class Readers(threading.Thread):
    """Gateways' connections, emptied; what they got is counted."""

    def __init__(self, port: int, gateways: int) -> None:
        super().__init__(daemon=True)
        self.received, self._over = 0, threading.Event()
        self._selector = selectors.DefaultSelector()
        channels = b"".join(f"SSUBSCRIBE scanner:deltas:{number}\r\n".encode() for number in range(DELTA_CHANNELS))
        for _ in range(gateways):
            connection = socket.create_connection(("127.0.0.1", port))
            connection.sendall(channels)
            self._selector.register(connection, selectors.EVENT_READ)

    def run(self) -> None:
        while not self._over.is_set():
            for key, _ in self._selector.select(0.1):
                self.received += len(key.fileobj.recv(1 << 20))  # type: ignore[union-attr]

    def end(self) -> None:
        self._over.set()
        self.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]


async def publish(port: int, rounds: int, size: int) -> None:
    bus = Bus(f"redis://127.0.0.1:{port}", SystemClock())
    rows = [{"symbol": f"S{row}"} | {f"column_{cell}": 12.34 + cell for cell in range(CELLS)} for row in range(ROWS)]
    message = b"x" * size
    for sequence in range(rounds):
        frame = ListFrame(SESSION, 1, sequence, rows, "SIMULATED", 1_773_072_000_000)
        await bus.publish_frames([(found.name, frame, message, True) for found in built_in_lists()])
    await bus.close()


def spent(client: "redis.Redis") -> tuple[float, int]:
    used, net = client.info("cpu"), client.info("stats")
    return used["used_cpu_user"] + used["used_cpu_sys"], net["total_net_output_bytes"]


def fan_out(port: int, gateways: list[int], rounds: int, size: int) -> None:
    lists = len(built_in_lists())
    with redis.Redis(port=port) as client:
        for count in gateways:
            readers = Readers(port, count)
            readers.start()
            while count and client.pubsub_shardnumsub("scanner:deltas:15")[0][1] < count:
                time.sleep(0.05)
            before = spent(client)
            asyncio.run(publish(port, rounds, size))
            time.sleep(1)
            cpu, out = (then - was for then, was in zip(spent(client), before, strict=True))
            readers.end()
            print(f"{count} gateways, {lists} messages of {size:,} bytes a cycle: {cpu / rounds * 1e3:.2f} ms of the server's processor")
            print(f"  {out / rounds / 1e3:,.0f} KB leave it")


def largest(port: int) -> None:
    """Appended in pieces, as `Bus.put_baselines` does, until the server refuses."""
    piece = bytes(BLOB_PIECE_BYTES)
    with redis.Redis(port=port) as client:
        size = 0
        try:
            while size < 4 << 30:
                size = client.append("blob", piece)
        except RedisError as error:
            print(f"one value: {size / 2**20:,.0f} MiB, then: {error}")
        client.delete("blob")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gateways", type=lambda text: [int(part) for part in text.split(",")], default=[0, 1, 10, 50, 200])
    parser.add_argument("--bytes", type=int, default=5_600)
    parser.add_argument("--rounds", type=int, default=300)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running_server(Path(folder)) as (port, _):
        fan_out(port, options.gateways, options.rounds, options.bytes)
        largest(port)


if __name__ == "__main__":
    main()
