"""What the page says when it is not simply live: before the login, without a gateway, closed, delayed, in a new session."""

import asyncio

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tradeul.ops.callers import HOLDER
from tradeul.records.lists import ListFrame
from tradeul.records.messages import Snapshot, encode

pytestmark = pytest.mark.asyncio(loop_scope="module")
TOKEN = "open sesame"


@pytest_asyncio.fixture(loop_scope="module")
async def guarded(tmp_path, fake_market, make_stand):
    async with make_stand(tmp_path, fake_market, TOKEN) as stand:
        yield stand


async def test_who_has_no_token_is_asked_once_told_what_was_wrong_and_let_in_with_the_right_one(guarded, browser):
    context = await browser.new_context()
    try:
        page = await context.new_page()
        asked, complaints = [], []
        page.on("console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None)
        page.on("request", lambda request: asked.append(request.url) if "/api/" in request.url else None)
        page.on("websocket", lambda socket: asked.append(socket.url))
        await page.goto(guarded.url)
        form = page.get_by_role("dialog", name="Log in")
        await expect(form).to_be_visible()
        await expect(page.locator("#connection")).to_have_text("not logged in")
        await expect(page.get_by_text("Waiting for the lists")).to_be_visible()
        await page.keyboard.press("Escape")
        await form.get_by_role("textbox").or_(form.locator("input")).first.fill("guess")
        await page.keyboard.press("Enter")
        await expect(form.get_by_role("alert")).to_have_text("This is not the token that TRADEUL_TOKEN holds here.")
        assert [url.rpartition("/")[2] for url in asked] == ["config", "login"]  # nothing is asked over and over
        await form.locator("input").fill(TOKEN)
        await page.keyboard.press("Enter")
        await expect(form).to_be_hidden()
        await expect(page.locator(".ag-row").first).to_be_visible()
        assert not complaints
        # The token changes: the socket that comes back is refused, and the form is there again.
        guarded.callers.tokens = {HOLDER: "another"}
        await guarded.end("gateway")
        await guarded.start_gateway()
        await expect(form).to_be_visible()
    finally:
        await context.close()


async def rows_shown(page, name):
    script = """(grid) => [...grid.querySelectorAll('.ag-row:not(.left)')].map((row) => [row.getAttribute("row-id"),
        Number(row.querySelector('[col-id="rank"]')?.textContent) - 1]).filter(([, rank]) => rank >= 0)"""
    return dict(await page.locator(f'.grid[data-list="{name}"]').evaluate(script))


async def test_after_a_lost_gateway_no_row_is_lost_and_none_is_a_phantom(open_page, stand):
    watched = await open_page(viewport={"width": 900, "height": 2900})  # every row of a list is drawn
    page = watched.page
    await expect(page.locator(".ag-row").first).to_be_visible()
    await stand.end("gateway")
    await expect(page.locator("#trouble")).to_contain_text("Connection lost")
    for company in stand.market.companies[:40:2]:
        company["symbol"] += "Q"
        company["price"] *= 3
    await stand.step()
    await stand.start_gateway()
    await expect(page.locator("#connection")).to_have_text("live")
    for definition in stand.market.definitions:
        await page.locator(f'[data-tab-panel-id="list-{definition.name}"]').evaluate("(tab) => tab.click()")
        answer = await (await page.request.get(f"{stand.url}api/lists/{definition.name}")).json()
        wanted = {row["symbol"]: row["rank"] for row in answer["rows"]}
        async with asyncio.timeout(20):
            while await rows_shown(page, definition.name) != wanted:
                await asyncio.sleep(0.05)
    assert all("ERR_CONNECTION" in complaint for complaint in watched.complaints)  # the browser's own word for a closed port


SAID = """async (status) => {
    const { show } = await import("/workspace/status.mjs");
    const usual = { connection: "open", session: "2026-03-06", phase: "MARKET_OPEN", mode: "LIVE" };
    show({ ...usual, stale: false, ageMs: 1, lagMs: 1, refused: 0, ...status });
    const strip = document.getElementById("marked");
    return strip.hidden ? null : strip.textContent.trim();
}"""
STATES = [
    ({}, None),
    ({"mode": "DELAYED"}, "DELAYED Prices are fifteen minutes old"),
    ({"mode": "END_OF_DAY", "phase": "CLOSED"}, "END OF DAY Prices of the last close"),
    ({"phase": "CLOSED"}, "The market is closed: the lists stay as they closed on Fri 6 Mar 2026."),
    ({"mode": "SIMULATED"}, "SIMULATED Fictional companies"),
]


async def test_the_page_says_what_its_numbers_are(quiet_page):
    for status, words in STATES:
        said = await quiet_page.evaluate(SAID, status)
        assert said is None if words is None else said.startswith(words)


async def test_dark_is_the_systems_wish_or_the_readers(quiet_page):
    ground = "getComputedStyle(document.body).backgroundColor"
    seen = []
    for scheme, theme in (("light", None), ("dark", None), ("dark", "light"), ("light", "dark")):
        await quiet_page.emulate_media(color_scheme=scheme)
        await quiet_page.evaluate("(theme) => theme ? (document.documentElement.dataset.theme = theme) : 0", theme)
        seen.append(await quiet_page.evaluate(ground))
    await quiet_page.evaluate("delete document.documentElement.dataset.theme")
    light, dark = "rgb(238, 240, 243)", "rgb(11, 14, 18)"
    assert seen == [light, dark, light, dark]


async def test_a_new_session_is_said_and_clears_every_panel(open_page, stand, fake_market):
    watched = await open_page()
    page = watched.page
    await expect(page.locator(".ag-row").first).to_be_visible()
    tomorrow = fake_market.SESSION.replace(day=10)
    message = Snapshot("winners", tomorrow, "SIMULATED", 2, 0, 0, [], 0)
    await stand.bus.publish_frames([("winners", ListFrame(tomorrow, 2, 0, [], "SIMULATED", 0), encode(message), True)])
    await expect(page.locator("#notice")).to_contain_text("A new session has begun: Tue 10 Mar 2026.")
    await expect(page.locator(".ag-row")).to_have_count(0)
    await expect(page.locator("section.market")).to_have_text("Counting the market…")
    assert not watched.complaints


@pytest.mark.parametrize("part", ["**/main.mjs", "**/panels/grid.mjs", "**/styles/app.css"])
@pytest.mark.parametrize(("locale", "words"), [("en-US", "could not be loaded: reload it"), ("es-ES", "vuelve a cargarla")])
async def test_a_part_of_the_page_that_cannot_be_loaded_is_said(stand, browser, part, locale, words):
    context = await browser.new_context(locale=locale)
    try:
        page = await context.new_page()
        await page.goto(stand.url)
        await expect(page.locator(".ag-row").first).to_be_visible()
        await expect(page.locator("#missing")).to_be_hidden()
        await page.route(part, lambda route: route.abort())
        await page.reload()
        await expect(page.locator("#missing")).to_contain_text(words)
    finally:
        await context.close()
