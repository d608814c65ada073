import asyncio
import subprocess
import sys

import pytest

from tradeul.errors import StartError
from tradeul.ops.child import Child, end_orphan, run_once

OBEDIENT = "import sys; print('{\"port\": 1}', flush=True); sys.stdin.read()"
DEAF = "import sys, time; sys.stdin.close(); print('{}', flush=True); time.sleep(60)"


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write a module that a child can run by name."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def write(text):
        (tmp_path / "a_child.py").write_text(text)
        return "a_child"

    return write


async def test_a_child_is_ready_when_it_says_so_and_ends_when_told(tmp_path, module):
    child = Child("test child", module(OBEDIENT), [], tmp_path / "pid")
    await child.start()
    assert child.ready == {"port": 1}
    await child.stop()
    assert not (tmp_path / "pid").exists()


async def test_a_child_that_says_nothing_and_ends_is_a_start_error(tmp_path, module):
    with pytest.raises(StartError, match=r"did not start \(exit code 3\)"):
        await Child("test child", module("raise SystemExit(3)"), [], tmp_path / "pid").start()


async def test_a_child_that_ends_by_itself_is_noticed(tmp_path, module):
    child = Child("test child", module("print('{}', flush=True)"), [], tmp_path / "pid")
    await child.start()
    async with asyncio.timeout(10):
        with pytest.raises(StartError, match="ended by itself"):
            await child.run()


@pytest.mark.parametrize("text", [OBEDIENT, DEAF])
def test_an_orphan_is_seen_to_its_end(tmp_path, module, text):
    with subprocess.Popen([sys.executable, "-m", module(text)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as orphan:
        orphan.stdout.readline()
        (tmp_path / "pid").write_text(str(orphan.pid))
        orphan.stdin.close()  # what the kernel does when a parent is killed
        end_orphan(tmp_path / "pid", "a_child")
        assert orphan.wait(timeout=10) in (0, -9)


def test_a_stranger_with_the_orphans_number_is_left_alone(tmp_path):
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as stranger:
        (tmp_path / "pid").write_text(str(stranger.pid))
        end_orphan(tmp_path / "pid", "a_child")
        assert stranger.poll() is None
        stranger.stdin.close()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import sys; assert sys.argv[1:] == ['a', 'b']; print('not listened to')", None),
        ("print('no'); raise SystemExit('The disk is full.')", "The disk is full."),
        ("raise SystemExit(3)", "exit code 3"),
    ],
)
async def test_a_child_that_does_one_thing_says_why_it_could_not(module, text, reason):
    assert await run_once(module(text), ["a", "b"], 20.0) == reason


async def test_a_child_that_takes_too_long_is_ended(module):
    assert await run_once(module("import time; time.sleep(60)"), [], 0.2) == "it took longer than 0.2 s"
