"""A database that cannot be used: one sentence, before anything is written."""

import pytest
from sqlalchemy.engine import make_url

from tradeul.assemble.state import claimed_state
from tradeul.errors import StoreError
from tradeul.settings import Settings
from tradeul.store.catalog import Catalog
from tradeul.store.databases import in_schema


def refused(tmp_path, url):
    state = tmp_path / "state"
    with pytest.raises(StoreError) as raised, claimed_state(Settings(state=state, database_url=url), ("maintenance",), (), simulated=True):
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
