"""What the page costs a browser: first load, first rows, frames a second with every list open, memory.

    python benchmarks/page.py [ADDRESS] [SECONDS]     beside a running `tradeul up`; needs Chromium

Prints the bytes that a first load transfers, seconds from the navigation to the
first row (a fresh browser, then one that has the files), and, over SECONDS with
all lists drawn at once: frames a second, the slowest frames, the script's heap, and
how much of a processor the page's thread took, which a busy machine changes least.
"""

import asyncio
import sys
from typing import Any

from playwright.async_api import Browser, CDPSession, Page, async_playwright

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--enable-precise-memory-info"]
FIRST_ROW = """() => new Promise((resolve) => {
    const look = () => (document.querySelector(".ag-row") ? resolve(performance.now()) : requestAnimationFrame(look));
    look();
})"""
TRANSFERRED = """() => [performance.getEntriesByType("navigation")[0], ...performance.getEntriesByType("resource")]
    .reduce((sum, entry) => sum + entry.transferSize, 0)"""
# Every list in a group of its own: what is behind a tab costs nothing.
SPREAD = """async () => {
    for (const tab of [...document.querySelectorAll("[role=tab]")].slice(5)) {
        const { left, top } = tab.closest(".dv-groupview").getBoundingClientRect();
        const float = { bubbles: true, shiftKey: true, clientX: left + 200, clientY: top + 100 };
        tab.dispatchEvent(new PointerEvent("pointerdown", float));
        window.dispatchEvent(new PointerEvent("pointerup", { bubbles: true }));
    }
    await new Promise(requestAnimationFrame);
    return document.querySelectorAll(".grid .ag-root-wrapper").length;
}"""
FRAMES = """(seconds) => new Promise((resolve) => {
    const gaps = [];
    let before = performance.now();
    const began = before;
    const count = (now) => {
        gaps.push(now - before);
        before = now;
        if (now - began < seconds * 1000) return requestAnimationFrame(count);
        gaps.sort((one, other) => one - other);
        const at = (share) => gaps[Math.floor(share * (gaps.length - 1))];
        resolve({ persecond: gaps.length / ((now - began) / 1000), median: at(0.5), p99: at(0.99), longest: gaps.at(-1),
            heap: performance.memory.usedJSHeapSize / 1e6 });
    };
    requestAnimationFrame(count);
})"""


SPENT = {"all": "TaskDuration", "script": "ScriptDuration", "style": "RecalcStyleDuration", "layout": "LayoutDuration"}


async def spent(session: CDPSession) -> dict[str, float]:
    found = {each["name"]: each["value"] for each in (await session.send("Performance.getMetrics"))["metrics"]}
    return {name: found[metric] for name, metric in SPENT.items()}


async def first_row(page: Page, address: str) -> tuple[float, float]:
    await page.goto(address, wait_until="commit")
    seconds = await page.evaluate(FIRST_ROW) / 1000
    return seconds, await page.evaluate(TRANSFERRED) / 1e6


async def measure(browser: Browser, address: str, seconds: float) -> None:
    context = await browser.new_context(viewport={"width": 2560, "height": 1440})
    page = await context.new_page()
    for which in ("fresh browser", "files known"):
        taken, megabytes = await first_row(page, address)
        print(f"{which}: first row after {taken:.2f} s, {megabytes:.2f} MB transferred")
    lists = await page.evaluate(SPREAD)
    await asyncio.sleep(3)
    session = await context.new_cdp_session(page)
    await session.send("Performance.enable", {"timeDomain": "threadTicks"})
    for _ in range(2):
        before = await spent(session)
        found: dict[str, Any] = await page.evaluate(FRAMES, seconds / 2)
        after = await spent(session)
        shares = ", ".join(f"{name} {(after[name] - before[name]) / (seconds / 2):.3f}" for name in SPENT)
        print(
            f"{lists} lists drawn: {found['persecond']:.1f} frames/s, a frame {found['median']:.1f} ms (median), {found['p99']:.1f} (p99), "
            f"{found['longest']:.0f} (longest); heap {found['heap']:.0f} MB; of a processor: {shares}"
        )
    await context.close()


async def main() -> None:
    address = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000/"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        await measure(browser, address, float(sys.argv[2]) if len(sys.argv) > 2 else 60)
        await browser.close()


asyncio.run(main())
