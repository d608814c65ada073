import json
import re

import pytest

from tradeul.api.page import page_folder

VENDORED = sorted(path.name for path in (page_folder() / "vendor").iterdir())
IMPORT_MAP = json.loads(re.search(r'<script type="importmap">(.*?)</script>', (page_folder() / "index.html").read_text(), re.DOTALL)[1])


@pytest.mark.parametrize("name", VENDORED)
def test_a_vendored_module_has_its_licence_and_says_which_it_is(name):
    folder = page_folder() / "vendor" / name
    assert any(words in (folder / "LICENSE.txt").read_text() for words in ("Permission is hereby granted", "Apache License"))
    assert re.match(rf"{name} \d+\.\d+\.\d+ .*\nsha512 of the package: [0-9a-f]{{128}}\n$", (folder / "VERSION.txt").read_text())


def test_everything_imported_by_name_is_in_the_import_map_and_stands_here():
    modules = list(page_folder().rglob("*.mjs"))
    imported = {name for module in modules for name in re.findall(r'\b(?:import|from) ?"([a-z][\w-]*)"', module.read_text())}
    assert imported == set(IMPORT_MAP["imports"]) == set(VENDORED)
    assert all((page_folder() / target).is_file() for target in IMPORT_MAP["imports"].values())


def test_every_module_is_told_at_once_the_large_ones_first_and_none_before_the_import_map():
    """One that comes sooner than the import map cannot resolve its imports, and the page stays empty: seen once in some forty loads."""
    folder = page_folder()
    page = (folder / "index.html").read_text()
    assert page.index('<script type="importmap">') < page.index("modulepreload")
    told = re.findall(r'<link rel="modulepreload" href="([^"]+)" />', page)
    assert sorted(told) == sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.mjs"))
    assert [name.startswith("vendor/") for name in told] == sorted((name.startswith("vendor/") for name in told), reverse=True)
