"""A PostgreSQL server for tests: on a unix socket in a folder of its own, without fsync, as a user that it accepts."""

import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg

from tests.lifeline import started

SECONDS = 60
LOCKED = "locked"  # a user of whom a password is asked; no other is
NUMBERS = count(1)
SETTINGS = ("listen_addresses=", "fsync=off", "full_page_writes=off", "max_connections=60", "shared_buffers=32MB", "log_min_messages=fatal")


def binaries():
    """The folder of initdb and postgres: on PATH, else Debian's newest; None where it is not installed."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return folders[-1] if folders else None


class PostgresServer:
    def __init__(self, folder):
        self.folder = folder
        self._process = None
        self._as_user = {}
        if os.geteuid() == 0:  # it refuses root
            self._as_user = {"user": "postgres", "group": "postgres"}
            shutil.chown(folder, "postgres", "postgres")
        initdb = [binaries() / "initdb", "-D", folder / "data", "-U", "tradeul", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C"]
        subprocess.run(initdb, check=True, capture_output=True, cwd=folder, timeout=SECONDS, **self._as_user)
        access = folder / "data" / "pg_hba.conf"
        access.write_text(f"local all {LOCKED} scram-sha-256\n" + access.read_text())

    def start(self):
        options = [part for setting in (*SETTINGS, f"unix_socket_directories={self.folder}") for part in ("-c", setting)]
        arguments = [binaries() / "postgres", "-D", self.folder / "data", *options]
        with (self.folder / "log").open("ab") as log:
            self._process = started(arguments, signal.SIGQUIT, stdout=log, stderr=log, cwd=self.folder, **self._as_user)
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "log").read_text()

    def _answers(self):
        ready = [binaries() / "pg_isready", "-q", "-t", "1", "-h", self.folder]
        return subprocess.run(ready, check=False, timeout=SECONDS).returncode == 0

    def stop(self):
        """At once, as by a power cut that the disk survives."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(SECONDS)

    def url(self, database="postgres", user="tradeul", password=""):
        return f"postgresql://{user}:{password}@/{database}?host={self.folder}"

    def execute(self, statement, database="postgres"):
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else None

    def new_database(self):
        name = f"test{next(NUMBERS)}"
        self.execute(f"CREATE DATABASE {name} STRATEGY file_copy")
        return self.url(name)


@contextmanager
def running_postgres():
    folder = Path(tempfile.mkdtemp(prefix="tradeul-pg-"))  # not pytest's own, where no other user may look
    try:
        server = PostgresServer(folder)
        try:
            server.start()
            yield server
        finally:
            if server._process and server._process.poll() is None:
                server.stop()
    finally:
        shutil.rmtree(folder)
