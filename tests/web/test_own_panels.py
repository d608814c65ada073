"""A person's own things on the page: lists, marks, maintenance. Journeys of the panels: tests/test_page_of_product.py."""

import pytest
from playwright.async_api import expect

from tradeul.records.lists import PhaseVariant
from tradeul.scanner.definitions import built_in_lists, parse

pytestmark = pytest.mark.asyncio(loop_scope="module")
TOML_OF = "(drafts) => import('/panels/list_text.mjs').then(({ tomlOf }) => drafts.map(tomlOf))"
VERDICTS = "(asked) => import('/panels/trust.mjs').then(({ verdict }) => asked.map(([report, feed]) => verdict(report, feed)))"
LEFT = "(runs) => import('/panels/trust.mjs').then(({ secondsLeft }) => runs.map((run) => secondsLeft(run, '2026-03-09T14:00:10Z')))"


def draft(definition):
    variant = lambda each: {"where": each.where, "order": each.order, "members_of_last": each.members_of_last}  # noqa: E731
    names = ("name", "title", "where", "order", "columns", "issue_class", "floors", "limit")
    return {name: getattr(definition, name) for name in names} | {"phases": {p: variant(v) for p, v in definition.phases.items()}}


MINE = {
    "name": "mine",
    "title": 'A "title"\\ with\n all \x7f of \t it: ñ 漢 🙂 \u2028',
    "where": "name = 'O''Brien \"x\"' OR price > 1",
    "order": [["price / atr", "asc"], ["rvol", "desc"]],
    "columns": ["price"],
    "issue_class": "all",
    "floors": False,
    "limit": 7,
    "phases": {"PRE_MARKET": {"where": "gap_pct > 1"}, "POST_MARKET": {"members_of_last": "MARKET_OPEN"}},
}


async def test_a_drafts_text_is_the_draft_whatever_signs_it_has(quiet_page):
    built_in = [draft(each.definition) for each in built_in_lists()]
    *texts, mine = await quiet_page.evaluate(TOML_OF, [*built_in, MINE])
    for each, text in zip(built_in_lists(), texts, strict=True):
        (found,) = parse(text, source="copied")
        assert draft(found.definition) == draft(each.definition)
    (found,) = parse(mine, source="mine")
    expected = MINE | {"order": tuple(map(tuple, MINE["order"])), "columns": ("price",)}
    expected["phases"] = {"PRE_MARKET": PhaseVariant(where="gap_pct > 1"), "POST_MARKET": PhaseVariant(members_of_last="MARKET_OPEN")}
    assert {name: getattr(found.definition, name) for name in MINE} == expected


WHOLE = {"ready": True, "got": 11_846, "expected": 11_846, "rvol_sessions": 20, "daily_sessions": [260, 260], "slot_sessions": [30, 30]}
WELL = {"connection": "open", "stale": False, "phase": "MARKET_OPEN", "ageMs": 900}
SAID = [
    ({}, {}, "LIVE", "yes", "all 11,846 tickers of the last close, relative volume over 20 sessions."),
    ({}, {}, "SIMULATED", "yes", "The market is invented."),
    ({"got": 11_820}, {}, "LIVE", "partly", "11,820 of 11,846 tickers of the last close, 26 are missing."),
    ({"got": 11_900}, {}, "LIVE", "yes", "all 11,900 tickers"),
    ({"slot_sessions": [29, 30]}, {}, "LIVE", "partly", "(29 of 30 sessions of volume by slot)"),
    ({"rvol_sessions": None}, {}, "END_OF_DAY", "partly", "no relative volume. Prices are those of the last close."),
    (
        {"ready": False, "daily_sessions": [0, 260]},
        {},
        "LIVE",
        "no",
        "Not yet: what today is compared with is still being loaded. 0 of 260",
    ),
    ({}, {"stale": True, "ageMs": 61_000}, "LIVE", "no", "silent for 1 min"),
    ({}, {"stale": True, "phase": "CLOSED"}, "LIVE", "yes", "can be trusted"),
    ({}, {"connection": "lost"}, "LIVE", "no", "the connection is lost"),
]


async def test_one_sentence_says_how_far_todays_numbers_can_be_trusted(quiet_page):
    asked = [[{"trust": WHOLE | trust, "mode": mode}, WELL | feed] for trust, feed, mode, _, _ in SAID]
    for (_, _, _, level, words), verdict in zip(SAID, await quiet_page.evaluate(VERDICTS, asked), strict=True):
        assert verdict["level"] == level and words in verdict["sentence"]


async def test_time_left_is_told_once_there_is_a_pace(quiet_page):
    since = {"progress_since": "2026-03-09T14:00:00Z"}
    runs = [{"progress": {"done": done, "total": 30}} | since for done in (0, 10)] + [{"progress": None, "progress_since": None}]
    assert await quiet_page.evaluate(LEFT, runs) == [None, 20, None]


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
