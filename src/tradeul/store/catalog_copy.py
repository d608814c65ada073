"""The catalog as one SQLite file, and back: whichever server keeps it, so that a backup moves it from one to the other.

    SQLite       VACUUM INTO: SQLite's own copy of one moment, whoever writes meanwhile
    PostgreSQL   all rows in one REPEATABLE READ transaction, into tables of the same form

Calls block: use a thread. Tables that are made anew from the lake (`timescale.py`) are not the catalog's.
"""

import shutil
import tempfile
from contextlib import ExitStack, closing
from pathlib import Path

import sqlalchemy as sa

from tradeul.errors import StoreError
from tradeul.store import filings, layouts  # noqa: F401 their tables are of the catalog
from tradeul.store.catalog import METADATA, Catalog
from tradeul.store.databases import MIGRATION_LOCK, SETTING, copy_sqlite, form_of, is_server, shown

ROWS = 5_000  # at once


def form_to_copy(url: str) -> str:
    """Raises StoreError: it does not answer, or its tables have another form than this version's; nothing is migrated."""
    standing, ours = form_of(url)
    if standing is None or standing != ours:
        what = (
            f"The catalog {shown(url)} has the form {standing} of an earlier version" if standing else f"{shown(url)} holds no catalog yet"
        )
        raise StoreError(f"{what}: back up with the version that ran last, or start this one first.")
    return standing


def copy_catalog(url: str, path: Path) -> None:
    """All of a catalog of this version's form, as of one moment, into a new file.

    Raises:
        StoreError: it does not answer, or the disk did not take it.
    """
    if not is_server(url):
        copy_sqlite(url, path)
        return
    with ExitStack() as stack:
        catalog, copy = (stack.enter_context(closing(Catalog(each))) for each in (url, f"sqlite:///{path}"))
        target = stack.enter_context(copy.transaction("The catalog could not be copied"))
        source = stack.enter_context(catalog.engine.connect()).execution_options(isolation_level="REPEATABLE READ")
        _copy_rows(source, target)


def put_catalog(path: Path, url: str) -> None:
    """The rows of the file ``path`` into the database on a server, all or none; an earlier form is migrated on the way.

    Raises:
        StoreError: it holds rows already, or did not take these.
    """
    with tempfile.TemporaryDirectory(prefix="tradeul-restore-") as aside:
        draft = shutil.copy(path, aside)
        with closing(Catalog(f"sqlite:///{draft}")) as kept, closing(Catalog(url)) as catalog:
            failing = "The catalog could not be restored"
            with kept.transaction(failing) as source, catalog.transaction(failing) as target:
                target.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATION_LOCK)))
                for table in METADATA.sorted_tables:
                    if target.execute(sa.select(table).limit(1)).first() is not None:
                        raise StoreError(f"{SETTING}={shown(url)} holds a catalog already: name a database that is empty.")
                _copy_rows(source, target)
                _count_on(target)


def _copy_rows(source: sa.Connection, target: sa.Connection) -> None:
    for table in METADATA.sorted_tables:
        found = source.execute(sa.select(table), execution_options={"yield_per": ROWS})
        for rows in found.partitions():
            target.execute(sa.insert(table), [dict(row._mapping) for row in rows])


def _count_on(connection: sa.Connection) -> None:
    """The numbers that the server gives go on after those that were put."""
    for table in METADATA.sorted_tables:
        number = table.autoincrement_column
        if number is not None:
            sequence = sa.func.pg_get_serial_sequence(table.name, number.name)
            connection.execute(sa.select(sa.func.setval(sequence, sa.func.max(number))).select_from(table))
