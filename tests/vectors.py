"""The shared test vectors of the protocol: `docs/protocol/vectors.json`, whose `about` says what they mean."""

import json
from pathlib import Path

VECTORS = json.loads((Path(__file__).parent.parent / "docs" / "protocol" / "vectors.json").read_text())["vectors"]


def expected(steps):
    """Each step with everything a right client holds after it: what a step leaves out is as before."""
    session, holds = None, {}
    for step in steps:
        session, holds = step.get("session", session), step.get("holds", holds)
        yield step, session, {name: {"lacking": []} | state for name, state in holds.items()}


def lists_of(vector):
    messages = (step.get("hear", {}) for step in vector["steps"])
    return sorted({message["list"] for message in messages if "list" in message})
