"""The README's promise in a real browser: the whole product, started from an empty folder, shows a live market."""

import json
import re
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
            page.product = product
            page.complaints, page.hosts = [], set()
            page.on("console", lambda message: page.complaints.append(message.text) if message.type in ("error", "warning") else None)
            page.on("pageerror", lambda error: page.complaints.append(str(error)))
            page.on("request", lambda request: page.hosts.add(urlsplit(request.url).hostname))
            page.goto(product.page)
            page.product = product
            yield page
        chromium.close()


def arrange(page, *kinds):
    """The page with these panels and nothing else, side by side."""
    leaves = [{"type": "leaf", "data": {"views": [kind], "activeView": kind, "id": kind}, "size": 800} for kind in kinds]
    grid = {"root": {"type": "branch", "data": leaves, "size": 900}, "width": 1600, "height": 900, "orientation": "HORIZONTAL"}
    panels = {kind: {"id": kind, "contentComponent": kind, "title": kind, "params": {}} for kind in kinds}
    names = [each["name"] for each in page.product.get("api/lists")["lists"]]
    layout = {"names": names, "dock": {"grid": grid, "panels": panels, "activeGroup": kinds[0]}}
    kept = json.dumps(layout | {"name": None, "layout": layout})
    page.add_init_script(
        f"sessionStorage.arranged || localStorage.setItem('tradeul.layout.wide', {json.dumps(kept)}); sessionStorage.arranged = 1"
    )
    page.reload()


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


def test_the_strip_counts_the_market_and_shows_the_indexes_funds(page):
    strip = page.locator(".market")
    for symbol in ("SPY", "QQQ", "IWM"):
        expect(strip.locator(".figure", has_text=symbol)).to_have_text(
            re.compile(rf"{symbol}\d+\.\d\d[+-]?\d+\.\d\d %"), timeout=PATIENCE_MS
        )


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


def test_a_list_of_ones_own_is_written_tried_kept_and_deleted(page):
    arrange(page, "editor", "maintenance")
    where, problem = page.get_by_label("Condition"), page.locator("#editor-1-where-problem")
    where.fill("price > 1 AND chang_pct > 0")
    expect(problem).to_have_text("unknown column 'chang_pct'; did you mean 'change_pct'?")
    expect(where).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_role("button", name="Save")).to_be_disabled()
    where.fill("price > 1 AND change_pct > -90")
    page.get_by_label("Only what trades enough (floors)").uncheck()
    page.get_by_label("Name", exact=True).fill("hers")
    page.get_by_label("Title").fill("Hers <b>")
    expect(problem).to_have_text("")
    expect(page.locator(".rows td.symbol").first).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("button", name="Without Volume", exact=True).click()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Hers <b> is saved; it runs within a second.")).to_be_visible()
    expect(page.get_by_role("tab", name="Hers <b>")).to_be_visible()
    kept = page.product.get("api/user-lists/hers")
    assert kept["definition"]["columns"] == ["price", "change_pct", "rvol", "dollar_volume"] and not kept["definition"]["floors"]
    page.get_by_label("Open or begin a list…").select_option("copy:winners")
    expect(page.get_by_label("Name", exact=True)).to_have_value("winners_mine")
    expect(page.get_by_text("It asks something else in these phases, which stands in the text: post-market.")).to_be_visible()
    page.get_by_label("Open or begin a list…").select_option("mine:hers")
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Really delete Hers <b>?").click()
    expect(page.get_by_text("Hers <b> is deleted.")).to_be_visible()
    assert page.product.get("api/user-lists") == {"lists": []}


def test_maintenance_says_whether_the_numbers_can_be_trusted_and_loads_again(page):
    verdict = page.locator(".verdict")
    expect(verdict).to_contain_text("The market is invented.", timeout=PATIENCE_MS)
    assert page.product.get("api/maintenance/status")["trust"]["got"] is not None
    page.locator(".ledger button.session").first.focus()
    page.keyboard.press("ArrowDown")
    chosen = page.locator(".ledger button.session").nth(1)
    expect(chosen).to_be_focused()
    expect(page.locator(".detail h3")).to_have_text(chosen.text_content())
    expect(page.locator(".detail .partition").filter(has_text="Daily bars")).to_be_visible()
    page.get_by_role("button", name="Load all again").click()
    expect(page.locator(".maintenance .said")).to_have_text(re.compile("A run has begun|A run is under way"))


def test_nothing_complains_and_no_other_host_is_asked(page):
    assert not page.complaints
    assert page.hosts <= {"127.0.0.1", None}
