"""What one browser thinks of symbols: pinned, hidden today, excluded."""

import pytest

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
