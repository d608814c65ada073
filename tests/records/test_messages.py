"""The records of the protocol, its schema files and its page say the same."""

import importlib.util
import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import get_args

import jsonschema_rs
import msgspec
import pytest

from tradeul.market_calendar import Phase
from tradeul.records import messages
from tradeul.records.messages import Add, ClientMessage, Connected, Delta, ListHead, ServerMessage, Snapshot, Status, Step, Update, encode

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "docs" / "protocol"
PAGE = (ROOT / "docs" / "protocol.md").read_text()
REMAKE = "run scripts/make_schemas.py"


def made_schemas():
    spec = importlib.util.spec_from_file_location("make_schemas", ROOT / "scripts" / "make_schemas.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_schema_files_are_those_of_the_records():
    assert {path.name: path.read_text() for path in FOLDER.glob("*.schema.json")} == made_schemas().schemas(), REMAKE


def test_the_pages_types_are_those_of_the_schema_files():
    maker = made_schemas()
    assert maker.TYPES.read_text() == maker.page_types({path.name: path.read_text() for path in FOLDER.glob("*.schema.json")}), REMAKE


def wire_fields(kind):
    return [field.encode_name for field in msgspec.structs.fields(kind)]


def rows_of_tables():
    """Each table row of the page: what stands in code font in its first cell, and its second cell."""
    rows = re.findall(r"^\| `(\w+)`(?: \(or [^|]*\))? \| ([^|]*) \|", PAGE, re.MULTILINE)
    return {name: set(re.findall(r"`(\w+)`", cell)) for name, cell in rows}


@pytest.mark.parametrize("kind", [*get_args(ServerMessage), *get_args(ClientMessage), *get_args(Step)], ids=lambda kind: kind.__name__)
def test_the_page_names_every_message_with_every_field(kind):
    assert rows_of_tables()[kind.__struct_config__.tag] >= set(wire_fields(kind))


def test_the_page_names_every_field_of_a_list_every_code_every_phase_and_every_mode():
    words = set(re.findall(r"`(\w+)`", PAGE))
    assert words >= {*wire_fields(ListHead), *messages.CODES, *messages.PHASES, *messages.CLASSES, *messages.Mode}


def test_the_phases_of_the_wire_are_those_of_the_calendar():
    assert tuple(Phase) == messages.PHASES


ROW = {"symbol": "A", "rank": 0, "price": 1.5, "halted": None, "name": "x", "ssr": True}
HEAD = ("winners", date(2026, 3, 9), "LIVE", 3, 8)
WINNERS = ListHead("winners", "Winners", "change_pct > 5", (("change_pct", "desc"),), ("price",))
GOOD = [
    Connected("c", date(2026, 3, 9), "CLOSED", "LIVE", datetime(2026, 3, 9, tzinfo=UTC), [WINNERS]),
    Snapshot(*HEAD, 1, [ROW], 5, ("rvol",)),
    Delta(*HEAD, 7, [Add("A", 0, ROW), Update("A", {"price": None})], 5),
    Status(None, 3, stale=True, phase="CLOSED", mode="DELAYED"),
]
BAD = [
    Snapshot(*HEAD, 1, [ROW | {"rank": -1}], 5),
    Snapshot(*HEAD, 1, [{"symbol": "A"}], 5),
    Snapshot(*HEAD, 1, [ROW | {"price": [1]}], 5),
    Delta(*HEAD, 7, [Update("A", {"rank": 1})], 5),
    Delta(*HEAD, 7, [Update("A", {})], 5),
    Status(None, 3, stale=True, phase="NIGHT", mode="DELAYED"),
    messages.ErrorMessage("oops", "x"),
]


def test_the_schema_takes_what_is_right_and_refuses_what_is_wrong():
    schema = jsonschema_rs.validator_for(messages.schema("", ServerMessage), validate_formats=True)
    assert all(schema.is_valid(msgspec.json.decode(encode(message))) for message in GOOD)
    assert not [message for message in BAD if schema.is_valid(msgspec.json.decode(encode(message)))]
    asked = jsonschema_rs.validator_for(messages.schema("", ClientMessage))
    assert asked.is_valid({"action": "subscribe", "list": "winners", "class": "etf"}) and asked.is_valid({"action": "ping"})
    assert not asked.is_valid({"action": "subscribe"}) and not asked.is_valid({"action": "buy", "list": "winners"})
