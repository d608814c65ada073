"""What the rest of the house relies on from any vendor behind `providers/ports.py`: inherit, and give a `vendor`.

The endpoints must agree with each other; each law asks two of them for the same thing.
"""

import asyncio
from collections import defaultdict
from contextlib import aclosing
from datetime import date, datetime, timedelta

import msgspec
import polars as pl
import pytest

from tests.providers.conftest import finish
from tradeul.errors import Unauthorized
from tradeul.market_calendar import nyse
from tradeul.providers.polygon.wire_files import decode_minute_file
from tradeul.providers.ports import MarketData, MarketStream, MinuteFiles

CALENDAR = nyse()


class Vendor(msgspec.Struct):
    """A vendor as at ``clock.now()``, which lies in a pre-market."""

    clock: object
    data: MarketData
    files: MinuteFiles
    stream: MarketStream
    data_of_wrong_key: MarketData
    stream_of_wrong_key: MarketStream

    def previous_session(self, sessions_ago: int = 1) -> date:
        return CALENDAR.before(CALENDAR.current_session(self.clock.now()), sessions_ago)[0]

    async def ask(self, awaitable):
        return await finish(self.clock, awaitable)


def start_ms(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)


class ProviderContract:
    async def test_tickers_come_once_each_over_all_pages(self, vendor):
        symbols = [ticker.symbol for ticker in await vendor.ask(vendor.data.tickers())]
        assert len(symbols) == len(set(symbols)) > 1_000

    async def test_one_ticker_is_what_all_tickers_say_of_it_and_an_unknown_one_is_none(self, vendor):
        listed = (await vendor.ask(vendor.data.tickers()))[3]
        assert await vendor.ask(vendor.data.ticker(listed.symbol)) == listed
        assert await vendor.ask(vendor.data.ticker("ZZZZZZ")) is None

    async def test_the_daily_bars_are_of_listed_tickers_and_sound(self, vendor):
        listed = {ticker.symbol for ticker in await vendor.ask(vendor.data.tickers())}
        bars = await vendor.ask(vendor.data.grouped_daily(vendor.previous_session()))
        assert bars
        assert {bar.symbol for bar in bars} <= listed
        assert len({bar.symbol for bar in bars}) == len(bars)
        assert all(bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high for bar in bars)

    async def test_a_day_without_data_is_an_empty_list(self, vendor):
        later = vendor.clock.now().date() + timedelta(days=300)
        assert await vendor.ask(vendor.data.grouped_daily(later)) == []
        assert await vendor.ask(vendor.data.intraday_bars("AAAAAAA", 5, later, later)) == []

    async def test_the_snapshot_agrees_with_the_last_close(self, vendor):
        rows = await vendor.ask(vendor.data.market_snapshot())
        closes = {bar.symbol: bar.close for bar in await vendor.ask(vendor.data.grouped_daily(vendor.previous_session()))}
        previous = {row.symbol: row.previous_close for row in rows if row.previous_close is not None}
        both = previous.keys() & closes.keys()
        assert len(both) > 0.9 * len(closes)
        # All but today's splits.
        assert sum(previous[symbol] != pytest.approx(closes[symbol]) for symbol in both) <= 5

    async def test_before_the_open_no_ticker_has_a_day(self, vendor):
        rows = await vendor.ask(vendor.data.market_snapshot())
        assert not [row.symbol for row in rows if row.day_close is not None]
        traded = [row for row in rows if row.minute_close is not None]
        assert traded
        assert all((row.accumulated_volume or 0) >= (row.minute_volume or 0) for row in traded)

    async def test_splits_lie_within_what_was_asked(self, vendor):
        since, until = vendor.previous_session(200), vendor.previous_session()
        splits = await vendor.ask(vendor.data.splits(since, until))
        assert splits
        assert all(since <= split.session <= until for split in splits)

    async def test_closures_lie_ahead(self, vendor):
        closures = await vendor.ask(vendor.data.closures())
        assert closures
        assert all(closure.session >= vendor.clock.now().date() and closure.closed == (closure.close_at_ms is None) for closure in closures)

    async def test_the_flat_file_the_minutes_and_the_day_agree(self, vendor):
        session = vendor.previous_session(2)
        found = await vendor.ask(vendor.files.minute_file(session))
        minutes = decode_minute_file(found.data).cast({"symbol": pl.String})
        days = {bar.symbol: bar for bar in await vendor.ask(vendor.data.grouped_daily(session))}
        sums = dict(minutes.group_by("symbol").agg(pl.col("volume").sum()).iter_rows())
        assert {symbol: sums.get(symbol, 0.0) for symbol in days} == pytest.approx({bar.symbol: bar.volume for bar in days.values()})
        symbol = max(days, key=lambda name: days[name].volume)
        by_rest = await vendor.ask(vendor.data.intraday_bars(symbol, 1, session, session))
        in_file = minutes.filter(pl.col("symbol") == symbol).sort("start_ms")
        assert [(b.start_ms, b.open, b.high, b.low, b.close, b.volume, b.trades) for b in by_rest] == in_file.drop("symbol").rows()

    async def test_five_minutes_are_the_sum_of_their_minutes(self, vendor):
        session = vendor.previous_session()
        symbol = max(await vendor.ask(vendor.data.grouped_daily(session)), key=lambda bar: bar.volume).symbol
        ones = await vendor.ask(vendor.data.intraday_bars(symbol, 1, session, session))
        fives = await vendor.ask(vendor.data.intraday_bars(symbol, 5, session, session))
        volumes = defaultdict(float)
        for bar in ones:
            volumes[bar.start_ms // 300_000 * 300_000] += bar.volume
        assert {bar.start_ms: bar.volume for bar in fives} == pytest.approx(dict(volumes))

    async def test_a_files_mark_stays_and_todays_is_not_there_yet(self, vendor):
        first, again = [await vendor.ask(vendor.files.minute_file(vendor.previous_session(2))) for _ in range(2)]
        assert (first.etag, first.data) == (again.etag, again.data)
        assert first.etag
        assert not await vendor.ask(vendor.files.is_replaced(vendor.previous_session(2), first.etag))
        assert await vendor.ask(vendor.files.is_replaced(vendor.previous_session(2), "another"))
        assert await vendor.ask(vendor.files.minute_file(vendor.clock.now().date())) is None
        assert not await vendor.ask(vendor.files.is_replaced(vendor.clock.now().date(), first.etag))

    async def test_the_streams_minutes_are_those_of_rest(self, vendor):
        began = vendor.clock.now()
        bars = {}

        async def listen():
            async with aclosing(vendor.stream.batches()) as batches:
                async for batch in batches:
                    assert not batch.resubscribed
                    # A later one for the same start replaces the earlier.
                    bars.update({(bar.symbol, bar.start_ms): bar for bar in batch.minutes})
                    assert all(bar.end_ms <= batch.received_ms for bar in batch.seconds + batch.minutes)

        listening = asyncio.create_task(listen())
        await vendor.clock.settle()
        await vendor.clock.advance_to(began + timedelta(minutes=4))
        assert not listening.done(), listening.exception()
        listening.cancel()
        await asyncio.wait([listening])
        first = (start_ms(began) // 60_000 + 1) * 60_000
        whole = {first, first + 60_000}
        counts = defaultdict(int)
        for symbol, start in bars:
            counts[symbol] += start in whole
        busiest = sorted(counts, key=counts.get)[-5:]
        for symbol in busiest:
            by_rest = await vendor.ask(vendor.data.intraday_bars(symbol, 1, began.date(), began.date()))
            wanted = {bar.start_ms: (bar.open, bar.high, bar.low, bar.close, bar.volume) for bar in by_rest if bar.start_ms in whole}
            got = {start: bars[symbol, start] for start in whole if (symbol, start) in bars}
            assert {start: (bar.open, bar.high, bar.low, bar.close, bar.volume) for start, bar in got.items()} == wanted
            assert wanted

    async def test_a_wrong_key_is_told_at_once(self, vendor):
        with pytest.raises(Unauthorized):
            await vendor.ask(vendor.data_of_wrong_key.tickers())
        with pytest.raises(Unauthorized):
            await vendor.ask(anext(vendor.stream_of_wrong_key.batches()))
