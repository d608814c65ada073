"""The product as its user meets it: one command, the page, Ctrl-C; and what happens when it is killed."""

import json
import random
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest

from tests.product import CLEAN, PORTS, Product, eventually, processes_of, running

MAIN_LISTS = ("gappers_up", "winners")


def complete(product):
    return any(event["success"] for event in product.events("maintenance_cycle_finished"))


@pytest.fixture(scope="module")
def product(tmp_path_factory):
    with running(tmp_path_factory.mktemp("state")) as started:
        yield started


def test_from_an_empty_folder_lists_have_rows_and_history_completes(product):
    for name in MAIN_LISTS:
        assert eventually(lambda name=name: product.rows(name))
    eventually(lambda: complete(product), 120)
    assert eventually(lambda: [row for row in product.rows("winners") if row["rvol"] is not None])


def test_why_a_ticker_is_on_a_list_is_said_by_command_and_by_http(product):
    row = eventually(lambda: product.rows("winners"))[0]
    environment = CLEAN | {"TRADEUL_STATE": str(product.state)}
    command = [sys.executable, "-m", "tradeul", "explain", "winners", row["symbol"].lower()]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)
    said = json.loads(done.stdout)
    assert said["symbol"] == row["symbol"]
    assert done.returncode == (0 if said["on_list"] else 1)
    assert {"class", "price", "dollar_volume", "trades", "age", "where"} <= {condition["name"] for condition in said["conditions"]}
    assert product.get(f"api/explain/winners~all/{row['symbol']}")["list"] == "winners~all"


def test_history_is_told_on_its_own_port_and_on_the_pages(product):
    (started,) = eventually(lambda: product.events("historical_started"))
    symbol = eventually(lambda: product.rows("high_volume"))[0]["symbol"]
    with urllib.request.urlopen(f"http://127.0.0.1:{started['port']}/api/bars/daily/{symbol}", timeout=10) as answer:
        told = json.load(answer)
    assert told["bars"] and told == product.get(f"api/bars/daily/{symbol}")
    minutes = product.get(f"api/bars/minute/{symbol}")
    assert minutes["running"] and minutes["bars"][-1]["volume"] > 0


def test_a_second_instance_on_the_folder_is_refused_in_one_sentence(product):
    second = Product(product.state)
    said = second.ended(60)
    assert second.process.returncode == 1
    assert said.splitlines()[-1].startswith(f"tradeul: Another Tradeul (process {product.process.pid}) runs on")


def refused(**settings):
    environment = CLEAN | {f"TRADEUL_{name.upper()}": str(value) for name, value in settings.items()}
    command = [sys.executable, "-m", "tradeul", "up"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)
    assert done.returncode != 0
    return done.stderr.splitlines()[-1]


def test_a_port_in_use_is_one_sentence(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        said = refused(state=tmp_path, **dict.fromkeys(PORTS, 0) | {"gateway_port": port})
    assert said.startswith(f"tradeul: Port {port} on 127.0.0.1 cannot be used")
    assert "TRADEUL_GATEWAY_PORT" in said


def test_other_machines_are_not_served_without_a_token(tmp_path):
    assert refused(state=tmp_path, host="0.0.0.0").startswith("tradeul: TRADEUL_HOST=0.0.0.0: only this machine is served")


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    assert "cannot be written" in refused(state=tmp_path / "file")


def test_a_folder_with_real_data_but_no_key_is_one_sentence(tmp_path):
    (tmp_path / "vendor-data").touch()
    assert "holds real market data but no vendor key is set" in refused(state=tmp_path)


def test_another_simulated_market_is_one_sentence(tmp_path):
    (tmp_path / "simulated").mkdir()
    (tmp_path / "simulated" / "market.json").write_text('{"seed": 1}')
    assert "holds another simulated market" in refused(state=tmp_path, **dict.fromkeys(PORTS, 0))


def test_a_wrong_setting_is_one_sentence(tmp_path):
    assert refused(state=tmp_path, cycle_seconds="fast").startswith("tradeul: TRADEUL_CYCLE_SECONDS='fast'")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_everything_children_too(tmp_path, number):
    product = Product(tmp_path).ready()
    family = product.family()
    assert len(family) == 3
    product.process.send_signal(number)
    _, alive = psutil.wait_procs(family, timeout=3)
    assert not alive
    product.ended(10)
    assert product.process.returncode == 0
    assert not processes_of(tmp_path)


def kill_during_start(state, seconds):
    """SIGKILL a start after some seconds, wherever it is by then."""
    product = Product(state)
    try:
        product.process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        product.kill()
        return
    raise AssertionError(f"it ended by itself: {product.ended(1)}")


def comes_up_and_completes(state):
    with running(state) as product:
        eventually(lambda: complete(product), 180)
        assert eventually(lambda: product.rows("winners"))
    assert not processes_of(state)


def test_killed_ten_times_on_one_folder_it_ends_complete(tmp_path):
    dice = random.Random(20260309)
    for _ in range(10):
        kill_during_start(tmp_path, dice.uniform(0.5, 4))
    comes_up_and_completes(tmp_path)


# Rows that know when they were highest: only who has been listening does.
LISTENED = """[lists.listened]
title = "Listened to"
class = "all"
floors = false
where = "high_at IS NOT NULL AND NOT partial"
order = [["volume", "desc"]]
columns = ["price", "volume", "high", "low", "high_at", "low_at", "pm_high", "updated_at"]
"""


def by_symbol(rows):
    return {row["symbol"]: row for row in rows}


def test_killed_inside_the_session_it_knows_within_20_seconds_what_only_the_killed_run_heard(tmp_path):
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "listened.toml").write_text(LISTENED)
    # Started some seconds before a minute ends: rows are whole five seconds after the minute that was begun without us.
    with running(tmp_path, simulator_start="2026-03-09T09:29:40") as first:
        eventually(lambda: len(first.rows("listened")) > 20, 150)
        before = by_symbol(first.rows("listened"))
        first.kill()
    with running(tmp_path, simulator_start="2026-03-09T09:29:40") as again:

        def goes_on():
            after = by_symbol(again.rows("listened"))
            still = [symbol for symbol in before.keys() & after.keys() if after[symbol]["volume"] == before[symbol]["volume"]]
            equal = all({**after[symbol], "rank": 0} == {**before[symbol], "rank": 0} for symbol in still)
            grown = all(after[symbol]["volume"] >= row["volume"] for symbol, row in before.items() if symbol in after)
            return len(after.keys() & before.keys()) > 0.5 * len(before) and still and equal and grown

        eventually(goes_on, 20)
        assert len(again.events("live_tape_read")) == 1 and not again.events("live_tape_stopped")


@pytest.mark.long
@pytest.mark.parametrize("seed", range(10))
def test_killed_at_a_random_instant_of_the_first_start_the_next_ends_complete(tmp_path, seed):
    kill_during_start(tmp_path, random.Random(seed).uniform(0.5, 20))
    comes_up_and_completes(tmp_path)


def test_an_unsupported_python_is_one_sentence(tmp_path):
    """scripts/install with a PATH on which every Python is an old one."""
    old = '#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.1 && exit 0\nexit 1\n'
    for name in ("python3", "python3.11", "python3.12", "python3.13", "python3.14"):
        (tmp_path / name).write_text(old)
        (tmp_path / name).chmod(0o755)
    install = Path(__file__).parent.parent / "scripts" / "install"
    done = subprocess.run([str(install)], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "needs Python 3.11 or newer; found Python 3.9.1" in done.stderr
