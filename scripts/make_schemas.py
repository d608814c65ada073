"""Write docs/protocol/*.schema.json from the records of the protocol (`records/messages.py`), and from the schemas the page's types.

Run by hand when a message changes: .venv/bin/python scripts/make_schemas.py
"""

import json
from pathlib import Path
from typing import Any

from tradeul.records.messages import ClientMessage, ServerMessage, schema

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs" / "protocol"
TYPES = ROOT / "src" / "tradeul" / "web" / "feed" / "messages.d.ts"
HEAD = """// The messages of docs/protocol/*.schema.json as types. Made by scripts/make_schemas.py: change the records, and run it.
"""
TAIL = """
/** A row: its list's columns beside symbol and rank. */
export type Row = Snapshot["rows"][number];
/** One step of a delta. */
export type Step = Delta["deltas"][number];
"""
PLAIN = {"integer": "number", "number": "number", "string": "string", "boolean": "boolean", "null": "null"}

Schema = dict[str, Any]


def schemas() -> dict[str, str]:
    """Each file's content, by its name."""
    made = {
        "server.schema.json": schema("A message of the gateway", ServerMessage),
        "client.schema.json": schema("A message of a client", ClientMessage),
    }
    return {name: json.dumps(content, indent=1) + "\n" for name, content in made.items()}


def page_types(files: dict[str, str]) -> str:
    """The TypeScript declarations of those schemas."""
    texts = [HEAD]
    for name, union in (("server.schema.json", "ServerMessage"), ("client.schema.json", "ClientMessage")):
        content = json.loads(files[name])
        texts += [_interface(each, content["$defs"][each]) for each in content["$defs"]]
        texts.append(f"export type {union} = {_type(content)};\n")
    return "\n".join(texts) + TAIL


def _interface(name: str, found: Schema) -> str:
    said = f"/** {found['description'].replace('``', '`')} */\n" if "description" in found else ""
    fields = "".join(f"  {field};\n" for field in _fields(found))
    return f"{said}export interface {name} {{\n{fields}}}\n"


def _fields(found: Schema) -> list[str]:
    required = found.get("required", ())
    # A property that must not be there is not there.
    named = [f"{name}{'' if name in required else '?'}: {_type(each)}" for name, each in found.get("properties", {}).items() if each]
    others = found.get("additionalProperties")
    return [*named, f"[column: string]: {_type(others)}"] if others else named


def _type(found: Schema) -> str:
    if "$ref" in found:
        return str(found["$ref"]).rpartition("/")[2]
    if "enum" in found:
        return " | ".join(json.dumps(each) for each in found["enum"])
    if "anyOf" in found:
        return " | ".join(map(_type, found["anyOf"]))
    if isinstance(found["type"], list):
        return " | ".join(PLAIN[each] for each in found["type"])
    if found["type"] == "array":
        return f"[{', '.join(map(_type, found['prefixItems']))}]" if "prefixItems" in found else f"Array<{_type(found['items'])}>"
    if found["type"] == "object":
        return f"{{ {'; '.join(_fields(found))} }}"
    return PLAIN[found["type"]]


if __name__ == "__main__":
    files = schemas()
    for name, text in files.items():
        (FOLDER / name).write_text(text)
    TYPES.write_text(page_types(files))
