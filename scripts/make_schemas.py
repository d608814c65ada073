"""Write docs/protocol/*.schema.json from the records of the protocol (`records/messages.py`).

Run by hand when a message changes: .venv/bin/python scripts/make_schemas.py
"""

import json
from pathlib import Path

from tradeul.records.messages import ClientMessage, ServerMessage, schema

FOLDER = Path(__file__).parent.parent / "docs" / "protocol"


def schemas() -> dict[str, str]:
    """Each file's content, by its name."""
    made = {
        "server.schema.json": schema("A message of the gateway", ServerMessage),
        "client.schema.json": schema("A message of a client", ClientMessage),
    }
    return {name: json.dumps(content, indent=1) + "\n" for name, content in made.items()}


if __name__ == "__main__":
    for name, text in schemas().items():
        (FOLDER / name).write_text(text)
