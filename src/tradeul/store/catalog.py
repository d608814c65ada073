"""The catalog: the ledger of partitions, the last runs and durable counters, in SQL. A URL chooses the server.

Its tables are made and changed by the numbered migrations beside it, at open
(`databases.py`). SQLite runs with a write-ahead log and synchronous=FULL: what
was noted is noted, even if the power fails. Calls block: use a thread. It
decides nothing: what a state means is in `maintenance/ledger.py`.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Any

import msgspec
import sqlalchemy as sa

from tradeul.errors import LeadLost, StoreError
from tradeul.records.partitions import LedgerRow, State
from tradeul.records.runs import Run, RunOptions
from tradeul.store.databases import not_taken, open_database

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
        self.engine = open_database(url)
        self._term: tuple[str, int] | None = None  # the counter, and its value while we lead

    def close(self) -> None:
        self.engine.dispose()

    @contextmanager
    def transaction(self, failing: str) -> Iterator[sa.Connection]:
        """All or nothing. Raises StoreError, which begins with ``failing``: the catalog did not answer or did not take it."""
        try:
            with self.engine.begin() as connection:
                yield connection
        except sa.exc.SQLAlchemyError as error:
            raise not_taken(failing, error) from error

    def answers(self) -> bool:
        """Whether it can be read now."""
        try:
            with self.transaction("The catalog could not be read") as connection:
                connection.exec_driver_sql("SELECT version_num FROM alembic_version")
        except StoreError:
            return False
        return True

    def ledger(self) -> list[LedgerRow]:
        """Raises StoreError: the catalog does not answer."""
        with self.transaction("The ledger could not be read") as connection:
            return [_row(found) for found in connection.execute(sa.select(_ledger))]

    def begin_term(self, role: str) -> None:
        """We lead from now on: notes of earlier leaders under way are waited for, later ones are refused.

        Raises:
            StoreError: the catalog did not take it.
        """
        counter = f"term:{role}"
        with self.transaction("The lead could not be taken") as connection:
            self._term = counter, next_value(connection, counter)

    def _hold_term(self, connection: sa.Connection) -> None:
        """Raises LeadLost: another leads since; else nobody else does until the transaction ends."""
        if self._term is None:
            return
        counter, ours = self._term
        newest = sa.select(_counters.c.value).where(_counters.c.name == counter).with_for_update(read=True)
        if connection.execute(newest).scalar_one() != ours:
            raise LeadLost("Another process leads since: what this one had begun is not noted.")

    def check_term(self) -> None:
        """Before what is not in the catalog is changed.

        Raises:
            LeadLost: we led, and another leads since.
            StoreError: the catalog does not answer.
        """
        if self._term is not None:
            with self.transaction("Who leads could not be asked") as connection:
                self._hold_term(connection)

    def note(self, rows: Iterable[LedgerRow]) -> None:
        """Write these rows, all or none.

        Raises:
            LeadLost: we led, and another leads since.
            StoreError: the catalog did not take them.
        """
        with self.transaction("The ledger could not be written") as connection:
            self._hold_term(connection)
            for row in rows:
                values = _values(row)
                key = (_ledger.c.dataset == row.dataset) & (_ledger.c.session == row.session)
                if connection.execute(sa.update(_ledger).where(key).values(**values)).rowcount == 0:
                    connection.execute(sa.insert(_ledger).values(**values))

    def forget(self, keys: Iterable[tuple[str, date]]) -> None:
        """Delete the rows of these partitions, all or none.

        Raises:
            LeadLost: we led, and another leads since.
            StoreError: the catalog did not do it.
        """
        with self.transaction("The ledger could not be written") as connection:
            self._hold_term(connection)
            for dataset, session in keys:
                connection.execute(sa.delete(_ledger).where((_ledger.c.dataset == dataset) & (_ledger.c.session == session)))

    def add_run(self, run: Run) -> None:
        """Keep a finished run; of all only the last `RUNS_KEPT`, and the last whole one that succeeded.

        Raises:
            LeadLost: we led, and another leads since.
            StoreError: the catalog did not take it.
        """
        values = {column.name: getattr(run, column.name) for column in _runs.columns if column.name != "number"}
        values |= {name: msgspec.json.encode(values[name]).decode() for name in _RUN_PARTS}
        succeeded = sa.select(sa.func.max(_runs.c.number)).where(_runs.c.success & (_runs.c.options == "{}")).scalar_subquery()
        with self.transaction("The run could not be noted") as connection:
            self._hold_term(connection)
            connection.execute(sa.insert(_runs).values(**values))
            last = connection.execute(sa.select(sa.func.max(_runs.c.number))).scalar_one()
            old = _runs.c.number <= last - RUNS_KEPT
            connection.execute(sa.delete(_runs).where(old & (_runs.c.number != sa.func.coalesce(succeeded, 0))))

    def runs(self) -> list[Run]:
        """The last runs, newest first.

        Raises:
            StoreError: the catalog does not answer.
        """
        with self.transaction("The last runs could not be read") as connection:
            found = connection.execute(sa.select(_runs).order_by(_runs.c.number.desc()))
            return [_run(row) for row in found]

    def next_epoch(self, above: int = 0) -> int:
        """The next value of the one counter from which lists take their epochs; never the same twice, and ``above`` what is told.

        Raises:
            StoreError: the catalog did not give one.
        """
        with self.transaction("No epoch could be taken") as connection:
            return next_value(connection, EPOCH, above)


def next_value(connection: sa.Connection, counter: str, above: int = 0) -> int:
    """One more than the last, or than ``above`` if that is more; who asks at the same time waits for the other's transaction."""
    insert = "INSERT INTO counters (name, value) VALUES (:name, :above + 1)"
    larger = "CASE WHEN counters.value > :above THEN counters.value ELSE :above END"
    counted = sa.text(f"{insert} ON CONFLICT (name) DO UPDATE SET value = {larger} + 1 RETURNING value")
    return int(connection.execute(counted, {"name": counter, "above": above}).scalar_one())


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
