"""The service against the real embedded Valkey, on a clock that the test moves."""

import asyncio
import json
import os
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta

import msgspec
import numpy as np
import pytest

from tradeul.bus.embedded import EmbeddedServer
from tradeul.bus.redis import Bus
from tradeul.bus.topics import BASELINES_CHANGED, NEWS, VARIANTS_WATCHED
from tradeul.client.follower import apply
from tradeul.clock import SteppedClock, SystemClock
from tradeul.errors import BusUnavailable
from tradeul.market_calendar import nyse
from tradeul.records.events import BaselinesChanged, VariantsWatched
from tradeul.records.explanations import ExplainRequest
from tradeul.records.filings import Article
from tradeul.records.messages import Delta, Snapshot, decode
from tradeul.scanner import variants
from tradeul.scanner.membership import Membership
from tradeul.scanner.service import ScannerService
from tradeul.store.catalog import Catalog
from tradeul.store.lake import Lake
from tradeul.store.membership_log import MembershipLog

BUILT_IN = 11
LIVE = {"price": 110, "dollar_volume": 2e6, "trades": 500, "volume": 200_000}
USUAL = {"prev_close": 100, "atr": 2, "avg_volume_20d": 1e6, "avg_dollar_volume_20d": 1e7}
MINE = """[lists.mine]
title = "Mine"
where = "price >= 100"
order = [["price", "desc"]]
columns = ["price"]
"""


class Stand:
    """A scanner on a stand: its clock, its bus, the market it is fed with, and everything that it sent."""

    def __init__(self, make, bus, folder, at="10:00"):
        self.make, self.bus, self.folder = make, bus, folder
        self.clock = SteppedClock(make.eastern(at))
        self.tickers = {"A": dict(LIVE), "B": LIVE | {"price": 107}}
        self.session = make.session
        self.asked = 0
        self.messages = []
        self.scanner = self.scanner_of_epoch(1)

    def scanner_of_epoch(self, epoch, **options):
        return ScannerService(self.frame, self.bus, self.clock, nyse(), "SIMULATED", epoch, self.folder, **options)

    def frame(self, as_of):
        self.asked += 1
        now = as_of or self.clock.now()
        fresh = {"updated_at": now.timestamp()}
        return self.make.frame(now, session=self.session, **{symbol: fresh | row for symbol, row in self.tickers.items()})

    async def put_baselines(self, session=None):
        held = self.make.baselines(session or self.session, **dict.fromkeys(self.tickers, USUAL))
        await self.bus.put_baselines(session or self.session, held.to_arrow())

    async def cycle(self, seconds=1.0, **changes):
        """Let time pass, change tickers, run one cycle; returns what was sent in it."""
        for symbol, values in changes.items():
            self.tickers[symbol] = self.tickers.get(symbol, dict(LIVE)) | values
        self.clock._now += timedelta(seconds=seconds)
        before = len(self.messages)
        await self.scanner.cycle()
        await self.heard()
        return dict(self.messages[before:])

    async def heard(self):
        """Wait until the listener has everything sent so far: a marker comes after it on every channel."""
        self.marks += 1
        mark = str(self.marks).encode()
        for number in range(16):
            await self.bus.redis.execute_command("SPUBLISH", f"scanner:deltas:{number}", b"mark\n" + mark)
        async with asyncio.timeout(5):
            while self.seen_marks < 16 * self.marks:
                await asyncio.sleep(0.001)

    marks = seen_marks = writes = 0

    async def listen(self):
        async for name, message in self.bus.deltas():
            if name == "mark":
                self.seen_marks += 1
            else:
                self.messages.append((name, decode(message)))

    async def symbols(self, name):
        return [row["symbol"] for row in (await self.bus.get_frame(name)).rows]

    def write(self, content, file="mine.toml"):
        self.folder.mkdir(exist_ok=True)
        (self.folder / file).write_text(content)
        self.writes += 1  # each is another moment, however fast the test
        os.utime(self.folder / file, ns=(self.writes, self.writes))


@asynccontextmanager
async def standing(make, path, at="10:00"):
    server = EmbeddedServer(path, SystemClock())
    await server.start()
    bus = Bus(server.url, SystemClock())
    stand = Stand(make, bus, path / "lists", at)
    listener = asyncio.create_task(stand.listen())
    try:
        async with asyncio.timeout(5):
            while await bus.redis.execute_command("PUBSUB", "SHARDNUMSUB", "scanner:deltas:15") != [b"scanner:deltas:15", 1]:
                await asyncio.sleep(0.005)
        yield stand
    finally:
        listener.cancel()
        await asyncio.gather(listener, return_exceptions=True)
        await bus.close()
        await server.stop()


async def test_the_first_message_is_an_empty_snapshot_then_deltas_follow_it(make, tmp_path):
    async with standing(make, tmp_path) as stand:
        await stand.put_baselines()
        await stand.cycle()
        of_winners = [message for name, message in stand.messages if name == "winners"]
        assert [type(message) for message in of_winners] == [Snapshot, Delta]
        assert (of_winners[0].sequence, of_winners[0].rows, of_winners[0].epoch) == (0, [], 1)
        held = apply(of_winners[0], of_winners[1])
        assert [(row["symbol"], row["change_pct"]) for row in held.rows] == [("A", 10.0), ("B", 7.0)]
        frame = await stand.bus.get_frame("winners")
        assert (frame.rows, frame.sequence, frame.epoch, frame.session) == (held.rows, 1, 1, make.session)


async def test_people_find_22_keys_that_say_what_the_frames_say(make, tmp_path):
    async with standing(make, tmp_path) as stand:
        stand.write(MINE)
        await stand.put_baselines()
        await stand.cycle()
        keys = await stand.bus.redis.keys("scanner:*")
        assert len(keys) == 2 * BUILT_IN
        assert await stand.symbols("mine") == ["A", "B"]  # a person's list has its frame, but no such keys
        frame = await stand.bus.get_frame("winners")
        assert json.loads(await stand.bus.redis.get("scanner:category:winners")) == json.loads(msgspec.json.encode(frame.rows))
        assert await stand.bus.redis.get("scanner:sequence:winners") == b"1"


async def test_a_list_without_a_change_sends_nothing(make, tmp_path):
    async with standing(make, tmp_path) as stand:
        await stand.put_baselines()
        await stand.cycle()
        assert await stand.cycle(seconds=0) == {}  # the clock stands, the market is silent
        assert await stand.cycle(seconds=0, A={"price": 110.00001}) == {}  # below the wire's rounding
        sent = await stand.cycle(seconds=0, A={"price": 106})
        assert [(step.symbol, type(step).__name__) for step in sent["winners"].deltas] == [
            ("B", "Rerank"),
            ("A", "Rerank"),
            ("A", "Update"),
        ]


async def test_with_time_alone_only_what_time_changes_is_sent(make, tmp_path):
    allowed = {"expected_volume", "rvol", "rvol_5m", "slot_lz", "baseline"}
    async with standing(make, tmp_path) as stand:
        await stand.put_baselines()
        stand.tickers = {"A": LIVE | {"updated_at": make.eastern("10:00").timestamp()}}
        await stand.cycle()
        for message in (await stand.cycle(seconds=30)).values():
            assert all(set(step.data) <= allowed for step in message.deltas)


async def test_a_viewer_of_all_messages_holds_the_frames(make, tmp_path):
    """Over random cycles, for every list: what was sent, applied in order, is the key's value."""
    draw = np.random.default_rng(5)
    async with standing(make, tmp_path) as stand:
        stand.tickers = {f"T{number:02}": dict(LIVE) for number in range(12)}
        await stand.put_baselines()
        for _ in range(25):
            changed = {
                f"T{number:02}": {"price": float(draw.choice([90, 94, 100, 106, 110, np.nan])), "volume": 1e5 * draw.random()}
                for number in range(12)
            }
            await stand.cycle(**changed)
        held = {}
        for name, message in stand.messages:
            held[name] = message if isinstance(message, Snapshot) else apply(held[name], message)
        assert len(held) == BUILT_IN
        for name, snapshot in held.items():
            frame = await stand.bus.get_frame(name)
            assert (snapshot.rows, snapshot.epoch, snapshot.sequence) == (frame.rows, frame.epoch, frame.sequence)
        assert held["winners"].sequence > 20


async def test_a_restart_takes_its_epoch_and_begins_with_what_this_session_showed(make, tmp_path):
    async with standing(make, tmp_path) as stand:
        await stand.put_baselines()
        await stand.cycle()
        stand.scanner = stand.scanner_of_epoch(2)
        before = len(stand.messages)
        await stand.cycle(seconds=0)
        sent = [message for name, message in stand.messages[before:] if name == "winners"]
        assert [(type(message), message.epoch, message.sequence) for message in sent] == [(Snapshot, 2, 0)]
        assert [row["symbol"] for row in sent[0].rows] == ["A", "B"]
        assert (await stand.bus.get_frame("winners")).epoch == 2


async def test_a_new_session_empties_every_list_at_once(make, tmp_path):
    async with standing(make, tmp_path) as stand:
        await stand.put_baselines()
        await stand.cycle()
        stand.clock._now = datetime(2026, 3, 10, 6, 59, 59, tzinfo=UTC)
        assert await stand.cycle(seconds=0) == {}  # 02:59:59 Eastern: still yesterday's, at rest
        assert await stand.symbols("winners") == ["A", "B"]
        sent = await stand.cycle(seconds=1)
        assert len(sent) == BUILT_IN
        assert {(type(message), message.session, message.sequence, message.count) for message in sent.values()} == {
            (Snapshot, date(2026, 3, 10), 0, 0)
        }
        assert len(await stand.bus.redis.keys("scanner:*")) == 2 * BUILT_IN
        assert json.loads(await stand.bus.redis.get("scanner:category:winners")) == []


async def test_a_frame_of_another_session_is_refused_and_counted(make, tmp_path):
    async with standing(make, tmp_path) as stand:
        await stand.put_baselines()
        await stand.cycle()
        stand.session = date(2026, 3, 6)
        assert await stand.cycle(A={"price": 200}) == {}
        assert await stand.cycle(A={"price": 300}) == {}
        assert stand.scanner.refused_frames == 2
        assert await stand.symbols("winners") == ["A", "B"]


async def test_baselines_of_another_session_are_refused(make, tmp_path):
    async with standing(make, tmp_path) as stand:
        held = make.baselines(date(2026, 3, 6), A=USUAL, B=USUAL)
        await stand.bus.put_baselines(make.session, held.to_arrow())
        await stand.cycle()
        assert await stand.symbols("winners") == []


async def test_while_closed_the_lists_stay_as_they_closed(make, tmp_path):
    async with standing(make, tmp_path, at="19:59") as stand:
        stand.tickers = {"A": LIVE | {"close": 100, "post_dollar_volume": 1e6, "post_trades": 99}}
        await stand.put_baselines()
        await stand.cycle()
        assert await stand.symbols("winners") == ["A"]
        assert await stand.cycle(seconds=3600, A={"price": 500}) == {}
        assert await stand.cycle(seconds=3600) == {}
        assert await stand.symbols("winners") == ["A"]
        asked = stand.asked
        assert await stand.cycle(seconds=5) == {} and stand.asked == asked, "live is hardly looked at"


async def test_an_end_of_day_product_shows_the_last_close_until_the_next_one_is_there(make, tmp_path):
    """Dated by its session, judged by whole days, through the night at 03:00."""
    today = date(2026, 3, 10)
    async with standing(make, tmp_path) as stand:
        await stand.put_baselines()
        stand.clock = SteppedClock(make.eastern("10:00") + timedelta(days=1))
        closes = []

        def last_close(_):
            session = closes[-1] if closes else today
            as_of = nyse().hours(session).close_at - timedelta(seconds=1)
            rows = {symbol: row | {"updated_at": as_of.timestamp(), "volume": 3e6} for symbol, row in stand.tickers.items()}
            frame = make.frame(as_of, session=session, **(rows if closes else {}))
            return msgspec.structs.replace(frame, whole_day=bool(closes))

        scanner = ScannerService(last_close, stand.bus, stand.clock, nyse(), "END_OF_DAY", 1, None)
        await scanner.cycle()
        assert (await stand.bus.get_frame("winners")).rows == [], "no close is there yet"
        closes.append(make.session)
        await scanner.cycle()
        frame = await stand.bus.get_frame("winners")
        assert [row["symbol"] for row in frame.rows] == ["A", "B"] and frame.session == make.session
        assert {(row["rvol"], row["baseline"]) for row in (await stand.bus.get_frame("high_volume")).rows} == {(3.0, "thin")}
        stand.clock._now += timedelta(days=1)
        await scanner.cycle()
        assert (await stand.bus.get_frame("winners")).session == make.session
        closes.append(today)
        await stand.put_baselines(today)
        await scanner.cycle()
        assert (await stand.bus.get_frame("winners")).session == today and scanner.refused_frames == 0
        closes.append(make.session)
        await scanner.cycle()
        assert (await stand.bus.get_frame("winners")).session == today, "never back"


async def test_a_start_while_closed_shows_daily_bars_unless_a_scanner_before_left_more(make, tmp_path):
    async with standing(make, tmp_path, at="19:59") as stand:
        stand.clock._now += timedelta(hours=1)
        await stand.put_baselines()

        def daily_bars(_):
            as_of = make.hours.close_at - timedelta(seconds=1)
            rows = {symbol: row | {"updated_at": as_of.timestamp()} for symbol, row in stand.tickers.items()}
            return msgspec.structs.replace(make.frame(as_of, **rows), whole_day=True)

        def scanner(epoch):
            return ScannerService(daily_bars, stand.bus, stand.clock, nyse(), "SIMULATED", epoch, None)

        await scanner(1).cycle()
        assert await stand.symbols("winners") == ["A", "B"]
        stand.tickers["A"] = LIVE | {"price": 90}
        await scanner(2).cycle()
        assert await stand.symbols("winners") == ["A", "B"], "left by a scanner that may have listened"
        await stand.bus.redis.flushall()
        await stand.put_baselines()
        await scanner(3).cycle()
        assert (await stand.symbols("winners"), await stand.symbols("losers")) == (["B"], ["A"])


async def test_gappers_after_the_close_are_those_of_the_last_open_frame_even_after_a_restart(make, tmp_path):
    async with standing(make, tmp_path, at="15:59:58") as stand:
        await stand.put_baselines()
        await stand.cycle(A={"open": 108}, B={"open": 105})
        await stand.cycle(seconds=600, A={"trades": 1, "dollar_volume": 1}, C={"open": 150})
        assert await stand.symbols("gappers_up") == ["A", "B"]
        stand.scanner = stand.scanner_of_epoch(2)
        await stand.cycle(B={"dollar_volume": 1})
        assert await stand.symbols("gappers_up") == ["A", "B"]


async def test_an_emptied_bus_is_filled_again_within_a_cycle(make, tmp_path):
    async with standing(make, tmp_path) as stand:
        await stand.put_baselines()
        await stand.cycle()
        await stand.bus.redis.flushall()
        sent = await stand.cycle(seconds=0)
        assert len(sent) == BUILT_IN
        assert await stand.symbols("winners") == ["A", "B"]
        assert len(await stand.bus.get_lists()) == BUILT_IN
        assert len(await stand.bus.redis.keys("scanner:*")) == 2 * BUILT_IN


async def test_any_key_that_one_master_lost_is_there_again_within_a_cycle(make, tmp_path):
    async with standing(make, tmp_path) as stand:
        await stand.put_baselines()
        await stand.cycle()
        keys = ["lists:current", *(f"frames:{definition.name}" for definition in await stand.bus.get_lists())]
        assert len(keys) == BUILT_IN + 1
        for lost in keys:
            await stand.bus.redis.delete(lost)
            assert len(await stand.cycle(seconds=0)) == BUILT_IN
            assert await stand.bus.redis.exists(lost)


async def test_a_persons_list_comes_changes_and_goes_while_others_keep_their_epoch(make, tmp_path):
    async with standing(make, tmp_path) as stand:
        await stand.put_baselines()
        await stand.cycle()
        stand.write(MINE)
        await stand.cycle()
        assert await stand.symbols("mine") == ["A", "B"]
        assert [found.name for found in await stand.bus.get_lists()][-1] == "mine"
        stand.write(MINE.replace(">= 100", ">= 108"))
        before = len(stand.messages)
        await stand.cycle()
        of_mine = [message for name, message in stand.messages[before:] if name == "mine"]
        assert [(type(message), message.epoch) for message in of_mine] == [(Snapshot, 3)]
        assert [row["symbol"] for row in of_mine[0].rows] == ["A"]  # at once, as of the last frame
        assert await stand.symbols("mine") == ["A"]
        assert (await stand.bus.get_frame("winners")).epoch == 1
        (stand.folder / "mine.toml").unlink()
        await stand.cycle()
        assert len(await stand.bus.get_lists()) == BUILT_IN
        assert await stand.bus.get_frame("mine") is None


async def test_an_edited_lists_epoch_comes_from_the_durable_counter(make, tmp_path):
    async with standing(make, tmp_path) as stand:
        stand.scanner = stand.scanner_of_epoch(1, next_epoch=iter([41]).__next__)
        await stand.cycle()
        stand.write(MINE)
        await stand.cycle()
        assert (await stand.bus.get_frame("mine")).epoch == 41
        stand.clock._now += timedelta(days=1)
        await stand.cycle()
        assert [(await stand.bus.get_frame(name)).epoch for name in ("mine", "winners")] == [41, 1]  # a new session keeps them


async def test_a_list_that_loses_its_last_row_is_published_once_as_empty(make, tmp_path):
    async with standing(make, tmp_path) as stand:
        await stand.put_baselines()
        await stand.cycle()
        assert await stand.symbols("winners") == ["A", "B"]
        gone = {"A": {"price": 100}, "B": {"price": 100}}
        emptied = (await stand.cycle(**gone))["winners"]
        assert sorted((type(step).__name__, step.symbol) for step in emptied.deltas) == [("Remove", "A"), ("Remove", "B")]
        assert await stand.symbols("winners") == []
        assert await stand.bus.redis.get("scanner:category:winners") == b"[]"
        for _ in range(3):
            assert "winners" not in await stand.cycle(**gone)
        filled = (await stand.cycle(A={"price": 110}))["winners"]
        assert (filled.base, filled.epoch) == (emptied.sequence, emptied.epoch)


async def test_states_only_go_forward_over_edits_restarts_and_sessions_by_the_one_durable_counter(make, tmp_path):
    url = f"sqlite:///{tmp_path / 'catalog.db'}"
    async with standing(make, tmp_path) as stand:

        def start():
            catalog = Catalog(url)  # opened anew, as by another process
            stand.scanner = stand.scanner_of_epoch(catalog.next_epoch(), next_epoch=catalog.next_epoch)

        async def epochs(**changes):
            await stand.cycle(**changes)
            return [(await stand.bus.get_frame(name)).epoch for name in ("winners", "losers", "mine")]

        stand.write(MINE)
        start()
        await stand.put_baselines()
        assert await epochs() == [1, 1, 1]
        stand.write(MINE.replace(">= 100", ">= 108"))
        assert await epochs(A={"price": 111}) == [1, 1, 2]
        start()
        assert await epochs(A={"price": 112}) == [3, 3, 3]
        assert await epochs(A={"price": 90}) == [3, 3, 3]
        stand.clock._now += timedelta(days=1)
        stand.session = date(2026, 3, 10)
        await stand.put_baselines()
        assert await epochs(A={"price": 110}) == [3, 3, 3]
        start()
        assert await epochs(A={"price": 111}) == [4, 4, 4]
        for name in ("winners", "losers", "mine"):
            places = [(message.session, message.epoch, message.sequence) for of, message in stand.messages if of == name]
            assert places == sorted(set(places)) and len(places) > 4


async def test_a_broken_file_leaves_the_list_as_it_was(make, tmp_path):
    async with standing(make, tmp_path) as stand:
        stand.write(MINE)
        await stand.put_baselines()
        await stand.cycle()
        stand.write(MINE.replace("price >= 100", "sum(price) >= 100"))
        assert "mine" not in await stand.cycle()
        await stand.cycle(A={"price": 120})
        assert [row["price"] for row in (await stand.bus.get_frame("mine")).rows] == [120.0, 107.0]


async def test_new_baselines_are_taken_when_told_and_when_looked_for(make, tmp_path):
    async with standing(make, tmp_path) as stand:
        running = asyncio.create_task(stand.scanner.run())
        try:
            await stand.clock.advance_to(stand.clock.now() + timedelta(seconds=3))
            assert await stand.symbols("winners") == []
            await stand.put_baselines()
            await stand.clock.advance_to(stand.clock.now() + timedelta(seconds=30))  # nobody told it
            assert await stand.symbols("winners") == ["A", "B"]
            held = make.baselines(make.session, A=USUAL, B=USUAL | {"prev_close": 106})
            await stand.bus.put_baselines(make.session, held.to_arrow())
            await stand.bus.publish(BASELINES_CHANGED, BaselinesChanged(make.session))
            async with asyncio.timeout(5):
                while await stand.symbols("winners") != ["A"]:
                    await stand.clock.advance_to(stand.clock.now() + timedelta(seconds=1))
            later = make.baselines(make.session, **dict.fromkeys([f"T{number}" for number in range(50)], USUAL), B=USUAL)
            await stand.bus.put_baselines(make.session, later.to_arrow())
            await stand.clock.advance_to(stand.clock.now() + timedelta(seconds=31))
            assert await stand.symbols("winners") == ["B"]
            assert not running.done()
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_cycles_come_once_a_second_of_the_clock(make, tmp_path):
    async with standing(make, tmp_path) as stand:
        running = asyncio.create_task(stand.scanner.run())
        await stand.clock.advance_to(make.eastern("10:00:20"))
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert stand.scanner.cycles == pytest.approx(21, abs=1)


async def test_whoever_asks_why_is_answered_over_the_bus_as_of_the_frame_that_stands(make, tmp_path):
    async with standing(make, tmp_path) as stand:
        await stand.put_baselines()
        running = asyncio.create_task(stand.scanner.run())
        try:
            async with asyncio.timeout(5):
                while (await stand.bus.redis.execute_command("PUBSUB", "NUMSUB", "explain:ask"))[1] == 0:
                    await stand.clock.advance_to(stand.clock.now() + timedelta(seconds=1))
            told = (await stand.bus.ask_to_explain("winners", "a")).explanation  # people write it small
            frame = await stand.bus.get_frame("winners")
            assert (told.symbol, told.rank, told.on_list) == ("A", 0, True)
            assert (told.session, told.epoch, told.sequence) == (frame.session, frame.epoch, frame.sequence)
            assert (await stand.bus.ask_to_explain("winners", "NOPE")).explanation.summary.startswith("NOPE is not in today's table")
            assert (await stand.bus.ask_to_explain("nothing", "A")).unknown_list.startswith("No list 'nothing'. The lists: anomalies,")
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_before_the_first_frame_there_is_nothing_to_explain(make, tmp_path):
    async with standing(make, tmp_path) as stand:
        stand.tickers = {}
        await stand.cycle()
        assert "winners has no frame for this session yet" in stand.scanner.explain(ExplainRequest("", "winners", "A")).not_now


def with_membership(stand, epoch, **options):
    """A scanner with the log of the stand's folder, as a start makes it."""
    stand.lake = Lake(stand.folder.parent / "lake", "0", simulated=True)
    stand.log = MembershipLog(stand.folder.parent / "membership", stand.lake, 60)
    stand.scanner = stand.scanner_of_epoch(epoch, membership=Membership(stand.log), **options)


def moves(stand, name="winners"):
    return [(each.event, each.symbol, each.rank) for each in stand.log.read(stand.make.session) if each.list == name]


async def test_every_enter_and_leave_is_logged_before_it_is_published_and_once_whatever_dies(make, tmp_path, monkeypatch):
    async with standing(make, tmp_path) as stand:
        with_membership(stand, 1)
        await stand.put_baselines()
        await stand.cycle()
        assert moves(stand) == [("enter", "A", 0), ("enter", "B", 1)]
        await stand.cycle(A={"price": 111})
        assert len(moves(stand)) == 2
        publish = stand.bus.publish_frames

        async def dies(_):
            raise BusUnavailable("killed here")

        monkeypatch.setattr(stand.bus, "publish_frames", dies)
        with pytest.raises(BusUnavailable):
            await stand.cycle(B={"price": 90})
        monkeypatch.setattr(stand.bus, "publish_frames", publish)
        with_membership(stand, 2)
        await stand.cycle(C={"price": 120})
        assert moves(stand) == [("enter", "A", 0), ("enter", "B", 1), ("leave", "B", 1)]
        left = next(each for each in stand.log.read(make.session) if each.event == "leave")
        assert (left.row["price"], left.row["symbol"]) == (107, "B")
        assert moves(stand, "losers") == [("enter", "B", 0)]


async def test_a_list_that_is_removed_loses_its_members_in_the_log(make, tmp_path):
    async with standing(make, tmp_path) as stand:
        with_membership(stand, 1)
        stand.write(MINE)
        await stand.put_baselines()
        await stand.cycle()
        (stand.folder / "mine.toml").unlink()
        await stand.cycle()
        assert moves(stand, "mine") == [("enter", "A", 0), ("enter", "B", 1), ("leave", "A", 0), ("leave", "B", 1)]


async def test_the_evening_brings_the_log_to_the_lake_and_the_next_session_forgets_it(make, tmp_path):
    async with standing(make, tmp_path, at="19:59") as stand:
        with_membership(stand, 1, cycle_seconds=60.0)
        stand.tickers = {"A": LIVE | {"close": 100, "post_dollar_volume": 1e6, "post_trades": 99}}
        await stand.put_baselines()
        running = asyncio.create_task(stand.scanner.run())
        try:
            await stand.clock.advance_to(datetime(2026, 3, 10, 0, 2, tzinfo=UTC))
            kept = stand.lake.read("membership", make.session)
            assert kept.filter(list="winners").select("symbol", "event", "rank").rows() == [("A", "enter", 0)]
            assert json.loads(kept["row"][0])["symbol"] == "A"
            assert stand.log.path(make.session).exists()
            await stand.clock.advance_to(datetime(2026, 3, 10, 7, 2, tzinfo=UTC))
            assert not stand.log.path(make.session).exists()
            assert stand.lake.sessions("membership") == [make.session]
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_a_session_that_was_left_over_comes_to_the_lake_at_the_next_start(make, tmp_path):
    async with standing(make, tmp_path) as stand:
        with_membership(stand, 1)
        await stand.put_baselines()
        await stand.cycle()
        stand.clock._now += timedelta(days=1)
        stand.session = date(2026, 3, 10)
        with_membership(stand, 2)
        await stand.cycle()
        await stand.scanner.settle_membership()
        assert stand.lake.read("membership", make.session).filter(list="winners").height == 2


async def test_gappers_after_the_close_are_found_in_the_log_when_the_bus_died_with_the_scanner(make, tmp_path):
    async with standing(make, tmp_path, at="15:59:57") as stand:
        with_membership(stand, 1)
        await stand.put_baselines()
        await stand.cycle(A={"open": 108}, B={"open": 105}, C={"open": 150})
        await stand.cycle(C={"open": 100})  # C left before the close
        await stand.bus.redis.flushall()
        await stand.put_baselines()
        stand.clock._now += timedelta(seconds=600)
        with_membership(stand, 2)
        await stand.cycle(A={"trades": 1, "dollar_volume": 1}, C={"open": 150})
        assert await stand.symbols("gappers_up") == ["A", "B"]


async def on_lists(stand):
    names = [definition.name for definition in await stand.bus.get_lists()]
    return {symbol for name in names for symbol in await stand.symbols(name)}


async def test_the_symbols_on_any_list_and_the_breadth_are_on_the_bus_even_when_it_was_emptied(make, tmp_path):
    async with standing(make, tmp_path) as stand:
        await stand.put_baselines()
        await stand.cycle()
        assert await stand.bus.get_active() == await on_lists(stand) == {"A", "B"}
        await stand.cycle(A={"price": 100.5, "volume": 1000, "dollar_volume": 100})
        assert await stand.bus.get_active() == await on_lists(stand) == {"B"}
        await stand.bus.redis.flushall()
        for _ in range(BUILT_IN + 1):
            await stand.cycle()
        assert await stand.bus.get_active() == {"B"}
        assert (await stand.bus.get_breadth()).session == stand.session
        stand.clock._now = nyse().hours(nyse().next(stand.session)).new_day_at
        stand.session = nyse().next(stand.session)
        stand.tickers = {}
        await stand.cycle()
        assert await stand.bus.get_active() == await on_lists(stand) == set()


async def heard(stand, *names):
    """Let the scanner hear that somebody watches these, as gateways say it."""
    listener = asyncio.create_task(stand.scanner._hear_of_variants())
    try:
        while not await stand.bus.publish(VARIANTS_WATCHED, VariantsWatched(names)):
            await asyncio.sleep(0.01)
        while len(stand.scanner._watched._heard) < len(names):
            await asyncio.sleep(0.01)
    finally:
        listener.cancel()
        await asyncio.gather(listener, return_exceptions=True)


FUNDS = {"A": USUAL, "B": USUAL, "F": USUAL | {"kind": "ETF"}, "L": USUAL | {"kind": "ETF", "name": "Daily 3x Shares"}}


async def test_a_list_in_another_class_is_scanned_while_somebody_watches_it(make, tmp_path, monkeypatch):
    async with standing(make, tmp_path) as stand:
        with_membership(stand, 1)
        stand.tickers |= {"F": LIVE | {"price": 150}, "L": LIVE | {"price": 190}}
        await stand.bus.put_baselines(make.session, make.baselines(**FUNDS).to_arrow())
        await stand.cycle()
        assert await stand.symbols("winners") == ["A", "B"]
        await heard(stand, "winners~etf", "winners~all", "winners~bonds", "nothing~etf")
        sent = await stand.cycle(seconds=0)
        assert set(sent) == {"winners~etf", "winners~all"}
        assert await stand.symbols("winners~etf") == ["F"]
        assert await stand.symbols("winners~all") == ["L", "F", "A", "B"]
        assert len(await stand.bus.redis.keys("scanner:*")) == 2 * BUILT_IN
        assert len(await stand.bus.get_lists()) == BUILT_IN
        assert not [each for each in stand.log.read(make.session) if "~" in each.list]
        assert stand.scanner.explain(ExplainRequest("", "winners~leveraged", "L")).explanation.on_list  # watched or not
        assert stand.scanner.explain(ExplainRequest("", "winners~bonds", "L")).unknown_list
        delta = (await stand.cycle(F={"price": 151}))["winners~etf"]
        assert [type(step).__name__ for step in delta.deltas] == ["Update"]
        monkeypatch.setattr(variants, "KEPT_SECONDS", 0.0)
        await stand.cycle()
        assert await stand.bus.get_frame("winners~etf") is None
        assert await stand.symbols("winners") == ["A", "B"]


async def test_who_switches_the_class_while_the_market_is_closed_sees_how_it_closed(make, tmp_path):
    async with standing(make, tmp_path, at="19:59") as stand:
        stand.tickers = {symbol: LIVE | {"close": 100, "post_dollar_volume": 1e6, "post_trades": 99} for symbol in FUNDS}
        await stand.bus.put_baselines(make.session, make.baselines(**FUNDS).to_arrow())
        await stand.cycle()
        await stand.cycle(seconds=3600)
        await heard(stand, "winners~leveraged")
        await stand.cycle()
        assert await stand.symbols("winners~leveraged") == ["L"]


async def test_a_variant_follows_its_list_when_that_is_edited_and_goes_with_it(make, tmp_path):
    async with standing(make, tmp_path) as stand:
        stand.write(MINE)
        await stand.bus.put_baselines(make.session, make.baselines(**FUNDS).to_arrow())
        stand.tickers |= {"F": LIVE | {"price": 150}}
        await stand.cycle()
        await heard(stand, "mine~etf")
        await stand.cycle()
        assert await stand.symbols("mine~etf") == ["F"]
        stand.write(MINE.replace(">= 100", ">= 200"))
        await stand.cycle()
        assert await stand.symbols("mine~etf") == []
        (stand.folder / "mine.toml").unlink()
        await stand.cycle()
        assert await stand.bus.get_frame("mine~etf") is None


async def test_what_a_frame_counts_is_recorded_before_anybody_sees_it(make, tmp_path):
    async with standing(make, tmp_path) as stand:
        seen = []

        async def recorded():
            await stand.heard()
            seen.append(len(stand.messages))

        stand.scanner = stand.scanner_of_epoch(1, recorded=recorded)
        await stand.put_baselines()
        await stand.cycle()
        first = len(stand.messages)
        sent = await stand.cycle(A={"price": 109})
        assert sent and seen[-1] == first


async def test_a_headline_comes_into_the_rows_of_the_next_cycle(make, tmp_path):
    async with standing(make, tmp_path) as stand:
        await stand.put_baselines()
        await stand.cycle()
        following = asyncio.create_task(stand.scanner._told.follow())
        piece = Article("n1", stand.clock.now(), "A wins a contract", ("A",))
        await stand.bus.append(NEWS, [(1, msgspec.json.encode(piece))])
        async with asyncio.timeout(20):
            while not stand.scanner._told.since(stand.clock.now() - timedelta(days=1)).news:
                await asyncio.sleep(0.005)
        await stand.cycle()
        rows = {row["symbol"]: row["headline"] for row in (await stand.bus.get_frame("winners")).rows}
        assert rows == {"A": "A wins a contract", "B": None}
        following.cancel()
        await asyncio.wait([following])
