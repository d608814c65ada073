import shutil
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from tradeul.errors import StoreError
from tradeul.records.partitions import LedgerRow, State
from tradeul.records.runs import Run, RunOptions
from tradeul.store import databases, filings, layouts  # noqa: F401 their tables are of the catalog
from tradeul.store.catalog import METADATA, Catalog
from tradeul.store.databases import copy_sqlite, drop_schema, in_schema

FIRST = Path(__file__).parent / "catalog-0001.db"  # as the first version that had a catalog wrote it

ROW = LedgerRow(
    dataset="ohlc_daily",
    session=date(2026, 3, 6),
    state=State.FAILED,
    attempts=2,
    expected=11_846,
    got=14,
    missing=("AAPL", "BRK.B"),
    checksum="c",
    inputs="i",
    started_at=datetime(2026, 3, 6, 22, 0, 0, 5, UTC),
    finished_at=datetime(2026, 3, 6, 22, 0, 1, tzinfo=UTC),
    error="14 of 11,846",
    code_version="0.1",
)
FIRST_ROWS = [ROW, LedgerRow(dataset="tickers", session=date(2026, 3, 9))]


def test_a_row_is_kept_whole_and_survives_reopening(url, catalog_at):
    bare = LedgerRow(dataset="tickers", session=date(2026, 3, 9))
    catalog = catalog_at(url)
    catalog.note([ROW, bare])
    catalog.close()
    assert sorted(catalog_at(url).ledger(), key=lambda row: row.dataset) == [ROW, bare]


def test_a_second_note_replaces_the_first(url, catalog_at):
    catalog = catalog_at(url)
    catalog.note([ROW])
    done = LedgerRow(dataset=ROW.dataset, session=ROW.session, state=State.COMPLETED)
    catalog.note([done])
    assert catalog.ledger() == [done]


def test_a_note_is_all_or_nothing(url, catalog_at):
    catalog = catalog_at(url)
    with pytest.raises(StoreError, match="ledger could not be written"):
        catalog.note([ROW, LedgerRow(dataset=None, session=ROW.session)])
    assert catalog.ledger() == []


def test_rows_that_are_forgotten_go_and_no_others(url, catalog_at):
    catalog = catalog_at(url)
    others = [LedgerRow(dataset=ROW.dataset, session=date(2020, 1, 2)), LedgerRow(dataset="splits", session=ROW.session)]
    catalog.note([ROW, *others])
    catalog.forget([(ROW.dataset, ROW.session), ("nothing", ROW.session)])
    assert sorted(catalog.ledger(), key=lambda row: row.session) == others


def test_an_epoch_is_never_given_twice(url, catalog_at):
    catalogs = [catalog_at(url), catalog_at(url)]
    with ThreadPoolExecutor(4) as pool:
        epochs = list(pool.map(lambda number: catalogs[number % 2].next_epoch(), range(40)))
    assert sorted(epochs) == list(range(1, 41))
    assert catalog_at(url).next_epoch() == 41
    assert [catalogs[0].next_epoch(above) for above in (7, 41, 50, 50)] == [42, 43, 51, 52]


def run_of(number):
    started_at = datetime(2026, 3, 9, 22, 0, tzinfo=UTC)
    return Run(
        id=f"run{number}",
        date=date(2026, 3, 9),
        options=RunOptions(target_date=date(2026, 3, 6), force=True),
        started_at=started_at,
        finished_at=started_at.replace(minute=5),
        success=False,
        reason="the vendor does not know this key",
        completed=number,
        failed=(ROW,),
        tasks={"ohlc_daily": State.FAILED},
        task_seconds={"ohlc_daily": 1.5},
    )


def test_a_run_is_kept_whole_and_survives_reopening(url, catalog_at):
    catalog = catalog_at(url)
    catalog.add_run(run_of(1))
    catalog.close()
    assert catalog_at(url).runs() == [run_of(1)]


def test_only_the_last_runs_are_kept(url, catalog_at, monkeypatch):
    monkeypatch.setattr("tradeul.store.catalog.RUNS_KEPT", 3)
    catalog = catalog_at(url)
    good = msgspec.structs.replace(run_of(0), options=RunOptions(), success=True)
    for run in [good, *map(run_of, range(1, 6))]:
        catalog.add_run(run)
    assert [run.completed for run in catalog.runs()] == [5, 4, 3, 0], "and the last good one"


def test_the_migrations_lead_to_the_tables_that_the_code_knows(url, catalog_at):
    inspector = sa.inspect(catalog_at(url).engine)
    for table in METADATA.sorted_tables:
        assert {column["name"] for column in inspector.get_columns(table.name)} == set(table.columns.keys())


def test_catalogs_opened_at_once_are_made_once(url, catalog_at):
    with ThreadPoolExecutor(4) as pool:
        catalogs = list(pool.map(catalog_at, [url] * 4))
    assert [catalog.ledger() for catalog in catalogs] == [[]] * 4


def test_a_catalog_of_a_later_version_is_refused_untouched(url, catalog_at):
    catalog = catalog_at(url)
    with catalog.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
        connection.exec_driver_sql("DROP TABLE runs")
    with pytest.raises(StoreError, match=r"has the form 9999 of a later version.*Start the later version, or .*`tradeul restore DIR`"):
        Catalog(url)
    assert not sa.inspect(catalog.engine).has_table("runs")


def test_a_migration_that_fails_leaves_the_form_before_it(url, catalog_at):
    catalog = catalog_at(url)
    with catalog.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
        for table in ("runs", "companies"):
            connection.exec_driver_sql(f"DROP TABLE {table}")
    with pytest.raises(StoreError, match="already exists"):  # filings, after the runs were made
        Catalog(url)
    assert not sa.inspect(catalog.engine).has_table("runs")
    with catalog.engine.begin() as connection:
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() == "0001"


# SQLite alone.


@pytest.fixture
def path(tmp_path):
    return tmp_path / "catalog.db"


def test_sqlite_makes_each_note_durable(path, catalog_at):
    with catalog_at(f"sqlite:///{path}").engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2


def test_a_catalog_that_cannot_be_opened_is_one_sentence(tmp_path):
    with pytest.raises(StoreError, match="cannot be opened") as refused:
        Catalog(f"sqlite:///{tmp_path / 'absent' / 'catalog.db'}")
    assert "\n" not in str(refused.value)


def test_the_catalog_of_the_first_version_is_copied_and_keeps_its_rows(path, catalog_at):
    shutil.copy(FIRST, path)
    catalog = catalog_at(f"sqlite:///{path}")
    assert catalog.ledger() == FIRST_ROWS
    assert catalog.next_epoch() == 3
    catalog.add_run(run_of(1))
    assert catalog.runs() == [run_of(1)]
    copy = path.with_name("catalog-0001.db")
    shutil.copy(copy, path.with_name("again.db"))
    assert catalog_at(f"sqlite:///{path.with_name('again.db')}").ledger() == FIRST_ROWS
    assert not list(path.parent.glob("*.tmp"))


def test_a_refusal_names_the_command_that_puts_the_copy_back(path, catalog_at):
    url = f"sqlite:///{path}"
    catalog = catalog_at(url)
    catalog.note([ROW])
    head = current_form(catalog)
    assert list(path.parent.glob("*-0*")) == [], "a new catalog is no change of form"
    copy_sqlite(url, path.with_name(f"catalog-{head}.db"))  # as a later version did, before it changed the form
    with catalog.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    catalog.close()
    with pytest.raises(StoreError, match="9999") as refused:
        Catalog(url)
    subprocess.run(str(refused.value).split("`")[1], shell=True, check=True)
    assert catalog_at(url).ledger() == [ROW]


def current_form(catalog):
    with catalog.engine.begin() as connection:
        return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()


# PostgreSQL alone: what a person may set wrongly.


def test_markets_of_one_database_do_not_see_each_other(postgres, catalog_at):
    url = postgres.new_database()
    real, simulated = catalog_at(url), catalog_at(in_schema(url, "simulated"))
    simulated.note([ROW])
    assert (real.ledger(), simulated.ledger()) == ([], [ROW])
    simulated.close()
    drop_schema(url, "simulated")
    real.note([ROW])
    assert catalog_at(in_schema(url, "simulated")).ledger() == []


@pytest.fixture
def guarded(postgres):
    """A server that asks this user for a password."""
    postgres.execute("CREATE ROLE guarded LOGIN PASSWORD 'right'")
    rules = postgres.folder / "data" / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text("local all guarded scram-sha-256\n" + before)
    postgres.execute("SELECT pg_reload_conf()")
    yield postgres
    rules.write_text(before)
    postgres.execute("SELECT pg_reload_conf()")
    postgres.execute("DROP ROLE guarded")


def refusal(url):
    with pytest.raises(StoreError) as refused:
        Catalog(url)
    said = str(refused.value)
    assert said.startswith("TRADEUL_DATABASE_URL=postgresql://") and "\n" not in said
    return said


def test_a_wrong_password_or_database_is_one_sentence_naming_the_setting_without_the_password(guarded):
    said = refusal(guarded.url(user="guarded", password="wrong"))
    assert 'password authentication failed for user "guarded"' in said and "wrong" not in said.split("(")[0]
    assert 'database "nowhere" does not exist' in refusal(guarded.url("nowhere"))


def test_a_user_who_may_not_make_tables_leaves_nothing_half_made(guarded):
    url = guarded.new_database()
    name = url.partition("?")[0].rpartition("/")[2]
    assert "permission denied" in refusal(guarded.url(name, "guarded", "right"))
    assert guarded.execute("SELECT * FROM pg_tables WHERE schemaname = 'public'", name) == []


def test_a_server_that_is_not_there_or_says_nothing_is_one_sentence(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        monkeypatch.setitem(databases.CONNECTION, "connect_timeout", 2)  # the driver's shortest
        assert "timeout" in refusal(f"postgresql://tradeul@127.0.0.1:{port}/tradeul")
    assert "refused" in refusal(f"postgresql://tradeul@127.0.0.1:{port}/tradeul")


def test_a_server_that_was_restarted_is_used_again_and_one_that_is_gone_is_a_sentence(postgres, catalog_at):
    catalog = catalog_at(postgres.new_database())
    catalog.note([ROW])
    postgres.stop()
    for call in (catalog.ledger, catalog.runs, catalog.next_epoch, lambda: catalog.note([ROW])):
        with pytest.raises(StoreError, match="see to the server of TRADEUL_DATABASE_URL"):
            call()
    postgres.start()
    assert catalog.ledger() == [ROW]
