from concurrent.futures import ThreadPoolExecutor

import pytest

from tradeul.errors import TooMany
from tradeul.store import layouts
from tradeul.store.layouts import LayoutStore


@pytest.fixture
def store(url, catalog_at):
    return LayoutStore(catalog_at(url))


def test_layouts_are_kept_by_name_and_survive_reopening(store, url, catalog_at):
    for name, document in (("b", b"{}"), ("Ñ", b'{"a":1}'), ("b", b"[]")):
        store.put(name, document)
    again = LayoutStore(catalog_at(url))
    assert (again.names(), again.get("b"), again.get("c")) == (["b", "Ñ"], b"[]", None)
    assert (again.delete("b"), again.delete("b"), again.names()) == (True, False, ["Ñ"])


def test_writers_at_once_keep_no_more_than_there_may_be(store, monkeypatch):
    monkeypatch.setattr(layouts, "MOST_LAYOUTS", 3)

    def put(number):
        try:
            store.put(f"layout {number}", b"{}")
        except TooMany:
            return "refused"
        return "kept"

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(put, range(8)))
    assert (answers.count("kept"), len(store.names())) == (3, 3)
