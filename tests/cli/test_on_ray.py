"""`tradeul backfill --engine ray` as a process: what it says, what it leaves when it is stopped, and when Ray is."""

import json
import shutil
import signal
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

from tests.cli.test_maintenance import Said, begun, tradeul
from tradeul.store.catalog import Catalog

RANGE = ("2025-06-02", "2025-07-15")  # 30 sessions
SIZE = {"simulator_tickers": 2_000}

has_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install -r requirements-ray.lock")


def checksums(state):
    catalog = Catalog(f"sqlite:///{state / 'simulated' / 'catalog.db'}")
    rows = {(row.dataset, row.session): (row.state, row.checksum, row.attempts) for row in catalog.ledger()}
    catalog.close()
    return rows


def is_at(process, task):
    """Wait until the run is at a task's third step."""
    for line in process.stdout:
        said = json.loads(line)
        if said.get("task") == task and said["done"] > 1:
            return


def folder_of(family):
    """Of Ray's sockets and logs."""
    (socket,) = {part for child in family for part in child.cmdline() if part.startswith("--raylet_socket_name=")}
    return Path(socket.partition("=")[2].split("/session_")[0])


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """What a run without Ray leaves, and how it ended."""
    state = tmp_path_factory.mktemp("here")
    said = tradeul(state, "backfill", *RANGE, **SIZE)
    return said.code, checksums(state)


@has_ray
def test_a_cluster_that_is_not_there_is_one_sentence_and_nothing_is_written(tmp_path):
    said = tradeul(tmp_path / "state", "backfill", *RANGE, "--engine", "ray", ray_address="127.0.0.1:1")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("tradeul: TRADEUL_RAY_ADDRESS=127.0.0.1:1: the Ray cluster cannot be reached (")
    assert said.err.endswith("start it, or leave --engine ray out.\n")
    assert not (tmp_path / "state").exists()


@pytest.mark.long
@has_ray
def test_a_backfill_on_workers_of_its_own_ends_as_here_and_leaves_nothing(tmp_path, here):
    with begun(tmp_path, "backfill", *RANGE, "--engine", "ray", **SIZE) as process:
        is_at(process, "volume_slots")
        family = psutil.Process(process.pid).children(recursive=True)
        folder = folder_of(family)
        said = Said(process, *process.communicate(timeout=120))
    assert (said.code, checksums(tmp_path)) == here
    assert said.lines[-1]["event"] == "finished", "nothing else is on stdout"
    assert not psutil.wait_procs(family, timeout=10)[1]
    assert not folder.exists()


@pytest.mark.long
@has_ray
def test_ctrl_c_ends_ray_too(tmp_path):
    with begun(tmp_path, "backfill", *RANGE, "--engine", "ray", **SIZE) as process:
        is_at(process, "volume_slots")
        family = psutil.Process(process.pid).children(recursive=True)
        assert any(child.name().startswith("ray::") for child in family)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err.splitlines()[-1]) == (130, "Stopped.")
    assert not psutil.wait_procs(family, timeout=10)[1]


@pytest.mark.long
@has_ray
def test_where_all_of_ray_dies_the_run_goes_on_here_and_ends_the_same(tmp_path, here):
    with begun(tmp_path, "backfill", *RANGE, "--engine", "ray", **SIZE) as process:
        is_at(process, "volume_slots")
        (raylet,) = (child for child in psutil.Process(process.pid).children(recursive=True) if child.name() == "raylet")
        raylet.kill()
        said = Said(process, *process.communicate(timeout=180))
    assert "ray_left" in said.err
    assert (said.code, checksums(tmp_path)) == here
    assert said.lines[-1]["event"] == "finished", "nothing else is on stdout"


@pytest.mark.long
@has_ray
def test_killed_it_takes_ray_with_it_and_the_next_run_goes_on(tmp_path, here):
    with begun(tmp_path, "backfill", *RANGE, "--engine", "ray", **SIZE) as process:
        is_at(process, "volume_slots")
        family = psutil.Process(process.pid).children(recursive=True)
        of_ray, folder = [child for child in family if "ray" in child.name()], folder_of(family)
        process.kill()
        assert of_ray and not psutil.wait_procs(of_ray, timeout=60)[1]
        process.stdout.close()  # of the embedded Valkey too, which the next start ends
        process.stderr.close()
    shutil.rmtree(folder)
    said = tradeul(tmp_path, "backfill", *RANGE, **SIZE)
    left = {key: row[:2] for key, row in checksums(tmp_path).items()}
    assert (said.code, left) == (here[0], {key: row[:2] for key, row in here[1].items()})
