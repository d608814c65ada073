"""What serves the reader whatever panels stand there: palette, shortcuts, look and language, links, CSV, the cut."""

import json
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import expect

pytestmark = pytest.mark.asyncio(loop_scope="module")
TICKERS = 12_400
HOSTILE = "<img src=x onerror=window.pwned=1>"


def universe():
    """As /api/universe tells it; the one that is looked for stands last."""
    names = [(f"Q{number:05}", f"Quiet {number} Corp") for number in range(TICKERS - 2)]
    tickers = [{"symbol": symbol, "name": name} for symbol, name in [*names, ("EVIL", HOSTILE), ("MERI", "Meridian Robotics, Inc.")]]
    return json.dumps({"count": TICKERS, "tickers": tickers, "next": None})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def there(watched_page):
    """One page for all: each test leaves it without a dialog. The vendor's whole universe, and a switch for its feed."""
    watched_page.cuts = []

    async def cut(route):
        watched_page.cuts.append(route.request.method)
        await route.fulfill(body='{"seconds": 10}', content_type="application/json")

    page = watched_page.page
    await page.route("**/api/universe*", lambda route: route.fulfill(body=universe(), content_type="application/json"))
    await page.route("**/api/simulated/cut", cut)
    await expect(grid(page, "gappers_up").first).to_be_visible()
    return watched_page


def grid(page, name):
    return page.locator(f'.grid[data-list="{name}"] .ag-row')


def finder(page):
    return page.get_by_role("combobox", name="A symbol, a company")


def own(complaints):
    """What this small stand has no route for is said by the browser too; the whole product has them all."""
    return [each for each in complaints if not each.startswith("Failed to load resource: the server responded with a status of")]


def option(page, name):
    return page.get_by_role("option", name=name)


async def test_the_palette_finds_lists_symbols_and_commands_by_keyboard_alone(there):
    page = there.page
    await page.keyboard.press("/")
    field = finder(page)
    await expect(field).to_be_focused()
    await page.keyboard.type("new lo")
    await expect(option(page, "New lows")).to_have_attribute("aria-selected", "true")
    assert await field.get_attribute("aria-activedescendant") == await option(page, "New lows").get_attribute("id")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await expect(page.get_by_role("tab", name="New lows", selected=True)).to_be_visible()
    await page.keyboard.press("/")
    await page.keyboard.type("meridian")
    await expect(option(page, "MERI")).to_have_attribute("aria-selected", "true")
    await page.keyboard.press("Enter")
    await page.keyboard.press("/")
    await page.keyboard.type("q0")
    await expect(option(page, "Q00000")).to_have_attribute("aria-selected", "true")
    await page.keyboard.press("ArrowUp")
    await expect(option(page, "Q00049")).to_have_attribute("aria-selected", "true")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("PageDown")
    await expect(option(page, "Q00008")).to_have_attribute("aria-selected", "true")
    await field.fill("evil")
    await expect(option(page, "EVIL")).to_contain_text(HOSTILE)
    await field.fill("nobody is called so")
    await expect(page.get_by_role("dialog").get_by_role("status")).to_have_text("0 found")
    await page.keyboard.press("Enter")
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    assert await page.evaluate("window.pwned") is None
    assert own(there.complaints) == []


async def test_what_the_palette_cannot_load_is_said_and_the_rest_is_found(quiet_page):
    page = quiet_page
    await page.get_by_role("button", name="Find").click()
    await expect(page.get_by_role("dialog").get_by_role("status")).to_contain_text("/api/universe is no call")
    await page.keyboard.type("gappers down")
    await expect(option(page, "Gappers down")).to_be_visible()
    await page.keyboard.press("Escape")


async def test_a_query_means_the_nearest_first(quiet_page):
    script = """async () => {
      const { find } = await import('./workspace/finding.mjs');
      const entry = (kind, title, more) => ({ kind, title, more, run() {} });
      const entries = [entry('symbol', 'WINX', 'Winx Holdings'), entry('symbol', 'WIN', 'Windstream'), entry('list', 'Winners'),
        entry('symbol', 'A', 'Great Winners Inc.'), entry('command', 'Disposición: mañana'), entry('symbol', 'ZZ', 'Álamo   Water')];
      const queries = ['win', 'winners', 'manana', 'disp man', 'alamo water', 'water al', 'q', ''];
      return queries.map((query) => find(entries, query, 3).map(({ title }) => title));
    }"""
    assert await quiet_page.evaluate(script) == [
        ["WIN", "Winners", "WINX"],
        ["Winners", "A"],
        ["Disposición: mañana"],
        ["Disposición: mañana"],
        ["ZZ"],
        ["ZZ"],
        [],
        ["Winners", "Disposición: mañana"],
    ]


async def test_the_shortcuts_are_those_of_the_table_and_rest_while_somebody_writes(there):
    page = there.page
    await page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Settings")
    shown = await dialog.locator("kbd").all_text_contents()
    assert {"/", "?", "c", "X"} <= set(shown)
    assert len(shown) == len(set(shown))
    await page.keyboard.press("/")  # a dialog stands before the page
    await expect(finder(page)).to_have_count(0)
    await dialog.get_by_label("Commands at single keys").uncheck()
    await page.keyboard.press("Escape")
    await page.keyboard.press("/")
    await expect(finder(page)).to_have_count(0)
    await page.reload()
    await expect(grid(page, "gappers_up").first).to_be_visible()
    await page.keyboard.press("?")
    await expect(dialog).to_have_count(0)
    await page.get_by_role("button", name="Settings").click()
    await dialog.get_by_label("Commands at single keys").check()
    await page.keyboard.press("Escape")
    await page.keyboard.press("/")
    await page.keyboard.type("?/X")
    await expect(finder(page)).to_have_value("?/X")
    await expect(dialog).to_have_count(0)
    await page.keyboard.press("Escape")


async def test_look_and_language_are_chosen_by_keyboard_and_kept_with_the_layout(there):
    page = there.page
    await page.get_by_role("tab", name="New highs").press("Delete")
    await page.keyboard.press("?")
    await page.get_by_role("radio", name="as the system").focus()
    colour = "getComputedStyle(document.querySelector('.ag-root-wrapper')).backgroundColor"
    light = await page.evaluate(colour)
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("ArrowRight")
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert await page.evaluate(colour) == "rgb(19, 23, 28)" != light
    await page.get_by_role("radio", name="English").focus()
    await page.keyboard.press("ArrowRight")
    await expect(page.locator("html")).to_have_attribute("lang", "es")
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    await expect(page.get_by_role("tab", name="Ganadoras")).to_be_visible()
    await expect(page.get_by_role("tab", name="Nuevos máximos")).to_have_count(0)
    await expect(grid(page, "gappers_up").first).to_be_visible()
    await page.keyboard.press("/")
    await page.keyboard.type("english")
    await page.keyboard.press("Enter")
    await expect(page.locator("html")).to_have_attribute("lang", "en")
    await expect(grid(page, "gappers_up").first).to_be_visible()
    assert own(there.complaints) == []


async def test_a_link_opens_its_list_and_symbol_and_is_copied_again(there):
    page, url = there.page, there.stand.url
    await page.goto(f"{url}#list=new_lows&symbol=MERI")
    await expect(grid(page, "new_lows").first).to_be_visible()
    await page.keyboard.press("c")
    await expect(page.locator("#notice")).to_contain_text("Copied")
    link = await page.evaluate("navigator.clipboard.readText()")
    assert link == f"{url}#list=new_lows&symbol=MERI"
    await page.goto(f"{url}#list=%3Cb%3Enone&symbol=%3Cimg%20src=x%3E")
    await expect(page.locator("#notice")).to_have_text("There is no list <b>none any more.×")
    assert own(there.complaints) == []


async def test_a_list_is_saved_whole_and_as_it_is_seen(there):
    page, stand = there.page, there.stand
    for company in stand.market.companies:
        company["name"] = "=HYPERLINK(1)"
    await stand.step()
    await page.get_by_role("tab", name="Winners").click()
    await expect(grid(page, "winners").first).to_be_visible()
    saved = []
    for words in ("save the list", "save what is seen"):
        await page.keyboard.press("/")
        await page.keyboard.type(words)
        async with page.expect_download() as saving:
            await page.keyboard.press("Enter")
        saved.append((await (await saving.value).path()).read_text(encoding="utf-8-sig"))
    symbols = [row["symbol"] for row in stand.market.rows["winners"]]
    assert saved[0].startswith("rank,symbol,")
    assert [line.split(",")[1] for line in saved[0].splitlines()[1:]] == symbols
    assert [line.split(",")[1].strip('"') for line in saved[1].splitlines()[1:]] == symbols
    assert [text.count("'=HYPERLINK(1)") for text in saved] == [len(symbols)] * 2


async def test_the_cut_is_offered_only_while_the_market_is_simulated(there):
    page = there.page
    await page.get_by_role("button", name="Cut the feed for 10 s").click()
    await expect(page.locator("#notice")).to_contain_text("is cut for 10 s")
    async with page.expect_response("**/api/simulated/cut"):
        await page.keyboard.press("X")
    assert there.cuts == ["POST"] * 2
    script = """async () => {
      const { Signal } = await import('./signal.mjs');
      const { offerCut } = await import('./workspace/cut.mjs');
      const commands = new Map();
      const add = (command) => { commands.set(command.id, command); return () => commands.delete(command.id); };
      const status = new Signal({ mode: 'LIVE' });
      offerCut({ feed: { status }, commands: { add } });
      const seen = [commands.size];
      status.set({ mode: 'SIMULATED' });
      seen.push(commands.size);
      status.set({ mode: 'DELAYED' });
      return [...seen, commands.size, document.querySelector('#marked').lastChild.hidden];
    }"""
    assert await page.evaluate(script) == [0, 1, 0, True]


async def test_without_any_other_host_every_panel_opens_and_nothing_complains(browser, stand):
    context = await browser.new_context(viewport={"width": 1600, "height": 1000})
    try:
        blocked = []

        async def guard(route):
            if urlsplit(route.request.url).hostname == "127.0.0.1":
                await route.fallback()
            else:
                blocked.append(route.request.url)
                await route.abort()

        await context.route("**/*", guard)
        page = await context.new_page()
        complaints = []
        page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        answer = await page.goto(stand.url)
        assert "script-src 'self' 'sha256-" in answer.headers["content-security-policy"]
        await expect(grid(page, "gappers_up").first).to_be_visible()
        for kind in await page.evaluate("import('./workspace/panels.mjs').then(({ KINDS }) => KINDS.map(({ kind }) => kind))"):
            await page.evaluate("(kind) => import('./main.mjs').then(({ desk }) => desk.open(kind, { symbol: 'ABC' }))", kind)
        await expect(page.get_by_role("tab", selected=True).last).to_be_visible()
        assert own(complaints) == []
        assert blocked == []
    finally:
        await context.close()
