"""The page's layouts in the catalog: JSON by name. How many there may be is asked here, what a name or layout may be by `api/layouts.py`.

Calls block: use a thread. It does not look into a layout; the page does.
"""

import sqlalchemy as sa

from tradeul.errors import TooMany
from tradeul.store.catalog import METADATA, Catalog

MOST_LAYOUTS = 100
WHAT = "The layout"

_layouts = sa.Table(
    "layouts",
    METADATA,
    sa.Column("name", sa.String, primary_key=True),
    sa.Column("document", sa.LargeBinary, nullable=False),
)


class LayoutStore:
    def __init__(self, catalog: Catalog) -> None:
        self._catalog, self._engine = catalog, catalog.engine

    def names(self) -> list[str]:
        with self._engine.connect() as connection:
            return list(connection.execute(sa.select(_layouts.c.name).order_by(_layouts.c.name)).scalars())

    def get(self, name: str) -> bytes | None:
        with self._engine.connect() as connection:
            return connection.execute(sa.select(_layouts.c.document).where(_layouts.c.name == name)).scalar_one_or_none()

    def put(self, name: str, document: bytes) -> None:
        """Keep it, instead of an earlier one of the name.

        Raises:
            TooMany: it would be one more than `MOST_LAYOUTS`.
            StoreError: the catalog did not take it.
        """
        with self._catalog.writing(WHAT) as connection:
            changed = sa.update(_layouts).where(_layouts.c.name == name).values(document=document)
            if connection.execute(changed).rowcount:
                return
            connection.execute(sa.insert(_layouts).values(name=name, document=document))
            # Counted after the row is written: writers follow each other from their first write on.
            if connection.execute(sa.select(sa.func.count()).select_from(_layouts)).scalar_one() > MOST_LAYOUTS:
                raise TooMany(f"{MOST_LAYOUTS} layouts are kept, no more: delete one that nobody needs, or save over it.")

    def delete(self, name: str) -> bool:
        """Whether there was one.

        Raises:
            StoreError: the catalog did not take it.
        """
        with self._catalog.writing(WHAT) as connection:
            return connection.execute(sa.delete(_layouts).where(_layouts.c.name == name)).rowcount > 0
