from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
import sqlalchemy as sa

from tests.store.test_catalog import FIRST, FIRST_ROWS, ROW, run_of
from tests.store.test_filings import LONG_AGO, article, filing
from tradeul.errors import StoreError
from tradeul.records.filings import Company
from tradeul.records.partitions import LedgerRow
from tradeul.store.catalog import METADATA
from tradeul.store.catalog_copy import copy_catalog, form_to_copy, put_catalog
from tradeul.store.filings import FilingsStore
from tradeul.store.layouts import LayoutStore


def rows_of(catalog):
    with catalog.engine.begin() as connection:
        return {table.name: sorted(map(repr, connection.execute(sa.select(table)))) for table in METADATA.sorted_tables}


def fill(catalog):
    """Something into every table."""
    catalog.note(FIRST_ROWS)
    catalog.next_epoch()
    for number in (1, 2):
        catalog.add_run(run_of(number))
    LayoutStore(catalog).put("Ñ", b'{"a":1}\x00')
    store = FilingsStore(catalog)
    store.add_filings([filing(n, str(n), tickers=("A",)) for n in range(3)], LONG_AGO)
    store.add_news([article(1, "A", "B")], LONG_AGO)
    store.put_companies([Company("A", "1", "Å & Co")])
    store.set_mark("news", LONG_AGO)


def test_a_catalog_comes_back_as_it_was_on_the_same_server_or_the_other(url, catalog_at, postgres, tmp_path):
    catalog, path = catalog_at(url), tmp_path / "copy.db"
    fill(catalog)
    copy_catalog(url, path)
    assert form_to_copy(url) == form_to_copy(f"sqlite:///{path}")
    assert [each.name for each in tmp_path.glob("copy*")] == ["copy.db"], "one file is all of it"
    kept = rows_of(catalog)
    assert all(kept.values())
    elsewhere = postgres.new_database()
    put_catalog(path, elsewhere)
    for back in (catalog_at(elsewhere), catalog_at(f"sqlite:///{path}")):
        assert rows_of(back) == kept
        FilingsStore(back).add_filings([filing(9, "1")], LONG_AGO)
        assert (FilingsStore(back).last_filing(), back.next_epoch()) == (4, 2), "numbers go on after those that came back"


def test_a_copy_is_of_one_moment_though_others_write(url, catalog_at, tmp_path):
    catalog, began, over = catalog_at(url), Event(), Event()

    def write():
        """Both rows in one transaction, again and again: a copy in which they differ is of two moments."""
        number = 0
        while not over.is_set() or not number:
            number += 1
            catalog.note([LedgerRow(dataset=name, session=ROW.session, attempts=number) for name in ("a", "z")])
            began.set()

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        try:
            assert began.wait(60)
            for number in range(5):
                copy_catalog(url, tmp_path / f"{number}.db")
        finally:
            over.set()
        writing.result(60)
    for number in range(5):
        first, last = catalog_at(f"sqlite:///{tmp_path / f'{number}.db'}").ledger()
        assert first.attempts == last.attempts > 0


def test_a_database_that_holds_rows_is_not_written_over(catalog_at, postgres, tmp_path):
    url = postgres.new_database()
    standing = catalog_at(url)
    LayoutStore(standing).put("mine", b"{}")
    before = rows_of(standing)
    with pytest.raises(StoreError, match=r"TRADEUL_DATABASE_URL=.* holds a catalog already"):
        put_catalog(FIRST, url)
    assert rows_of(standing) == before


def test_another_versions_catalog_is_not_copied(url, catalog_at, tmp_path):
    with catalog_at(url).engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0004'")
    with pytest.raises(StoreError, match="has the form 0004 of an earlier version: back up with the version that ran last"):
        form_to_copy(url)


def test_the_catalog_of_the_first_version_comes_to_a_server_in_todays_form(catalog_at, postgres):
    url = postgres.new_database()
    put_catalog(FIRST, url)
    catalog = catalog_at(url)
    assert sorted(catalog.ledger(), key=lambda row: row.dataset) == FIRST_ROWS
    assert catalog.next_epoch() == 3
