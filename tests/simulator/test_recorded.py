import asyncio
from datetime import UTC, date, datetime, time

import massive
import polars as pl
import pytest

from tests.simulator.conftest import serving
from tradeul.errors import StartError
from tradeul.market_calendar import at, nyse
from tradeul.simulator.recorded import RecordedMarket

DAY = date(2025, 2, 13)


def write(path, rows):
    names = ("ticker", "ts", "open", "high", "low", "close", "volume")
    pl.DataFrame(rows, schema=names, orient="row").with_columns(pl.col("ts").cast(pl.Datetime("us", "UTC"))).write_parquet(path)
    return path


@pytest.fixture
def recording(tmp_path):
    def bar(symbol, session, hour, minute, price, volume):
        return symbol, at(session, time(hour, minute)).astimezone(UTC), price, price + 1, price - 1, price + 0.5, volume

    before = nyse().previous(DAY)
    rows = [bar("AAA", before, 15, 59, 10.0, 700), bar("AAA", before, 17, 0, 14.0, 50), bar("AAA", date(2025, 2, 15), 12, 0, 9.0, 1)]
    rows += [bar("AAA", DAY, 8, 0, 11.12345, 100), bar("AAA", DAY, 9, 31, 12.0, 200), bar("AAA", DAY, 15, 59, 13.0, 400)]
    rows += [bar("BBB", DAY, 9, 30, 5.0, 30), bar("AAA", DAY, 18, 0, 20.0, 800), bar("AAA", DAY, 2, 0, 1.0, 5)]
    return write(tmp_path / "bars.parquet", rows)


def test_daily_bars_are_sums_of_the_recorded_rows(recording):
    market = RecordedMarket(recording, nyse())
    daily = market.daily(DAY)
    assert daily.key.tolist() == [0, 1]
    assert (daily.open[0], daily.high[0], daily.low[0], daily.close[0]) == (12.0, 14.0, 11.0, 13.5)
    assert daily.volume.tolist() == [1500, 30]
    assert market.minutes(DAY).open[0] == 11.12345
    assert [market.covers(day) for day in (DAY, date(2025, 2, 15), date(2025, 2, 18))] == [True, False, False]
    two = market.daily_of(0, [nyse().previous(DAY), DAY])
    assert (two.key.tolist(), two.close.tolist(), two.volume.tolist()) == ([0, 1], [10.5, 13.5], [750, 1500])


async def test_a_recorded_day_is_served_as_if_by_the_vendor(recording):
    async with serving(at(DAY, time(9, 31, 30)), recording=recording) as (server, clock):
        client = massive.RESTClient(api_key="k", base=f"http://127.0.0.1:{server.port}", retries=0)

        def ask():
            assert [(t.ticker, t.type) for t in client.list_tickers(market="stocks")] == [("AAA", "CS"), ("BBB", "CS")]
            first, second = client.get_snapshot_all("stocks")
            assert (first.day.open, second.day.open, second.day.close) == (0, 5.0, 5.5)
            assert (first.min.accumulated_volume, first.prev_day.close, first.last_trade.price) == (100, 10.5, 11.62345)
            [grouped] = client.get_grouped_daily_aggs(DAY.isoformat())
            assert (grouped.ticker, grouped.volume, grouped.vwap, grouped.transactions) == ("BBB", 30, None, None)
            bars = client.get_aggs("AAA", 1, "minute", DAY.isoformat(), DAY.isoformat())
            assert [(bar.open, bar.volume, bar.vwap) for bar in bars] == [(11.12345, 100, None)]
            assert client.get_aggs("AAA", 1, "second", DAY.isoformat(), DAY.isoformat()) == []
            assert list(client.list_stocks_splits()) == list(client.list_ticker_news()) == []
            assert client.get_ticker_details("AAA").type == "CS"

        await asyncio.to_thread(ask)
        got = []

        async def take(messages):
            got.extend(messages)

        stream = massive.WebSocketClient("k", feed=f"127.0.0.1:{server.port}", market="stocks", subscriptions=["A.*", "AM.*"], secure=False)
        task = asyncio.create_task(stream.connect(take))
        await server.subscribed(2)
        await clock.advance_to(at(DAY, time(16, 5)))
        task.cancel()
        await stream.close()
        assert [(m.event_type, m.symbol, m.volume, m.accumulated_volume, m.official_open_price, m.average_size) for m in got] == [
            ("AM", "AAA", 200, 300, 12.0, None),
            ("AM", "AAA", 400, 700, 12.0, None),
        ]
        assert got[1].aggregate_vwap == pytest.approx((11.62345 * 100 + 12.5 * 200 + 13.5 * 400) / 700, abs=1e-4)
        assert got[0].end_timestamp == at(DAY, time(9, 32)).timestamp() * 1000


@pytest.mark.parametrize("content", [b"", b"not parquet"])
def test_a_recording_that_cannot_be_played_is_one_sentence(tmp_path, content):
    path = tmp_path / "broken.parquet"
    path.write_bytes(content)
    with pytest.raises(StartError, match="needs the columns"):
        RecordedMarket(path, nyse())
    with pytest.raises(StartError, match="needs the columns"):
        RecordedMarket(tmp_path / "absent.parquet", nyse())


def test_a_recording_without_a_column_is_refused(tmp_path):
    pl.DataFrame({"ticker": ["A"], "ts": [datetime(2025, 2, 13, 15, tzinfo=UTC)]}).write_parquet(tmp_path / "thin.parquet")
    with pytest.raises(StartError, match="needs the columns"):
        RecordedMarket(tmp_path / "thin.parquet", nyse())


def test_the_real_recording_equals_its_file(shared_data):
    path = shared_data / "bars" / "us_1min_ext_2025-01-02_2025-02-28.parquet"
    market = RecordedMarket(path, nyse())
    raw = pl.read_parquet(path).with_columns(pl.col("ts").dt.convert_time_zone("America/New_York"))
    wanted = raw.filter(pl.col("ts").dt.date() == DAY).sort("ticker", "ts")
    bars, daily = market.minutes(DAY), market.daily(DAY)
    assert bars.open.tolist() == wanted["open"].to_list()
    assert bars.volume.tolist() == wanted["volume"].to_list()
    opened = pl.col("ts").dt.time() >= time(9, 30)
    before_close = pl.col("ts").dt.time() < time(16, 0)
    days = wanted.filter(opened & before_close).group_by("ticker", maintain_order=True).agg(pl.col("open").first(), pl.col("close").last())
    assert (daily.open.tolist(), daily.close.tolist()) == (days["open"].to_list(), days["close"].to_list())
    assert daily.volume.tolist() == wanted.group_by("ticker", maintain_order=True).agg(pl.col("volume").sum())["volume"].to_list()
    assert not market.covers(date(2025, 1, 9))
    assert market.issues[0].list_date == date(2025, 1, 1)
