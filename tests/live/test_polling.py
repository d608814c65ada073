"""Snapshots of a random market, polled at random moments, against the table that heard every bar."""

import random

import msgspec
import numpy as np
import pytest

from tests.live.test_recovery import HOURS, PRE, market, minutes_of, send, snapshot_of, value
from tradeul.live.polling import SnapshotBars
from tradeul.live.today_table import TodayTable
from tradeul.records.bars import TickerSnapshot


def table(symbols):
    made = TodayTable(HOURS, 8)
    made.set_levels(symbols, np.full(len(symbols), 1.0), np.full(len(symbols), 50.0))
    return made


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("pace", [3, 20, 150])
def test_volume_and_price_are_what_the_last_poll_said(seed, pace):
    symbols, rng = ["AAA", "BBB", "CCC"], random.Random(seed)
    bars = market(seed, symbols, 1590)
    stream, _ = minutes_of(bars)
    heard, polled, source = table(symbols), table(symbols), SnapshotBars(PRE * 1000)
    source.take([], PRE * 1000)
    t = 0
    while t < 1600:
        step = rng.randrange(1, 2 * pace)
        send(heard, bars, stream, t, t + step)
        t += step
        rows = [snapshot_of(symbol, bars, t) for symbol in symbols]
        polled.apply(source.take(rows, (PRE + t) * 1000))
        for row in rows:
            assert value(polled, "volume", t, row.symbol) == (row.accumulated_volume or 0)
            assert value(polled, "price", t, row.symbol) == pytest.approx(row.last_price or np.nan, nan_ok=True)
    t = 1680
    send(heard, bars, stream, 1600, t)
    polled.apply(source.take([snapshot_of(symbol, bars, t) for symbol in symbols], (PRE + t) * 1000))
    for symbol in symbols:
        assert value(polled, "volume", t, symbol) == value(heard, "volume", t, symbol)
        if pace == 3:  # every minute was seen: windows are right to the poll
            assert value(polled, "vol_5m", t, symbol) == value(heard, "vol_5m", t, symbol)


def row(t, start, volume, av, price, last=None):
    told = {"minute_start_ms": (PRE + start) * 1000, "minute_close": price, "minute_volume": volume, "accumulated_volume": av}
    return TickerSnapshot("AAA", last_ms=(PRE + t) * 1000, last_price=last or price, **told)


def test_the_price_is_the_last_trade_beyond_the_newest_minute():
    made, source = table(["AAA"]), SnapshotBars(PRE * 1000)
    for t, last in ((130, 11.0), (140, 13.0), (150, 12.0)):
        made.apply(source.take([row(t, 60, 100.0, 300.0, 10.0, last)], (PRE + t) * 1000))
        assert (value(made, "price", t), value(made, "updated_at", t)) == (last, PRE + t + 1)
    assert (value(made, "high", 150), value(made, "volume", 150)) == (13.0, 100)
    made.apply(source.take([row(179, 120, 50.0, 350.0, 12.0)], (PRE + 181) * 1000))
    assert (value(made, "price", 181), value(made, "volume", 181)) == (12.0, 150)


def test_a_minute_that_runs_ends_with_its_last_trade_so_that_windows_count_what_is_known():
    made, source = table(["AAA"]), SnapshotBars(PRE * 1000)
    for t, volume in ((3599, 100.0), (3642, 300.0), (5402, 400.0)):
        made.apply(source.take([row(t, t // 60 * 60, volume, 1000.0 + volume, 10.0 + t / 5402)], (PRE + t) * 1000))
        assert value(made, "updated_at", t) == PRE + t + 1
    assert [value(made, name, 5402) for name in ("vol_1m", "vol_30m", "dvol_5m")] == [400, 700, 4400]
    assert value(made, "chg_30m", 5402) == pytest.approx(100 * (11 / (10 + 3599 / 5402) - 1))


def test_trades_are_those_of_the_minutes_shown():
    made, source = table(["AAA"]), SnapshotBars(PRE * 1000)
    source.take([], PRE * 1000)
    first = row(130, 60, 100.0, 100.0, 10.0)
    for shown in (first, row(150, 120, 20.0, 140.0, 10.0)):  # 20 shares between two polls, traded as the others
        shown = msgspec.structs.replace(shown, minute_trades=int(shown.minute_volume / 10))
        made.apply(source.take([shown], shown.last_ms))
    assert (value(made, "volume", 150), value(made, "trades", 150)) == (140, 14)


def test_a_poll_that_shows_an_older_minute_takes_nothing_back():
    made, source = table(["AAA"]), SnapshotBars(PRE * 1000)
    for shown in (row(130, 120, 50.0, 150.0, 10.0), row(140, 60, 100.0, 100.0, 9.0, 11.0)):
        made.apply(source.take([shown], shown.last_ms))
    assert (value(made, "volume", 140), value(made, "price", 140)) == (50, 10)


def test_without_last_trades_the_minute_is_the_price():
    made, source = table(["AAA"]), SnapshotBars(PRE * 1000)
    made.apply(source.take([TickerSnapshot("AAA", minute_start_ms=PRE * 1000, minute_close=7.0, minute_volume=5.0)], 0))
    assert value(made, "price", 70) == 7.0


def test_what_did_not_change_is_not_said_again_and_yesterday_is_not_taken():
    source = SnapshotBars(PRE * 1000)
    assert len(source.take([row(130, 60, 100.0, 300.0, 10.0)], 0).minutes) == 2
    assert source.take([row(130, 60, 100.0, 300.0, 10.0)], 0).minutes == []
    assert source.take([row(130 - 86_400, 60 - 86_400, 100.0, 300.0, 10.0)], 0).minutes == []
