"""The night from one session to the next, by the whole product, with sockets and a browser connected throughout.

Two real weekends of the calendar, on a simulated clock that lives through what matters of them: one with the night in
which clocks go forward, one with a holiday on its Monday.
"""

import asyncio
import contextlib
import json
import shutil
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

import aiohttp
import pytest
from playwright.async_api import expect

from tests.maintenance.tasks.test_new_trading_day import EVENTS
from tests.product import Product
from tests.web.conftest import chromium_running
from tradeul.bus.embedded import socket_path
from tradeul.clock import SimulatedClock
from tradeul.market_calendar import at, nyse
from tradeul.simulator.synthetic import SyntheticMarket

SEED, TICKERS, SPEED = 7, 300, 10.0
CALENDAR = nyse()
DST_WEEKEND, HOLIDAY_WEEKEND = date(2026, 3, 6), date(2026, 2, 13)
LISTS = ("gappers_up", "high_volume", "winners", "everything")
# Few of so few tickers move enough for the built-in lists within minutes.
EVERYTHING = """[lists.everything]
title = "Everything"
where = "volume > 0"
order = [["volume", "desc"]]
columns = ["price", "prev_close", "change_pct", "volume"]
class = "all"
floors = false
"""
TURN_SECONDS = 10.0  # of the market's: one second of ours from the turn to everybody's knowledge of it
GATEWAY_SAYS = ["New trading day detected", "Cache cleared for new trading day"]


def nights(friday, sessions):
    """Awake: Friday's last minutes, and of each session after it the turn, the first minutes, and the last but of the last one."""
    yield at(friday, time(19, 57)), at(friday, time(20, 0, 20))
    for number in range(sessions):
        friday = CALENDAR.next(friday)
        yield at(friday, time(2, 59, 40)), at(friday, time(3, 0, 20))
        yield at(friday, time(3, 59, 40)), at(friday, time(4, 2))
        if number < sessions - 1:
            yield at(friday, time(9, 29, 30)), at(friday, time(9, 31))
            yield at(friday, time(19, 59)), at(friday, time(20, 16))


def start(state, friday, sessions):
    folder = state / "simulated"
    folder.mkdir(parents=True)
    windows = list(nights(friday, sessions))
    clock = SimulatedClock(datetime.now(UTC), windows[0][0], SPEED, windows)
    (folder / "clock.json").write_text(clock.to_json())
    (state / "lists").mkdir()
    (state / "lists" / "everything.toml").write_text(EVERYTHING)
    return Product(state, simulator_seed=SEED, simulator_tickers=TICKERS, simulator_speed=SPEED).ready(), clock


@dataclass
class Watcher:
    """One socket: every frame with the market's time of its arrival."""

    clock: SimulatedClock
    heard: list = field(default_factory=list)

    async def listen(self, address):
        """Asks for lists once the gateway knows any; just started, it does not."""
        asks = list(LISTS)
        async with aiohttp.ClientSession() as http, http.ws_connect(address) as socket:
            async for message in socket:
                told = json.loads(message.data)
                self.heard.append((self.clock.now(), told))
                while asks and told["type"] == "connected" and told["lists"]:
                    await socket.send_json({"action": "subscribe_list", "list": asks.pop(0)})

    def of(self, *kinds):
        return [(now, message) for now, message in self.heard if message["type"] in kinds]

    async def has(self, what, seconds=60):
        async with asyncio.timeout(seconds):
            while not any(what(message) for _, message in self.heard):
                await asyncio.sleep(0.05)


def rows_of(message):
    """What a snapshot or delta says of rows; of a changed one only what changed."""
    return message.get("rows") or [{"symbol": step["symbol"], **step["data"]} for step in message.get("deltas", ()) if "data" in step]


def closes_before(session, tickers):
    """What each ticker closed at before ``session``, by the vendor; not of those that split then."""
    market = SyntheticMarket(SEED, tickers, CALENDAR)
    split = {split.symbol for split in market.splits if split.session == session}
    daily = market.daily(CALENDAR.previous(session))
    names = {issue.number: issue.symbol for issue in market.issues}
    return {names[key]: close for key, close in zip(daily.key.tolist(), daily.close.tolist(), strict=True) if names[key] not in split}


def no_row_of_another_session(watcher, tickers=TICKERS):
    """By what a frame says of itself, by the clock, and by the close behind its rows. Returns how many rows were looked at, by session."""
    shown, looked_at, closes = None, {}, {}
    for now, message in watcher.of("connected", "new_day", "snapshot", "delta"):
        if message["type"] in ("connected", "new_day"):
            assert shown is None or message["session"] >= shown
            shown = message["session"]
            continue
        session = date.fromisoformat(message["session"])
        assert message["session"] == shown, f"{message['list']} of {session} while {shown} is shown"
        hours = CALENDAR.hours(CALENDAR.current_session(now))
        assert session == hours.session or now - hours.new_day_at < timedelta(seconds=TURN_SECONDS), (now, message["list"], session)
        if session not in closes:
            closes[session] = closes_before(session, tickers)
        for row in rows_of(message) if message["list"] == "everything" else ():
            if row.get("prev_close") is None or row["symbol"] not in closes[session]:
                continue
            assert row["prev_close"] == pytest.approx(closes[session][row["symbol"]], abs=1e-4), (session, row)
            looked_at[session] = looked_at.get(session, 0) + 1
    return looked_at


def empty_until_four(watcher, session):
    """From the turn until 04:00 the lists of a new session are empty."""
    hours = CALENDAR.hours(session)
    told = [m for now, m in watcher.of("snapshot", "delta") if m["session"] == session.isoformat() and now < hours.pre_open_at]
    assert {message["list"] for message in told if message["type"] == "snapshot"} == set(LISTS)
    assert not [row for message in told for row in rows_of(message)]


async def until(clock, instant):
    while clock.now() < instant:
        await asyncio.sleep(0.05)


async def keys(state):
    process = await asyncio.create_subprocess_exec(
        "redis-cli", "-s", str(socket_path(state / "simulated")), "keys", "scanner:*", stdout=asyncio.subprocess.PIPE
    )
    said, _ = await process.communicate()
    return len(said.split())


@contextlib.asynccontextmanager
async def subscriber(state):
    """A plain redis-cli that listens to the announcement; what it printed is read at the end."""
    command = ["redis-cli", "-s", str(socket_path(state / "simulated")), "subscribe", "trading:new_day"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        yield process
    finally:
        process.terminate()


async def over(product, friday, sessions, clock):
    """Live through it; returns the watcher that was there throughout, and what redis-cli printed."""
    state, session = product.state, CALENDAR.next(friday)
    address = (await asyncio.to_thread(product.get, "api/config"))["socket"]
    watcher, late = Watcher(clock), Watcher(clock)
    async with chromium_running() as chromium, subscriber(state) as listening, asyncio.TaskGroup() as group:
        watching = [group.create_task(watcher.listen(address))]
        page = await chromium.new_page(viewport={"width": 1600, "height": 1000})
        await page.goto(product.page)
        await page.evaluate("window.notReloaded = true")
        await page.get_by_role("tab", name="Everything").click()
        rows = page.locator('.grid [row-index] [col-id="symbol"]')
        await expect(rows.first).to_be_visible(timeout=30_000)
        await watcher.has(rows_of)
        assert await keys(state) == 22
        for _ in range(sessions):
            hours = CALENDAR.hours(session)
            await until(clock, hours.new_day_at)
            await expect(page.locator("#session")).to_have_text(f"{session:%a} {session.day} {session:%b %Y}", timeout=5_000)
            await expect(rows).to_have_count(0)
            assert await keys(state) == 22
            await until(clock, hours.pre_open_at + timedelta(seconds=5))
            watching.append(group.create_task(late.listen(address)))
            await expect(rows.first).to_be_visible(timeout=30_000)
            await until(clock, hours.pre_open_at + timedelta(seconds=115))
            session = CALENDAR.next(session)
        assert await page.evaluate("window.notReloaded")
        for task in watching:
            task.cancel()
        said = (await listening.stdout.read(16_384)).decode().split()
    assert no_row_of_another_session(late)
    return watcher, said


def said_in_order(product, names, session):
    """The documented events from the first of one session to the next session's, as they were logged."""
    events = sorted((event for name in names for event in product.events(name)), key=lambda event: event["timestamp"])
    begins = [place for place, event in enumerate(events) if event["event"] == names[0]] + [len(events)]
    (first,) = [place for place in begins[:-1] if events[place]["date"] == str(session)]
    return [event["event"] for event in events[first : begins[begins.index(first) + 1]]]


async def passes(tmp_path, friday, sessions):
    if shutil.which("redis-cli") is None:
        pytest.skip("no redis-cli: it comes with redis-server")
    product, clock = await asyncio.to_thread(start, tmp_path / "state", friday, sessions)
    try:
        watcher, said = await over(product, friday, sessions, clock)
        session = friday
        looked_at = no_row_of_another_session(watcher)
        for _ in range(sessions):
            previous, session = session, CALENDAR.next(session)
            announced = {"event": "new_trading_day", "date": str(session), "action": "clear_caches", "previous_date": str(previous)}
            assert any(announced.items() <= json.loads(line).items() for line in said if line.startswith("{"))
            empty_until_four(watcher, session)
            assert looked_at[session] > 20
            assert said_in_order(product, EVENTS, session) == EVENTS
            assert said_in_order(product, GATEWAY_SAYS, session) == GATEWAY_SAYS
        assert looked_at[friday] > 20
    finally:
        await asyncio.to_thread(product.stop)


async def test_after_three_nobody_sees_a_row_of_friday_and_the_page_turns_without_a_reload(tmp_path):
    await passes(tmp_path, DST_WEEKEND, 1)


@pytest.mark.long
@pytest.mark.parametrize("friday", [DST_WEEKEND, HOLIDAY_WEEKEND], ids=["DST night", "holiday"])
async def test_to_tuesday_and_beyond(tmp_path, friday):
    await passes(tmp_path, friday, 2)
