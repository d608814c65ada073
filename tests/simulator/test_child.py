import asyncio
import json
import signal
import sys
from datetime import UTC, datetime

import aiohttp
import pytest

from tests.simulator.conftest import instant
from tradeul.clock import SimulatedClock


async def child(folder, *arguments):
    clock = SimulatedClock(datetime.now(UTC), instant(9, 28, 40), 1.0)
    (folder / "clock.json").write_text(clock.to_json())
    pipe = asyncio.subprocess.PIPE
    command = [sys.executable, "-m", "tradeul.simulator", "--clock", str(folder / "clock.json"), "--tickers", "120", *arguments]
    return await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe)


@pytest.mark.parametrize("ending", ["stdin", "term"])
async def test_the_child_serves_until_its_parent_is_gone(tmp_path, ending):
    process = await child(tmp_path)
    async with asyncio.timeout(20):
        port = json.loads(await process.stdout.readline())["port"]
        async with aiohttp.request("GET", f"http://127.0.0.1:{port}/v1/marketstatus/now", params={"apiKey": "k"}) as answer:
            assert (await answer.json())["serverTime"].startswith("2026-03-09T09:28:4")
        if ending == "stdin":
            process.stdin.close()
        else:
            process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


async def test_a_child_that_cannot_start_says_why(tmp_path):
    process = await child(tmp_path, "--recording", str(tmp_path / "absent.parquet"))
    async with asyncio.timeout(20):
        _, words = await process.communicate()
    assert process.returncode == 1
    assert b"cannot be played" in words
    assert b"Traceback" not in words


async def test_a_parent_that_dies_while_the_child_starts_leaves_none_behind(tmp_path):
    process = await child(tmp_path, "--tickers", "12400")
    process.stdin.close()
    async with asyncio.timeout(20):
        _, words = await process.communicate()
    assert (process.returncode, words) == (0, b"")
