"""A session by its daily bars, from a real lake; and when live shows it."""

from contextlib import closing
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from tests.s3_server import Line
from tradeul.clock import SteppedClock
from tradeul.live.last_close import COLUMNS, Closes, close_frame
from tradeul.live.service import LiveService
from tradeul.market_calendar import Phase, nyse
from tradeul.records.bars import StreamBar, StreamBatch
from tradeul.records.entitlements import Mode
from tradeul.store.lake import Lake
from tradeul.store.lake_objects import Objects

FRIDAY, MONDAY = date(2025, 2, 14), date(2025, 2, 18)  # 2025-02-17 is a holiday
HOURS = nyse().hours(FRIDAY)
SATURDAY = datetime(2025, 2, 15, 15, 0, tzinfo=UTC)
TUESDAY_NOON = datetime(2025, 2, 18, 17, 0, tzinfo=UTC)


def bars(**close):
    rows = [
        (symbol, price - 1, price + 1, price - 2, price, 1000.0, None if symbol == "ZZZ" else price + 0.5, 40)
        for symbol, price in close.items()
    ]
    return pl.DataFrame(rows, schema=COLUMNS, orient="row").cast({"trades": pl.Int64, "vwap": pl.Float64})


@pytest.fixture
def lake(tmp_path):
    return Lake(tmp_path / "lake", "test", simulated=True)


def live(lake, now, mode=Mode.LIVE):
    closes = Closes(lake, nyse())
    closes.look(nyse().current_session(now))
    return LiveService(None, None, None, SteppedClock(now), nyse(), mode, closes=closes)


def test_the_frame_of_a_close_knows_the_day_and_claims_no_minute():
    frame = close_frame(bars(ZZZ=10.0, AAA=20.0), HOURS)
    assert frame.symbols == ["AAA", "ZZZ"] and frame.whole_day and frame.session == FRIDAY
    assert HOURS.phase(frame.as_of) is Phase.MARKET_OPEN, "judged by the floors of regular trading"
    known = {name: column.tolist() for name, column in frame.columns.items()}
    assert (known["price"], known["open"], known["trades"]) == ([20, 10], [19, 9], [40, 40])
    assert known["dollar_volume"] == [20.5 * 1000, 10.0 * 1000], "by vwap; by the close where there is none"
    assert not {"vol_5m", "chg_5m", "pm_high", "high_at", "post_volume"} & known.keys()


def test_the_newest_session_up_to_the_current_one_is_read_and_read_again_when_it_changed(lake):
    closes = Closes(lake, nyse())
    closes.look(FRIDAY)
    assert closes.newest is None
    for session in (date(2025, 2, 13), FRIDAY, MONDAY):
        lake.write("ohlc_daily", session, bars(AAA=20.0), "REST")
    closes.look(FRIDAY)
    first = closes.newest
    assert first.session == FRIDAY
    closes.look(FRIDAY)
    assert closes.newest is first
    lake.write("ohlc_daily", FRIDAY, bars(AAA=21.0), "REST")
    closes.look(FRIDAY)
    assert closes.newest.columns["price"].tolist() == [21]


def test_an_unreadable_partition_leaves_the_close_that_is_held(lake):
    lake.write("ohlc_daily", FRIDAY, bars(AAA=20.0), "REST")
    closes = Closes(lake, nyse())
    closes.look(MONDAY)
    lake.write("ohlc_daily", MONDAY, bars(AAA=22.0), "REST")
    lake.path("ohlc_daily", MONDAY).write_bytes(b"PAR1 no more")
    closes.look(MONDAY)
    assert closes.newest.session == FRIDAY


def test_a_bucket_that_went_away_leaves_the_close_that_is_held(s3, tmp_path):
    with closing(Line(s3.url)) as line:
        lake = Lake(tmp_path / "lake", "test", True, Objects(s3.bucket(endpoint=line.url), tmp_path / "copies"))
        lake.write("ohlc_daily", FRIDAY, bars(AAA=20.0), "REST")
        closes = Closes(lake, nyse())
        closes.look(MONDAY)
        lake.write("ohlc_daily", MONDAY, bars(AAA=22.0), "REST")
        line.cut_after_bytes = 0
        closes.look(MONDAY)
        assert closes.newest.session == FRIDAY
        line.cut_after_bytes = None
        closes.look(MONDAY)
        assert closes.newest.session == MONDAY


def test_without_live_prices_the_last_close_is_shown_until_the_next_is_there(lake):
    lake.write("ohlc_daily", FRIDAY, bars(AAA=20.0), "REST")
    assert live(lake, TUESDAY_NOON, Mode.END_OF_DAY).frame().session == FRIDAY
    assert live(lake, TUESDAY_NOON).frame().session == MONDAY, "a live product shows no other session"


def test_a_session_that_nobody_listened_to_is_shown_by_its_bars_once_it_is_over(lake):
    lake.write("ohlc_daily", FRIDAY, bars(AAA=20.0), "REST")
    assert live(lake, SATURDAY).frame().whole_day
    assert not live(lake, HOURS.close_at + timedelta(hours=1)).frame().whole_day, "post-market: the stream tells"
    service = live(lake, SATURDAY)
    start_ms = int(HOURS.close_at.timestamp() * 1000) - 60_000
    service.table.apply(StreamBatch(start_ms, [], [StreamBar("AAA", start_ms, start_ms + 60_000, 10, 10, 10, 10, 100)]))
    frame = service.frame()
    assert not frame.whole_day and frame.as_of == HOURS.post_close_at - timedelta(seconds=1), "heard: as at its end"
