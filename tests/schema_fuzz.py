"""schemathesis as a person runs it: against a served description, all its checks, from outside."""

import asyncio
import sys
import tempfile

EXAMPLES = 5


async def found_nothing(url: str, only: str | None = None, without: str | None = None) -> None:
    """Every documented call answers as documented, whatever is asked of it.

    ``only``: those whose path has this in it; ``without``: checks that do not hold for them, by schemathesis's names.
    """
    options = ["--phases=coverage,fuzzing", f"--max-examples={EXAMPLES}", "--seed=1", "--request-timeout=10"]
    options += ["--include-path-regex", only] if only else []
    options += ["--exclude-checks", without] if without else []
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json", "--no-color", *options]
    pipe, out = asyncio.subprocess.PIPE, asyncio.subprocess.STDOUT
    with tempfile.TemporaryDirectory() as folder:  # it leaves notes where it runs
        process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=out, cwd=folder)
        said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
