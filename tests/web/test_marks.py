"""What one browser thinks of symbols: pinned, hidden today, excluded."""

import pytest
from playwright.async_api import expect

pytestmark = pytest.mark.asyncio(loop_scope="module")
STORY = """async () => {
    const names = ["workspace/marks", "signal", "workspace/settings"];
    const [{ Marks }, { Signal }, { Settings }] = await Promise.all(names.map((name) => import(`/${name}.mjs`)));
    localStorage.removeItem("tradeul.marks");
    const day = new Signal("2026-03-09"), settings = new Settings();
    const marks = new Marks(settings, day);
    let told = 0;
    marks.listen(() => (told += 1));
    const seen = (each) => ["A", "B", "C"].map((symbol) => (each.hides(symbol) ? "-" : each.isPinned(symbol) ? "^" : "+")).join("");
    const story = [seen(marks)];
    marks.pin("A"); marks.hideToday("B"); marks.exclude("C"); marks.exclude("C");
    story.push(seen(marks), seen(new Marks(settings, day)), told);
    day.set("2026-03-10");
    story.push(seen(marks), told, marks.hidesAny);
    marks.show("C"); marks.pin("A");
    story.push(seen(marks), marks.hidesAny);
    for (let number = 0; number < 600; number += 1) marks.exclude(`S${number}`);
    story.push(marks.kept.value.excluded.length, marks.hides("S0"), marks.hides("S599"));
    localStorage.setItem("tradeul.marks", '{"pinned":7,"excluded":["A",7,null]}');
    story.push(seen(new Marks(settings, day)));
    localStorage.removeItem("tradeul.marks");
    return story;
}"""


async def test_hidden_is_for_a_session_excluded_for_good_and_both_outlive_a_reload(quiet_page):
    assert await quiet_page.evaluate(STORY) == ["+++", "^--", "^--", 4, "^+-", 5, True, "+++", False, 500, False, True, "-++"]


GRID = '.grid[data-list="high_volume"]'


def row(page, symbol):
    return page.locator(f'{GRID} .ag-row[row-id="{symbol}"] [col-id="symbol"]')


async def test_a_row_is_pinned_hidden_and_shown_again_from_the_keyboard_and_by_the_menu(open_page, stand):
    watched = await open_page()
    page, rows = watched.page, [each["symbol"] for each in stand.market.rows["high_volume"]]
    first, second, third, fourth = rows[:4]
    await row(page, third).click()
    await page.keyboard.press("p")
    await expect(page.locator(f'{GRID} .ag-row[row-id="{third}"]').first).to_have_attribute("row-index", "0")
    await row(page, first).click()
    await page.keyboard.press("h")
    await expect(row(page, first)).to_have_count(0)
    await expect(page.locator("#notice")).to_contain_text(f"{first} is hidden until the next session.")
    await row(page, second).click(button="right")
    await page.get_by_role("dialog", name=second).get_by_role("button", name="Hide always (X)").click()
    await expect(page.locator(f".panel:has({GRID}) .count")).to_contain_text(f"{len(rows) - 2} of {len(rows)} rows")
    await page.reload()
    await expect(page.locator(f'{GRID} .ag-row[row-id="{third}"]').first).to_have_attribute("row-index", "0")
    await expect(page.locator(f'{GRID} .ag-row[row-id="{fourth}"]').first).to_have_attribute("row-index", "1")
    await stand.step()
    await expect(row(page, first)).to_have_count(0)
    await row(page, third).click(button="right")
    await page.get_by_role("button", name="All pinned and hidden symbols…").click()
    for name in (f"{third}: Unpin", f"{first}: Show again", f"{second}: Show again"):
        await page.get_by_role("button", name=name).click()
    await expect(page.get_by_role("dialog")).to_contain_text("None. P on a row pins it")
    await page.keyboard.press("Escape")
    await expect(row(page, first)).to_have_count(1)
    assert not watched.complaints
