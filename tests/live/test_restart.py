"""A service that is ended and started again, beside one that never stopped: on the simulator, the stepped clock, a real bus."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta

import numpy as np
import polars as pl
import structlog

from tests.simulator.conftest import SESSION, instant, serving
from tradeul.analytics.baselines import COLUMNS, SLOTS, Baselines
from tradeul.bus.embedded import EmbeddedServer
from tradeul.bus.redis import Bus
from tradeul.errors import NotEntitled
from tradeul.live import catch_up, recording
from tradeul.live.service import LiveService
from tradeul.market_calendar import nyse
from tradeul.providers.http import HttpClient
from tradeul.providers.polygon.client import PolygonClient
from tradeul.providers.polygon.stream import PolygonStream
from tradeul.simulator.synthetic import SyntheticMarket
from tradeul.store.tape import TapeFiles

SIZE = 150
PATHS = {"high_at", "high_count", "low_at", "low_count", "vwap_cross_at"}
WINDOWS = {f"{kind}_{span}" for kind in ("chg", "vol") for span in ("1m", "5m", "15m", "30m")} | {"dvol_5m", "trades_5m"}


class Party:
    """The vendor, the bus and the clock that several lives share."""

    def __init__(self, clock, server, bus, http):
        self.clock, self.server, self.bus, self.http = clock, server, bus, http
        self.running = {}

    def start(self, key, folder=None):
        """``key``: the vendor gives each but one connection."""
        market = PolygonClient(self.http, f"http://127.0.0.1:{self.server.port}")
        stream = PolygonStream(self.clock, f"ws://127.0.0.1:{self.server.port}/stocks", key)
        tape = None if folder is None else TapeFiles(folder, 20)
        service = LiveService(market, stream, self.bus, self.clock, nyse(), "SIMULATED", tape=tape)
        self.running[service] = asyncio.create_task(self.live(service))
        return service

    async def live(self, service):
        """The service, and a scanner's cycle."""
        async with asyncio.TaskGroup() as group:
            group.create_task(service.run())
            while True:
                service.frame()
                await service.recorded()
                await self.clock.sleep(1.0)

    async def end(self, service):
        """As a kill would: what waits to be written is not written."""
        running = self.running.pop(service)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@asynccontextmanager
async def party(tmp_path, start):
    async with serving(start, tickers=SIZE) as (server, clock), HttpClient(clock, 60_000, 10, "key") as http:
        valkey = EmbeddedServer(tmp_path, clock)
        await valkey.start()
        bus = Bus(valkey.url, clock)
        table = pl.DataFrame({"symbol": [issue.symbol for issue in SyntheticMarket(7, SIZE, nyse()).issues]}).with_columns(
            **{name: pl.lit(0.05 if name == "atr" else None, dtype) for name, dtype in COLUMNS.items() if name != "symbol"}
        )
        blob = Baselines(SESSION, True, 20, table.select(*COLUMNS), *np.zeros((3, table.height, SLOTS))).to_arrow()
        await bus.put_baselines(SESSION, blob)
        lives = Party(clock, server, bus, http)
        try:
            yield lives
        finally:
            for service in list(lives.running):
                await lives.end(service)
            await bus.close()
            await valkey.stop()


def differing(one, other, now, rtol=1e-9):
    """Columns in which two services' frames of one instant differ, and of how many symbols."""
    expected, got = one.frame(now), other.frame(now)
    assert expected.symbols == got.symbols
    same = {name: np.isclose(column, got.columns[name], rtol=rtol, atol=0, equal_nan=True) for name, column in expected.columns.items()}
    return {name: int((~equal).sum()) for name, equal in same.items() if not equal.all()}


async def test_killed_at_half_past_ten_and_started_again_every_column_is_that_of_the_run_that_never_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(recording, "CHECKPOINT_BARS", 7000)
    # The vendor speaks on the full second, cycles are between: nothing is heard while nobody lives.
    async with party(tmp_path, instant(10, 24) + timedelta(seconds=0.4)) as lives:
        clock = lives.clock
        whole, killed = lives.start("one"), lives.start("two", tmp_path / "tape")
        await clock.advance_to(instant(10, 30, 17) + timedelta(seconds=0.6))
        await lives.end(killed)
        with structlog.testing.capture_logs() as logs:
            again = lives.start("three", tmp_path / "tape")
            for seconds in (0.1, 2, 20, 60):
                await clock.advance_to(clock.now() + timedelta(seconds=seconds))
                assert differing(whole, again, clock.now()) == {}
        read, whole_tape = (next(line["bars"] for line in logs if line["event"] == f"live_{of}_read") for of in ("checkpoint", "tape"))
        assert 0 < read < whole_tape, logs
        frame = again.frame(clock.now())
        known = {name: int(np.isfinite(frame.columns[name]).sum()) for name in PATHS | {"chg_5m", "vol_5m"}}
        assert min(known.values()) > 0 and not frame.columns["partial"].any(), known


async def test_the_seconds_missed_between_a_kill_and_the_start_are_had_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(catch_up, "MISSED_PATIENCE_SECONDS", 120.0)  # of a busy machine
    async with party(tmp_path, instant(10, 25) + timedelta(seconds=0.4)) as lives:
        clock = lives.clock
        whole, killed = lives.start("one"), lives.start("two", tmp_path / "tape")
        await clock.advance_to(instant(10, 29, 10) + timedelta(seconds=0.6))
        await lives.end(killed)
        await clock.advance_to(instant(10, 29, 22) + timedelta(seconds=0.6))
        again = lives.start("three", tmp_path / "tape")
        for seconds in (4, 16):
            await clock.advance_to(clock.now() + timedelta(seconds=seconds))
            # The vendor corrects some seconds half a minute later; REST says them as they are in the end, or one was heard before.
            assert max(differing(whole, again, clock.now()).values(), default=0) <= 2
        # Across a minute's end: its bar was said to nobody. REST tells how many trades it had, the stream their rounded average size.
        await clock.advance_to(instant(10, 29, 52) + timedelta(seconds=0.6))
        await lives.end(again)
        await clock.advance_to(instant(10, 30, 7) + timedelta(seconds=0.6))
        again = lives.start("four", tmp_path / "tape")
        for seconds in (4, 16):
            await clock.advance_to(clock.now() + timedelta(seconds=seconds))
            differs = differing(whole, again, clock.now())
            assert max((symbols for name, symbols in differs.items() if name not in ("trades", "trades_5m")), default=0) <= 2
        await clock.advance_to(instant(10, 31, 5) + timedelta(seconds=0.6))
        assert set(differing(whole, again, clock.now())) <= {"trades", "trades_5m"}
        assert differing(whole, again, clock.now(), rtol=0.01) == {}


async def test_seconds_that_cannot_be_had_are_whole_with_the_next_minute(tmp_path, monkeypatch):
    async def refused(self, symbol, *_):
        raise NotEntitled("seconds: 403")

    monkeypatch.setattr(PolygonClient, "second_bars", refused)
    async with party(tmp_path, instant(10, 24) + timedelta(seconds=0.4)) as lives:
        clock = lives.clock
        whole, killed = lives.start("one"), lives.start("two", tmp_path / "tape")
        await clock.advance_to(instant(10, 29, 52) + timedelta(seconds=0.6))
        await lives.end(killed)
        await clock.advance_to(instant(10, 30, 7) + timedelta(seconds=0.6))
        again = lives.start("three", tmp_path / "tape")
        await clock.advance_to(clock.now() + timedelta(seconds=1))
        partial = again.frame(clock.now()).columns["partial"].sum()
        assert 0 < partial < 60  # those that traded then, as far as that minute has ended
        await clock.advance_to(instant(10, 31, 5) + timedelta(seconds=0.6))
        assert not again.frame(clock.now()).columns["partial"].any()
        # Of a missed minute whose shares had all been heard as seconds, the end and the rounding stay those of its seconds.
        of_seconds = {"updated_at", "dollar_volume", "vwap", "trades"}
        assert set(differing(whole, again, clock.now())) <= PATHS | WINDOWS | of_seconds
        assert set(differing(whole, again, clock.now(), rtol=0.01)) <= PATHS | WINDOWS
        before, after = whole.frame(clock.now()), again.frame(clock.now())
        unknown = {name: int(np.isnan(after.columns[name]).sum() - np.isnan(before.columns[name]).sum()) for name in PATHS | WINDOWS}
        assert max(unknown.values()) <= 3, unknown  # they go on, and are not begun anew


async def test_without_a_tape_all_but_the_paths_and_the_windows_is_that_of_the_run_that_never_stopped(tmp_path):
    async with party(tmp_path, instant(10, 24) + timedelta(seconds=0.4)) as lives:
        clock = lives.clock
        whole = lives.start("one")
        await clock.advance_to(instant(10, 30, 17))
        started = lives.start("two")
        await clock.advance_to(instant(10, 31, 6))
        assert not started.frame(clock.now()).columns["partial"].any()
        # REST tells how many trades a minute had, the stream their rounded average size.
        assert set(differing(whole, started, clock.now())) <= PATHS | WINDOWS | {"trades"}
        assert set(differing(whole, started, clock.now(), rtol=0.01)) <= PATHS | WINDOWS
        assert differing(whole, started, clock.now()).keys() >= {"high_at", "vol_5m", "chg_5m"}
