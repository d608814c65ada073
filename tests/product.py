"""The whole product as a child process, for tests that use it as a person would."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

TICKERS = 300
PORTS = ("api_port", "filings_port", "gateway_port", "maintenance_port", "historical_port", "scanner_port", "simulator_port")
UP = (sys.executable, "-m", "tradeul", "up")
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("TRADEUL_", "MASSIVE_", "POLYGON_"))}


def eventually(ask: Callable[[], Any], seconds: float = 60.0) -> Any:
    """The first truthy answer; the product is another process, so we must look again and again."""
    deadline = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"nothing within {seconds} s"
        time.sleep(0.05)
    return answer


class Product:
    """``tradeul up`` on a state folder, free ports, a small simulated market."""

    def __init__(
        self,
        state: Path,
        *,
        command: Sequence[str] = UP,
        folder: Path | None = None,
        environment: Mapping[str, str] = CLEAN,
        **settings: object,
    ) -> None:
        """``folder``: where ``command`` is typed; ``environment``: beside the settings."""
        self.state = state
        names = {"state": state, "simulator_tickers": TICKERS} | dict.fromkeys(PORTS, 0) | settings
        self.environment = dict(environment) | {f"TRADEUL_{name.upper()}": str(value) for name, value in names.items()}
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 closed by `_ended`; a pipe that nobody reads would fill
        self.process = subprocess.Popen(command, cwd=folder, env=self.environment, stdout=subprocess.PIPE, stderr=self._said, text=True)
        self.page = ""

    def ready(self) -> "Product":
        """Wait until the page is served."""
        line = self.process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found, f"no address in {line!r}; stderr: {self.ended(30)}"
        self.page = found[0]
        return self

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.page + path, timeout=10) as answer:
            return json.load(answer)

    def rows(self, name: str) -> list[dict[str, Any]]:
        """Of a list; none while the list does not stand yet."""
        try:
            return self.get(f"api/lists/{name}")["rows"]
        except urllib.error.HTTPError as error:
            assert error.code == 503, error
            return []

    def events(self, event: str) -> list[dict[str, Any]]:
        path = self.state / "logs" / "tradeul.jsonl"
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        parsed = [json.loads(line) for line in lines if line.endswith("\n")]
        return [line for line in parsed if line.get("event") == event]

    def family(self) -> list[psutil.Process]:
        with psutil.Process(self.process.pid).oneshot():
            parent = psutil.Process(self.process.pid)
            return [parent, *parent.children(recursive=True)]

    def said(self) -> str:
        """On stderr so far; its own place in the file stays where it is."""
        return os.pread(self._said.fileno(), 1 << 20, 0).decode()

    def ended(self, seconds: float) -> str:
        """Wait for its end; what it said on stderr."""
        self.process.wait(seconds)
        self.process.stdout.close()
        with self._said as said:
            said.seek(0)
            return said.read()

    def kill(self) -> None:
        self.process.kill()
        self.ended(10)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.ended(20)


@contextmanager
def running(state: Path, **settings: object) -> Iterator[Product]:
    product = Product(state, **settings)
    try:
        yield product.ready()
    finally:
        if product.process.poll() is None:
            product.stop()


def processes_of(state: Path) -> list[psutil.Process]:
    """Whoever names this state folder on its command line, or works in it."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and any(str(state) in word for word in process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found
