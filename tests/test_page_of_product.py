"""The README's promise in a real browser: the whole product, started from an empty folder, shows a live market."""

import urllib.error
from http import HTTPStatus
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Error, expect, sync_playwright

from tests.product import eventually, running
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
            page.product = product
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


def told(product, symbol):
    """Whether history tells all that the panels of a ticker ask."""
    session = product.get("api/lists")["session"]
    try:
        return product.get(f"api/bars/daily/{symbol}")["bars"] and product.get(f"api/rvol/{symbol}?session={session}")["slots"]
    except urllib.error.HTTPError as error:
        assert error.code == HTTPStatus.NOT_FOUND, error
        return False


def test_a_ticker_opens_with_its_chart_its_facts_why_it_is_there_and_its_filings(page):
    first_cell(page, "gappers_up", "symbol").click()
    row = page.locator('.grid[data-list="gappers_up"] .ag-row[row-index="0"]').first
    eventually(lambda: told(page.product, row.get_attribute("row-id")), 120)
    first_cell(page, "gappers_up", "symbol").press("Enter")
    field = page.locator(".panel.chart").get_by_label("Symbol")
    expect(field).not_to_have_value("")
    symbol = field.input_value()  # the list goes on moving
    legend = page.locator(".panel.chart .legend")
    expect(legend).to_contain_text("VWAP", timeout=PATIENCE_MS)
    expect(page.get_by_role("group", name=f"Chart of {symbol}, Minutes")).to_be_visible()
    expect(page.locator(".panel.chart .lacking")).not_to_contain_text("No minute bars")
    page.get_by_role("button", name="Days").click()
    expect(page.get_by_role("group", name=f"Chart of {symbol}, Days")).to_be_visible()
    page.get_by_role("tab", name="Facts").click()
    expect(page.locator(".panel.facts")).to_contain_text("ATR")
    expect(page.locator(".panel.facts dd").first).not_to_have_text("–")
    page.get_by_role("tab", name="RVOL").click()
    expect(page.locator(".panel.rvol .legend")).to_contain_text("usual by now")
    page.get_by_role("tab", name="Why").click()
    page.locator(".panel.why").get_by_label("List", exact=True).select_option("gappers_up")
    expect(page.locator(".why-said")).to_contain_text(f"{symbol}, Gappers up")
    expect(page.locator(".why-table tbody tr").first).to_be_visible()
    page.get_by_role("tab", name="Filings").click()
    expect(page.locator(".panel.news .lacking")).to_have_count(0)
    expect(page.locator(".pieces li").first).to_be_visible()  # every company of the simulated market files something


def test_nothing_complains_and_no_other_host_is_asked(page):
    assert not page.complaints
    assert page.hosts <= {"127.0.0.1", None}
