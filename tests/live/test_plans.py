"""Live on plans that have less, against the simulated vendor."""

from datetime import date, time, timedelta

import numpy as np

from tests.live.simulated import standing
from tradeul.errors import VendorUnavailable
from tradeul.market_calendar import at, nyse

SESSION = date(2026, 3, 9)
HOURS = nyse().hours(SESSION)
LATE = timedelta(minutes=15)


async def volumes_of_the_snapshot(stand):
    return {row.symbol: row.accumulated_volume or 0.0 for row in await stand.market.market_snapshot()}


def volumes(frame):
    return dict(zip(frame.symbols, frame.columns["volume"], strict=True))


async def test_without_a_stream_the_snapshot_is_polled_and_rows_are_live(tmp_path):
    async with standing(tmp_path, at(SESSION, time(9, 20)), key="snapshot-plan") as stand:
        await stand.clock.advance_to(at(SESSION, time(9, 36, 30)))
        status, frame = stand.live.status(), stand.live.frame()
        assert (status.stale, status.trouble) == (False, None) and status.feed_age_ms < 60_000
        told = await volumes_of_the_snapshot(stand)
        assert {symbol: volumes(frame).get(symbol, 0) for symbol in told} == told and sum(told.values()) > 0
        rows = {row.symbol: row for row in await stand.market.market_snapshot()}
        prices = dict(zip(frame.symbols, frame.columns["price"], strict=True))
        assert all(prices[symbol] == row.last_price for symbol, row in rows.items() if row.last_price is not None)
        assert not np.any(frame.columns["partial"]) and np.all(np.isnan(frame.columns["halted"]))


async def test_a_poll_that_fails_is_stale_and_the_next_heals(tmp_path):
    async with standing(tmp_path, at(SESSION, time(9, 40)), key="snapshot-plan") as stand:
        await stand.clock.advance_to(at(SESSION, time(9, 42)))
        market, stand.live._market = stand.live._market, Unreachable()
        await stand.clock.advance_to(at(SESSION, time(9, 45)))
        assert stand.live.status().stale and "503" in stand.live.status().trouble
        stand.live._market = market
        await stand.clock.advance_to(at(SESSION, time(9, 45, 30)))
        told = await volumes_of_the_snapshot(stand)
        assert not stand.live.status().stale and {symbol: volumes(stand.live.frame()).get(symbol, 0) for symbol in told} == told


class Unreachable:
    async def market_snapshot(self):
        raise VendorUnavailable("market snapshot: status 503")


async def test_a_delayed_plan_lives_a_quarter_of_an_hour_ago(tmp_path):
    """The clock says 09:40, the market 09:25: pre-market, nothing of it is late, nothing has opened."""
    start = at(SESSION, time(9, 40)) - timedelta(minutes=3)
    async with standing(tmp_path, start, key="starter-plan", mode="DELAYED", delay=LATE.total_seconds()) as stand:
        await stand.clock.advance_to(at(SESSION, time(9, 40)))
        status, frame = stand.live.status(), stand.live.frame()
        assert (status.phase, status.mode, status.stale) == ("PRE_MARKET", "DELAYED", False)
        assert frame.as_of == at(SESSION, time(9, 25)) and status.feed_age_ms < 60_000 and status.feed_lag_p99_ms < 60_000
        assert np.all(np.isnan(frame.columns["open"])) and np.nansum(frame.columns["volume"]) > 0
        await stand.clock.advance_to(at(SESSION, time(9, 46, 30)))
        status, frame = stand.live.status(), stand.live.frame()
        assert status.phase == "MARKET_OPEN" and not np.all(np.isnan(frame.columns["open"]))
        traded = frame.columns["volume"] > 0
        assert np.nanmax(frame.columns["updated_at"][traded]) <= at(SESSION, time(9, 31, 30)).timestamp()
        assert not np.any(frame.columns["partial"])


async def test_quotes_come_for_the_tickers_on_lists_and_end_with_them(tmp_path):
    async with standing(tmp_path, at(SESSION, time(9, 40))) as stand:
        await stand.clock.advance_to(at(SESSION, time(9, 41)))
        lead = max(volumes(stand.live.frame()).items(), key=lambda item: item[1])[0]
        assert spreads(stand) == {}
        await stand.bus.put_active([lead, "NOBODY"])
        await stand.clock.advance_to(at(SESSION, time(9, 42)))
        assert list(spreads(stand)) == [lead] and 0 < spreads(stand)[lead] < 2
        await stand.bus.put_active([])
        await stand.clock.advance_to(at(SESSION, time(9, 42, 20)))
        assert spreads(stand) == {}


async def test_a_plan_without_quotes_has_no_spread_and_goes_on(tmp_path):
    async with standing(tmp_path, at(SESSION, time(9, 50)), key="starter-plan", mode="DELAYED", delay=LATE.total_seconds()) as stand:
        await stand.bus.put_active([issue.symbol for issue in stand.simulator.market.source.issues])
        await stand.clock.advance_to(at(SESSION, time(9, 52)))
        assert spreads(stand) == {} and not stand.live.status().stale


def spreads(stand):
    frame = stand.live.frame()
    return {symbol: spread for symbol, spread in zip(frame.symbols, frame.columns["spread_pct"], strict=True) if not np.isnan(spread)}
