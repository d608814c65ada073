import json

import pytest

from tests.api.serving import serving
from tests.schema_fuzz import found_nothing
from tradeul.api.layouts import MOST_BYTES, LayoutRoutes
from tradeul.store import layouts
from tradeul.store.catalog import Catalog
from tradeul.store.layouts import LayoutStore

LAYOUT = {"grid": {"root": [1, 2.5, None]}, "panels": {"winners": {"kind": "list", "title": "Ganadores ñ"}}}
TEXT = json.dumps(LAYOUT)


@pytest.fixture
def catalog(tmp_path):
    catalog = Catalog(f"sqlite:///{tmp_path / 'catalog.db'}")
    yield catalog
    catalog.close()


@pytest.fixture
async def asker(catalog):
    async with serving(LayoutRoutes(LayoutStore(catalog))) as asker:
        yield asker


async def test_a_layout_comes_back_as_it_was_put_until_it_is_replaced_or_forgotten(asker):
    assert await asker.ask("PUT", "/api/layouts/Mañana%20(2)", 204, TEXT) is None
    await asker.ask("PUT", "/api/layouts/b", 204, TEXT)
    assert await asker.ask("GET", "/api/layouts/Mañana%20(2)") == LAYOUT
    await asker.ask("PUT", "/api/layouts/b", 204, '{"other":1}')
    assert await asker.ask("GET", "/api/layouts/b") == {"other": 1}
    assert await asker.ask("GET", "/api/layouts") == {"layouts": ["Mañana (2)", "b"]}
    await asker.ask("DELETE", "/api/layouts/b", 204)
    assert await asker.ask("GET", "/api/layouts") == {"layouts": ["Mañana (2)"]}
    assert "no layout 'b'" in await asker.refused("GET", "/api/layouts/b", 404)
    assert "no layout 'b'" in await asker.refused("DELETE", "/api/layouts/b", 404)


@pytest.mark.parametrize("name", ["%20a", "a%20", ".a", "a%00", "a%0A", "a" * 41, "%3Cb%3E"])
async def test_a_name_is_short_and_plain(asker, name):
    for method in ("GET", "PUT", "DELETE"):
        assert "is no layout's name" in await asker.refused(method, f"/api/layouts/{name}", 422, TEXT if method == "PUT" else None)


async def test_what_is_no_layout_or_too_large_is_refused(asker):
    for body in ("", "{}", "[1]", "{", "\xff"):
        assert "Send something like" in await asker.refused("PUT", "/api/layouts/a", 422, body)
    fits = json.dumps({"a": "b" * (MOST_BYTES - 10)})
    await asker.ask("PUT", "/api/layouts/a", 204, fits)
    assert "longer than 262,144 bytes" in await asker.refused("PUT", "/api/layouts/b", 413, fits + 11 * " ")
    assert await asker.ask("GET", "/api/layouts") == {"layouts": ["a"]}


async def test_one_too_many_is_refused_and_an_old_one_may_still_change(asker, monkeypatch):
    monkeypatch.setattr(layouts, "MOST_LAYOUTS", 2)
    for name in ("a", "b", "a"):
        await asker.ask("PUT", f"/api/layouts/{name}", 204, TEXT)
    assert "2 layouts are kept, no more: delete one" in await asker.refused("PUT", "/api/layouts/c", 409, TEXT)
    assert await asker.ask("GET", "/api/layouts") == {"layouts": ["a", "b"]}


async def test_a_disk_that_takes_nothing_is_said(asker, catalog):
    with catalog.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE layouts")
    assert "could not be kept (" in await asker.refused("PUT", "/api/layouts/a", 503, TEXT)


async def test_with_a_token_they_need_it(catalog):
    async with serving(LayoutRoutes(LayoutStore(catalog)), token="secret") as asker:
        for method, path in (("GET", "/api/layouts"), ("GET", "/api/layouts/a"), ("PUT", "/api/layouts/a"), ("DELETE", "/api/layouts/a")):
            await asker.ask(method, path, 401)
        await asker.ask("PUT", "/api/layouts/a", 204, TEXT, Authorization="Bearer secret")


@pytest.mark.long
async def test_schemathesis_finds_nothing(asker):
    await found_nothing(asker.url, "layouts")
