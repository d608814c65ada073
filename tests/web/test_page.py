import asyncio
import json
from datetime import date

import pytest
from playwright.async_api import expect

from tests.stories import stories
from tests.vectors import VECTORS, expected
from tradeul.records.lists import ListFrame
from tradeul.records.messages import Snapshot, encode

pytestmark = pytest.mark.asyncio(loop_scope="module")
FIRST = ["gappers_up", "momentum_up", "high_volume", "new_highs"]


def cell(page, name, row, column):
    return page.locator(f'.grid[data-list="{name}"] [row-index="{row}"] [col-id="{column}"]')


async def stands_first(page, name, symbol):
    """By the row itself: badges stand beside a symbol."""
    await expect(page.locator(f'.grid[data-list="{name}"] .ag-row[row-index="0"]:not(.left)').first).to_have_attribute("row-id", symbol)


async def texts(page, name, column):
    """A column as a person sees it, from the top."""
    script = """(grid, column) => [...grid.querySelectorAll(`.ag-row:not(.left) [col-id="${column}"]`)]
        .map((cell) => [Number(cell.closest("[row-index]").getAttribute("row-index")),
            column === "symbol" ? cell.closest("[row-id]").getAttribute("row-id") : cell.textContent])
        .sort(([left], [right]) => left - right).map(([, text]) => text)"""
    return await page.locator(f'.grid[data-list="{name}"]').evaluate(script, column)


async def shows(page, name, column, expected):
    """Wait until the rows that fit the window are the first of ``expected``: a batch of changes is drawn a moment later."""
    async with asyncio.timeout(20):
        while not (shown := await texts(page, name, column)) or shown != expected[: len(shown)]:
            await asyncio.sleep(0.02)


async def test_of_all_lists_arranged_only_those_in_front_are_asked_for_and_drawn(open_page):
    watched = await open_page()
    for name in [*FIRST, "winners"]:
        await expect(cell(watched.page, name, 0, "symbol")).to_be_visible()
    asked = [message["list"] for message in watched.sent if message["action"] == "subscribe"]
    assert sorted(asked) == sorted([*FIRST, "winners"])
    assert await watched.page.locator(".grid .ag-root-wrapper").count() == len(asked)


async def test_rows_appear_numbers_change_and_nothing_complains(open_page, stand):
    watched = await open_page()
    page = watched.page
    for name in [*FIRST, "winners"]:
        await expect(cell(page, name, 0, "symbol")).to_be_visible()
    before = await texts(page, "gappers_up", "price")
    for _ in range(6):
        await stand.step()
    rows = stand.market.rows["gappers_up"]
    await stands_first(page, "gappers_up", rows[0]["symbol"])
    await expect(page.locator('.panel:has([data-list="gappers_up"]) .count')).to_have_text(f"{len(rows)} rows")
    await shows(page, "gappers_up", "symbol", [row["symbol"] for row in rows])
    assert await texts(page, "gappers_up", "price") != before
    assert not watched.complaints
    assert watched.hosts <= watched.own_hosts


async def test_the_top_says_what_the_numbers_are(quiet_page):
    page = quiet_page
    await expect(page.locator("#session")).to_have_text("Mon 9 Mar 2026")
    await expect(page.locator("#phase")).to_have_text("market open")
    await expect(page.locator("#mode")).to_have_text("simulated")
    await expect(page.locator("#connection")).to_have_text("live")
    await expect(page.locator("#marked")).to_be_visible()
    await expect(page.locator(".watermark").first).to_be_visible()
    assert (await page.locator("#clock").text_content()).startswith("10:0")


async def test_the_strip_counts_the_market_and_shows_the_indexes(quiet_page):
    strip = quiet_page.locator("section.market")
    await expect(strip).to_contain_text("Halted1")
    await expect(strip).to_contain_text("SPY512.34+0.42 %")
    await expect(strip).not_to_contain_text("IWM")  # unknown
    await expect(quiet_page.locator("#notice")).to_be_hidden()  # the first session is no new one


async def test_an_empty_list_says_why(quiet_page, fake_market):
    page = quiet_page
    await page.get_by_role("tab", name="Reversals").click()
    await expect(page.locator(f".panel:has([data-list={fake_market.EMPTY}]) .note")).to_contain_text(
        "No ticker fulfils since_open_s >= 300"
    )


async def test_a_hostile_name_is_only_a_name(open_page, stand, fake_market):
    stand.market.companies[0]["price"] = stand.market.companies[0]["prev_close"] * 9  # to the top of every list it is on
    watched = await open_page(viewport={"width": 1600, "height": 1000})
    page = watched.page
    await stand.step()
    name = next(
        each.name
        for each in stand.market.definitions
        if stand.market.rows[each.name][:1]
        and "name" in each.columns
        and any(row.get("name") == fake_market.HOSTILE for row in stand.market.rows[each.name][:5])
    )
    if name not in FIRST:
        await page.locator(f'[data-tab-panel-id="list-{name}"]').click()
    await expect(page.locator(f'.grid[data-list="{name}"] .ag-row').first).to_be_visible()
    await page.get_by_text("<img src=x").first.hover()
    await page.get_by_text("<img src=x").first.click()
    assert await page.evaluate("window.pwned") is None
    assert await page.locator(".grid img, .grid script").count() == 0
    assert not watched.complaints


async def test_the_keyboard_moves_along_the_tabs_and_only_what_is_shown_is_subscribed(open_page, stand):
    page = (await open_page()).page
    await page.get_by_role("tab", name="Winners").focus()
    await page.keyboard.press("ArrowRight")
    await expect(page.get_by_role("tab", name="Losers")).to_be_focused()
    await expect(cell(page, "losers", 0, "symbol")).to_be_visible()
    await page.keyboard.press("End")
    await expect(page.get_by_role("tab", name="Reversals", selected=True)).to_be_focused()
    await subscriptions(stand, {*FIRST, "reversals"})
    # Left and asked for again before the gateway has answered: that answer must not make it forgotten.
    await page.evaluate(
        """for (const name of ['losers', 'reversals', 'losers']) document.querySelector(`[data-tab-panel-id="list-${name}"]`).click()"""
    )
    await expect(cell(page, "losers", 0, "symbol")).to_be_visible()
    await page.get_by_role("tab", name="Winners").click()
    await subscriptions(stand, {*FIRST, "winners"})


async def publish_variant(stand, name, symbols):
    """What the scanner does for a variant that is watched."""
    definition = next(each for each in stand.market.definitions if each.name == name.partition("~")[0])
    rows = [
        {"symbol": symbol, "rank": rank} | dict.fromkeys(definition.columns, 1.5) | {"name": "Fund"} for rank, symbol in enumerate(symbols)
    ]
    frame = ListFrame(date(2026, 3, 9), 1, 5, rows, "SIMULATED", 0)
    message = Snapshot(name, frame.session, "SIMULATED", 1, 5, len(rows), rows, 0)
    await stand.bus.publish_frames([(name, frame, encode(message), False)])


async def subscriptions(stand, wanted):
    (viewer,) = stand.gateway._fan_out.viewers
    async with asyncio.timeout(5):
        while viewer.session.subscriptions != wanted:
            await asyncio.sleep(0.01)


async def test_the_class_switch_is_used_by_keyboard_and_brings_other_rows_and_the_old_ones_back(open_page, stand):
    watched = await open_page()
    page = watched.page
    await expect(cell(page, "gappers_up", 0, "symbol")).to_be_visible()
    await page.get_by_role("radio", name="Stocks").focus()
    await page.keyboard.press("ArrowRight")
    await expect(page.get_by_role("radio", name="ETFs")).to_be_checked()
    await subscriptions(stand, {*(f"{name}~etf" for name in FIRST), "winners~etf"})
    await expect(page.locator('.panel:has([data-list="gappers_up"]) .note')).to_have_text("Waiting for the first rows…")
    await publish_variant(stand, "gappers_up~etf", ["SPY", "QQQ"])
    await shows(page, "gappers_up", "symbol", ["SPY", "QQQ"])
    await stand.step()  # the stocks go on, for others
    await publish_variant(stand, "winners~etf", [])
    await expect(page.locator('.panel:has([data-list="winners"]) .note')).to_contain_text("No fund without leverage fulfils")
    await page.get_by_role("tab", name="Losers").click()
    await subscriptions(stand, {*(f"{name}~etf" for name in FIRST), "losers~etf"})
    await page.locator("#class").get_by_text("Stocks").click()
    await subscriptions(stand, {*FIRST, "losers"})
    await shows(page, "gappers_up", "symbol", [row["symbol"] for row in stand.market.rows["gappers_up"]])
    assert not watched.complaints


async def test_the_class_stays_chosen_when_the_gateway_comes_back(open_page, stand):
    page = (await open_page()).page
    await page.locator("#class").get_by_text("All").click()
    await subscriptions(stand, {*(f"{name}~all" for name in FIRST), "winners~all"})
    await stand.end("gateway")
    await expect(page.locator("#connection")).to_have_text("lost")
    await stand.start_gateway()
    await expect(page.locator("#connection")).to_have_text("live", timeout=15_000)
    await subscriptions(stand, {*(f"{name}~all" for name in FIRST), "winners~all"})


async def test_on_a_phone_one_list_fills_the_page_and_nothing_overflows(open_page):
    watched = await open_page(viewport={"width": 390, "height": 844})
    page = watched.page
    await expect(cell(page, "gappers_up", 0, "symbol")).to_be_visible()
    assert await page.locator(".panel").count() == 1
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    assert await page.evaluate("document.documentElement.scrollHeight") <= 844
    await page.set_viewport_size({"width": 1600, "height": 1000})
    await expect(page.locator(".panel")).to_have_count(5)
    assert not watched.complaints


async def test_a_new_session_clears_what_is_shown(open_page, stand):
    page = (await open_page()).page
    await expect(cell(page, "high_volume", 0, "symbol")).to_be_visible()
    tomorrow = date(2026, 3, 10)
    message = Snapshot("gappers_up", tomorrow, "SIMULATED", 2, 0, 0, [], 0)
    await stand.bus.publish_frames([("gappers_up", ListFrame(tomorrow, 2, 0, [], "SIMULATED", 0), encode(message), True)])
    await expect(page.locator("#session")).to_have_text("Tue 10 Mar 2026")
    await expect(page.locator(".ag-row")).to_have_count(0)
    await expect(page.locator('.panel:has([data-list="high_volume"]) .note')).to_have_text("Waiting for the first rows…")
    await expect(page.locator('.panel:has([data-list="gappers_up"]) .note')).to_contain_text("No ticker fulfils")
    await stand.step()  # the scanner has not noticed: refused
    await expect(page.locator(".ag-row")).to_have_count(0)


async def test_a_persons_own_list_appears_without_a_reload(open_page, stand):
    page = (await open_page()).page
    await expect(cell(page, "gappers_up", 0, "symbol")).to_be_visible()
    mine = stand.market.definitions[0]
    await stand.bus.put_lists([*stand.market.definitions, type(mine)("mine", "My <b>own</b>", "price > 1", mine.order, mine.columns)])
    await expect(page.get_by_role("tab", name="My <b>own</b>")).to_be_visible()
    await expect(cell(page, "gappers_up", 0, "symbol")).to_be_visible()


async def test_a_persons_sorting_keeps_unknown_below_and_ends_in_the_lists_order(open_page, stand):
    page = (await open_page()).page
    await expect(cell(page, "high_volume", 0, "symbol")).to_be_visible()
    header = page.locator('.grid[data-list="high_volume"] .ag-header-cell[col-id="rvol_5m"]')
    order = [row["symbol"] for row in stand.market.rows["high_volume"]]
    known = sum(row["rvol_5m"] is not None for row in stand.market.rows["high_volume"])
    for direction in (-1, 1):
        await header.click()
        rows = sorted(
            stand.market.rows["high_volume"], key=lambda row: (row["rvol_5m"] is None, direction * (row["rvol_5m"] or 0), row["rank"])
        )
        await stands_first(page, "high_volume", rows[0]["symbol"])
    assert known < len(order)
    await header.click()
    await stands_first(page, "high_volume", order[0])
    await shows(page, "high_volume", "symbol", order)


async def test_the_follower_of_the_page_asks_and_holds_what_the_vectors_and_the_python_client_say(quiet_page):
    script = """async (vectors) => {
        const { Follower } = await import("/feed/deltas.mjs");
        const rowsByRank = (rows) => [...rows.values()].sort((one, other) => one.rank - other.rank);
        return JSON.stringify(JSON.parse(vectors).map(({ steps }) => {
            const follower = new Follower(), shown = new Map();
            let now = 0;
            return steps.map((step) => {
                now += 1000 * (step.wait_seconds ?? 0);
                if (step.reconnect) follower.begin();
                const { list, changes, ask, cleared } = step.hear ? follower.hear(step.hear, now) : {};
                // What a table shows that follows the changes, as the page's does.
                if (cleared) shown.clear();
                if (list !== undefined && changes) {
                    for (const row of changes.remove) shown.get(list).delete(row.symbol);
                    for (const row of [...changes.add, ...changes.update]) shown.get(list).set(row.symbol, row);
                } else if (list !== undefined) {
                    const state = follower.held.get(list);
                    if (state) shown.set(list, new Map(state.rows));
                    else shown.delete(list);
                }
                // The page drops the panels of lists that are gone.
                if (step.hear?.type === "connected") for (const name of shown.keys()) if (!follower.held.has(name)) shown.delete(name);
                const held = {};
                for (const [name, state] of follower.held) held[name] = { ...state, rows: rowsByRank(state.rows) };
                const tables = {};
                for (const [name, rows] of shown) tables[name] = rowsByRank(rows);
                return { asks: ask === undefined ? [] : [ask], session: follower.session ?? null, held, tables, refused: follower.refused };
            });
        }));
    }"""
    vectors = VECTORS + [story for seed in range(4) for story in stories(seed, steps=200)]
    results = json.loads(await quiet_page.evaluate(script, json.dumps(vectors)))
    older = [vector["name"] for vector in VECTORS].index("what an older session says is nothing, whatever its numbers")
    refused = [[found.pop("refused") for found in result] for result in results]
    assert refused[older][-1] == 2
    for vector, result in zip(vectors, results, strict=True):
        for (step, session, holds), found in zip(expected(vector["steps"]), result, strict=True):
            wanted = {"asks": step.get("asks", []), "session": session, "held": holds}
            tables = {name: state["rows"] for name, state in holds.items()}
            assert found == wanted | {"tables": tables}, (vector["name"], step)


SHOWN = [
    ("price", 123.4567, "123.46"), ("price", 1, "1.00"), ("price", 0.12345, "0.1235"), ("price", 12345.6, "12,346"), ("price", None, "–"),
    ("change", 5, "+5.00"), ("change", -5.126, "−5.13"), ("change", 0.001, "0.00"), ("change", -0.001, "0.00"), ("change", 0, "0.00"),
    ("pct", 12.345, "12.35"), ("ratio", 2, "2.00"), ("ratio", None, "–"),
    ("shares", 0, "0"), ("shares", 999, "999"), ("shares", 999.7, "1.00K"), ("shares", 1234, "1.23K"), ("shares", 99_960, "100K"),
    ("shares", 999_600, "1.00M"), ("shares", 45_600_000, "45.6M"), ("shares", 7.89e11, "789B"), ("shares", 5e12, "5,000B"),
    ("dollars", 1_500_000, "$1.50M"), ("dollars", -2000, "−$2.00K"), ("count", 12345, "12,345"),
    ("time", "2026-03-09T13:30:05Z", "09:30:05"), ("time", "nonsense", "–"), ("flag", True, "yes"), ("flag", None, "–"), ("text", "", "–"),
]  # fmt: skip


async def test_numbers_are_written_for_reading(quiet_page):
    script = (
        "async (table) => { const { format } = await import('/format.mjs'); return table.map(([kind, value]) => format(kind, value)); }"
    )
    assert await quiet_page.evaluate(script, [[kind, value] for kind, value, _ in SHOWN]) == [shown for _, _, shown in SHOWN]
