"""A first form of the test that keeps the floors of DESIGN.md. Adapt it; keep what it forbids."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "src" / "tradeul"
# Bottom to top. A room imports itself and the floors below. Rooms on one floor
# do not know each other: they meet on the bus or in the store.
FLOORS = [
    {"errors", "records", "clock"},
    {"settings", "ops", "market_calendar", "analytics"},
    {"providers", "store", "bus"},
    {"maintenance", "live", "scanner", "gateway", "api", "filings", "client", "simulator"},
    # The top floor of DESIGN.md, one upon the other: the module starts the command, the command assembles.
    {"assemble"},
    {"cli"},
    {"__main__", "__init__"},
]
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
# The only files that may wait, sleep, or open a socket. A task awaits what it is handed.
SHELLS = {"service.py", "server.py", "client.py", "stream.py", "http.py", "flat_files.py", "clock.py", "conformance.py"}
SHELL_ROOMS = {"store", "bus", "ops", "simulator", "client", "assemble", "cli"}
IO_LIBRARIES = {"aiohttp", "ray", "redis", "sqlalchemy", "sqlite3", "socket", "time", "threading", "subprocess"}
LOOP_OWNERS = {"run", "create_task", "sleep", "get_event_loop", "new_event_loop"}
# A service dies loudly at the top; one browser's failure must not stop the others.
MAY_CATCH_ALL = {"gateway/server.py"}
MAX_LINES = 400

every_file = pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=str)


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "write absolute imports"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def floor_of(room):
    assert room in FLOOR_OF, f"{room!r} is no room of DESIGN.md section 2: add it to a floor, with its reason"
    return FLOOR_OF[room]


@every_file
def test_imports_point_down(path):
    room = room_of(path)
    names = [name.split(".") for name in imports(path) if name.startswith("tradeul.")]
    targets = {parts[1] for parts in names if (PACKAGE / parts[1]).exists() or (PACKAGE / f"{parts[1]}.py").exists()}
    assert not {target for target in targets - {room} if floor_of(target) >= floor_of(room)}


@every_file
def test_only_shells_do_io(path):
    if path.name not in SHELLS and room_of(path) not in SHELL_ROOMS:
        assert not {name.split(".")[0] for name in imports(path)} & IO_LIBRARIES
        calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        assert not [
            f.attr for f in calls if isinstance(f, ast.Attribute) and getattr(f.value, "id", "") == "asyncio" and f.attr in LOOP_OWNERS
        ]


@every_file
def test_excepts_name_their_error(path):
    if str(path.relative_to(PACKAGE)) not in MAY_CATCH_ALL:
        handlers = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ExceptHandler)]
        caught = [(h, h.type.elts if isinstance(h.type, ast.Tuple) else [h.type]) for h in handlers]
        assert not [
            h.lineno
            for h, types in caught
            if {getattr(t, "id", getattr(t, "attr", "Exception")) for t in types} & {"Exception", "BaseException"}
        ]


@every_file
def test_files_are_short_and_introduced(path):
    text = path.read_text()
    assert text.count("\n") <= MAX_LINES
    assert not text or ast.get_docstring(ast.parse(text))
