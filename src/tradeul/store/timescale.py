"""The mirror: what people ask by SQL, copied from the lake into PostgreSQL; hypertables where TimescaleDB is, else plain tables.

    market_data_daily, volume_slots, scan_results   a session at a time
    tickers_unified                                 as a whole
    mirrored                                        which partition stands, from which contents of the lake

A partition is replaced in one transaction, its line in `mirrored` included:
who reads sees the old rows or the new ones, and a kill leaves no half. Two who
replace the same one follow each other. The lake is the truth: all of this can
be dropped and made anew. It stands in the catalog's database and schema. Calls
block: use a thread. What is wanted is not known here
(`maintenance/tasks/timescale_mirror.py`).
"""

from datetime import date
from typing import TypeAlias

import adbc_driver_manager
import msgspec
import polars as pl
import sqlalchemy as sa
from adbc_driver_postgresql import dbapi

from tradeul.errors import StoreError
from tradeul.ops.standing import GONE
from tradeul.store.catalog import Catalog
from tradeul.store.databases import SETTING, first_line

REPLACE_SECONDS = 600  # a session of slots is a million rows
Part: TypeAlias = tuple[str, date]  # table, session
WHOLE = date(1970, 1, 1)  # instead of a session, of a table that is one partition


class Table(msgspec.Struct, frozen=True):
    """``by``: the column that names the session; None: the table is replaced whole. ``time``: what a hypertable is cut by."""

    columns: str
    by: str | None = None
    key: str = "symbol"
    time: str | None = None
    chunk_days: int = 0
    order: str = ""


DAILY, SLOTS, TICKERS, RESULTS = "market_data_daily", "volume_slots", "tickers_unified", "scan_results"
TABLES = {
    DAILY: Table(
        "trading_date date NOT NULL, symbol text NOT NULL, open float8, high float8, low float8, close float8, volume float8, vwap float8, "
        "trades_count int8",
        by="trading_date",
        key="symbol, trading_date",
        time="trading_date",
        chunk_days=90,
        order="trading_date",
    ),
    SLOTS: Table(
        "date date NOT NULL, symbol text NOT NULL, slot_number int2 NOT NULL, slot_time time, volume float8, volume_accumulated float8, "
        "trades_count int4, vwap float8",
        by="date",
        key="symbol, date",
        time="date",
        chunk_days=7,
        order="date, slot_number",
    ),
    TICKERS: Table(
        "symbol text NOT NULL, company_name text, exchange text, type text, is_active bool, market_cap float8, free_float float8, "
        "shares_outstanding float8, sector text, industry text, cik text, list_date date, avg_volume_20d float8, atr float8"
    ),
    RESULTS: Table(
        'time timestamptz NOT NULL, session date NOT NULL, list text NOT NULL, symbol text NOT NULL, event text, rank int4, "row" json',
        by="session",
        key="symbol, time",
        time="time",
        chunk_days=7,
        order="time",
    ),
}
_FORM = "CREATE TABLE mirrored (tab text, session date, checksum text NOT NULL, rows int8 NOT NULL, PRIMARY KEY (tab, session))"
# A session that is replaced or dropped in a compressed chunk unpacks its week: far more rows than TimescaleDB allows a transaction
# by itself (100,000). A plain server takes the setting for a name of ours.
_UNPACK = "SET LOCAL timescaledb.max_tuples_decompressed_per_dml_transaction = 0"
_UNREADABLE, _UNWRITTEN = "The mirror could not be read", "The mirror could not be written"


class Mirror:
    def __init__(self, url: str, catalog: Catalog) -> None:
        self._url, self._catalog = url, catalog

    def kind(self) -> str:
        """For people: connected, postgresql only, or `GONE`."""
        try:
            with self._catalog.transaction(_UNREADABLE) as connection:
                return "postgresql only" if _extension(connection) is None else "connected"
        except StoreError:
            return GONE

    def standing(self) -> dict[Part, str]:
        """What stands, and the checksum of what it was made from; tables that are not there are made.

        Raises:
            StoreError: the server did not do it, or the database holds tables of these names that are not ours.
        """
        with self._catalog.transaction(_UNREADABLE) as connection:
            if not {*TABLES, "mirrored"} <= _tables(connection):
                _make_anew(connection)
            found = connection.exec_driver_sql("SELECT tab, session, checksum FROM mirrored")
            return {(row.tab, row.session): row.checksum for row in found}

    def forget(self) -> None:
        """All of it, to be made anew.

        Raises:
            StoreError: the server did not do it, or the database holds tables of these names that are not ours.
        """
        with self._catalog.transaction(_UNWRITTEN) as connection:
            _make_anew(connection)

    def replace(self, part: Part, rows: pl.DataFrame, checksum: str) -> None:
        """The partition's rows by these, in one transaction.

        Raises:
            StoreError: the server did not take them; the old ones stand.
        """
        name, session = part
        note = f"INSERT INTO mirrored VALUES ('{name}', DATE '{session}', '{checksum}', {rows.height}) ON CONFLICT (tab, session) "  # noqa: S608 names and dates are ours
        try:
            with dbapi.connect(self._url) as connection, connection.cursor() as cursor:
                cursor.execute(f"SET statement_timeout = '{REPLACE_SECONDS}s'")
                cursor.execute(_UNPACK)
                # First: who replaces the same partition waits here.
                cursor.execute(f"{note} DO UPDATE SET checksum = excluded.checksum, rows = excluded.rows")
                cursor.execute(_delete(part))
                if rows.height:
                    cursor.adbc_ingest(name, rows, mode="append")
                connection.commit()
        except adbc_driver_manager.Error as error:
            raise StoreError(f"{_UNWRITTEN} ({first_line(error)}): see to the server of {SETTING}.") from error

    def drop(self, part: Part) -> None:
        """The partition.

        Raises:
            StoreError: the server did not do it.
        """
        name, session = part
        with self._catalog.transaction(_UNWRITTEN) as connection:
            connection.exec_driver_sql(_UNPACK)
            connection.exec_driver_sql(f"SET LOCAL statement_timeout = '{REPLACE_SECONDS}s'")
            connection.exec_driver_sql(f"DELETE FROM mirrored WHERE tab = '{name}' AND session = DATE '{session}'")  # noqa: S608
            connection.exec_driver_sql(_delete(part))

    def drop_chunks(self, name: str, oldest: date) -> None:
        """Give back the room of what was dropped before ``oldest``; nothing to do in a plain table.

        Raises:
            StoreError: the server did not do it.
        """
        with self._catalog.transaction(_UNWRITTEN) as connection:
            schema = _extension(connection)
            if schema is not None:
                connection.exec_driver_sql(f"SELECT {schema}.drop_chunks('{name}', older_than => DATE '{oldest}')")


def _delete(part: Part) -> str:
    name, session = part
    by = TABLES[name].by
    return f"DELETE FROM {name}" + ("" if by is None else f" WHERE {by} = DATE '{session}'")  # noqa: S608


def _extension(connection: sa.Connection) -> str | None:
    """The schema of TimescaleDB's functions; None: it is not in this database."""
    found = "SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'timescaledb'"
    return connection.exec_driver_sql(found).scalar_one_or_none()


def _tables(connection: sa.Connection) -> set[str]:
    return set(sa.inspect(connection).get_table_names())


def _make_anew(connection: sa.Connection) -> None:
    there = _tables(connection)
    foreign = sorted(there & TABLES.keys()) if "mirrored" not in there else []
    if foreign:
        raise StoreError(
            f"The database of {SETTING} holds tables of another program ({', '.join(foreign)}), which the mirror would replace: "
            "give Tradeul a database of its own, or rename them."
        )
    schema = _extension(connection)
    for name in (*TABLES, "mirrored"):
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS {name}")
    connection.exec_driver_sql(_FORM)
    for name, table in TABLES.items():
        connection.exec_driver_sql(f"CREATE TABLE {name} ({table.columns})")
        connection.exec_driver_sql(f"CREATE INDEX ON {name} ({table.key})")
        if table.time is None:
            continue
        if schema is None:
            connection.exec_driver_sql(f"CREATE INDEX ON {name} USING brin ({table.by})")
        else:
            _make_hypertable(connection, schema, name, table)


def _make_hypertable(connection: sa.Connection, schema: str, name: str, table: Table) -> None:
    """Chunks are compressed once they are two of them old; what is replaced is mostly newer."""
    span = f"INTERVAL '{table.chunk_days} days'"
    connection.exec_driver_sql(f"SELECT {schema}.create_hypertable('{name}', {schema}.by_range('{table.time}', {span}))")
    connection.exec_driver_sql(
        f"ALTER TABLE {name} SET (timescaledb.compress, timescaledb.compress_segmentby = 'symbol', "
        f"timescaledb.compress_orderby = '{table.order}')"
    )
    connection.exec_driver_sql(f"SELECT {schema}.add_compression_policy('{name}', INTERVAL '{2 * table.chunk_days} days')")
