"""The commands as processes, on a small simulated market."""

import json
import signal
import subprocess
import sys
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime

import msgspec
import psutil
import pytest

from tests.product import CLEAN, PORTS, eventually, processes_of, running
from tradeul.cli import maintenance
from tradeul.maintenance.server import Triggered
from tradeul.records.runs import WHOLE, Run, RunOptions
from tradeul.settings import Settings

SETTINGS = {"simulator_tickers": 60, "daily_sessions": 20, "slot_sessions": 6, "rvol_sessions": 5} | dict.fromkeys(PORTS, 0)
SESSION, EARLIER = "2026-03-09", "2026-03-05"
START = datetime(2026, 3, 9, 13, 30, tzinfo=UTC)


@contextmanager
def begun(state, *arguments, **settings):
    names = {"state": state} | SETTINGS | settings
    environment = CLEAN | {f"TRADEUL_{name.upper()}": str(value) for name, value in names.items()}
    command = [sys.executable, "-m", "tradeul", *arguments]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        yield process


class Said:
    def __init__(self, process, out, err):
        self.code, self.out, self.err = process.returncode, out, err

    @property
    def lines(self):
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def worked_on(self):
        """Which tasks had something to do, but for the bus: each process has its own, empty at first."""
        return set(self.lines[-1]["task_seconds"]) - {"redis_sync"}

    @property
    def sentence(self):
        return self.err.splitlines()[-1]


def tradeul(state, *arguments, **settings):
    with begun(state, *arguments, **settings) as process:
        return Said(process, *process.communicate(timeout=60))


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """A folder that one `maintain` has filled, and what it said."""
    state = tmp_path_factory.mktemp("state")
    return state, tradeul(state, "maintain")


def test_one_run_from_an_empty_folder_ends_complete_and_tells_it_line_by_line(loaded):
    state, said = loaded
    assert said.code == 0, said.err
    events = [line["event"] for line in said.lines]
    assert (events[0], events[-1]) == ("started", "finished")
    assert "progress" in events
    finished = said.lines[-1]
    assert (finished["success"], finished["failed"]) == (True, [])
    assert set(finished["tasks"].values()) == {"completed"}
    assert not processes_of(state)


def test_status_without_a_running_tradeul_reads_the_ledger(loaded):
    state, _ = loaded
    said = tradeul(state, "status")
    assert said.code == 0
    (status,) = said.lines
    assert next(iter(status)) == "summary"
    assert "tickers, RVOL over 5 sessions" in status["summary"] and "none yet" not in status["summary"]
    assert (status["session"], status["mode"], status["next_run_at"], status["run"]) == (SESSION, "SIMULATED", None, None)
    assert status["datasets"]["ohlc_daily"] == {"completed": 20}


def test_a_dry_run_says_the_steps(loaded):
    state, _ = loaded
    said = tradeul(state, "maintain", "--session", EARLIER, "--only", "ohlc_daily", "--force", "--dry-run")
    assert (said.code, said.lines) == (0, [{"event": "step", "task": "ohlc_daily", "sessions": [EARLIER], "by_ticker": False}])


def test_a_range_before_the_windows_is_loaded_once(loaded):
    state, _ = loaded
    first = tradeul(state, "backfill", "2025-06-02", "2025-06-03")
    assert (first.code, first.worked_on) == (0, {"ohlc_daily", "volume_slots"})
    again = tradeul(state, "backfill", "2025-06-02", "2025-06-03")
    assert (again.code, again.worked_on) == (0, set())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["maintain", "--session", "2026-03-07"], "tradeul: 2026-03-07 is no session of the exchange; the one before is 2026-03-06."),
        (["maintain", "--only", "nothing"], "tradeul: No task 'nothing'. The tasks: tickers, "),
    ],
)
def test_what_cannot_be_done_is_one_sentence(loaded, arguments, sentence):
    said = tradeul(loaded[0], *arguments)
    assert (said.code, said.out) == (1, "")
    assert said.sentence.startswith(sentence)


def test_a_malformed_date_is_named_and_nothing_starts(tmp_path):
    said = tradeul(tmp_path / "state", "maintain", "--session", "2026-3-7")
    assert said.code != 0
    assert "'2026-3-7' is no date; one is written as" in said.out + said.err
    assert not (tmp_path / "state").exists()


def test_a_run_that_did_not_succeed_is_exit_code_1_with_its_reason(tmp_path):
    said = tradeul(tmp_path, "maintain", simulator_faults="tickers:401:100")
    assert said.code == 1
    assert "does not know this key" in said.lines[-1]["reason"]


def test_ctrl_c_ends_a_run_and_its_children(tmp_path):
    with begun(tmp_path, "maintain") as process:
        assert json.loads(process.stdout.readline())["event"] == "started"
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert (process.returncode, err.splitlines()[-1]) == (130, "Stopped.")
    assert len(family) == 2 and not psutil.wait_procs(family, timeout=5)[1]


def test_two_at_once_take_turns(tmp_path):
    with begun(tmp_path, "maintain") as first, begun(tmp_path, "maintain") as second:
        said = [Said(process, *process.communicate(timeout=60)) for process in (first, second)]
    assert [each.code for each in said] == [0, 0], [each.err for each in said]
    assert set() in [each.worked_on for each in said], "one found everything done"


@pytest.fixture(scope="module")
def product(loaded):
    with running(loaded[0], **SETTINGS) as started:
        yield started


def test_while_tradeul_runs_a_run_is_asked_of_it(product):
    said = tradeul(product.state, "maintain", "--session", EARLIER, "--force")
    assert (said.code, said.lines[-1]["completed"]) == (0, 3), said.err  # daily bars, slots, minute bars
    finished = eventually(lambda: product.events("maintenance_cycle_finished"))
    assert finished[-1]["completed"] == 3, "it was done there, not here"
    (status,) = tradeul(product.state, "status").lines
    assert status["next_run_at"] == "2026-03-09T21:00:00Z"


def test_while_tradeul_runs_no_run_goes_to_ray(product):
    said = tradeul(product.state, "backfill", EARLIER, EARLIER, "--engine", "ray")
    assert (said.code, said.out) == (1, "")
    assert said.sentence.startswith("tradeul: The maintenance at http://127.0.0.1:")
    assert said.sentence.endswith("would do this run, without Ray: end it, or leave --engine ray out.")


def test_status_follows_the_ledger_until_stopped(product):
    with begun(product.state, "status", "--watch") as process:
        first = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    assert first["mode"] == "SIMULATED"


def test_doctor_sees_the_running_tradeul(product):
    said = tradeul(product.state, "doctor", "--json")
    body = json.loads(said.out)
    assert (said.code, body["worst"]) == (0, "ok"), body
    assert "its maintenance answers at http://127.0.0.1:" in body["findings"][0]["says"]


class Busy:
    """A maintenance that is in the middle of a whole run when first asked."""

    def __init__(self):
        self.runs, self.asked = {}, []

    async def trigger(self, options):
        joined = not self.asked
        self.asked.append(options)
        run = Run(id=f"run{len(self.asked)}", date=START.date(), options=WHOLE if joined else options, started_at=START)
        self.runs[run.id] = msgspec.structs.replace(run, finished_at=START, success=not joined)
        return Triggered(joined=joined, run=run)

    async def run(self, run_id):
        return self.runs[run_id]


async def test_who_joined_another_run_asks_again_when_that_is_over(monkeypatch, capsys):
    busy = Busy()

    @asynccontextmanager
    async def found(_, **__):
        yield busy

    monkeypatch.setattr(maintenance, "maintenance_of", found)
    options = RunOptions(only="splits", force=True)
    assert await maintenance.maintain(Settings(), options) == 0
    assert busy.asked == [options, options]
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["event"], line["id"]) for line in lines] == [("joined", "run1"), ("started", "run2"), ("finished", "run2")]
