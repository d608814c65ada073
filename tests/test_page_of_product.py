"""The README's promise in a real browser: the whole product, started from an empty folder, shows a live market."""

from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Error, expect, sync_playwright

from tests.product import running
from tests.web.conftest import ARGUMENTS, CHROMIUM

PATIENCE_MS = 60_000


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with sync_playwright() as playwright:
        try:
            chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        except Error as error:
            pytest.skip(f"no Chromium at {CHROMIUM}: {str(error).splitlines()[0]}")
        with running(tmp_path_factory.mktemp("state")) as product:
            page = chromium.new_page(viewport={"width": 1600, "height": 1000})
            page.complaints, page.hosts = [], set()
            page.on("console", lambda message: page.complaints.append(message.text) if message.type in ("error", "warning") else None)
            page.on("pageerror", lambda error: page.complaints.append(str(error)))
            page.on("request", lambda request: page.hosts.add(urlsplit(request.url).hostname))
            page.goto(product.page)
            yield page
        chromium.close()


def first_cell(page, name, column):
    return page.locator(f'.grid[data-list="{name}"] [row-index="0"] [col-id="{column}"]')


def test_lists_have_rows_and_their_numbers_change(page):
    for name in ("gappers_up", "high_volume", "winners"):
        expect(first_cell(page, name, "symbol")).to_be_visible(timeout=PATIENCE_MS)
    prices = '() => [...document.querySelectorAll(\'[data-list="high_volume"] [col-id="price"]\')].map((cell) => cell.textContent).join()'
    before = page.evaluate(prices)
    page.wait_for_function(f"(before) => ({prices})() !== before", arg=before, timeout=PATIENCE_MS)


def test_the_market_is_said_to_be_simulated(page):
    expect(page.get_by_text("Fictional companies and prices")).to_be_visible()


def test_nothing_complains_and_no_other_host_is_asked(page):
    assert not page.complaints
    assert page.hosts <= {"127.0.0.1", None}
