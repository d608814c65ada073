"""Arranging the workspace, in a real browser."""

import asyncio
import json

import pytest
from playwright.async_api import expect

pytestmark = pytest.mark.asyncio(loop_scope="module")
SMALL = {"width": 1100, "height": 640}  # wide enough for all groups; what is not drawn costs nothing


def tab(page, name):
    return page.get_by_role("tab", name=name)


def group(page, name):
    return page.locator(".dv-groupview", has=tab(page, name))


async def close(page, name):
    await tab(page, name).click()
    await tab(page, name).locator(".tab-close").click()
    await expect(tab(page, name)).to_have_count(0)


async def layouts(page, button=None):
    await page.keyboard.press("Alt+l")
    if button:
        await page.get_by_role("dialog").get_by_role("button", name=button, exact=True).click()
        await expect(page.get_by_role("dialog", name="Layouts")).to_have_count(0)


async def test_what_is_arranged_and_named_comes_back_after_a_reload_and_in_another_browser(open_page, stand):
    watched = await open_page(viewport=SMALL)
    page = watched.page
    await tab(page, "New highs").press("Delete")
    await layouts(page)
    await page.get_by_role("textbox", name="Name").fill("morning")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("dialog", name="Layouts")).to_have_count(0)
    await layouts(page, "Back to the first layout")
    await expect(tab(page, "New highs")).to_be_visible()
    await layouts(page, "morning")
    await expect(tab(page, "New highs")).to_have_count(0)
    await close(page, "Losers")
    await page.reload()  # before it was sent, perhaps: then it is now
    async with asyncio.timeout(20):
        while "list-losers" in (await (await page.request.get(f"{stand.url}api/layouts/morning")).json())["dock"]["panels"]:
            await asyncio.sleep(0.05)
    await expect(page.locator('.grid[data-list="gappers_up"] .ag-row').first).to_be_visible()
    await expect(page.locator("section.market b").first).to_be_visible()
    for name in ("New highs", "Losers"):
        await expect(tab(page, name)).to_have_count(0)
    other = await open_page(viewport=SMALL)
    await expect(tab(other.page, "Losers")).to_be_visible()
    await layouts(other.page, "morning")
    await expect(tab(other.page, "Losers")).to_have_count(0)
    await layouts(other.page)
    await other.page.get_by_role("button", name="Delete morning").click()
    await expect(other.page.get_by_text("None has a name yet")).to_have_count(0)
    await expect(other.page.get_by_role("button", name="morning")).to_have_count(0)
    assert not watched.complaints + other.complaints


async def test_a_key_pressed_the_moment_a_dialog_has_closed_is_heard(open_page):
    page = (await open_page(viewport=SMALL)).page
    await tab(page, "New highs").press("Delete")  # with it goes what the dialog could give the focus back to
    await layouts(page)
    await expect(page.get_by_role("dialog", name="Layouts")).to_be_visible()
    await page.evaluate("""() => {
        document.querySelector("dialog header button").click();
        const pressed = new KeyboardEvent("keydown", { key: "l", code: "KeyL", altKey: true, bubbles: true, cancelable: true });
        document.activeElement.dispatchEvent(pressed);
    }""")
    await expect(page.get_by_role("dialog", name="Layouts")).to_be_visible()


async def test_a_group_moves_to_a_window_of_its_own_and_back_and_its_rows_go_on(open_page, stand):
    watched = await open_page(viewport=SMALL)
    page = watched.page
    await expect(page.locator('.grid[data-list="high_volume"] .ag-row').first).to_be_visible()
    async with page.expect_popup() as opening:
        await group(page, "High volume").get_by_role("button", name="Move to a window of its own").click()
    other = await opening.value
    complaints = []
    other.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
    rows = other.locator('.grid[data-list="high_volume"] .ag-row')
    await expect(rows.first).to_be_visible()
    await expect(page.locator('.grid[data-list="high_volume"]')).to_have_count(0)
    await stand.step()
    first = other.locator('.grid[data-list="high_volume"] [row-index="0"] [col-id="price"]')
    price = stand.market.rows["high_volume"][0]["price"]
    await expect(first).to_have_text(f"{price:,.2f}" if price >= 1 else f"{price:.4f}")
    assert await other.evaluate("getComputedStyle(document.querySelector('.panel')).display") == "flex"
    assert await other.evaluate("document.body.dataset.mode") == "SIMULATED"
    assert await other.evaluate("document.querySelector('.ag-row').getBoundingClientRect().height") == 25
    await other.close()
    await expect(page.locator('.grid[data-list="high_volume"] .ag-row').first).to_be_visible()
    assert not watched.complaints + complaints


async def test_a_panel_floats_docks_again_is_found_by_the_chooser_and_a_layout_goes_to_a_file_and_back(open_page, tmp_path):
    page = (await open_page(viewport=SMALL)).page
    await group(page, "High volume").get_by_role("button", name="Float").click()
    await expect(page.locator(".dv-resize-container", has=tab(page, "High volume"))).to_be_visible()
    await group(page, "High volume").get_by_role("button", name="Float").click()
    await expect(page.locator(".dv-resize-container")).to_have_count(0)
    await close(page, "High volume")
    await group(page, "Winners").get_by_role("button", name="Add a panel").click()
    await page.get_by_role("dialog").get_by_role("button", name="High volume").click()
    await expect(group(page, "Winners").get_by_role("tab", name="High volume", selected=True)).to_be_visible()
    await close(page, "New highs")
    await layouts(page)
    async with page.expect_download() as saving:
        await page.get_by_role("button", name="Save as a file").click()
    file = tmp_path / "mine.json"
    await (await saving.value).save_as(file)
    assert "list-new_highs" not in json.loads(file.read_text())["dock"]["panels"]
    await page.get_by_role("button", name="Back to the first layout").click()
    await expect(tab(page, "New highs")).to_be_visible()
    (tmp_path / "other.json").write_text('{"names":[],"dock":{"grid":{},"panels":{}}}')
    for path, count in ((tmp_path / "other.json", 1), (file, 0)):
        await layouts(page)
        await page.get_by_label("Open a file").last.set_input_files(path)
        await expect(page.get_by_role("dialog", name="Layouts")).to_have_count(0)
        await expect(tab(page, "New highs")).to_have_count(count)
        await expect(page.locator("#notice")).to_contain_text("other.json is not a layout")
