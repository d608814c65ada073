"""What a reader may see while a session is replaced, and what a server without the tables is told."""

import os
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import polars as pl
import psycopg
import pytest

from tests.conftest import TIMESCALE
from tradeul.errors import StoreError
from tradeul.store.databases import in_schema
from tradeul.store.timescale import DAILY, GONE, SLOTS, TABLES, Mirror

SESSION, OTHER = date(2026, 3, 6), date(2026, 3, 9)


@pytest.fixture
def mirror(mirror_url, catalog_at):
    mirror = Mirror(mirror_url, catalog_at(mirror_url))
    mirror.standing()
    return mirror


def bars(size, session=SESSION):
    """Each version of the session has a size of its own, which every row names."""
    count = {"volume": float(size), "trades_count": size}
    return (
        pl.DataFrame({"trading_date": session, "symbol": [f"S{number}" for number in range(size)]})
        .with_columns(pl.lit(1.0).alias("open"), **{name: pl.lit(value) for name, value in count.items()})
        .with_columns(pl.col("trades_count").cast(pl.Int64))
    )


def test_a_reader_sees_whole_sessions_while_they_are_replaced_by_two_at_once(mirror, mirror_url):
    sizes = (300, 500)
    mirror.replace((DAILY, SESSION), bars(sizes[0]), "c")
    mirror.replace((DAILY, OTHER), bars(7, OTHER), "c")

    def replaces(size):
        for _ in range(6):
            mirror.replace((DAILY, SESSION), bars(size), str(size))

    seen = set()
    with ThreadPoolExecutor(2) as pool, psycopg.connect(mirror_url, autocommit=True) as reader:
        writers = [pool.submit(replaces, size) for size in sizes]
        while not all(writer.done() for writer in writers):
            query = f"SELECT count(*), min(volume), max(volume) FROM {DAILY} WHERE trading_date = '{SESSION}'"
            seen.add(reader.execute(query).fetchone())
        for writer in writers:
            writer.result()
        assert seen <= {(size, float(size), float(size)) for size in sizes}
        last = reader.execute(f"SELECT count(*) FROM {DAILY} WHERE trading_date = '{SESSION}'").fetchone()
        assert mirror.standing() == {(DAILY, SESSION): str(last[0]), (DAILY, OTHER): "c"}


def test_a_session_among_more_rows_than_a_transaction_may_unpack_is_replaced_and_dropped(mirror, mirror_url):
    """Where the extension is, in a compressed chunk."""
    for session in (SESSION, OTHER):
        mirror.replace((DAILY, session), bars(60_000, session), "c")
    with psycopg.connect(mirror_url, autocommit=True) as connection:
        if mirror.kind() == "connected":
            connection.execute(f"SELECT compress_chunk(chunk) FROM show_chunks('{DAILY}') AS chunk")
        mirror.replace((DAILY, SESSION), bars(60_001), "again")
        mirror.drop((DAILY, OTHER))
        assert connection.execute(f"SELECT trading_date, count(*) FROM {DAILY} GROUP BY 1").fetchall() == [(SESSION, 60_001)]
    assert mirror.standing() == {(DAILY, SESSION): "again"}


def test_rows_that_the_server_does_not_take_leave_the_old_ones(mirror, mirror_url):
    mirror.replace((DAILY, SESSION), bars(3), "c")
    with pytest.raises(StoreError, match=r"could not be written .*: see to the server of TRADEUL_DATABASE_URL"):
        mirror.replace((DAILY, SESSION), bars(4).with_columns(symbol=pl.lit(None, pl.String)), "d")
    with psycopg.connect(mirror_url) as reader:
        assert reader.execute(f"SELECT count(*) FROM {DAILY}").fetchone() == (3,)
    assert mirror.standing() == {(DAILY, SESSION): "c"}


def test_a_partition_is_dropped_alone_and_a_lost_table_means_all_is_missing(mirror, mirror_url):
    for session in (SESSION, OTHER):
        mirror.replace((DAILY, session), bars(3, session), "c")
    mirror.drop((DAILY, SESSION))
    mirror.drop_chunks(DAILY, OTHER)
    assert mirror.standing() == {(DAILY, OTHER): "c"}
    with psycopg.connect(mirror_url) as connection:
        connection.execute(f"DROP TABLE {SLOTS}")
    assert mirror.standing() == {}


def test_tables_of_another_program_are_not_touched(mirror_url, catalog_at):
    mirror = Mirror(mirror_url, catalog_at(mirror_url))
    with psycopg.connect(mirror_url) as connection:
        connection.execute(f"CREATE TABLE {DAILY} (theirs int)")
    for call in (mirror.standing, mirror.forget):
        with pytest.raises(StoreError, match=r"tables of another program \(market_data_daily\)"):
            call()
    with psycopg.connect(mirror_url) as connection:
        assert connection.execute(f"SELECT theirs FROM {DAILY}").fetchall() == []


def test_the_simulated_market_has_tables_of_its_own(mirror, mirror_url, catalog_at):
    url = in_schema(mirror_url, "simulated")
    simulated = Mirror(url, catalog_at(url))
    simulated.standing()
    simulated.replace((DAILY, SESSION), bars(3), "c")
    assert (mirror.standing(), simulated.standing()) == ({}, {(DAILY, SESSION): "c"})


def test_it_says_what_it_stands_on(mirror, mirror_url):
    is_timescale = TIMESCALE is not None and str(os.getpid()) in mirror_url
    assert mirror.kind() == ("connected" if is_timescale else "postgresql only")
    if is_timescale:
        with psycopg.connect(mirror_url) as connection:
            found = connection.execute("SELECT hypertable_name, compression_enabled FROM timescaledb_information.hypertables").fetchall()
        assert set(found) == {(name, True) for name, table in TABLES.items() if table.time}


def test_a_server_that_is_gone_is_said(postgres, catalog_at):
    url = postgres.new_database()
    mirror = Mirror(url, catalog_at(url))
    postgres.stop()
    assert mirror.kind() == GONE
    with pytest.raises(StoreError, match="could not be written"):
        mirror.replace((DAILY, SESSION), bars(1), "c")
    postgres.start()
