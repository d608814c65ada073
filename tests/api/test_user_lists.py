"""Lists of one's own through the page's port, with the scanner that reads the same folder."""

import asyncio
import json
from datetime import timedelta

import pytest

from tests.api.serving import serving
from tests.scanner.conftest import baselines, eastern, frame
from tests.schema_fuzz import found_nothing
from tradeul.api.user_lists import UserListRoutes
from tradeul.bus.embedded import EmbeddedServer
from tradeul.bus.redis import Bus
from tradeul.clock import SteppedClock, SystemClock
from tradeul.market_calendar import nyse
from tradeul.scanner.service import ScannerService
from tradeul.store import list_files
from tradeul.store.list_files import ListFiles

HERE = "/api/user-lists"
MINE = """# my first one
[lists.mine]
title = "Mine ñ"
where = "change_pct >= 5"
order = [["change_pct", "desc"]]
columns = ["price", "change_pct"]
"""
TWO = MINE.replace("mine", "one") + MINE.replace("mine", "two")


def body(text):
    return json.dumps({"toml": text})


class Market:
    """A scanner of two tickers that runs, on a clock that the test moves."""

    def __init__(self, bus, folder):
        self.bus, self.folder, self.clock = bus, folder, SteppedClock(eastern("10:30"))
        self.scanner = ScannerService(self.frame, bus, self.clock, nyse(), "SIMULATED", 1, folder)

    def frame(self, as_of):
        now = as_of or self.clock.now()
        row = {"updated_at": now.timestamp(), "price": 110, "dollar_volume": 2e6, "trades": 500, "volume": 200_000}
        return frame(now, A=row, B=row | {"price": 107})

    async def cycle(self):
        """Long enough for another look at the folder."""
        await self.clock.advance_to(self.clock.now() + timedelta(seconds=2))

    async def heard(self):
        async with asyncio.timeout(10):
            while (await self.bus.redis.execute_command("PUBSUB", "NUMSUB", "lists:preview"))[1] == 0:
                await self.cycle()

    async def symbols(self, name):
        return [row["symbol"] for row in (await self.bus.get_frame(name)).rows]


@pytest.fixture
async def market(tmp_path):
    server = EmbeddedServer(tmp_path, SystemClock())
    await server.start()
    bus = Bus(server.url, SystemClock())
    market = Market(bus, tmp_path / "lists")
    usual = {"prev_close": 100, "avg_volume_20d": 1e6}
    await bus.put_baselines(market.frame(None).session, baselines(A=usual, B=usual).to_arrow())
    running = asyncio.create_task(market.scanner.run())
    await market.heard()
    yield market
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await bus.close()
    await server.stop()


@pytest.fixture
async def asker(market):
    async with serving(UserListRoutes(market.bus, ListFiles(market.folder)), bus=market.bus) as asker:
        yield asker


async def test_a_list_is_tried_written_run_edited_and_deleted(market, asker):
    told = await asker.ask("POST", f"{HERE}/preview", 200, body(MINE))
    assert (told["reason"], told["matches"], told["candidates"], [row["symbol"] for row in told["rows"]]) == (None, 2, 2, ["A", "B"])
    assert await asker.ask("GET", HERE) == {"lists": []}, "a preview leaves nothing"
    kept = await asker.ask("PUT", f"{HERE}/mine", 200, body(MINE))
    assert (kept["toml"], kept["definition"]["title"], kept["editable"]) == (MINE, "Mine ñ", True)
    assert (market.folder / "mine.toml").read_text(encoding="utf-8") == MINE
    await market.cycle()
    head = {"list": "mine", "title": "Mine ñ", "file": "mine.toml", "editable": True, "runs": True, "reason": None}
    assert await asker.ask("GET", HERE) == {"lists": [head]}
    assert await asker.ask("GET", f"{HERE}/mine") == kept
    assert await market.symbols("mine") == ["A", "B"]
    await asker.ask("PUT", f"{HERE}/mine", 200, body(MINE.replace(">= 5", ">= 8")))
    await market.cycle()
    assert await market.symbols("mine") == ["A"]
    await asker.ask("DELETE", f"{HERE}/mine", 204)
    await market.cycle()
    assert await market.bus.get_frame("mine") is None and list(market.folder.iterdir()) == []
    assert "no list 'mine'" in await asker.refused("DELETE", f"{HERE}/mine", 404)
    assert "no list 'mine'" in await asker.refused("GET", f"{HERE}/mine", 404)


async def test_what_is_not_ones_own_is_told_and_never_changed(market, asker):
    market.folder.mkdir()
    floors = '[[floors]]\nfrom = "04:00"\nage_s = 60\n'
    by_hand = {"two.toml": TWO, "floors.toml": MINE.replace("mine", "floors") + floors}
    for name, text in by_hand.items():
        (market.folder / name).write_text(text)
    await market.cycle()
    for name in ("winners", "one", "two", "floors"):
        told = await asker.ask("GET", f"{HERE}/{name}")
        assert (told["editable"], told["toml"], told["definition"]["name"]) == (False, None, name)
        reason = await asker.refused("PUT", f"{HERE}/{name}", 409, body(MINE.replace("mine", name)))
        assert ("built in" if name == "winners" else "by hand") in reason
        assert "cannot be changed here" in await asker.refused("DELETE", f"{HERE}/{name}", 409)
    assert {path.name: path.read_text() for path in market.folder.iterdir()} == by_hand
    assert [(each["list"], each["editable"], each["runs"]) for each in (await asker.ask("GET", HERE))["lists"]] == [
        ("floors", False, True),
        ("one", False, True),
        ("two", False, True),
    ]


async def test_a_broken_file_is_told_with_its_reason_and_may_be_written_anew(market, asker):
    market.folder.mkdir()
    (market.folder / "mine.toml").write_text("lists")
    (market.folder / "other.toml").write_bytes(b"\xff")
    (market.folder / "none.toml").write_text("lists = 1")
    await market.cycle()
    mine, none, other = (await asker.ask("GET", HERE))["lists"]
    assert "Expected '='" in mine["reason"] and "utf-8" in other["reason"] and "no [lists.NAME]" in none["reason"]
    assert (await asker.ask("GET", f"{HERE}/mine"))["toml"] == "lists"
    await asker.ask("PUT", f"{HERE}/mine", 200, body(MINE))
    await asker.ask("DELETE", f"{HERE}/other", 204)


async def test_what_the_scanner_refuses_is_not_written(market, asker):
    wrong = MINE.replace("change_pct >= 5", "chang_pct >= 5")
    told = await asker.ask("POST", f"{HERE}/preview", 200, body(wrong))
    assert (told["field"], told["definition"], told["matches"]) == ("where", None, None)
    assert "where: unknown column 'chang_pct'; did you mean" in await asker.refused("PUT", f"{HERE}/mine", 422, body(wrong))
    assert "make them one" in await asker.refused("PUT", f"{HERE}/other", 422, body(MINE))
    assert "is no list's name" in await asker.refused("PUT", f"{HERE}/Mine", 422, body(MINE))
    assert "16,384 bytes" in await asker.refused("PUT", f"{HERE}/mine", 413, body(MINE + "#" * 16_384))
    for nothing in ("", "{}", "[]", '{"text":""}'):
        await asker.refused("PUT", f"{HERE}/mine", 422, nothing)
    assert not market.folder.exists()


async def test_files_are_limited_and_a_folder_that_takes_none_is_said(market, asker, monkeypatch):
    monkeypatch.setattr(list_files, "MOST_FILES", 1)
    for _ in range(2):
        await asker.ask("PUT", f"{HERE}/mine", 200, body(MINE))
    assert "1 files of lists are kept" in await asker.refused("PUT", f"{HERE}/more", 409, body(MINE.replace("mine", "more")))
    await asker.ask("DELETE", f"{HERE}/mine", 204)
    market.folder.rmdir()
    market.folder.write_text("no folder")
    assert "could not be written" in await asker.refused("PUT", f"{HERE}/mine", 503, body(MINE))


async def test_without_a_scanner_nothing_is_tried_or_written(tmp_path):
    server = EmbeddedServer(tmp_path, SystemClock())
    await server.start()
    bus = Bus(server.url, SystemClock())
    async with serving(UserListRoutes(bus, ListFiles(tmp_path / "lists")), bus=bus) as asker:
        for method, path in (("POST", f"{HERE}/preview"), ("PUT", f"{HERE}/mine")):
            assert "No scanner listens" in await asker.refused(method, path, 503, body(MINE))
    assert not (tmp_path / "lists").exists()
    await bus.close()
    await server.stop()


@pytest.mark.long
async def test_schemathesis_finds_nothing(asker):
    await asker.ask("PUT", f"{HERE}/mine", 200, body(MINE))
    # No schema says which TOML is a list; and `preview` takes what a list of that name would.
    await found_nothing(asker.url, "user-lists", "positive_data_acceptance,allow_header_conformance")
