"""The page's layouts in the catalog: JSON by name. How many there may be is asked here, what a name or layout may be by `api/layouts.py`.

Calls block: use a thread. It does not look into a layout; the page does.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import sqlalchemy as sa

from tradeul.errors import TooMany
from tradeul.store.catalog import METADATA, Catalog, next_value

MOST_LAYOUTS = 100

_layouts = sa.Table(
    "layouts",
    METADATA,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("document", sa.LargeBinary, nullable=False),
)


class LayoutStore:
    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        """One writer after the other."""
        with self._catalog.transaction("The layout could not be kept") as connection:
            next_value(connection, "layouts")
            yield connection

    def _reading(self) -> AbstractContextManager[sa.Connection]:
        return self._catalog.transaction("The layouts could not be read")

    def names(self) -> list[str]:
        """Raises StoreError: the catalog does not answer."""
        with self._reading() as connection:
            return sorted(connection.execute(sa.select(_layouts.c.name)).scalars())

    def get(self, name: str) -> bytes | None:
        """Raises StoreError: the catalog does not answer."""
        with self._reading() as connection:
            return connection.execute(sa.select(_layouts.c.document).where(_layouts.c.name == name)).scalar_one_or_none()

    def put(self, name: str, document: bytes) -> None:
        """Keep it, instead of an earlier one of the name.

        Raises:
            TooMany: it would be one more than `MOST_LAYOUTS`.
            StoreError: the catalog did not take it.
        """
        with self._writing() as connection:
            changed = sa.update(_layouts).where(_layouts.c.name == name).values(document=document)
            if connection.execute(changed).rowcount:
                return
            if connection.execute(sa.select(sa.func.count()).select_from(_layouts)).scalar_one() >= MOST_LAYOUTS:
                raise TooMany(f"{MOST_LAYOUTS} layouts are kept, no more: delete one that nobody needs, or save over it.")
            connection.execute(sa.insert(_layouts).values(name=name, document=document))

    def delete(self, name: str) -> bool:
        """Whether there was one.

        Raises:
            StoreError: the catalog did not take it.
        """
        with self._writing() as connection:
            return connection.execute(sa.delete(_layouts).where(_layouts.c.name == name)).rowcount > 0
