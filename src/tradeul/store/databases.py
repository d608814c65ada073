"""Opens the catalog's database by its URL, SQLite or PostgreSQL, and brings its tables to this version's form.

    sqlite:///…      a copy of the file, then the migrations, in one transaction that nobody shares
    postgresql://…   the migrations in one transaction, under an advisory lock; its schema is made if it is named and not there

A migration that fails leaves the form before it; a form of a later version is
refused before anything is touched. Calls block: use a thread. What the tables
mean is not known here (`catalog.py`, `timescale.py`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError

from tradeul.errors import StoreError
from tradeul.store.durable import sync

SETTING, STATE = "TRADEUL_DATABASE_URL", "TRADEUL_STATE"
LOCK_WAIT_SECONDS = 10.0
STATEMENT_SECONDS = 30.0
SILENT_SECONDS = 15  # a process frozen in the midst of a transaction keeps its locks from others no longer
MIGRATION_LOCK = 0x7452_4D47  # any number; the same for all versions
# A server that is gone without a word is noticed in half a minute, in the midst of a statement in ten seconds.
CONNECTION: dict[str, Any] = {
    "connect_timeout": 4,  # for each address of the name: a wrong one is told of within ten seconds
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 10_000,
}


def is_server(url: str) -> bool:
    return url.startswith("postgres")


def in_schema(url: str, schema: str) -> str:
    """The same server, with the tables in ``schema`` of its database."""
    return sa.make_url(url).update_query_dict({"options": f"-csearch_path={schema}"}).render_as_string(hide_password=False)


def drop_schema(url: str, schema: str) -> None:
    """Forget all that is in ``schema``; it need not be there.

    Raises:
        StoreError: the server did not do it.
    """
    with _opening(url) as engine, engine.begin() as connection:
        connection.execute(sa.schema.DropSchema(schema, cascade=True, if_exists=True))
    engine.dispose()


def is_there(url: str) -> bool:
    """Whether the server takes connections; of whom, and for which database, is not asked. What no server can help counts as there."""
    parts = sa.make_url(url).set(drivername="postgresql").update_query_dict({"connect_timeout": str(CONNECTION["connect_timeout"])})
    found = psycopg.pq.PGconn.ping(parts.render_as_string(hide_password=False).encode())
    return found not in (psycopg.pq.Ping.NO_RESPONSE, psycopg.pq.Ping.REJECT)


def open_database(url: str) -> sa.Engine:
    """Connect, and migrate.

    Raises:
        StoreError: it cannot be reached, or a later version made it.
    """
    with _opening(url) as engine:
        _migrate(engine)
    return engine


def form_of(url: str) -> tuple[str | None, str | None]:
    """The form that its tables have (None: there are none yet), and that of this version; nothing is written.

    Raises:
        StoreError: as `open_database` would.
    """
    with _opening(url) as engine:
        forms = _standing(engine)
    engine.dispose()
    return forms


def is_of_later_version(form: str | None) -> bool:
    return form is not None and form not in _known_forms()


def copy_sqlite(url: str, path: Path) -> None:
    """All of it as of one moment, into a new file.

    Raises:
        StoreError: it cannot be read, or the disk did not take it.
    """
    with _opening(url) as engine:
        _copy_into(engine, path)
    engine.dispose()


@contextmanager
def _opening(url: str) -> Iterator[sa.Engine]:
    try:
        engine = _engine(url)
    except sa.exc.SQLAlchemyError as error:
        raise not_opened(url, error) from error
    try:
        yield engine
    except (sa.exc.SQLAlchemyError, CommandError, OSError) as error:
        engine.dispose()
        raise not_opened(url, error) from error
    except StoreError:
        engine.dispose()
        raise


def _engine(url: str) -> sa.Engine:
    if not is_server(url):
        engine = sa.create_engine(url)
        sa.event.listen(engine, "connect", _set_up_sqlite)
        return engine
    parts = sa.make_url(url).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(
        parts, connect_args=CONNECTION | {"application_name": "tradeul"}, pool_pre_ping=True, pool_timeout=LOCK_WAIT_SECONDS
    )
    sa.event.listen(engine, "connect", _set_up_postgresql)
    return engine


def _set_up_sqlite(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={int(LOCK_WAIT_SECONDS * 1000)}")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _set_up_postgresql(connection: Any, _record: object) -> None:
    connection.execute(f"SET statement_timeout = {int(STATEMENT_SECONDS * 1000)}")
    connection.execute(f"SET idle_in_transaction_session_timeout = '{SILENT_SECONDS}s'")
    connection.execute("SET timezone = 'UTC'")
    connection.commit()


def _migrations() -> Config:
    config = Config()
    config.set_main_option("script_location", str(resources.files("tradeul.store").joinpath("migrations")))
    return config


def _standing(engine: sa.Engine) -> tuple[str | None, str | None]:
    """The form that it has, and ours; raises StoreError: it is a later version's."""
    head = _known_forms()[0]
    with engine.connect() as connection:
        standing = MigrationContext.configure(connection).get_current_revision()
    if is_of_later_version(standing):
        raise _of_a_later_version(engine, standing, head)
    return standing, head


def _known_forms() -> list[str]:
    """The newest first."""
    return [script.revision for script in ScriptDirectory.from_config(_migrations()).walk_revisions()]


def _migrate(engine: sa.Engine) -> None:
    standing, head = _standing(engine)
    if standing == head:
        return
    if standing is not None and engine.dialect.name == "sqlite":
        _copy(engine, standing)
    config = _migrations()
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATION_LOCK)))
            _make_schema(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _make_schema(connection: sa.Connection) -> None:
    """The first of the search path, where none of it is there."""
    schema, path = connection.execute(sa.select(sa.func.current_schema(), sa.func.current_setting("search_path"))).one()
    if schema is None:
        connection.execute(sa.schema.CreateSchema(path.split(",")[0].strip().strip('"'), if_not_exists=True))


def copy_of(catalog: Path, revision: str | None) -> Path:
    return catalog.with_name(f"{catalog.stem}-{revision}{catalog.suffix}")


def _copy(engine: sa.Engine, revision: str) -> None:
    """The whole catalog as it stands, beside it, before its form changes."""
    kept = copy_of(Path(engine.url.database or ""), revision)
    draft = kept.with_suffix(".tmp")
    draft.unlink(missing_ok=True)
    _copy_into(engine, draft)
    draft.replace(kept)


def _copy_into(engine: sa.Engine, path: Path) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("VACUUM INTO :path"), {"path": str(path)})
    sync(path)


def _of_a_later_version(engine: sa.Engine, standing: str | None, head: str | None) -> StoreError:
    if engine.dialect.name == "sqlite":
        catalog = Path(engine.url.database or "")
        copy = copy_of(catalog, head)
        remedy = f"or put back its copy of before: `rm -f {catalog}-wal {catalog}-shm && cp {copy} {catalog}`"
        if not copy.exists():
            remedy = f"or put a backup of before, `tradeul restore DIR`, into another folder ({STATE})"
    else:
        remedy = f"or put a backup of before, `tradeul restore DIR`, into an empty database ({SETTING}) and folder ({STATE})"
    what = f"The catalog {shown(engine.url)} has the form {standing} of a later version; this one knows {head}"
    return StoreError(f"{what}. Start the later version, {remedy}.")


def shown(url: sa.URL | str) -> str:
    """Without its password."""
    return sa.make_url(url).render_as_string().replace("postgresql+psycopg", "postgresql").split("?")[0]


def not_opened(url: str, error: Exception) -> StoreError:
    if not is_server(url):
        return StoreError(f"The catalog {shown(url)} cannot be opened: {first_line(error)}")
    remedy = "Start that server or correct the setting, or unset it to keep the catalog in the state folder."
    return StoreError(f"{SETTING}={shown(url)} cannot be used ({first_line(error)}). {remedy}")


def not_taken(what: str, error: Exception) -> StoreError:
    """``what`` could not be read or written."""
    on_server = isinstance(getattr(error, "orig", None), psycopg.Error)
    remedy = f"see to the server of {SETTING}" if on_server else "see to the disk's space and rights"
    return StoreError(f"{what} ({first_line(error)}): {remedy}.")


def first_line(error: Exception) -> str:
    """Without the library's advice below it, and without what the driver puts before the server's word."""
    lines = str(getattr(error, "orig", None) or error).splitlines() or [type(error).__name__]
    return lines[0].rpartition("FATAL:  ")[2]
