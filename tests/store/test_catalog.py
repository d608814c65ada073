from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime

import msgspec
import pytest
import sqlalchemy as sa

from tradeul.errors import StoreError
from tradeul.records.partitions import LedgerRow, State
from tradeul.records.runs import Run, RunOptions
from tradeul.store import filings  # noqa: F401 its tables are of the catalog
from tradeul.store.catalog import METADATA, Catalog

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


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'catalog.db'}"


def test_a_row_is_kept_whole_and_survives_reopening(url):
    bare = LedgerRow(dataset="tickers", session=date(2026, 3, 9))
    catalog = Catalog(url)
    catalog.note([ROW, bare])
    catalog.close()
    assert sorted(Catalog(url).ledger(), key=lambda row: row.dataset) == [ROW, bare]


def test_a_second_note_replaces_the_first(url):
    catalog = Catalog(url)
    catalog.note([ROW])
    done = LedgerRow(dataset=ROW.dataset, session=ROW.session, state=State.COMPLETED)
    catalog.note([done])
    assert catalog.ledger() == [done]


def test_a_note_is_all_or_nothing(url):
    catalog = Catalog(url)
    with pytest.raises(StoreError, match="ledger could not be written"):
        catalog.note([ROW, LedgerRow(dataset=None, session=ROW.session)])
    assert catalog.ledger() == []


def test_an_epoch_is_never_given_twice(url):
    catalogs = [Catalog(url), Catalog(url)]
    with ThreadPoolExecutor(4) as pool:
        epochs = list(pool.map(lambda number: catalogs[number % 2].next_epoch(), range(40)))
    assert sorted(epochs) == list(range(1, 41))
    assert Catalog(url).next_epoch() == 41


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


def test_a_run_is_kept_whole_and_survives_reopening(url):
    catalog = Catalog(url)
    catalog.add_run(run_of(1))
    catalog.close()
    assert Catalog(url).runs() == [run_of(1)]


def test_only_the_last_runs_are_kept(url, monkeypatch):
    monkeypatch.setattr("tradeul.store.catalog.RUNS_KEPT", 3)
    catalog = Catalog(url)
    good = msgspec.structs.replace(run_of(0), options=RunOptions(), success=True)
    for run in [good, *map(run_of, range(1, 6))]:
        catalog.add_run(run)
    assert [run.completed for run in catalog.runs()] == [5, 4, 3, 0], "and the last good one"


def test_the_migrations_lead_to_the_tables_that_the_code_knows(url):
    Catalog(url).close()
    inspector = sa.inspect(sa.create_engine(url))
    for table in METADATA.sorted_tables:
        assert {column["name"] for column in inspector.get_columns(table.name)} == set(table.columns.keys())


def test_sqlite_makes_each_note_durable(url):
    catalog = Catalog(url)
    with catalog.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2


def test_a_catalog_that_cannot_be_opened_is_one_sentence(tmp_path):
    with pytest.raises(StoreError, match="cannot be opened"):
        Catalog(f"sqlite:///{tmp_path / 'absent' / 'catalog.db'}")


def test_a_catalog_of_a_later_version_is_refused(url):
    Catalog(url).close()
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    engine.dispose()
    with pytest.raises(StoreError, match="9999"):
        Catalog(url)
