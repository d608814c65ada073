"""A Valkey cluster of three masters on loopback, with a password: the embedded server's binary, each node killed and started at will."""

import contextlib
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import redis

from tests.redis_server import PASSWORD, SECONDS, free_port
from tradeul.bus.embedded import server_binary

MASTERS, SLOTS = 3, 16_384
NODE_TIMEOUT_MS = 1_000


class Node:
    def __init__(self, folder):
        self.folder, self.port, self.bus_port = folder, free_port(), free_port()
        self.client = redis.Redis(port=self.port, password=PASSWORD)
        self._process = None

    def start(self):
        """It knows its slots and the others from before, and none of its keys."""
        arguments = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--requirepass", PASSWORD]
        arguments += ["--cluster-enabled", "yes", "--cluster-port", str(self.bus_port), "--cluster-node-timeout", str(NODE_TIMEOUT_MS)]
        arguments += ["--masterauth", PASSWORD, "--dir", str(self.folder), "--logfile", str(self.folder / "log")]
        self._process = subprocess.Popen([server_binary(), *arguments], stdout=subprocess.DEVNULL, start_new_session=True)
        eventually(self._answers, self._process)

    def stop(self):
        self._process.kill()
        self._process.wait(SECONDS)

    def _answers(self):
        try:
            return self.client.ping()
        except redis.RedisError:
            return False


def eventually(ask, process=None):
    deadline = time.monotonic() + SECONDS
    while not ask():
        assert (process is None or process.poll() is None) and time.monotonic() < deadline
        time.sleep(0.01)


class ValkeyCluster:
    def __init__(self, folder):
        self.nodes, self.beside, self._folder = [], [], folder
        for number in range(MASTERS):
            (folder / str(number)).mkdir()
            self.nodes.append(Node(folder / str(number)))
        self.url = f"redis://:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{self.nodes[0].port}"

    def start(self, *, last_slot=SLOTS - 1):
        """``last_slot``: what is above it nobody serves."""
        for number, node in enumerate(self.nodes):
            node.start()
            first, last = number * SLOTS // MASTERS, min((number + 1) * SLOTS // MASTERS - 1, last_slot)
            node.client.execute_command("CLUSTER ADDSLOTSRANGE", first, last)
            node.client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
        for node in self.nodes[1:]:
            self.nodes[0].client.execute_command("CLUSTER MEET", "127.0.0.1", node.port, node.bus_port)
        wanted = "ok" if last_slot == SLOTS - 1 else "fail"
        eventually(lambda: all(self._state(node) == (wanted, str(last_slot + 1), str(MASTERS)) for node in self.nodes))

    @staticmethod
    def _state(node):
        found = node.client.execute_command("CLUSTER INFO")
        return found["cluster_state"], found["cluster_slots_ok"], found["cluster_known_nodes"]

    def whole(self):
        eventually(lambda: all(self._state(node)[:2] == ("ok", str(SLOTS)) for node in self.nodes))

    def empty(self):
        for node in self.nodes:
            node.client.flushall()

    def owner(self, key):
        """The node of a key, or of a sharded channel."""
        slot = self.nodes[0].client.execute_command("CLUSTER KEYSLOT", key)
        return self.nodes[slot * MASTERS // SLOTS]

    def add_replica(self, master):
        """One that takes over when ``master`` dies; with all that it has."""
        (self._folder / "replica").mkdir()
        replica = Node(self._folder / "replica")
        self.beside.append(replica)
        replica.start()
        replica.client.execute_command("CLUSTER MEET", "127.0.0.1", master.port, master.bus_port)
        name = master.client.execute_command("CLUSTER MYID").decode()
        eventually(lambda: self._state(replica)[2] == str(MASTERS + 1))
        replica.client.execute_command("CLUSTER REPLICATE", name)
        eventually(lambda: replica.client.info("replication")["master_link_status"] == "up")
        return replica

    def move(self, key):
        """Its slot, empty of keys, from its master to the next; returns that one."""
        owner = self.owner(key)
        self._give(key, self.nodes[(self.nodes.index(owner) + 1) % MASTERS])
        return self.nodes[(self.nodes.index(owner) + 1) % MASTERS]

    def move_back(self, key):
        self._give(key, self.owner(key))

    def _give(self, key, target):
        slot = self.nodes[0].client.execute_command("CLUSTER KEYSLOT", key)
        name = target.client.execute_command("CLUSTER MYID").decode()
        for node in [target, *(node for node in self.nodes if node is not target)]:
            node.client.execute_command("CLUSTER SETSLOT", slot, "NODE", name)

    def stop(self):
        for node in [*self.nodes, *self.beside]:
            with contextlib.suppress(AttributeError):
                node.stop()
            node.client.close()


@contextmanager
def running_cluster(**options):
    with tempfile.TemporaryDirectory(prefix="tradeul-cluster-") as folder:
        cluster = ValkeyCluster(Path(folder))
        try:
            cluster.start(**options)
            yield cluster
        finally:
            cluster.stop()
