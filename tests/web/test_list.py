"""A list's panel: its columns, filter and sort are kept, its order is held still, and what came and went is marked."""

import asyncio

import pytest
from playwright.async_api import expect

pytestmark = pytest.mark.asyncio(loop_scope="module")
SMALL = {"width": 1100, "height": 640}  # wide enough for all groups; what is not drawn costs nothing
GRID = '.grid[data-list="high_volume"]'
PANEL = f".panel:has({GRID})"


def header(page, column):
    return page.locator(f'{GRID} .ag-header-cell[col-id="{column}"]')


async def symbols(page):
    """From the top, as far as they are drawn; who left is not on the list."""
    return await page.locator(GRID).evaluate("""(grid) => [...grid.querySelectorAll('.ag-row:not(.left) [col-id="symbol"] .symbol')]
        .map((cell) => [Number(cell.closest("[row-index]").getAttribute("row-index")), cell.firstChild.textContent])
        .sort(([one], [other]) => one - other).map(([, symbol]) => symbol)""")


async def comes_to(page, expected):
    async with asyncio.timeout(20):
        while not (shown := await symbols(page)) or shown != expected[: len(shown)]:
            await asyncio.sleep(0.02)


async def test_columns_sort_and_filter_are_a_persons_and_come_back_after_a_reload(open_page, stand):
    watched = await open_page(viewport={"width": 1900, "height": 640})  # every column is drawn
    page = watched.page
    await expect(page.locator(f"{GRID} .ag-row").first).to_be_visible()
    await expect(header(page, "baseline")).to_have_count(1)
    await expect(header(page, "market_cap")).to_have_count(0)  # beyond the first twelve
    await page.locator(PANEL).get_by_role("button", name="Columns").click()
    await page.get_by_role("checkbox", name="Mkt cap").check()
    await page.get_by_role("checkbox", name="$ Volume").uncheck()
    await page.keyboard.press("Escape")
    await header(page, "volume").click()
    await header(page, "price").hover()
    await header(page, "price").locator(".ag-header-cell-filter-button").click()
    rows = stand.market.rows["high_volume"]
    middle = sorted(row["price"] for row in rows)[len(rows) // 2]
    await page.get_by_role("combobox", name="Filtering operator").first.click()
    await page.get_by_role("option", name="Greater than", exact=True).click()
    await page.locator(".ag-filter input[type=number]").first.fill(str(middle))
    await page.keyboard.press("Escape")
    left = sorted((row for row in rows if row["price"] > middle), key=lambda row: (-row["volume"], row["rank"]))
    for _ in range(2):
        await comes_to(page, [row["symbol"] for row in left])
        await expect(page.locator(f"{PANEL} .count")).to_contain_text(f"{len(left)} of {len(rows)} rows")
        await expect(header(page, "dollar_volume")).to_have_count(0)
        await page.reload()
        await expect(page.locator(f"{GRID} .ag-row").first).to_be_visible()
    await page.locator(PANEL).get_by_role("button", name="Columns").click()
    await page.get_by_role("button", name="As the list has them").click()
    await comes_to(page, [row["symbol"] for row in rows])
    await expect(header(page, "dollar_volume")).to_have_count(1)
    assert not watched.complaints


async def press_freeze(page):
    """At one stroke: on a slow machine a key that is pressed from here looks held down."""
    await page.evaluate(
        """for (const kind of ["keydown", "keyup"]) document.body.dispatchEvent(new KeyboardEvent(kind, { key: "f", bubbles: true }))"""
    )


async def test_the_freeze_key_holds_the_order_while_numbers_go_on_and_says_so(open_page, stand):
    page = (await open_page(viewport=SMALL)).page
    await expect(page.locator(f"{GRID} .ag-row").first).to_be_visible()
    held = await symbols(page)
    await press_freeze(page)
    await expect(page.locator("#frozen")).to_have_text("Order held: F lets it go")
    await expect(page.locator(f"{PANEL} .count")).to_contain_text("order held")
    last = stand.market.rows["high_volume"][-1]["symbol"]
    company = next(each for each in stand.market.companies if each["symbol"] == last)
    company["price"] *= 50  # to the top
    await stand.step()
    seen = stand.market.rows["high_volume"]
    top = next(row for row in seen if row["symbol"] == held[0])
    await expect(page.locator(f'{GRID} [row-index="0"] [col-id="rank"]')).to_have_text(str(top["rank"] + 1))
    assert await symbols(page) == held
    await press_freeze(page)
    await comes_to(page, [row["symbol"] for row in seen])
    assert seen[0]["symbol"] == last != held[0]
    await expect(page.locator("#frozen")).to_have_text("")


async def test_under_a_moving_pointer_no_row_jumps_away(open_page, stand):
    page = (await open_page(viewport=SMALL)).page
    await page.locator(f"{GRID} .ag-row").nth(3).hover()
    await expect(page.locator(f"{PANEL} .count")).to_contain_text("order held")
    await page.mouse.move(5, 5)
    await expect(page.locator(f"{PANEL} .count")).not_to_contain_text("order held")


async def test_who_left_is_struck_through_while_the_order_is_held_and_goes_then(open_page, stand):
    watched = await open_page(viewport=SMALL)
    page = watched.page
    await expect(page.locator(f"{GRID} .ag-row").first).to_be_visible()
    await press_freeze(page)
    top = stand.market.rows["high_volume"][0]["symbol"]
    next(each for each in stand.market.companies if each["symbol"] == top)["symbol"] = "CAME"
    await stand.step()
    await expect(page.locator(f'{GRID} .ag-row.left[row-id="{top}"]').first).to_be_visible()
    await press_freeze(page)
    await expect(page.locator(f'{GRID} .ag-row[row-id="{top}"]')).to_have_count(0)
    await expect(page.locator(f'{GRID} .ag-row[row-id="CAME"]').first).to_be_visible()
    assert not watched.complaints


async def test_a_price_that_moves_is_coloured_for_a_moment_and_a_symbol_is_not_drawn_anew(open_page, stand):
    page = (await open_page(viewport=SMALL)).page
    await expect(page.locator(f"{GRID} .ag-row").first).to_be_visible()
    await page.evaluate(
        """(grid) => {
            const ticks = [];
            for (const cell of document.querySelectorAll(`${grid} .symbol`)) cell.firstChild.isKept = true;
            window.over = new Promise((resolve) => new MutationObserver((changes) => {
                ticks.push(...changes.map(({ target }) => target.dataset.tick ?? "over"));
                if (ticks.includes("over")) resolve(ticks);
            }).observe(document.querySelector(grid), { subtree: true, attributeFilter: ["data-tick"] }));
        }""",
        GRID,
    )
    await stand.step()
    assert {"up", "down"} & set(await page.evaluate("window.over"))
    await expect(page.locator(f"{GRID} [data-tick]")).to_have_count(0)
    assert await page.locator(f"{GRID} .symbol").evaluate_all("(cells) => cells.some((cell) => cell.firstChild.isKept)")


async def test_badges_say_what_is_special_about_a_ticker(quiet_page):
    full, plain = await quiet_page.evaluate("""async () => {
        const { badgesOf } = await import("/panels/badges.mjs");
        const row = { halted: true, ssr: true, ipo: true, leverage: "3x", corp_action: "1:8 split", filing_form: "8-K",
            news_at: "x", headline: "Up" };
        return [badgesOf(row), badgesOf({ halted: false, ssr: null, price: 1 })];
    }""")
    assert [(each["letter"], each["words"]) for each in full] == [
        ("H", "Trading is halted"),
        ("S", "Short-sale restriction"),
        ("IPO", "A stock listed within the last seven days"),
        ("3x", "Fund with a leverage of 3x"),
        ("÷", "1:8 split"),
        ("F", "Filed 8-K since the last close"),
        ("N", "Up"),
    ]
    assert plain == []


ROWS = """async (story) => {
    const { Rows } = await import("/panels/rows.mjs");
    const body = document.createElement("div");
    for (const symbol of ["A", "B", "C"]) {
        const row = body.appendChild(document.createElement("div"));
        row.className = "ag-row";
        row.setAttribute("row-id", symbol);
    }
    const row = (symbol, volume, rvol) => ({ symbol, rank: 0, volume, rvol });
    const rows = new Rows(body);
    rows.begin(new Map([["A", row("A", 1, 1)], ["B", row("B", 1, 1)]]), 0);
    return story.map(({ at, add = [], update = [], remove = [], held }) => {
        if (held !== undefined) rows.order = held ? new Map() : undefined;
        const steps = rows.follow({ add: add.map((each) => row(...each)), update: update.map((each) => row(...each)),
            remove: remove.map((symbol) => row(symbol, 0, 0)) }, at);
        rows.paint(at);
        const marked = (mark) => [...body.querySelectorAll(`.${mark}`)].map((each) => each.getAttribute("row-id")).join("");
        return [marked("old"), marked("entered"), marked("left"), steps.remove.map(({ symbol }) => symbol).join("")];
    });
}"""


async def test_a_row_is_old_after_ten_seconds_without_a_trade_new_for_six_and_stays_a_moment_when_it_left(quiet_page):
    story = [
        ({"at": 9000, "update": [["A", 1, 2], ["B", 2, 2]]}, ["", "", "", ""]),
        ({"at": 10_000}, ["A", "", "", ""]),  # its RVOL changed with time alone
        ({"at": 18_000, "add": [["C", 1, 1]], "remove": ["A"]}, ["A", "C", "A", ""]),
        ({"at": 20_000}, ["AB", "C", "A", ""]),
        ({"at": 20_500}, ["B", "C", "", "A"]),
        ({"at": 24_000, "remove": ["B"], "held": True}, ["B", "", "B", ""]),
        ({"at": 60_000}, ["BC", "", "B", ""]),  # while the order is held, nothing moves up
        ({"at": 61_000, "add": [["B", 3, 3]]}, ["C", "B", "", ""]),
        ({"at": 62_000, "remove": ["C"], "held": False}, ["C", "B", "C", ""]),
        ({"at": 65_000}, ["", "B", "", "C"]),
    ]
    assert await quiet_page.evaluate(ROWS, [step for step, _ in story]) == [seen for _, seen in story]
