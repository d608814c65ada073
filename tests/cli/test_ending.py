"""Ctrl-C ends the program in order, whatever it is at."""

import subprocess
import sys

# The market is none; the command is `tradeul up` itself, which loads polars late.
UP = """
import asyncio, os, signal, sys, types
from tradeul.cli import _run, _up

class Assemble(types.ModuleType):
    def __getattr__(self, name):
        import polars
        return up

async def up(*_, **__):
    import polars as pl
    struck = lambda frame: os.kill(os.getpid(), signal.SIGINT) or frame
    query = pl.LazyFrame({"a": range(1_000_000)}).map_batches(struck).sort("a").group_by("a").len()
    asking = asyncio.create_task(asyncio.to_thread(query.collect))
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.wait([asking])
        print("ended in order", flush=True)

sys.modules["tradeul.assemble"] = Assemble("tradeul.assemble")
_run(_up(None, (), simulate=True, fresh=False))
"""


def test_ctrl_c_while_a_thread_asks_polars_something_ends_the_program_in_order():
    done = subprocess.run([sys.executable, "-c", UP], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr.splitlines()[-1]) == (0, "ended in order\n", "Stopped."), done
