"""Every command that both READMEs and docs/operations.md show works as it is written.

Three things differ from what a reader types: ports, where another program may have the documented ones (settings; in addresses too);
the ticker, whose simulated market in the default run is too small to have it; and `scripts/test`, which would run itself:
only the long run types it, on one file of tests.
"""

import json
import re
import shutil
import signal
import socket
import subprocess
from contextlib import ExitStack

import pytest

from tests.product import CLEAN, PORTS, Product, eventually
from tests.shown import ROOT, blocks, commands, text_of
from tradeul.market_calendar import nyse
from tradeul.settings import Settings
from tradeul.simulator.synthetic import SyntheticMarket

DOCUMENTS = ("README.md", "README.es.md", "docs/operations.md")
UP, ITSELF, ACTIVATE, UNTIL_CTRL_C = "scripts/run", "scripts/test", ". .venv/bin/activate", "tradeul watch"
SHOWN = list(dict.fromkeys(command for name in DOCUMENTS for command in commands(text_of(name))))
STARTS = [command for command in SHOWN if command.startswith(UP)]
ONCE_UP = [command for command in SHOWN if command not in (*STARTS, ITSELF, ACTIVATE)]
MAY_END_WITH = {"tradeul doctor": {0, 1}, "tradeul explain": {0, 1}}  # else 0; what the documents say
SAYS_NO_JSON = ("tradeul doctor", "openssl", "ulimit")
TICKER, TICKERS = "NVDA", 100
FEW_SESSIONS = {"daily_sessions": 21, "slot_sessions": 5, "rvol_sessions": 5}
COMMAND_SECONDS = 300

typed = pytest.mark.skipif(not all(map(shutil.which, ("curl", "openssl"))), reason="curl and openssl are not installed")


def free_ports():
    with ExitStack() as stack:
        found = [stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in PORTS]
    return dict(zip(PORTS, found, strict=True))


class Reader:
    """Somebody who types what is shown, in a clone, as a user without anything in its home."""

    def __init__(self, clone, home, tickers, **settings):
        self.clone, self.ports = clone, free_ports()
        home.mkdir(exist_ok=True)
        self.state = home / "state"
        names = [issue.symbol for issue in SyntheticMarket(Settings.model_fields["simulator_seed"].default, tickers, nyse()).issues]
        self.ticker = TICKER if TICKER in names else names[0]
        folder = self.state / "lists"
        folder.mkdir(parents=True)
        (folder / "cheap_runners.toml").write_text(blocks(text_of("README.md"), "toml")[0])
        self.settings = settings | self.ports | {"simulator_tickers": tickers}
        self.home = {"HOME": str(home), "XDG_CACHE_HOME": str(home)}

    def start(self, command):
        """Until it says what the README says: where the market is."""
        product = Product(self.state, command=command.split(), folder=self.clone, environment=CLEAN | self.home, **self.settings).ready()
        assert product.page == f"http://127.0.0.1:{self.ports['api_port']}/"
        return product

    def here(self, command):
        for name, port in self.ports.items():
            command = command.replace(f"127.0.0.1:{Settings.model_fields[name].default}", f"127.0.0.1:{port}")
        return command.replace(TICKER, self.ticker)

    def type(self, command, environment):
        """Its exit code and what it said; what runs until Ctrl-C is ended so once it has shown rows."""
        lasts = command.startswith(UNTIL_CTRL_C)
        line = ["/bin/sh", "-c", f"{ACTIVATE}\n{'exec ' if lasts else ''}{self.here(command)}"]
        pipe = subprocess.PIPE
        process = subprocess.Popen(line, cwd=self.clone, env=environment, stdout=pipe, stderr=pipe, text=True)
        said = ""
        if lasts:
            while '"rows"' not in said and (more := process.stdout.readline()):
                said += more
            process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=COMMAND_SECONDS)
        return process.returncode, said + rest, errors


def check(command, code, said, errors):
    known = next((codes for words, codes in MAY_END_WITH.items() if command.startswith(words)), {0})
    assert code in known, f"{command}: {code}, {errors}"
    assert said, command
    if not command.startswith(SAYS_NO_JSON):
        for line in said.splitlines():
            json.loads(line)


def complete(product):
    return any(event["success"] for event in product.events("maintenance_cycle_finished"))


def test_both_readmes_show_the_same_commands_and_lists():
    assert commands(text_of("README.md")) == commands(text_of("README.es.md"))
    assert blocks(text_of("README.md"), "toml") == blocks(text_of("README.es.md"), "toml")
    assert [UP, f"{UP} --fresh", f"{UP} --simulate"] == STARTS and ITSELF in SHOWN and ACTIVATE in SHOWN


def headings(page):
    """The addresses of its sections, as GitHub makes them."""
    return {
        re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in page.read_text().splitlines()
        if line.startswith("#")
    }


def test_links_lead_somewhere():
    for page in (ROOT / "README.md", ROOT / "README.es.md", *sorted((ROOT / "docs").glob("*.md"))):
        for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text()):
            address, _, section = link.partition("#")
            there = page.parent / address if address else page
            assert there.exists() and (not section or section in headings(there)), f"{page.name}: {link}"


@typed
def test_every_command_works_beside_the_running_market(tmp_path):
    reader = Reader(ROOT, tmp_path / "home", TICKERS, **FEW_SESSIONS)
    product = reader.start(UP)
    try:
        eventually(lambda: complete(product), COMMAND_SECONDS)
        for command in ONCE_UP:
            check(command, *reader.type(command, product.environment))
    finally:
        product.stop()
    assert product.process.returncode == 0


@typed
@pytest.mark.long
def test_a_stranger_with_a_fresh_clone_gets_all_of_it(tmp_path):
    """Nothing but what is committed, an empty home, the whole market; it installs by itself."""
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", ROOT, clone], check=True)
    reader = Reader(clone, tmp_path / "home", Settings.model_fields["simulator_tickers"].default)
    assert reader.ticker == TICKER
    for command in STARTS:
        product = reader.start(command)
        try:
            if command == UP:
                eventually(lambda product=product: complete(product), 1800)
                for each in ONCE_UP:
                    check(each, *reader.type(each, product.environment))
        finally:
            product.stop()
        assert product.process.returncode == 0
    narrowed = CLEAN | reader.home | {"PYTEST_ADDOPTS": "-k test_clock"}
    done = subprocess.run([f"./{ITSELF}"], cwd=clone, env=narrowed, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "passed" in done.stdout
