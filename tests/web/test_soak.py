"""The whole product at four times its speed, every list drawn: no row differs from what HTTP says, and the browser's memory is flat.

Frames per second and heaps are printed, not judged: they are this machine's.
"""

import asyncio
import time

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.product import running

pytestmark = pytest.mark.asyncio(loop_scope="module")
MINUTE = 60
# Every list drawn, those that stood behind others afloat; and for each, its last states by epoch and sequence.
BEGIN = """async () => {
  const { desk, workspace } = await import('./main.mjs');
  const behind = workspace.dock.panels.filter(({ id, api }) => id.startsWith('list-') && !api.isVisible);
  for (const panel of behind) workspace.dock.addFloatingGroup(panel);
  window.states = {};
  for (const { name } of desk.feed.lists.value) {
    const kept = (window.states[name] = new Map());
    desk.feed.watch(name, (state) => {
      if (!state) return kept.clear();
      kept.set(`${state.epoch}:${state.sequence}`, state.rows);
      if (kept.size > 60) kept.delete(kept.keys().next().value);
    });
  }
  window.frames_drawn = 0;
  const count = () => { window.frames_drawn += 1; requestAnimationFrame(count); };
  requestAnimationFrame(count);
  return desk.feed.lists.value.map(({ name }) => name);
}"""
# Of one list: how the page's rows differ from HTTP's of the same sequence; null: the page never held that sequence.
COMPARE = """async (name) => {
  const answer = await fetch(`api/lists/${name}`);
  if (!answer.ok) return null;
  const { epoch, sequence, rows } = await answer.json();
  for (let tries = 0; tries < 60; tries += 1) {
    const held = window.states[name].get(`${epoch}:${sequence}`);
    if (!held) { await new Promise((resolve) => setTimeout(resolve, 50)); continue; }
    const ranked = [...held.values()].sort((left, right) => left.rank - right.rank);
    const plain = (row) => JSON.stringify(Object.entries(row).sort());
    return [rows, ranked].map((some) => some.map(plain)).reduce((left, right) => [
      ...left.filter((row, place) => row !== right[place]), ...right.filter((row, place) => row !== left[place])]);
  }
  return null;
}"""
# Every symbol of the state is in the table, and none but those (that just left, which it marks where they are in sight).
DRAWN = """async () => {
  const { desk, workspace } = await import('./main.mjs');
  const wrong = [];
  for (const { name } of desk.feed.lists.value) {
    const panel = workspace.panelOf('list', { list: name });
    panel.grid.flushAsyncTransactions();
    const drawn = new Set();
    panel.grid.forEachNode(({ data }) => drawn.add(data.symbol));
    const wanted = desk.feed.follower.held.get(name)?.rows.keys() ?? [];
    for (const symbol of wanted) if (!drawn.delete(symbol)) wrong.push([name, symbol, 'lost']);
    for (const symbol of drawn) if (!panel.rows.leftAt.has(symbol)) wrong.push([name, symbol, 'phantom']);
  }
  return wrong;
}"""


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser, tmp_path):
    with running(tmp_path, simulator_speed=4) as product:
        page = await browser.new_page(viewport={"width": 2560, "height": 1440})
        page.complaints = []
        page.on("console", lambda message: page.complaints.append(message.text) if message.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        await page.goto(product.page)
        await expect(page.locator(".ag-row").first).to_be_visible(timeout=60_000)
        yield page
        await page.close()


async def heap_mb(page, session):
    """What is left after the garbage is collected."""
    await session.send("HeapProfiler.collectGarbage")
    return (await session.send("Runtime.getHeapUsage"))["usedSize"] / 1e6


async def soaked(page, seconds, rest, say):
    names = await page.evaluate(BEGIN)
    await expect(page.locator(".grid .ag-root-wrapper")).to_have_count(len(names))
    session = await page.context.new_cdp_session(page)
    heaps, compared = [], 0
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        frames, began = await page.evaluate("window.frames_drawn"), time.monotonic()
        for name in names:
            differing = await page.evaluate(COMPARE, name)
            if differing is not None:
                assert differing == [], name
                compared += 1
        assert await page.evaluate(DRAWN) == []
        await asyncio.sleep(rest)
        drawn = (await page.evaluate("window.frames_drawn") - frames) / (time.monotonic() - began)
        heaps.append(await heap_mb(page, session))
        say(f"{drawn:.0f} frames/s, heap {heaps[-1]:.1f} MB, {compared} lists compared")
    return names, heaps, compared


@pytest.mark.parametrize(
    ("seconds", "rest"),
    [pytest.param(MINUTE, 4, id="a minute"), pytest.param(30 * MINUTE, 50, id="half an hour", marks=pytest.mark.long)],
)
async def test_no_row_differs_and_memory_is_flat_at_four_times_the_speed(page, seconds, rest, capsys):
    def say(words):
        with capsys.disabled():
            print(f"\nsoak: {words}", end="")

    names, heaps, compared = await soaked(page, seconds, rest, say)
    assert compared >= 3 * len(names)
    # The first third fills caches and the tables; after it nothing may pile up.
    filled = max(heaps[: max(len(heaps) // 3, 1)])
    assert min(heaps[-2:]) < filled * 1.25
    assert page.complaints == []
