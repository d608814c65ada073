"""SQL for people: what the views say, and some sixty ways to do anything else than read them."""

import asyncio
import json
from datetime import UTC, date, datetime, timedelta

import duckdb
import polars as pl
import pytest

from tests.api.history import small_lake
from tradeul.errors import QuestionRefused
from tradeul.records.filings import Article, Filer, Filing, Item
from tradeul.records.partitions import LedgerRow, State
from tradeul.records.tickers import Tenure
from tradeul.store import filings_files
from tradeul.store.catalog import Catalog
from tradeul.store.filings import FilingsStore
from tradeul.store.lake import Lake
from tradeul.store.lake_sql import Limits, select, views_aside
from tradeul.store.sql_child import NAMES, VIEWS_ASIDE, Asked, open_views, refusal
from tradeul.store.tenures import frame_of

SESSION = small_lake.CALENDAR.previous(small_lake.SESSION)
LEDGER = [LedgerRow(dataset="ohlc_daily", session=SESSION, state=State.COMPLETED, attempts=1, expected=12, got=11, missing=("T004",))]
QUICK = Limits(wait_seconds=5, memory_bytes=256 << 20, processor_seconds=5)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("sql")
    small_lake.write(root)
    (root / "secret.csv").write_text("a,b\n1,key\n")
    return root


def told(root, statement, limits=None, aside=None):
    async def ask():
        return b"".join([lines async for lines in select(root / "lake", LEDGER, statement, limits, aside)])

    return [json.loads(line) for line in asyncio.run(ask()).splitlines()]


def test_views_are_the_partitions_with_their_session(root):
    expected = pl.read_parquet(root / "lake" / "volume_slots" / f"session={SESSION}" / "part.parquet", hive_partitioning=False)
    rows = told(root, f"SELECT symbol, slot, volume, trades, vwap FROM slots WHERE session = '{SESSION}' ORDER BY symbol, slot")
    assert rows == expected.select("symbol", "slot", "volume", "trades", "vwap").to_dicts()
    statement = (
        "WITH days AS (SELECT session, count(*) AS n FROM bars GROUP BY 1) SELECT max(n) AS n, max(session) AS last FROM days, range(3)"
    )
    assert told(root, statement) == [{"n": 12, "last": str(SESSION)}]


def test_who_is_listed_and_who_is_gone_are_two_views_of_one_dataset(tmp_path):
    lake, asked = Lake(tmp_path, "test", simulated=True), Asked(str(tmp_path), "", [], 1 << 29, 10)
    lake.write("tickers", date(2026, 3, 5), small_lake.tickers_of(date(2026, 3, 5)).head(1), "an earlier version, which knew no ends")
    lake.write("tickers", date(2026, 3, 6), frame_of([Tenure(symbol="A", until=date(2026, 3, 1)), Tenure(symbol="A")]), "test")
    with duckdb.connect() as connection:
        open_views(connection, asked)
        listed = connection.execute("SELECT session, symbol, until FROM tickers ORDER BY session").fetchall()
        gone = connection.execute("SELECT session, symbol, until FROM gone").fetchall()
    assert listed == [(date(2026, 3, 5), "T000", None), (date(2026, 3, 6), "A", None)]
    assert gone == [(date(2026, 3, 6), "A", date(2026, 3, 1))]


def test_every_view_can_be_described_and_the_ledger_is_among_them(root):
    assert {row["name"] for row in told(root, "SHOW TABLES")} == set(NAMES)
    for view in ("BARS", "membership"):  # one in the lake, one that has no file yet
        assert "session" in [row["column_name"] for row in told(root, f"DESCRIBE {view}")]
    assert told(root, "SELECT state, got, missing FROM ledger") == [{"state": "completed", "got": 11, "missing": "T004"}]
    assert told(root, "SELECT * FROM membership") == []


def test_filings_and_news_are_the_catalogs(tmp_path, root, monkeypatch):
    monkeypatch.setattr(filings_files, "ROWS_PER_FILE", 2)
    catalog = Catalog(f"sqlite:///{tmp_path / 'catalog.db'}")
    store = FilingsStore(catalog)
    at = datetime(2026, 3, 9, 14, 30, 0, 250_000, tzinfo=UTC)
    filers = Filer("0000000001", "A Inc.", "Filer"), Filer("0000000002", "'B'", "Reporting")
    rest = at, ("A", "A.WS"), filers, (Item("8.01", "Other events"),), None
    filings = [
        Filing(f"000-{n}", form, None, False, form == "S-3", at.date(), at + timedelta(milliseconds=750 * n), *rest)
        for n, form in enumerate(["8-K", "S-3", "8-K", "4", "8-K"])
    ]
    store.add_filings(filings, at)
    store.add_news([Article("n1", at, "why; DROP VIEW bars", ("A",), "P", None, at), Article("n2", at, "=cmd()", ())], at)
    filings_files.write_files(store, tmp_path, views_aside("SELECT * FROM Filings, NEWS"))
    catalog.close()
    assert told(root, "SELECT * FROM filings WHERE dilutes", aside=tmp_path) == [
        {
            "accession": "000-1",
            "form": "S-3",
            "words": None,
            "amends": False,
            "dilutes": True,
            "filed": "2026-03-09",
            "accepted_at": "2026-03-09T14:30:01Z",
            "seen_at": "2026-03-09T14:30:00.250000Z",
            "tickers": ["A", "A.WS"],
            "ciks": ["0000000001", "0000000002"],
            "filers": ["A Inc.", "'B'"],
            "items": ["8.01"],
            "url": None,
        }
    ]
    statement = "SELECT form, count(*) AS n FROM filings WHERE list_contains(tickers, 'A') GROUP BY 1 ORDER BY 2 DESC, 1"
    assert [tuple(row.values()) for row in told(root, statement, aside=tmp_path)] == [("8-K", 3), ("4", 1), ("S-3", 1)]
    statement = "SELECT headline, seen_at, symbol FROM news, unnest(tickers) AS t(symbol)"
    expected = {"headline": "why; DROP VIEW bars", "seen_at": "2026-03-09T14:30:00.250000Z", "symbol": "A"}
    assert told(root, statement, aside=tmp_path) == [expected]


def test_an_empty_view_of_the_catalog_has_the_columns_of_a_filled_one(connection, tmp_path):
    assert set(VIEWS_ASIDE) == {"filings", "news"}
    for view, said, columns in (
        ("filings", filings_files.FILING, filings_files.FILINGS),
        ("news", filings_files.ARTICLE, filings_files.NEWS),
    ):
        pl.DataFrame(schema=dict(said)).select(columns).write_parquet(tmp_path / f"{view}.parquet")
        filled = duckdb.sql(f"DESCRIBE FROM '{tmp_path}/{view}.parquet'").fetchall()
        assert connection.execute(f"DESCRIBE {view}").fetchall() == filled


GOOD = [
    "WITH days AS (SELECT session, count(*) AS n FROM bars GROUP BY 1) SELECT max(n), max(session) AS last FROM days, range(3) AS r(i)",
    "SELECT symbol, close / lag(close) OVER (PARTITION BY symbol ORDER BY session) - 1 AS change FROM bars QUALIFY change > 0 ORDER BY ALL",
    "SELECT DISTINCT symbol FROM bars JOIN tickers USING (symbol) WHERE name ILIKE 't0%' ORDER BY 1 DESC NULLS LAST LIMIT 3 OFFSET 1",
    "SELECT symbol, sum(volume) FILTER (WHERE slot < 66) AS pre, list(slot ORDER BY slot)[1:3] FROM slots GROUP BY ALL HAVING pre > 0",
    "SELECT b.symbol, s.split_to FROM bars b ASOF JOIN splits s ON b.symbol = s.symbol AND b.session >= s.effective",
    "SELECT session FROM bars UNION SELECT session FROM slots EXCEPT SELECT DATE '2025-12-01'",
    "WITH RECURSIVE n AS (SELECT 1 AS a UNION ALL SELECT a + 1 FROM n WHERE a < 5) SELECT CASE WHEN a > 2 THEN 'x' END FROM n",
    "SELECT unnest([1, 2]), (SELECT max(close) FROM bars), EXISTS (FROM ledger), {'a': 1}, [x * 2 FOR x IN [1]], COALESCE(NULL, 1)",
    "SELECT * FROM (VALUES (1, 'a')) AS t(n, s) WHERE n IN (1, 2) AND s BETWEEN 'a' AND 'b' AND TRY_CAST(s AS INTEGER) IS NULL",
    "SELECT COLUMNS('open|close'), date_trunc('week', session), epoch_ms(start_at) FROM minute_bars USING SAMPLE 5 ROWS",
    "SUMMARIZE bars",
]


@pytest.fixture
def connection(root):
    """As the child has it, but for the limits of its process."""
    asked = Asked(str(root / "lake"), "", [], QUICK.memory_bytes, QUICK.processor_seconds)
    with duckdb.connect(":memory:") as connection:
        open_views(connection, asked)
        yield connection


def test_ordinary_statements_are_taken(connection):
    for statement in GOOD:
        assert refusal(connection, statement) is None
        assert connection.execute(statement).fetchall()


def test_a_mistake_is_said_in_a_sentence(root):
    with pytest.raises(QuestionRefused, match='Referenced column "clos" not found'):
        told(root, "SELECT clos FROM bars")
    with pytest.raises(QuestionRefused, match=r"There is no view 'prices'\. The views: bars"):
        told(root, "SELECT * FROM prices")
    assert told(root, "SELECT 1 AS a, 2 AS a") == [{"a": 1, "a_2": 2}]


DEEP, LONG = "SELECT " + "(" * 5000 + "1" + ")" * 5000, "SELECT '" + "x" * 30_000 + "'"
ABUSE = {
    "write": [
        "COPY bars TO 'ROOT/out.csv'",
        "COPY (SELECT 1) TO 'ROOT/lake/ohlc_daily/session=2025-12-01/part.parquet' (FORMAT parquet)",
        "EXPORT DATABASE 'ROOT/out'",
        "CREATE TABLE mine AS SELECT * FROM bars",
        "CREATE VIEW mine AS SELECT 1",
        "CREATE OR REPLACE VIEW bars AS SELECT 1",
        "INSERT INTO ledger (dataset) VALUES ('x')",
        "UPDATE ledger SET state = 'completed'",
        "DELETE FROM ledger",
        "TRUNCATE ledger",
        "DROP VIEW bars",
        "ALTER TABLE ledger ADD COLUMN x INTEGER",
        "CREATE MACRO f(x) AS x",
        "CREATE SEQUENCE s",
        "MERGE INTO ledger USING ledger AS l ON false WHEN NOT MATCHED THEN INSERT VALUES (1)",
        "EXPLAIN ANALYZE COPY bars TO 'ROOT/out.csv'",
        "PREPARE p AS SELECT 1",
        "BEGIN",
        "VACUUM",
        "CHECKPOINT",
        "SELECT 1; COPY bars TO 'ROOT/out.csv'",
        "WITH x AS (INSERT INTO ledger (dataset) VALUES ('x') RETURNING 1) SELECT * FROM x",
        "WITH x AS (UPDATE ledger SET state = 'completed' RETURNING 1) SELECT * FROM x",
        "WITH x AS (DELETE FROM ledger RETURNING 1) SELECT * FROM x",
        "WITH x AS (COPY bars TO 'ROOT/lake/out.parquet') SELECT * FROM x",
        "WITH x AS (COPY bars TO 'ROOT/lake/splits/session=2025-12-02/part.parquet') SELECT 1",
        "SELECT * FROM bars, (WITH x AS (COPY bars TO 'ROOT/lake/out.parquet') SELECT * FROM x) AS y",
        "SELECT write_log('x')",
    ],
    "read a file": [
        "SELECT * FROM read_csv('ROOT/secret.csv')",
        "SELECT * FROM READ_TEXT('/etc/passwd')",
        "SELECT * FROM read_blob('/etc/passwd')",
        "SELECT * FROM 'ROOT/secret.csv'",
        'SELECT * FROM "/etc/passwd"',
        "SELECT * FROM read_parquet('ROOT/lake/ohlc_daily/*/*.parquet')",
        "SELECT * FROM parquet_metadata('ROOT/lake/ohlc_daily/session=2025-12-01/part.parquet')",
        "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM read_parquet('filings/00000.parquet')",
        "SELECT * FROM sqlite_scan('ROOT/catalog.db', 'filings')",
        "SELECT * FROM sniff_csv('ROOT/secret.csv')",
        "SELECT * FROM read_json('/etc/passwd')",
        "SELECT (SELECT content FROM read_text('/etc/passwd')) FROM bars",
        "SELECT * FROM bars WHERE symbol IN (SELECT a FROM read_csv('ROOT/secret.csv'))",
        "WITH x AS (FROM read_text('/etc/passwd')) FROM x",
        "FROM query('FROM read_text(''/etc/passwd'')')",
        "FROM query_table('/etc/passwd')",
        "FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
        "DESCRIBE SELECT * FROM read_text('/etc/passwd')",
        "SUMMARIZE FROM read_csv('ROOT/secret.csv')",
        'WITH "/etc/passwd" AS (SELECT 1) SELECT * FROM (SELECT * FROM "/etc/passwd") AS x, "/etc/hosts"',
        "SELECT * FROM information_schema.tables",
        "SELECT * FROM duckdb_settings()",
        "SELECT current_setting('home_directory')",
        "IMPORT DATABASE 'ROOT'",
    ],
    "attach": [
        "ATTACH 'ROOT/catalog.db' AS c (TYPE sqlite)",
        "ATTACH ':memory:' AS m",
        "USE memory",
        "DETACH memory",
        "SELECT * FROM other.main.bars",
        "CREATE SECRET s (TYPE s3, KEY_ID 'a', SECRET 'b')",
    ],
    "call out": [
        "SELECT * FROM read_csv('http://127.0.0.1:9/x.csv')",
        "SELECT * FROM 'https://example.com/x.parquet'",
        "COPY bars TO 's3://bucket/x.parquet'",
        "SELECT * FROM read_parquet('s3://bucket/x.parquet')",
    ],
    "install or set": [
        "INSTALL httpfs",
        "LOAD httpfs",
        "FORCE INSTALL spatial FROM community",
        "SET memory_limit = '100GB'",
        "SET enable_external_access = true",
        "SET GLOBAL lock_configuration = false",
        "RESET memory_limit",
        "PRAGMA threads = 64",
        "PRAGMA enable_profiling",
        "CALL enable_logging()",
        "SELECT pg_sleep(100)",
    ],
    "nonsense": [
        "",
        ";",
        "SELECT",
        "hello",
        "SELECT " + "(" * 5000 + "1" + ")" * 5000,
        "SELECT '" + "x" * 30_000 + "'",
        "\x00",
        "-- nothing",
    ],
}
STATEMENTS = [(kind, statement) for kind, statements in ABUSE.items() for statement in statements]


async def refused(root, statement, limits=None):
    with pytest.raises(QuestionRefused) as said:
        async for _ in select(root / "lake", LEDGER, statement.replace("ROOT", str(root)), limits):
            pass
    return str(said.value)


def contents(root):
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in root.rglob("*") if path.is_file()}


async def all_refused(root, statements):
    """Every one, by a sentence that tells nothing of the file; and nothing on the disk is another."""
    before = contents(root)
    for kind, statement in statements:
        said = await refused(root, statement, QUICK)
        assert said and "root:" not in said and "key" not in said.replace("keyword", ""), (kind, statement[:100], said)
    assert contents(root) == before


def test_every_kind_of_abuse_is_refused_before_it_runs(root, connection):
    assert len(STATEMENTS) >= 80
    for kind, statement in STATEMENTS:
        try:
            why = refusal(connection, statement.replace("ROOT", str(root)))
        except duckdb.Error as error:  # no SQL at all
            why = str(error)
        assert why, (kind, statement)


@pytest.mark.parametrize(
    "statement",
    [
        "FROM read_text('/etc/passwd')",
        "FROM read_csv('ROOT/secret.csv')",
        "FROM 'ROOT/secret.csv'",
        "FROM read_csv('http://127.0.0.1:9/x.csv')",
        "FROM read_parquet('s3://bucket/x.parquet')",
        "COPY bars TO 'ROOT/out.csv'",
        "ATTACH 'ROOT/catalog.db' AS c (TYPE sqlite)",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET memory_limit = '100GB'",
        "SET enable_external_access = true",
        "RESET lock_configuration",
        "PRAGMA threads = 64",
    ],
)
def test_what_came_through_the_first_fence_fails_in_duckdb(root, connection, statement):
    with pytest.raises(duckdb.Error):
        connection.execute(statement.replace("ROOT", str(root))).fetchall()


async def test_a_sample_of_abuse_is_refused_by_the_child(root):
    await all_refused(root, STATEMENTS[9::60])


@pytest.mark.long
async def test_every_kind_of_abuse_is_refused_by_the_child(root):
    await all_refused(root, STATEMENTS)


TOO_MUCH = [
    "SELECT repeat('x', 2000000000)",
    "SELECT count(*) FROM range(1000000000000) AS r(i) WHERE hash(i) = 1",
    "WITH RECURSIVE n AS (SELECT 1 AS a UNION ALL SELECT a + 1 FROM n) SELECT max(a) FROM n",
    "SELECT count(*) FROM minute_bars a, minute_bars b, minute_bars c WHERE hash(a.close, b.close, c.close) = 1",
    "SELECT list(i) FROM range(1000000000) AS r(i)",
    "SELECT string_agg(i::VARCHAR, repeat(',', 100)) FROM range(1000000000) AS r(i)",
    "SELECT count(*) FROM (SELECT DISTINCT i, random() FROM range(1000000000) AS r(i))",
    "SELECT i FROM range(1000000000) AS r(i) ORDER BY hash(i)",
    "SELECT regexp_replace(repeat('a', 100000), '(a*)*b', 'x') FROM range(1000000)",
    "SELECT range(2000000000)",
    "SELECT list_sort([x FOR x IN range(300000000)])",
    "SELECT * FROM range(1000000000000)",
]


@pytest.mark.parametrize("statement", TOO_MUCH[:1] + [pytest.param(each, marks=pytest.mark.long) for each in TOO_MUCH[1:]])
async def test_what_runs_long_or_eats_memory_is_ended(root, statement):
    said = await refused(root, statement, Limits(wait_seconds=2, memory_bytes=128 << 20, processor_seconds=3))
    assert any(word in said for word in ("took longer", "MB", "ended at a limit")), said


async def test_a_reader_that_has_seen_enough_ends_the_query(root):
    rows = select(root / "lake", [], "SELECT * FROM range(1000000000000)")
    assert (await anext(rows)).startswith(b'{"range":0}\n{"range":1}\n')
    await rows.aclose()
