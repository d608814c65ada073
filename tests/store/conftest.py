"""Every catalog that there is: one suite for all."""

import pytest

from tradeul.store.catalog import Catalog


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'catalog.db'}"
    return request.getfixturevalue("postgres").new_database()


@pytest.fixture
def catalog_at():
    """Opens a catalog, closed when the test ends."""
    opened = []

    def at(url):
        opened.append(Catalog(url))
        return opened[-1]

    yield at
    for catalog in opened:
        catalog.close()
