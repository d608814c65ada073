"""The whole product with its lake in a bucket, as a person starts it."""

import json
import socket
import subprocess
import sys

import pytest

from tests.product import Product, eventually, running
from tests.s3_server import settings_of

FEW = {"daily_sessions": 30, "slot_sessions": 6, "rvol_sessions": 5}
WRONG = [
    ({"who": "none"}, "s3:ListBucket"),
    ({"who": "reads"}, "s3:PutObject"),
    ({"secret": "no"}, "TRADEUL_LAKE_SECRET"),
    ({"key": "no"}, "TRADEUL_LAKE_KEY"),
    ({"url": "s3://nonesuch/lake"}, "TRADEUL_LAKE_URL"),
    ({"endpoint": "http://127.0.0.1:1"}, "TRADEUL_LAKE_ENDPOINT"),
    ({"endpoint": None}, "TRADEUL_LAKE_ENDPOINT"),  # that of one who takes calls and says nothing
]
COMMANDS = [("up",), ("maintain",), ("up", "scanner")]
SAMPLE = (COMMANDS[0], WRONG[1])
TABLE = [
    pytest.param(command, *wrong, marks=() if (command, wrong) == SAMPLE else pytest.mark.long) for command in COMMANDS for wrong in WRONG
]


def tradeul(product, *words):
    return subprocess.run([sys.executable, "-m", "tradeul", *words], env=product.environment, capture_output=True, text=True, timeout=60)


def complete(product):
    return any(event["success"] for event in product.events("maintenance_cycle_finished"))


@pytest.mark.long
def test_a_product_killed_while_it_fills_a_bucket_ends_with_lists_history_and_sql(tmp_path, s3):
    settings = FEW | settings_of(s3.bucket())
    first = Product(tmp_path, **settings).ready()
    eventually(lambda: first.events("task_started"))
    first.kill()
    with running(tmp_path, **settings) as product:
        eventually(lambda: complete(product), 120)
        row = eventually(lambda: product.rows("gappers_up"))[0]
        assert row["rvol"] is not None or row["atr"] is not None, "baselines reached the scanner"
        bars = product.get(f"api/bars/daily/{row['symbol']}?adjusted=false")["bars"]
        assert len(bars) == FEW["daily_sessions"]
        said = tradeul(product, "sql", f"SELECT count(*) AS n, sum(close) AS closes FROM bars WHERE symbol = '{row['symbol']}'")
        told = json.loads(said.stdout)
        assert (told["n"], told["closes"]) == (len(bars), pytest.approx(sum(bar["close"] for bar in bars)))
        doctor = json.loads(tradeul(product, "doctor", "--json").stdout)
        assert [each["grade"] for each in doctor["findings"] if each["about"] == "lake"] == ["ok"]
    assert not (tmp_path / "simulated" / "lake" / "ohlc_daily").exists()


@pytest.mark.parametrize(("command", "wrong", "names"), TABLE)
def test_a_bucket_that_cannot_be_used_is_one_sentence_within_ten_seconds_and_nothing_is_written(
    tmp_path, s3, server, silent, command, wrong, names
):
    bucket = s3.bucket(**wrong if wrong != {"endpoint": None} else {"endpoint": silent})
    redis = {"redis_url": server.url} if command == ("up", "scanner") else {}
    product = Product(
        tmp_path / "state", command=(sys.executable, "-m", "tradeul", *command), **settings_of(bucket), **redis, simulator_port=18999
    )
    said = product.ended(10)
    assert product.process.returncode != 0
    (sentence,) = [line for line in said.splitlines() if line != "Starting Tradeul ..."]
    assert names in sentence
    assert not (tmp_path / "state").exists()


@pytest.fixture
def silent():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
