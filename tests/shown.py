"""What a document shows: its blocks, and the commands to be typed, in blocks and in sentences."""

import asyncio
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
COMMANDS = ("tradeul", "scripts/", "curl", "openssl", "ulimit")
PLACEHOLDER = re.compile(r"…|\b(NAME|LIST|SYMBOL|TOKEN)\b")


def text_of(name):
    return (ROOT / name).read_text()


def blocks(text, language):
    found = re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert found
    return found


def commands(text):
    """Each once, in order, without its comment; what has a placeholder is no command."""
    lines = [re.sub(r"\s+# .*", "", line) for block in blocks(text, "sh") for line in block.splitlines()]
    spans = [span for span in re.findall(r"(?<!`)`([^`\n]+)`", text) if span.startswith(COMMANDS) and " " in span]
    return list(dict.fromkeys([*lines, *(span for span in spans if not PLACEHOLDER.search(span))]))


async def said(*command, **options):
    """What it writes; its exit code is 0."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe, **options)
    out, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return out.decode()
