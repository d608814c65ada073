"""Every catalog, and every place of a lake, that there is: one suite for all."""

from pathlib import Path

import msgspec
import obstore
import pytest

from tradeul.store.catalog import Catalog
from tradeul.store.lake import Lake
from tradeul.store.lake_objects import Bucket, Objects


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


class Place(msgspec.Struct):
    """Where lakes are: as many as are opened there, in whichever process, see the same partitions."""

    root: Path
    bucket: Bucket | None

    def lake(self):
        partitions = None if self.bucket is None else Objects(self.bucket, self.root / "copies")
        return Lake(self.root / "lake", "0.1", True, partitions)

    def content(self, dataset, session):
        return self._store().get(self._key(dataset, session)).bytes().to_bytes()

    def damage(self, dataset, session, content):
        obstore.put(self._store(), self._key(dataset, session), content)

    def remove(self, dataset, session):
        obstore.delete(self._store(), self._key(dataset, session))

    def files(self):
        """Below the root."""
        return [path for path in self.root.rglob("*") if path.is_file()]

    def _store(self):
        return obstore.store.LocalStore(self.root / "lake") if self.bucket is None else self.bucket.store()

    def _key(self, dataset, session):
        return f"{dataset}/session={session}/part.parquet"


@pytest.fixture(params=["folder", "bucket"])
def place(request, tmp_path):
    return Place(tmp_path, None if request.param == "folder" else request.getfixturevalue("s3").bucket())


@pytest.fixture
def lake(place):
    return place.lake()
