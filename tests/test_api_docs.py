"""The examples of docs/api.md do what they say, asked of a small lake."""

import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.api.history import small_lake
from tests.api.history.test_server import root, stand  # noqa: F401
from tests.product import CLEAN
from tests.shown import blocks, said, text_of

HERE = {"AAPL": "T001", "2026-03-06": "2025-12-01", "2026-03-02": "2025-11-24"}


def examples(language):
    found = blocks(text_of("docs/api.md"), language)
    for shown, here in HERE.items():
        found = [block.replace(shown, here) for block in found]
    return found


async def test_the_curl_examples_work(stand, tmp_path):  # noqa: F811
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    lines = [line for block in examples("sh") for line in block.splitlines() if line.startswith("curl")]
    assert len(lines) == 7
    out = await said("/bin/sh", "-ec", "\n".join(lines).replace("http://127.0.0.1:8004", stand.url), cwd=tmp_path)
    assert out.count('"symbol":"T001"') == 5  # four of the calls, and the universe's row
    assert (tmp_path / "bars.csv").read_text().startswith("session,open,high,low,close,volume,vwap,trades\n2025-")


async def test_the_python_example_works(stand):  # noqa: F811
    (program,) = examples("python")
    out = await said(sys.executable, "-c", program.replace("http://127.0.0.1:8004", stand.url))
    assert re.fullmatch(r"[\d,]{6,} shares\n", out)


@pytest.mark.long
async def test_the_sql_examples_work(tmp_path):
    small_lake.write(tmp_path / "simulated")
    lines = [line for block in examples("sh") for line in block.splitlines() if line.startswith("tradeul")]
    path = f"{Path(sys.executable).parent}{os.pathsep}{CLEAN['PATH']}"
    out = await said("/bin/sh", "-ec", "\n".join(lines), cwd=tmp_path, env=CLEAN | {"TRADEUL_STATE": str(tmp_path), "PATH": path})
    assert out.count('"dollars"') == 5 and '"state":"failed"' in out
    assert (tmp_path / "busiest.jsonl").read_text().count("\n") == 10
