"""A setting that cannot work, over real servers: one sentence that names it, an exit code, nothing half-written; whoever meets it."""

import json
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from tests.postgres import LOCKED
from tests.product import CLEAN, PORTS, eventually
from tests.redis_server import running_redis
from tradeul.store.catalog import Catalog
from tradeul.store.databases import in_schema

STORING = ("maintenance", "scanner", "filings", "historical", "api")
APART = (*STORING, "gateway")
WRITING = ("maintenance", "scanner")  # the lake
WHOLE, DOCTOR = "", "doctor"
NOBODY = "127.0.0.1:1"


def settings_of(case, state, postgres, redis_url, silent=NOBODY):
    """What is set in this case; the servers that are not its subject are well."""
    match case:
        case "redis password":
            return {"redis_url": redis_url.replace("open", "wrong")}
        case "redis database":
            return {"redis_url": f"{redis_url}/9999"}
        case "redis away":
            return {"redis_url": f"redis://{NOBODY}"}
        case "redis silent":
            return {"redis_url": f"redis://{silent}"}
        case "redis option":
            return {"redis_url": f"{redis_url}?no_such_option=1"}
        case "redis port":
            return {"redis_url": "redis://127.0.0.1:66666"}
        case "database password":
            return {"redis_url": redis_url, "database_url": postgres.url(user=LOCKED, password="wrong")}
        case "database name":
            return {"redis_url": redis_url, "database_url": postgres.url("nowhere")}
        case "database away":
            return {"redis_url": redis_url, "database_url": f"postgresql://tradeul:secret@{NOBODY}/tradeul"}
        case "database silent":
            return {"redis_url": redis_url, "database_url": f"postgresql://tradeul:secret@{silent}/tradeul"}
        case "database option":
            return {"redis_url": redis_url, "database_url": postgres.url() + "&no_such_option=1"}
        case "database of the future":
            return {"redis_url": redis_url, "database_url": of_the_future(postgres.new_database())}
        case "catalog of the future":
            (state / "simulated").mkdir(parents=True)
            of_the_future(f"sqlite:///{state}/simulated/catalog.db")
            return {"redis_url": redis_url}
        case "read-only lake":
            (state / "simulated").mkdir(parents=True)
            (state / "simulated" / "lake").symlink_to("/sys")  # which takes no file from anybody, root included
            return {"redis_url": redis_url}
    return {}


def of_the_future(url):
    catalog = Catalog(in_schema(url, "simulated") if url.startswith("postgres") else url)
    with catalog.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    catalog.close()
    return url


# What is wrong: what is said, and by whom it is met. Who does not need it is not among them.
CASES = {
    "redis password": ("TRADEUL_REDIS_URL=redis://127.0.0.1:", " refuses us (", (WHOLE, *APART, DOCTOR)),
    "redis database": ("TRADEUL_REDIS_URL=redis://127.0.0.1:", " refuses us (", (WHOLE, *APART, DOCTOR)),
    "redis away": (f"TRADEUL_REDIS_URL=redis://{NOBODY} does not answer", "", (WHOLE, DOCTOR)),
    "redis silent": ("TRADEUL_REDIS_URL=redis://127.0.0.1:", " does not answer (", (WHOLE, DOCTOR)),
    "redis option": ("TRADEUL_REDIS_URL=redis://127.0.0.1:", "no_such_option", (WHOLE, *APART, DOCTOR)),
    "redis port": ("TRADEUL_REDIS_URL='…': an address as redis://", "", (WHOLE, *APART, DOCTOR)),
    "database password": ("TRADEUL_DATABASE_URL=postgresql://", "(password authentication failed", (WHOLE, *STORING, DOCTOR)),
    "database name": ("TRADEUL_DATABASE_URL=postgresql://", 'database "nowhere" does not exist', (WHOLE, *STORING, DOCTOR)),
    "database away": (f"TRADEUL_DATABASE_URL=postgresql://tradeul:***@{NOBODY}/tradeul cannot be used", "", (WHOLE, DOCTOR)),
    "database silent": ("TRADEUL_DATABASE_URL=postgresql://tradeul:***@127.0.0.1:", "cannot be used", (WHOLE, DOCTOR)),
    "database option": ("TRADEUL_DATABASE_URL=postgresql://", "no_such_option", (WHOLE, *STORING, DOCTOR)),
    "database of the future": ("The catalog postgresql://", "into an empty database (TRADEUL_DATABASE_URL)", (WHOLE, *STORING, DOCTOR)),
    "catalog of the future": ("The catalog sqlite:///", "into another folder (TRADEUL_STATE)", (WHOLE, *STORING, DOCTOR)),
    "read-only lake": ("The lake ", "cannot be written", (WHOLE, *WRITING, DOCTOR)),
    "embedded": ("TRADEUL_REDIS_URL is not set: `tradeul up ", "the embedded one is for one process", APART),
}
SAMPLE = {("redis password", "gateway"), ("database password", "api"), ("read-only lake", "scanner"), ("catalog of the future", DOCTOR)}
TABLE = [
    pytest.param(case, command, id=f"{case}: {command or 'all'}", marks=() if (case, command) in SAMPLE else pytest.mark.long)
    for case, (_, _, commands) in CASES.items()
    for command in commands
]


@pytest.fixture(scope="module")
def redis_url():
    with running_redis() as server:
        yield server.url


@pytest.fixture(scope="module")
def silent():
    """A server that takes a connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture(scope="module")
def ports():
    with ExitStack() as stack:
        return {name: stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for name in PORTS}


def environment(state, settings):
    return CLEAN | {f"TRADEUL_{name.upper()}": str(value) for name, value in ({"state": state} | settings).items()}


def contents(folder: Path):
    """Of a state folder, but for its locks, which say nothing when nobody holds them."""
    paths = [path for path in folder.rglob("*") if path.relative_to(folder).parts[0] != "locks"]
    # SQLite's own files beside an open database come and go.
    kept = [path for path in paths if not path.name.endswith(("-wal", "-shm"))]
    return {str(path): path.read_bytes() if path.is_file() else None for path in kept}


def tables(url, postgres):
    found = "SELECT count(*) FROM pg_class JOIN pg_namespace ON relnamespace = pg_namespace.oid WHERE nspname IN ('public', 'simulated')"
    return postgres.execute(found, make_url(url).database)


@pytest.mark.parametrize(("case", "command"), TABLE)
def test_what_cannot_work_is_one_sentence_and_leaves_nothing(case, command, tmp_path, postgres, redis_url, silent, ports):
    state = tmp_path / "state"
    settings = ports | settings_of(case, state, postgres, redis_url, silent)
    database = settings.get("database_url") if case == "database of the future" else None
    before, made = contents(state), database and tables(database, postgres)
    arguments = ["doctor", "--json"] if command == DOCTOR else ["up", *command.split()]
    done = subprocess.run(
        [sys.executable, "-m", "tradeul", *arguments], env=environment(state, settings), capture_output=True, text=True, timeout=60
    )
    begins, names, _ = CASES[case]
    assert done.returncode == (2 if command == DOCTOR and done.stdout else 1), done
    if command == DOCTOR and done.stdout:
        (said,) = [each["says"] for each in json.loads(done.stdout)["findings"] if each["grade"] == "failure"]
    else:
        said = done.stderr.splitlines()[-1].removeprefix("tradeul: ")
        assert "Traceback" not in done.stderr
    assert said.startswith(begins) and names in said, said
    assert "wrong@" not in said and "secret" not in said  # no password is told
    assert contents(state) == before
    assert not database or tables(database, postgres) == made


WAITED = [("redis away", "redis_waited_for", APART), ("database away", "database_waited_for", STORING)]
WAITING = [
    pytest.param(case, event, command, id=f"{case}: {command}", marks=() if command == "historical" else pytest.mark.long)
    for case, event, commands in WAITED
    for command in commands
]


@pytest.mark.parametrize(("case", "event", "command"), WAITING)
def test_a_service_alone_says_which_server_it_waits_for_and_writes_nothing_meanwhile(
    case, event, command, tmp_path, postgres, redis_url, ports
):
    state = tmp_path / "state"
    setting = {"redis away": "TRADEUL_REDIS_URL", "database away": "TRADEUL_DATABASE_URL"}[case]
    said = tmp_path / "said"
    with said.open("w") as stderr:
        arguments = [sys.executable, "-m", "tradeul", "up", command]
        settings = ports | settings_of(case, state, postgres, redis_url)
        process = subprocess.Popen(arguments, env=environment(state, settings), stdout=subprocess.DEVNULL, stderr=stderr)
    try:
        eventually(lambda: event in said.read_text() and setting in said.read_text())
        assert not state.exists()
        process.terminate()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait(30)


def test_fresh_forgets_nothing_when_a_server_refuses_us(tmp_path, redis_url):
    kept = tmp_path / "simulated" / "market.json"
    kept.parent.mkdir()
    kept.write_text("{}")
    settings = {"redis_url": redis_url.replace("open", "wrong")}
    arguments = [sys.executable, "-m", "tradeul", "up", "--fresh"]
    done = subprocess.run(arguments, env=environment(tmp_path, settings), capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and kept.read_text() == "{}"
