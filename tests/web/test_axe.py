"""What axe-core says of every panel and dialog: nothing serious, in light and dark, in English and Spanish."""

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import expect

pytestmark = pytest.mark.asyncio(loop_scope="module")
# The word across a simulated panel is decoration (WCAG 1.4.3): the same stands in the strip above, in full contrast.
DECORATION = ".watermark"
LOOKS = [("dark", "es-ES"), pytest.param("light", "en-US", marks=pytest.mark.long), pytest.param("dark", "en-US", marks=pytest.mark.long)]
BY_HEADER = {"en-US": ("Columns", "Add a panel"), "es-ES": ("Columnas", "Añadir un panel")}


async def serious(page, where="body"):
    found = await Axe().run(page, context={"include": [[where]], "exclude": [[DECORATION]]}, options={"resultTypes": ["violations"]})
    return [
        (each["id"], node["target"], [message["message"] for message in node["any"] + node["all"] + node["none"]])
        for each in found.response["violations"]
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


@pytest.mark.parametrize(("scheme", "language"), LOOKS)
async def test_nothing_that_is_seen_violates_a_serious_rule(open_page, stand, scheme, language):
    # Without motion: what is half faded in has a contrast of its own.
    page = (await open_page(color_scheme=scheme, locale=language, reduced_motion="reduce", viewport={"width": 1200, "height": 700})).page
    symbol = stand.market.rows["gappers_up"][0]["symbol"]
    await expect(page.locator('.grid[data-list="gappers_up"] .ag-row').first).to_be_visible()
    assert await serious(page) == []
    dialog = page.locator("dialog[open]")
    for key in ("/", "?", "Alt+l"):
        await page.keyboard.press(key)
        await expect(dialog).to_be_visible()
        assert await serious(page, "dialog[open]") == []
        await page.keyboard.press("Escape")
    columns, add = BY_HEADER[language]
    await page.get_by_role("button", name=columns).first.click()
    assert await serious(page, "dialog[open]") == []
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name=add).first.click()
    assert await serious(page, "dialog[open]") == []
    await page.keyboard.press("Escape")
    await page.evaluate("(symbol) => import('./main.mjs').then(({ desk }) => desk.links.of('a').choose(symbol))", symbol)
    kinds = await page.evaluate("import('./workspace/panels.mjs').then(({ KINDS }) => KINDS.map(({ kind }) => kind))")
    for kind in set(kinds) - {"list", "market"}:  # these two stand there already
        await page.evaluate("(kind) => import('./main.mjs').then(({ desk }) => desk.open(kind))", kind)
        await expect(page.locator(f"[data-tab-panel-id^={kind}][aria-selected=true]")).to_be_visible()
        assert await serious(page, f".dv-groupview:has([data-tab-panel-id^={kind}])") == []
    assert await serious(page) == []
