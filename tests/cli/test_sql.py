import json
from contextlib import closing

import pytest

from tests.api.history import small_lake
from tests.api.history.small_lake import NOW
from tests.s3_server import settings_of
from tradeul.assemble.state import catalog_url
from tradeul.cli.sql import show, sql
from tradeul.errors import NotKept, QuestionRefused, StoreError
from tradeul.records.filings import Article
from tradeul.settings import Settings
from tradeul.store.catalog import Catalog
from tradeul.store.filings import FilingsStore


@pytest.fixture
def keyless(tmp_path, monkeypatch):
    for name in ("MASSIVE_API_KEY", "POLYGON_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    return Settings(state=tmp_path)


async def test_a_program_gets_json_lines(keyless, capsysbinary):
    small_lake.write(keyless.state / "simulated")
    assert await sql(keyless, "SELECT dataset, count(*) AS n FROM ledger WHERE dataset = 'tickers' GROUP BY 1") == 0
    assert json.loads(capsysbinary.readouterr().out) == {"dataset": "tickers", "n": 2}
    with closing(Catalog(catalog_url(keyless, simulated=True))) as catalog:
        FilingsStore(catalog).add_news([Article("n1", NOW, "A rises", ("A",))], NOW)
    assert await sql(keyless, "SELECT headline, tickers FROM News") == 0
    assert json.loads(capsysbinary.readouterr().out) == {"headline": "A rises", "tickers": ["A"]}
    with pytest.raises(QuestionRefused, match="One SELECT is taken"):
        await sql(keyless, "DROP VIEW bars")


async def test_a_folder_without_a_lake_is_one_sentence(keyless):
    with pytest.raises(NotKept, match="has no lake yet: `tradeul up` or `tradeul maintain` loads one"):
        await sql(keyless, "SELECT 1")


def test_a_person_gets_a_table(capsys):
    show([{"symbol": "[red]A", "close": 1.5, "vwap": None, "slots": [1, 2]}], more=True)
    said = capsys.readouterr().out
    assert all(word in said for word in ("symbol", "[red]A", "1.5", "[1,2]", "The first 100 rows"))
    show([], more=False)
    assert "No rows." in capsys.readouterr().out


async def test_a_lake_in_a_bucket_is_asked_like_a_folder_and_only_for_what_the_statement_reads(keyless, s3, capsysbinary):
    """A lake moves into a bucket by copying its folder."""
    small_lake.write(keyless.state / "simulated")
    bucket, folder = s3.bucket(), keyless.state / "simulated" / "lake"
    parts = sorted(folder.rglob("part.parquet"))
    for path in parts:
        bucket.within("simulated").store().put(str(path.relative_to(folder)), path)
    statement = "SELECT session, count(*) AS n, sum(volume) AS shares FROM bars JOIN tickers USING (symbol, session) GROUP BY 1 ORDER BY 1"
    both = []
    for settings in (keyless, Settings(state=keyless.state, **settings_of(bucket))):
        assert await sql(settings, statement) == 0
        both.append(capsysbinary.readouterr().out)
    assert both[0] == both[1] != b""
    copies = {path.parent.parent.name for path in (keyless.state / "simulated" / "lake-copies").rglob("*.parquet")}
    assert copies == {"ohlc_daily", "tickers"}
    with pytest.raises(StoreError, match="TRADEUL_LAKE_SECRET"):
        await sql(Settings(state=keyless.state, **settings_of(bucket) | {"lake_secret": "no"}), statement)
