"""The catalog: the ledger of partitions, the last runs and durable counters, in SQL. A URL chooses the server.

Its tables are made and changed by the numbered migrations beside it, at open.
SQLite runs with a write-ahead log and synchronous=FULL: what was noted is
noted, even if the power fails. Calls block: use a thread. It decides nothing:
what a state means is in `maintenance/ledger.py`.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from importlib import resources
from typing import Any

import msgspec
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError

from tradeul.errors import StoreError
from tradeul.records.partitions import LedgerRow, State
from tradeul.records.runs import Run, RunOptions

LOCK_WAIT_SECONDS = 10.0
EPOCH = "epoch"
RUNS_KEPT = 100


class Instant(sa.types.TypeDecorator[datetime]):
    """UTC in, UTC out; SQLite itself forgets the zone."""

    impl = sa.DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: sa.Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, _dialect: sa.Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


METADATA = sa.MetaData()
_ledger = sa.Table(
    "ledger",
    METADATA,
    sa.Column("dataset", sa.String, primary_key=True),
    sa.Column("session", sa.Date, primary_key=True),
    sa.Column("state", sa.String, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("expected", sa.Integer),
    sa.Column("got", sa.Integer),
    sa.Column("missing", sa.String, nullable=False),
    sa.Column("checksum", sa.String),
    sa.Column("inputs", sa.String),
    sa.Column("started_at", Instant),
    sa.Column("finished_at", Instant),
    sa.Column("error", sa.String),
    sa.Column("code_version", sa.String),
)
_counters = sa.Table(
    "counters",
    METADATA,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False),
)
_runs = sa.Table(
    "runs",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("id", sa.String, nullable=False, unique=True),
    sa.Column("date", sa.Date, nullable=False),
    sa.Column("options", sa.String, nullable=False),
    sa.Column("started_at", Instant, nullable=False),
    sa.Column("finished_at", Instant, nullable=False),
    sa.Column("success", sa.Boolean, nullable=False),
    sa.Column("reason", sa.String),
    sa.Column("completed", sa.Integer, nullable=False),
    sa.Column("failed", sa.String, nullable=False),
    sa.Column("tasks", sa.String, nullable=False),
    sa.Column("task_seconds", sa.String, nullable=False),
    sa.Column("requests", sa.Integer),
)
# What one column holds as JSON.
_RUN_PARTS: dict[str, Any] = {
    "options": RunOptions,
    "failed": tuple[LedgerRow, ...],
    "tasks": dict[str, State],
    "task_seconds": dict[str, float],
}


class Catalog:
    def __init__(self, url: str) -> None:
        """Open it, and bring its tables to this version's form.

        Raises:
            StoreError: it cannot be reached, or a later version made it.
        """
        try:
            self.engine = sa.create_engine(url)
            if self.engine.dialect.name == "sqlite":
                sa.event.listen(self.engine, "connect", _set_up_sqlite)
            self._migrate()
        except (sa.exc.SQLAlchemyError, CommandError) as error:
            raise StoreError(f"The catalog {sa.make_url(url).render_as_string()} cannot be opened: {error}") from error

    def close(self) -> None:
        self.engine.dispose()

    @contextmanager
    def writing(self, what: str) -> Iterator[sa.Connection]:
        """One transaction. Raises StoreError: the catalog did not take it; then none of it stands. ``what`` is named in the message."""
        try:
            with self.engine.begin() as connection:
                yield connection
        except sa.exc.SQLAlchemyError as error:
            raise StoreError(f"{what} could not be kept ({first_line(error)}): see to the disk's space and rights.") from error

    def ledger(self) -> list[LedgerRow]:
        with self.engine.connect() as connection:
            return [_row(found) for found in connection.execute(sa.select(_ledger))]

    def note(self, rows: Iterable[LedgerRow]) -> None:
        """Write these rows, all or none.

        Raises:
            StoreError: the catalog did not take them.
        """
        try:
            with self.engine.begin() as connection:
                for row in rows:
                    values = _values(row)
                    key = (_ledger.c.dataset == row.dataset) & (_ledger.c.session == row.session)
                    if connection.execute(sa.update(_ledger).where(key).values(**values)).rowcount == 0:
                        connection.execute(sa.insert(_ledger).values(**values))
        except sa.exc.SQLAlchemyError as error:
            raise StoreError(f"The ledger could not be written ({first_line(error)}): see to the disk's space and rights.") from error

    def add_run(self, run: Run) -> None:
        """Keep a finished run; of all only the last `RUNS_KEPT`, and the last whole one that succeeded.

        Raises:
            StoreError: the catalog did not take it.
        """
        values = {column.name: getattr(run, column.name) for column in _runs.columns if column.name != "number"}
        values |= {name: msgspec.json.encode(values[name]).decode() for name in _RUN_PARTS}
        succeeded = sa.select(sa.func.max(_runs.c.number)).where(_runs.c.success & (_runs.c.options == "{}")).scalar_subquery()
        try:
            with self.engine.begin() as connection:
                connection.execute(sa.insert(_runs).values(**values))
                last = connection.execute(sa.select(sa.func.max(_runs.c.number))).scalar_one()
                old = _runs.c.number <= last - RUNS_KEPT
                connection.execute(sa.delete(_runs).where(old & (_runs.c.number != sa.func.coalesce(succeeded, 0))))
        except sa.exc.SQLAlchemyError as error:
            raise StoreError(f"The run could not be noted ({first_line(error)}): see to the disk's space and rights.") from error

    def runs(self) -> list[Run]:
        """The last runs, newest first."""
        with self.engine.connect() as connection:
            found = connection.execute(sa.select(_runs).order_by(_runs.c.number.desc()))
            return [_run(row) for row in found]

    def next_epoch(self) -> int:
        """The next value of the one counter from which lists take their epochs; never the same twice."""
        mine = _counters.c.name == EPOCH
        with self.engine.begin() as connection:
            if connection.execute(sa.update(_counters).where(mine).values(value=_counters.c.value + 1)).rowcount == 0:
                connection.execute(sa.insert(_counters).values(name=EPOCH, value=1))
            return int(connection.execute(sa.select(_counters.c.value).where(mine)).scalar_one())

    def _migrate(self) -> None:
        config = Config()
        config.set_main_option("script_location", str(resources.files("tradeul.store").joinpath("migrations")))
        with self.engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


def _set_up_sqlite(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute(f"PRAGMA busy_timeout={int(LOCK_WAIT_SECONDS * 1000)}")
    cursor.close()


def _values(row: LedgerRow) -> dict[str, object]:
    fields = {name: getattr(row, name) for name in row.__struct_fields__}
    return fields | {"state": row.state.value, "missing": json.dumps(row.missing)}


def _row(found: sa.Row[Any]) -> LedgerRow:
    fields = dict(found._mapping)
    session: date = fields.pop("session")
    return LedgerRow(**fields | {"session": session, "state": State(fields["state"]), "missing": tuple(json.loads(fields["missing"]))})


def _run(found: sa.Row[Any]) -> Run:
    fields = dict(found._mapping)
    del fields["number"]
    return Run(**fields | {name: msgspec.json.decode(fields[name], type=kind) for name, kind in _RUN_PARTS.items()})


def first_line(error: Exception) -> str:
    """Without the library's advice below it."""
    return str(error).splitlines()[0]
