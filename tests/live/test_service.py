"""The shell on the stepped clock, with a real bus and a vendor that follows a script."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta

import msgspec
import numpy as np
import polars as pl
import pytest

from tradeul.analytics.baselines import COLUMNS, SLOTS, Baselines
from tradeul.bus.embedded import EmbeddedServer
from tradeul.bus.redis import Bus
from tradeul.bus.topics import BASELINES_CHANGED, FEED_STATUS
from tradeul.clock import SteppedClock
from tradeul.errors import NotEntitled, Unauthorized, VendorUnavailable
from tradeul.live.service import LiveService
from tradeul.market_calendar import nyse
from tradeul.records.bars import IntradayBar, StreamBar, StreamBatch, TickerSnapshot
from tradeul.records.entitlements import Mode
from tradeul.records.events import BaselinesChanged, StreamHealth
from tradeul.records.tickers import Ticker

SESSION = date(2025, 2, 13)
HOURS = nyse().hours(SESSION)
PRE = int(HOURS.pre_open_at.timestamp())
OPEN = int(HOURS.open_at.timestamp()) - PRE


def at(t):
    return datetime.fromtimestamp(PRE + t, UTC)


class ScriptedVendor:
    """REST and stream: bars of one share-count per symbol, one AM bar per minute, 2 s after its end."""

    def __init__(self, clock, symbols=("AAA", "BBB")):
        self.clock, self.symbols = clock, symbols
        self.asked, self.refuse, self.cut = [], {}, None
        self.shares = 100.0
        self.trouble, self.quoted = None, set()

    async def want_quotes(self, symbols):
        self.quoted = set(symbols)

    def health(self):
        return StreamHealth(self.trouble, 2_000, 2_050)

    def fail(self, what):
        if self.refuse.get(what):
            raise self.refuse[what].pop()

    async def market_snapshot(self):
        self.fail("snapshot")
        now = self.clock.now().timestamp()
        done = int(now - PRE) // 60
        told = {"updated_ms": int(now * 1000), "minute_start_ms": (PRE + (done - 1) * 60) * 1000, "minute_volume": self.shares}
        return [TickerSnapshot(s, accumulated_volume=done * self.shares, last_price=10.0, minute_close=10.0, **told) for s in self.symbols]

    async def intraday_bars(self, symbol, minutes, start, end):
        self.asked.append(symbol)
        self.fail(symbol)
        assert (minutes, start, end) == (1, SESSION, SESSION)
        done = int(self.clock.now().timestamp() - PRE) // 60 + 1  # the running one too
        return [IntradayBar(symbol, (PRE + m * 60) * 1000, 10, 10, 10, 10, self.shares, 10.0, 7) for m in range(done)]

    async def batches(self):
        resubscribed = False
        while True:
            now = int(self.clock.now().timestamp()) - PRE
            await self.clock.sleep_until(at((now - 2) // 60 * 60 + 62))
            now = int(self.clock.now().timestamp()) - PRE
            if now < 62:
                continue
            if self.cut and self.cut[0] <= now < self.cut[1]:
                resubscribed = True
                continue
            ms = (PRE + now - 62) * 1000
            bars = [StreamBar(s, ms, ms + 60_000, 10, 10, 10, 10, self.shares, 10.0, self.shares / 7) for s in self.symbols]
            yield StreamBatch(int(self.clock.now().timestamp() * 1000), [], bars, resubscribed=resubscribed)
            resubscribed = False


@asynccontextmanager
async def living(tmp_path, start, vendor_of=ScriptedVendor):
    clock = SteppedClock(start)
    server = EmbeddedServer(tmp_path, clock)
    await server.start()
    bus, vendor = Bus(server.url, clock), vendor_of(clock)
    service = LiveService(vendor, vendor, bus, clock, nyse(), "SIMULATED")
    running = asyncio.create_task(service.run())
    try:
        yield clock, bus, vendor, service, running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await bus.close()
        await server.stop()


def row(service, symbol="AAA"):
    frame = service.frame()
    return {name: float(column[frame.symbols.index(symbol)]) for name, column in frame.columns.items()}


async def test_a_start_inside_the_session_ends_equal_to_the_vendors_volume(tmp_path):
    async with living(tmp_path, at(OPEN - 80)) as (clock, _, vendor, service, _):
        await clock.advance_to(at(OPEN - 78))
        assert vendor.asked == ["AAA", "BBB"] and row(service)["partial"] == 1
        await clock.advance_to(at(OPEN - 50))
        got = row(service)
        assert (got["partial"], got["volume"], got["trades"]) == (0, 100 * 329, 7 * 329)
        await clock.advance_to(at(OPEN + 123))
        got = row(service)
        assert (got["volume"], got["pm_volume"], got["vol_1m"]) == (100 * 332, 100 * 330, 100)


async def test_a_start_before_the_session_asks_nothing(tmp_path):
    async with living(tmp_path, at(-100)) as (clock, _, vendor, service, _):
        await clock.advance_to(at(200))
        assert vendor.asked == [] and row(service)["volume"] == 300 and row(service)["vol_30m"] == 300


async def test_what_a_lost_connection_missed_is_asked_for(tmp_path):
    async with living(tmp_path, at(-100)) as (clock, _, vendor, service, _):
        vendor.cut = (200, 500)
        await clock.advance_to(at(490))
        assert row(service)["volume"] == 300
        await clock.advance_to(at(560))
        assert sorted(vendor.asked) == ["AAA", "BBB"] and row(service)["volume"] == 900
        await clock.advance_to(at(700))
        assert (row(service)["partial"], row(service)["volume"], row(service)["vol_5m"]) == (0, 1100, 500)


async def test_what_could_not_be_had_is_asked_again(tmp_path):
    async with living(tmp_path, at(OPEN - 80)) as (clock, _, vendor, service, _):
        vendor.refuse = {"snapshot": [VendorUnavailable("503")], "BBB": [VendorUnavailable("503")]}
        await clock.advance_to(at(OPEN - 40))
        assert row(service, "BBB")["partial"] == 0 and row(service, "BBB")["volume"] == 100 * 329


async def test_without_entitlement_live_goes_on_and_rows_stay_partial(tmp_path):
    async with living(tmp_path, at(OPEN - 80)) as (clock, _, vendor, service, running):
        vendor.refuse = {"AAA": [NotEntitled("403")], "BBB": [NotEntitled("403")]}
        await clock.advance_to(at(OPEN - 65))
        assert row(service)["partial"] == 1 and not running.done()


async def test_a_wrong_key_ends_the_run(tmp_path):
    async with living(tmp_path, at(OPEN - 80)) as (clock, _, vendor, _, running):
        vendor.refuse = {"snapshot": [Unauthorized("401")]}
        await clock.advance_to(at(OPEN - 78))
        with pytest.raises(ExceptionGroup) as failed:
            await running
        assert failed.group_contains(Unauthorized)


async def test_live_rolls_over_by_itself(tmp_path):
    async with living(tmp_path, at(57_600 - 30)) as (clock, _, vendor, service, _):
        await clock.advance_to(at(57_600 + 30))
        assert row(service)["volume"] == 100 * 960
        # The next session's 03:00: jump there, as after a night's sleep.
        vendor.cut = (57_600 + 60, 10**9)
        clock._now = nyse().hours(nyse().next(SESSION)).new_day_at + timedelta(seconds=1)
        frame = service.frame()
        assert frame.session == nyse().next(SESSION) and len(frame.symbols) == 0


async def test_the_universe_and_its_levels_come_with_the_baselines(tmp_path):
    async with living(tmp_path, at(-100)) as (clock, bus, _, service, _):
        await clock.advance_to(at(-90))
        assert len(service.frame().symbols) == 0
        table = pl.DataFrame({"symbol": ["AAA", "ZZZ"], "atr": [1.0, None]}).with_columns(
            **{name: pl.lit(None, dtype) for name, dtype in COLUMNS.items() if name not in ("symbol", "atr")}
        )
        blob = Baselines(SESSION, True, 20, table.select(*COLUMNS), *np.zeros((3, 2, SLOTS))).to_arrow()
        await bus.put_baselines(SESSION, blob)
        await bus.publish(BASELINES_CHANGED, BaselinesChanged(SESSION))
        await clock.advance_to(at(-50))
        assert list(service.frame().symbols) == ["AAA", "ZZZ"]
        assert service.table.columns["atr"][:2] == pytest.approx([1.0, np.nan], nan_ok=True)


@asynccontextmanager
async def hearing(bus):
    """What is told of the feed, as it is told."""
    told = asyncio.Queue()

    async def listen():
        async for status in bus.subscribe(FEED_STATUS):
            told.put_nowait(status)

    listening = asyncio.create_task(listen())
    async with asyncio.timeout(5):
        while await bus.redis.execute_command("PUBSUB", "NUMSUB", "feed:status") != [b"feed:status", 1]:
            await asyncio.sleep(0.01)
    yield told
    listening.cancel()


async def next_of(told, wanted):
    async with asyncio.timeout(5):
        while not wanted(status := await told.get()):
            pass
    return status


async def test_the_feed_is_told_and_its_silence_is_stale(tmp_path):
    async with living(tmp_path, at(-3)) as (clock, bus, vendor, service, _), hearing(bus) as told:
        vendor.cut = (190, 10**9)
        await clock.advance_to(at(130))
        status = await next_of(told, lambda status: status.messages == 4)
        assert (status.phase, status.mode, status.symbols, status.trouble) == ("PRE_MARKET", "SIMULATED", 2, None)
        assert (status.feed_lag_p50_ms, status.feed_lag_p99_ms, status.stale) == (2_000, 2_050, False)
        assert service.status().feed_age_ms == 10_000
        await clock.advance_to(at(270))
        assert (await next_of(told, lambda status: status.stale)).feed_age_ms >= 75_000


class Seconds(ScriptedVendor):
    async def batches(self):
        now = int(self.clock.now().timestamp()) - PRE
        while True:
            now += 1
            await self.clock.sleep_until(at(now))
            if self.cut is None or now < self.cut[0]:
                ms = (PRE + now - 3) * 1000
                yield StreamBatch((PRE + now) * 1000, [StreamBar("AAA", ms, ms + 1000, 10, 10, 10, 10, 1.0)], [])


@pytest.mark.parametrize("is_silent", [True, False])
async def test_a_feed_that_stops_is_told_to_be_stale_within_five_seconds(tmp_path, is_silent):
    async with living(tmp_path, at(1000), Seconds) as (clock, bus, vendor, *_), hearing(bus) as told:
        vendor.cut = (1021, None)  # the last bar is heard at 1020
        await clock.advance_to(at(1020))
        if not is_silent:
            vendor.trouble = "closed by the server"
        await clock.advance_to(at(1025))
        status = await next_of(told, lambda status: status.stale)
        assert status.trouble == vendor.trouble
        vendor.cut = vendor.trouble = None
        await clock.advance_to(at(1028))
        assert not (await next_of(told, lambda status: not status.stale)).trouble


class Forgetful(ScriptedVendor):
    """Its stream leaves out two minutes of BBB, and its snapshot always counts seven shares of AAA more than its bars."""

    def __init__(self, clock):
        super().__init__(clock)
        self.snapshots = 0

    async def market_snapshot(self):
        self.snapshots += 1
        told = await super().market_snapshot()
        return [msgspec.structs.replace(row, accumulated_volume=row.accumulated_volume + 7 * (row.symbol == "AAA")) for row in told]

    async def batches(self):
        async for batch in super().batches():
            minute = (batch.minutes[0].start_ms // 1000 - PRE) // 60
            kept = [bar for bar in batch.minutes if bar.symbol != "BBB" or minute not in (3, 4)]
            yield msgspec.structs.replace(batch, minutes=kept)


async def test_what_the_snapshot_says_otherwise_is_counted_and_healed_once(tmp_path):
    async with living(tmp_path, at(-100), Forgetful) as (clock, _, vendor, service, _):
        await clock.advance_to(at(390))
        assert row(service, "BBB")["volume"] == 400
        await clock.advance_to(at(640))
        assert row(service, "BBB")["volume"] == 1000 and sorted(vendor.asked) == ["AAA", "BBB"]
        await clock.advance_to(at(1990))
        assert vendor.snapshots == 5 and sorted(vendor.asked) == ["AAA", "BBB"]
        status = service.status()
        assert (status.differences, status.healed, row(service)["volume"]) == (2, 1, 3300)


class Opening(ScriptedVendor):
    """Its bars do not say the official open; its snapshot does, of AAA."""

    async def market_snapshot(self):
        told = await super().market_snapshot()
        opened = self.clock.now() > at(OPEN + 60)
        return [msgspec.structs.replace(row, day_open=10.5 if opened and row.symbol == "AAA" else None) for row in told]


async def test_the_official_open_is_taken_from_the_next_snapshot(tmp_path):
    async with living(tmp_path, at(OPEN - 150), Opening) as (clock, _, _, service, _):
        await clock.advance_to(at(OPEN + 140))
        assert (row(service)["open"], service.status().differences) == (10.0, 0)
        await clock.advance_to(at(OPEN + 230))
        assert (row(service)["open"], row(service, "BBB")["open"], service.status().differences) == (10.5, 10.0, 0)
        await clock.advance_to(at(OPEN + 400))
        assert row(service)["open"] == 10.5


async def test_a_closed_market_is_not_reconciled(tmp_path):
    async with living(tmp_path, at(57_600 - 400), Forgetful) as (clock, _, vendor, *_):
        await clock.advance_to(at(57_600 + 7200))
        assert 3 <= vendor.snapshots <= 5


class Listing(ScriptedVendor):
    """Lists NEW, a warrant, and knows nothing of XXX."""

    def __init__(self, clock):
        super().__init__(clock, ("AAA", "NEW", "XXX"))
        self.asked_of = []

    async def ticker(self, symbol):
        self.asked_of.append(symbol)
        self.fail("ticker")
        return Ticker(symbol, "New Inc. Warrant", "WARRANT") if symbol == "NEW" else None


async def test_a_symbol_that_appears_is_asked_of_the_reference_once(tmp_path):
    async with living(tmp_path, at(-100), Listing) as (clock, bus, vendor, service, _):
        await clock.advance_to(at(90))
        assert vendor.asked_of == []  # without the universe everybody would be new
        table = pl.DataFrame({"symbol": ["AAA"], "atr": [1.0]}).with_columns(
            **{name: pl.lit(None, dtype) for name, dtype in COLUMNS.items() if name not in ("symbol", "atr")}
        )
        await bus.put_baselines(SESSION, Baselines(SESSION, True, 20, table.select(*COLUMNS), *np.zeros((3, 1, SLOTS))).to_arrow())
        vendor.refuse = {"ticker": [VendorUnavailable("503")]}
        await clock.advance_to(at(900))
        assert vendor.asked_of == ["NEW", "NEW", "XXX"]
        frame = service.frame()
        assert frame.newcomers == {"NEW": Ticker("NEW", "New Inc. Warrant", "WARRANT")}


class Streamless(ScriptedVendor):
    async def batches(self):
        raise NotEntitled("403")
        yield


async def test_a_plan_without_a_stream_is_told_and_does_not_end_the_product(tmp_path):
    async with living(tmp_path, at(OPEN - 80), Streamless) as (clock, *_, running):
        await clock.advance_to(at(OPEN - 78))
        with pytest.raises(ExceptionGroup) as failed:
            await running
        assert failed.group_contains(NotEntitled)  # nobody wanted to know
    told = []

    async def refused():
        told.append(service)
        service.mode = Mode.END_OF_DAY

    clock = SteppedClock(at(OPEN - 80))
    server = EmbeddedServer(tmp_path, clock)
    await server.start()
    bus, vendor = Bus(server.url, clock), Streamless(clock)
    service = LiveService(vendor, vendor, bus, clock, nyse(), Mode.LIVE, stream_refused=refused)
    running = asyncio.create_task(service.run())
    try:
        await clock.advance_to(at(OPEN + 60))
        assert told == [service] and not running.done()
        assert (service.status().mode, service.status().stale) == ("END_OF_DAY", False)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await bus.close()
        await server.stop()
