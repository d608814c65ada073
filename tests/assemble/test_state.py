"""A database or a bucket that cannot be used: one sentence, before anything is written."""

from datetime import date

import polars as pl
import pytest
from sqlalchemy.engine import make_url

from tests.s3_server import settings_of
from tradeul.assemble.state import claimed_state, lake_of
from tradeul.errors import StoreError
from tradeul.settings import Settings
from tradeul.store.catalog import Catalog
from tradeul.store.databases import in_schema


def refused(tmp_path, url=None, **other):
    state = tmp_path / "state"
    settings = Settings(state=state, database_url=url, **other)
    with pytest.raises(StoreError) as raised, claimed_state(settings, ("maintenance",), (), simulated=True):
        pass
    assert not state.exists()
    return str(raised.value)


def test_a_database_that_is_not_there_is_refused_before_the_folder_is_touched(postgres, tmp_path):
    said = refused(tmp_path, postgres.url("nowhere"))
    assert said.startswith("TRADEUL_DATABASE_URL=") and 'database "nowhere" does not exist' in said


def test_a_form_of_the_future_is_refused_before_the_folder_is_touched(postgres, tmp_path):
    url = postgres.new_database()
    catalog = Catalog(in_schema(url, "simulated"))
    with catalog.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    catalog.close()
    assert "`tradeul restore DIR`" in refused(tmp_path, url)


def test_a_fresh_simulated_market_forgets_its_schema_and_no_other(postgres, tmp_path):
    url = postgres.new_database()
    epochs = {}
    for each in (url, in_schema(url, "simulated")):
        catalog = Catalog(each)
        catalog.next_epoch()
        catalog.close()
    with claimed_state(Settings(state=tmp_path, database_url=url), ("maintenance",), (), simulated=True, fresh=True):
        for each in (url, in_schema(url, "simulated")):
            catalog = Catalog(each)
            epochs[make_url(each).query.get("options")] = catalog.next_epoch()
            catalog.close()
    assert list(epochs.values()) == [2, 1]


@pytest.mark.parametrize(
    ("wrong", "names"),
    [
        ({"lake_secret": "no"}, "TRADEUL_LAKE_SECRET"),
        ({"lake_url": "s3://nonesuch/lake"}, "TRADEUL_LAKE_URL"),
        ({"lake_endpoint": "http://127.0.0.1:1"}, "TRADEUL_LAKE_ENDPOINT"),
    ],
)
def test_a_bucket_that_cannot_be_used_is_refused_before_the_folder_is_touched(s3, tmp_path, wrong, names):
    assert names in refused(tmp_path, **settings_of(s3.bucket()) | wrong)


def test_only_who_writes_the_lake_needs_the_right_to(s3, tmp_path):
    reads = settings_of(s3.bucket("reads"))
    assert "s3:PutObject" in refused(tmp_path, **reads)
    with claimed_state(Settings(state=tmp_path, **reads), ("filings",), (), simulated=True):
        pass


def test_a_fresh_simulated_market_forgets_its_folder_of_the_bucket_and_no_other(s3, tmp_path):
    settings = Settings(state=tmp_path, **settings_of(s3.bucket()))
    lakes = [lake_of(settings, tmp_path, simulated=simulated) for simulated in (False, True)]
    for lake in lakes:
        lake.write("tickers", date(2026, 3, 6), pl.DataFrame({"symbol": ["A"]}), "test")
    with claimed_state(settings, ("maintenance",), (), simulated=True, fresh=True):
        assert [lake.sessions("tickers") for lake in lakes] == [[date(2026, 3, 6)], []]
