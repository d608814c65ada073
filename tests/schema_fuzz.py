"""schemathesis as a person runs it: against a served description, all its checks, from outside."""

import asyncio
import sys
import tempfile

EXAMPLES = 5


async def found_nothing(url: str) -> None:
    """Every documented call answers as documented, whatever is asked of it."""
    options = ["--phases=coverage,fuzzing", f"--max-examples={EXAMPLES}", "--seed=1", "--request-timeout=10"]
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json", "--no-color", *options]
    pipe, out = asyncio.subprocess.PIPE, asyncio.subprocess.STDOUT
    with tempfile.TemporaryDirectory() as folder:  # it leaves notes where it runs
        process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=out, cwd=folder)
        said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
