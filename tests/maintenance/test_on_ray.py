"""Backfills on Ray: two real workers, one of them killed, or all of Ray; the end is that of a run in one process."""

import asyncio
import os
from datetime import date, time
from functools import partial
from importlib.util import find_spec

import psutil
import pytest

from tests.cli.test_maintenance import tradeul
from tests.maintenance.conftest import CALENDAR
from tests.maintenance.worker_deaths import Deadly
from tests.product import CLEAN
from tradeul.errors import MalformedResponse
from tradeul.maintenance.datasets import Windows
from tradeul.market_calendar import at
from tradeul.ops.ray_workers import OURS, ray_workers
from tradeul.providers.polygon.wire_files import decode_minute_file
from tradeul.records.partitions import State
from tradeul.records.runs import RunOptions

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install -r requirements-ray.lock")

NOON = at(date(2026, 3, 10), time(12))  # the file of the session before is there
SESSIONS = CALENDAR.before(date(2026, 3, 10), 30)
BACKFILL = RunOptions(since=SESSIONS[0], target_date=SESSIONS[-1])
WINDOWS = Windows(24, 8, 5, minute_sessions=6)
TICKERS = 12


@pytest.fixture(scope="module")
def runner():
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def workers(runner):
    """Two, for all tests of this file."""
    context = ray_workers(None, cores=2)
    yield runner.run(context.__aenter__())
    runner.run(context.__aexit__(None, None, None))


async def backfilled(make_house, engine=None):
    house = await make_house(now=NOON, windows=WINDOWS, tickers=TICKERS)
    house.engine = engine
    house.restart()
    run = await house.service.reconcile(BACKFILL)
    assert run.reason is None and not run.failed
    return house


def ends(house):
    """Of each partition what is noted, how often it was begun, and what lies in the lake."""
    rows = house.catalog.ledger()
    lake = {(row.dataset, row.session): house.lake.footer(row.dataset, row.session) for row in rows if row.dataset not in NO_FILES}
    return {(row.dataset, row.session): (row.state, row.checksum, row.expected, row.got, row.attempts) for row in rows}, lake


NO_FILES = ("redis_sync", "new_trading_day")


async def test_a_worker_killed_in_the_middle_of_a_backfill_changes_nothing(make_house, tmp_path, workers):
    here = await backfilled(make_house)
    there = await backfilled(make_house, Deadly(workers, tmp_path / "died", 15))
    assert not psutil.pid_exists(int((tmp_path / "died").read_text()))
    assert ends(there) == ends(here)
    assert set(there.states("volume_slots")) == set(SESSIONS)
    assert set(there.states("volume_slots").values()) == set(there.states("minute_bars").values()) == {State.COMPLETED}
    assert there.market.calls == here.market.calls, "nothing is downloaded again"


def test_the_work_is_done_by_others_and_their_errors_come_over_as_they_are(workers):
    assert workers.ahead == 3
    assert workers.compute(os.getpid)() != os.getpid()
    with pytest.raises(MalformedResponse, match="no gzip") as refused:
        workers.compute(partial(decode_minute_file, b"half", "a file"))()
    assert (refused.value.endpoint, str(refused.value)[:40]) == ("a file", "a file: the answer could not be read: no")


def whereabouts():
    """Of the cluster that the host has joined: its address, and what others need to join it."""
    import ray

    return ray.get_runtime_context().gcs_address, {name: value for name, value in os.environ.items() if name in (*OURS, "RAY_AUTH_TOKEN")}


@pytest.mark.long
def test_a_cluster_that_runs_is_joined_and_runs_on(workers, tmp_path, monkeypatch):
    address, needed = workers._host.ask(10, whereabouts).result()
    for name, value in needed.items():
        monkeypatch.setitem(CLEAN, name, value)
    here = tradeul(tmp_path / "here", "backfill", "2025-06-02", "2025-06-12")
    there = tradeul(tmp_path / "there", "backfill", "2025-06-02", "2025-06-12", "--engine", "ray", ray_address=address)
    assert "ray_left" not in there.err
    assert (there.code, there.lines[-1]["completed"]) == (here.code, here.lines[-1]["completed"])
    assert workers.compute(os.getpid)() != os.getpid()
    monkeypatch.setitem(CLEAN, "RAY_AUTH_TOKEN", "0" * 48)
    refused = tradeul(tmp_path / "refused", "backfill", "2025-06-02", "2025-06-12", "--engine", "ray", ray_address=address)
    assert (refused.code, refused.out) == (1, "")
    assert refused.sentence.startswith(f"tradeul: TRADEUL_RAY_ADDRESS={address}: the Ray cluster did not answer within 8 s: see that")
