"""The panels of one ticker: they follow the chosen row, show what strangers wrote as text only, and draw times and gaps as they were."""

import asyncio
import json
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime

import msgspec
import pytest
from playwright.async_api import expect

from tradeul.bus.topics import EXPLAIN, FILINGS, NEWS
from tradeul.records.explanations import Condition, ExplainAnswer, Explanation, Input
from tradeul.records.filings import Article, Filer, Filing, Item

pytestmark = pytest.mark.asyncio(loop_scope="module")
NOW = datetime(2026, 3, 9, 14, 0, tzinfo=UTC)
OVERRIDE = "\u202e"
HOSTILE = f'<img src=x onerror="window.pwned=1">{OVERRIDE}<script>window.pwned=1</script>'


def explanation(request):
    """What a scanner would answer of a ticker whose every word is a stranger's."""
    price = Input("price", 12.5, "live", 3.2)
    conditions = (
        Condition("price", "price >= 1", True, inputs=(price,)),
        Condition("where", f"headline <> '{HOSTILE}'", False, inputs=(Input("headline", HOSTILE, "session"),), note=HOSTILE),
        Condition("age", "age_s <= 60", None, inputs=(Input("age_s", None, "none"),), unknown_because="age_s"),
        Condition("trades", "trades >= 50", False, applied=False),
    )
    columns = {
        "price": 12.5,
        "prev_close": 10.0,
        "change_pct": 25.0,
        "updated_at": "2026-03-09T13:59:58Z",
        "name": HOSTILE,
        "headline": HOSTILE,
    }
    head = (request.list, request.symbol, date(2026, 3, 9), "MARKET_OPEN", 1, 1, NOW)
    return Explanation(
        *head, False, False, None, 100, "", conditions, (), columns | {"volume": 1000, "sector": HOSTILE, "corp_action": HOSTILE}
    )


@asynccontextmanager
async def scanner(stand):
    async def answering():
        async for request in stand.bus.subscribe(EXPLAIN):
            await stand.bus.answer(request.reply_to, ExplainAnswer(explanation(request)))

    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(answering())
        while (await stand.bus.redis.execute_command("PUBSUB", "NUMSUB", "explain:ask"))[1] == 0:
            await asyncio.sleep(0.01)
        yield
        running.cancel()


def cell(page, name, row):
    return page.locator(f'.grid[data-list="{name}"] [row-index="{row}"] [col-id="symbol"]')


async def symbol_at(page, name, row):
    """Without its badges."""
    await cell(page, name, row).wait_for()
    return await page.locator(f'.grid[data-list="{name}"] .ag-row[row-index="{row}"]').first.get_attribute("row-id")


async def select(page, kind):
    await page.get_by_role("tab", name=kind).first.click()


async def appear(stand, symbol):
    """A filing and a piece of news of a company, told over the bus as they come."""
    filers = (Filer("0000000001", HOSTILE, "Filer"),)
    items = (Item("8.01", HOSTILE),)
    filing = Filing(
        "0000000001-26-000001", "8-K", HOSTILE, False, True, NOW.date(), NOW, NOW, (symbol,), filers, items, "javascript:window.pwned=1"
    )
    article = Article("1", NOW, f"{HOSTILE} up", (symbol,), HOSTILE, "https://news.example/1", NOW)
    await stand.bus.append(FILINGS, [(1, msgspec.json.encode(filing))])
    await stand.bus.append(NEWS, [(1, msgspec.json.encode(article))])


async def test_a_ticker_is_opened_and_what_strangers_wrote_is_only_text(open_page, stand):
    async with scanner(stand):
        watched = await open_page()
        page = watched.page
        symbol = await symbol_at(page, "gappers_up", 0)
        await cell(page, "gappers_up", 0).dblclick()
        await expect(page.get_by_role("tab", name=f"{symbol} · Chart")).to_be_visible()
        await expect(page.get_by_role("group", name=f"Chart of {symbol}")).to_be_visible()
        await expect(page.locator(".chart .legend").first).to_contain_text("+25.00")
        await select(page, "Facts")
        await expect(page.locator(".facts dd").first).to_contain_text("<img src=x")
        await select(page, "Why")
        await page.get_by_label("List", exact=True).select_option("winners")
        for number, verdict in enumerate(["holds", "does not hold", "unknown", "not asked"]):
            await expect(page.locator(".why-table .verdict").nth(number)).to_contain_text(verdict)
        await expect(page.locator(".why-table")).to_contain_text("<img src=x")
        await select(page, "Filings and news")
        await expect(page.locator(".news .lacking").first).to_be_visible()  # this stand keeps none
        await appear(stand, symbol)
        await expect(page.locator(".pieces li")).to_have_count(2)
        await expect(page.locator(".pieces")).to_contain_text("<img src=x")
        (link,) = await page.locator(".pieces a").all()  # javascript: is no address
        assert await link.get_attribute("href") == "https://news.example/1"
        assert await link.get_attribute("rel") == "noopener noreferrer"
        assert OVERRIDE not in await page.evaluate("document.body.textContent")
        assert await page.locator("#workspace img, #workspace script").count() == 0
        assert await page.evaluate("window.pwned") is None
        assert not watched.complaints  # not even of the history that this stand does not have


async def test_panels_of_a_colour_follow_the_chosen_row_others_do_not(open_page, stand):
    async with scanner(stand):
        page = (await open_page()).page
        first, second, third = [await symbol_at(page, "gappers_up", row) for row in range(3)]
        await cell(page, "gappers_up", 0).dblclick()
        panel = page.locator(".panel.chart")
        field = panel.get_by_label("Symbol")
        await expect(field).to_have_value(first)
        await cell(page, "gappers_up", 1).click()
        await expect(field).to_have_value(second)
        await panel.get_by_label("Colour group").select_option("b")
        await cell(page, "gappers_up", 2).click()
        await expect(field).to_have_value(second)
        await page.locator('.panel:has([data-list="gappers_up"])').get_by_label("Colour group").select_option("b")
        await cell(page, "gappers_up", 0).click()
        await expect(field).to_have_value(first)
        await panel.get_by_label("Colour group").select_option("a")
        await expect(field).to_have_value(third)  # as that colour was left
        await page.locator('.panel:has([data-list="gappers_up"])').get_by_label("Colour group").select_option("a")
        await field.fill("brk.b")
        await field.press("Enter")
        await select(page, "Facts")
        await expect(page.locator(".panel.facts").get_by_label("Symbol")).to_have_value("BRK.B")
        await cell(page, "gappers_up", 0).focus()
        await page.keyboard.press("Space")
        await expect(page.locator(".panel.facts").get_by_label("Symbol")).to_have_value(first)


TEMPLATES = {
    "https://example.com/q/{symbol}": "https://example.com/q/BRK%2FB",
    "https://example.com/?s={symbol}": "https://example.com/?s=BRK%2FB",
    "https://{symbol}.example.com/": None,
    "http://example.com/{symbol}": None,
    "javascript:alert('{symbol}')": None,
    "https://example.com/": None,
}


async def test_a_link_out_is_https_with_the_symbol_in_its_path_or_query(quiet_page):
    script = """async (templates) => {
        const { filled } = await import("/panels/link_out.mjs");
        return templates.map((each) => filled(each, "BRK/B"));
    }"""
    assert dict(zip(TEMPLATES, await quiet_page.evaluate(script, list(TEMPLATES)), strict=True)) == TEMPLATES


def bar(session, start_at, price, volume=100, vwap=None):
    return {
        "session": session,
        "start_at": start_at,
        "open": price,
        "high": price + 1,
        "low": price - 1,
        "close": price,
        "volume": volume,
        "vwap": vwap,
    }


BARS = [
    bar("2026-03-06", "2026-03-06T14:29:00Z", 10),  # 09:29, winter
    bar("2026-03-06", "2026-03-06T14:32:00Z", 20, 300),  # two minutes without a trade before it
    bar("2026-03-09", "2026-03-09T13:30:00Z", 30, vwap=28.0),  # 09:30, summer
]


EARLY = {"session": "2025-11-28", "close_at": "2025-11-28T18:00:00Z"}


async def test_hours_after_an_early_close_are_shaded_and_not_the_days(quiet_page):
    script = """async ([bars, early]) => {
        const data = await import("/panels/chart_data.mjs");
        const candles = data.minuteCandles(bars);
        return [data.earlyCloses([]), data.earlyCloses([early])].map((closes) => [
            data.extendedHours(candles, closes).map(({ phase, from }) => [phase, new Date(1000 * from).toISOString().slice(11, 16)]),
            data.dayOf(candles, "2025-11-28", closes).close]);
    }"""
    bars = [bar("2025-11-28", f"2025-11-28T{at}:00Z", price) for at, price in [("17:59", 10), ("18:00", 20)]]
    usual, early = await quiet_page.evaluate(script, [bars, EARLY])
    assert usual == [[], 20]
    assert early == [[["post", "13:00"]], 10]


async def draw(page, seen):
    script = """async ([bars, seen]) => {
        const data = await import("/panels/chart_data.mjs");
        const candles = data.minuteCandles(bars), live = new data.LiveMinutes(), early = data.earlyCloses([]);
        for (const each of seen) live.see("2026-03-09", each);
        const all = live.after(candles);
        return JSON.stringify({
            times: all.map(({ time, close }) => [new Date(1000 * time).toISOString().slice(0, 16), close ?? null]),
            last: all.at(-1), vwap: data.vwapLine(candles.slice(0, -1)).map(({ value }) => value),
            extended: data.extendedHours(all, early).map(({ phase, session }) => [phase, session]),
            day: data.dayOf(all, "2026-03-09", early), early: data.dayOf(candles.slice(0, 1), "2026-03-06", early),
        });
    }"""
    return json.loads(await page.evaluate(script, [BARS, seen]))


async def test_a_chart_has_new_yorks_times_and_a_minute_without_a_trade_stays_empty(quiet_page):
    drawn = await draw(quiet_page, [])
    minutes = [
        ["2026-03-06T09:29", 10],
        ["2026-03-06T09:30", None],
        ["2026-03-06T09:31", None],
        ["2026-03-06T09:32", 20],
        ["2026-03-09T09:30", 30],
    ]
    assert drawn["times"] == minutes
    assert drawn["vwap"] == [10, 10, 10, 17.5]
    assert drawn["extended"] == [["pre", "2026-03-06"]]
    assert drawn["early"] is None  # before the open the day has no bar


async def test_the_bar_being_made_goes_on_from_the_told_one_and_leaves_gaps_empty(quiet_page):
    seen = [(33, "13:30:40"), (27, "13:31:00"), (31, "13:33:05")]  # a bar that ends with the minute belongs to it
    drawn = await draw(quiet_page, [{"price": price, "updated_at": f"2026-03-09T{at}Z"} for price, at in seen])
    assert drawn["times"][-4:] == [
        ["2026-03-09T09:30", 27],
        ["2026-03-09T09:31", None],
        ["2026-03-09T09:32", None],
        ["2026-03-09T09:33", 31],
    ]
    assert (drawn["last"]["high"], drawn["last"]["low"]) == (31, 31)
    assert {name: drawn["day"][name] for name in ("open", "high", "low", "close")} == {"open": 30, "high": 33, "low": 27, "close": 31}


async def test_slots_stand_beside_what_is_usual_for_them(quiet_page):
    script = """async ([told, bars]) => {
        const { slotsOf, summed, bySlot } = await import("/panels/rvol.mjs");
        const own = bySlot(bars, "2026-03-06");
        return JSON.stringify([[...own], slotsOf(told, own), summed(slotsOf(told, null))]);
    }"""
    told = [
        {"slot": slot, "volume": volume, "expected": expected} for slot, volume, expected in [(65, 5, 40), (66, 5, None), (67, 25, 100)]
    ]
    own, slots, sums = json.loads(await quiet_page.evaluate(script, [told, BARS]))
    assert own == [[65, 100], [66, 300]]
    assert [(each["shares"], each["usual"]) for each in slots] == [(100, 40), (300, None), (None, 60)]  # not yet, and not known
    assert [(each["shares"], each["usual"]) for each in sums] == [(5, 40), (5, None), (25, 100)]
