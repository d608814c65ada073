"""Alerts and the log of enters and leaves: told once, however often and in whichever window it is heard."""

import asyncio
import json

import pytest
from playwright.async_api import expect

from tests.web.alert_stories import story, told

pytestmark = pytest.mark.asyncio(loop_scope="module")
LIST = "gappers_up"
STORIES = 300
RUN_STORIES = """async (stories) => {
    const [{ Stays }, { Alerts }] = await Promise.all([import("/alerts/stays.mjs"), import("/alerts/rules.mjs")]);
    const copied = (value) => JSON.parse(JSON.stringify(value));
    return JSON.stringify(JSON.parse(stories).map(({ rule, steps }) => {
        const rules = [{ id: "r", list: "l", on: true, ...rule }];
        let [stays, alerts, told, session] = [new Stays(), new Alerts(), [], undefined];
        alerts.use(rules);
        for (const step of steps) {
            if (step.handover) {
                [stays, alerts] = [new Stays(copied(stays.keep())), new Alerts(copied(alerts.keep()))];
                alerts.use(rules);
                continue;
            }
            const now = step.at * 1000;
            if (step.rows) {
                if (session !== step.session) alerts.forgetStays();
                session = step.session;
                const rows = new Map(Object.entries(step.rows).map(([symbol, price], rank) => [symbol, { symbol, rank, price }]));
                told.push(...alerts.hear(stays.hear("l", { session, rows }, "asks", now)));
            } else stays.alive("l", now);
            told.push(...alerts.due(now, (list, symbol) => stays.row(list, symbol)));
        }
        return told.map(({ at, symbol }) => [at / 1000, symbol]);
    }));
}"""


async def test_what_is_told_of_random_stories_is_what_the_definition_says(quiet_page):
    stories = [story(seed) for seed in range(STORIES)]
    results = json.loads(await quiet_page.evaluate(RUN_STORIES, json.dumps(stories)))
    for seed, (each, result) in enumerate(zip(stories, results, strict=True)):
        assert sorted(result) == sorted(told(each)), seed
    assert sum(map(len, results)) > STORIES  # the stories have something to tell


class Only:
    """The fake market with one list's members in our hands."""

    def __init__(self, stand):
        self.stand, self.symbols = stand, [each["symbol"] for each in stand.market.companies[:8]]
        self.usual = stand.market.members
        stand.market.members = self.members

    async def begin(self):
        await self.stand.step()
        return self

    def members(self, definition):
        if definition.name != LIST:
            return self.usual(definition)
        companies = {each["symbol"]: each for each in self.stand.market.companies}
        rows = [
            {"symbol": name, **{each: self.stand.market.value(companies[name], each) for each in definition.columns}}
            for name in self.symbols
        ]
        return [row | {"rank": rank} for rank, row in enumerate(rows)]

    async def enter(self, number):
        """A company that was on no list of ours comes."""
        self.symbols = [*self.symbols, symbol := self.stand.market.companies[10 + number]["symbol"]]
        await self.stand.step()
        return symbol


SPEECH = """() => {
    const speak = speechSynthesis.speak.bind(speechSynthesis);
    speechSynthesis.speak = (words) => {
        localStorage.spoken = JSON.stringify([...JSON.parse(localStorage.spoken ?? "[]"), words.text]);
        speak(words);
    };
}"""


async def spoken(page):
    return json.loads(await page.evaluate("localStorage.spoken ?? '[]'"))


def lines(page, event):
    return page.locator(f".log tr.{event}", has_text="Gappers up")  # the other lists go on as they like


HELD = """(list) => new Promise((resolve) => {
    const opened = indexedDB.open("tradeul");
    opened.onsuccess = () => {
        const asked = opened.result.transaction("kept").objectStore("kept").get("state");
        asked.onsuccess = () => (opened.result.close(), resolve(asked.result?.stays.some((held) => held.list === list) ?? false));
    };
})"""


async def shows_log(page):
    await page.locator(f'.grid[data-list="{LIST}"] .ag-row').first.wait_for()
    if not await page.locator(".activity").count():
        await page.keyboard.press("l")
    await expect(page.get_by_role("region", name="Log of enters and leaves")).to_be_visible()
    async with asyncio.timeout(10):
        while not await page.evaluate(HELD, LIST):  # who is on the list now is no news
            await asyncio.sleep(0.05)


async def make_rule(page):
    await page.get_by_role("button", name="New alert").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("List").select_option(LIST)
    await dialog.get_by_label("Not again for, minutes").fill("0")
    await dialog.get_by_label("spoken symbol").check()
    await dialog.get_by_role("button", name="Save").click()
    await expect(page.locator(".rules li")).to_contain_text("Enters Gappers up")


async def test_an_alert_is_told_once_not_again_by_a_lost_gateway_a_reload_or_another_window(open_page, stand):
    market = await Only(stand).begin()
    page = (await open_page()).page
    await page.context.add_init_script(f"({SPEECH})()")
    await page.evaluate(SPEECH)
    await shows_log(page)
    await make_rule(page)
    first = await market.enter(0)
    await expect(lines(page, "alert")).to_have_count(1)
    await expect(lines(page, "enter")).to_have_count(1)
    await expect(lines(page, "alert")).to_contain_text(first)
    await stand.end("gateway")
    await expect(page.locator("#connection")).to_have_text("lost")
    await stand.start_gateway()
    await expect(page.locator("#connection")).to_have_text("live", timeout=15_000)
    await stand.step()
    await page.reload()
    await shows_log(page)
    second = await market.enter(1)  # as the one after it, it is told; of the first nothing more is said
    await expect(lines(page, "alert")).to_have_count(2)

    other = await page.context.new_page()
    await other.goto(stand.url)
    await shows_log(other)
    third = await market.enter(2)
    for each in (page, other):
        await expect(lines(each, "alert")).to_have_count(3)
    await page.close()  # it led; now the other one does
    async with asyncio.timeout(10):
        while (await other.evaluate("navigator.locks.query().then(({held}) => held.length)")) != 1:
            await asyncio.sleep(0.05)
    await stand.step()
    fourth = await market.enter(3)
    await expect(lines(other, "alert")).to_have_count(4)
    await expect(lines(other, "enter")).to_have_count(4)
    wanted = [first, second, third, fourth]
    assert [await cell.text_content() for cell in await lines(other, "alert").locator("td:nth-child(3)").all()] == wanted[::-1]
    assert await spoken(other) == [" ".join(symbol) for symbol in wanted]


async def test_the_log_says_who_left_and_only_of_the_list_that_is_chosen(open_page, stand):
    market = await Only(stand).begin()
    page = (await open_page()).page
    await shows_log(page)
    gone = market.symbols.pop()
    await stand.step()
    await page.get_by_label("List shown").select_option(LIST)
    await expect(lines(page, "leave")).to_have_count(1)
    await expect(lines(page, "leave")).to_contain_text(gone)
    await page.get_by_role("button", name="Clear").click()
    await expect(page.locator(".activity .note")).to_contain_text("Nobody has entered or left yet")


AMOUNTS = {
    "5": 5,
    "-2.5": -2.5,
    "500K": 500_000,
    "1.5m": 1_500_000,
    "2B": 2_000_000_000,
    "1,000": 1000,
    "": None,
    "K": None,
    "1e9": None,
    "5%": None,
}


async def test_amounts_are_read_as_traders_write_them(quiet_page):
    script = "async (texts) => { const { amountOf } = await import('/panels/rule_form.mjs'); return texts.map(amountOf); }"
    assert dict(zip(AMOUNTS, await quiet_page.evaluate(script, list(AMOUNTS)), strict=True)) == AMOUNTS
