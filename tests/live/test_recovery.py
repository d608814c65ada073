"""A start inside a session, against a table that was never stopped."""

import math
import random
from datetime import UTC, date, datetime

import msgspec
import numpy as np
import pytest

from tradeul.live.frames import market_frame
from tradeul.live.recovery import candidates, read_snapshot, seed_from_snapshot, traded_since, without_minute_bar
from tradeul.live.today_table import TodayTable
from tradeul.market_calendar import nyse
from tradeul.records.bars import IntradayBar, StreamBar, StreamBatch, TickerSnapshot

HOURS = nyse().hours(date(2025, 2, 13))
PRE = int(HOURS.pre_open_at.timestamp())
OPEN = int(HOURS.open_at.timestamp()) - PRE
SEEN_LIVE = {f"{kind}_{span}" for kind in ("chg", "vol") for span in ("1m", "5m", "15m", "30m")} | {"dvol_5m", "trades_5m"}
PATHS = {"high_at", "low_at", "high_count", "low_count", "vwap_cross_at"}
# Seen from the first second bar by the one, from the first minute bar by the other.
TO_THE_MINUTE = {"first_seen_at"}


def at(t):
    return datetime.fromtimestamp(PRE + t, UTC)


def market(seed, symbols, until):
    """Second bars of a random market: (start, symbol) -> bar, each a few cents from the one before."""
    rng = random.Random(seed)
    bars = []
    for symbol in symbols:
        price, busy = rng.uniform(20, 80), rng.choice([0.003, 0.02, 0.1])
        for start in range(until):
            if rng.random() < busy:
                opens, price = price, round(price + rng.gauss(0, 0.03), 2)
                volume = float(rng.randrange(1, 900))
                high, low = max(opens, price) + 0.01, min(opens, price) - 0.01
                ms = (PRE + start) * 1000
                bars.append(StreamBar(symbol, ms, ms + 1000, opens, high, low, price, volume, price, 10.0))
    return sorted(bars, key=lambda bar: bar.start_ms)


def minutes_of(bars):
    """Minute bars as the vendor makes them from the same seconds, as stream and as REST bars."""
    groups = {}
    for bar in bars:
        groups.setdefault((bar.start_ms // 60_000 * 60_000, bar.symbol), []).append(bar)
    stream, rest = [], []
    for (start, symbol), inside in sorted(groups.items()):
        volume = sum(b.volume for b in inside)
        vwap = sum(b.volume * b.close for b in inside) / volume
        trades = sum(round(b.volume / 10) for b in inside)
        prices = inside[0].open, max(b.high for b in inside), min(b.low for b in inside), inside[-1].close
        stream.append(StreamBar(symbol, start, start + 60_000, *prices, volume, vwap, volume / trades if trades else None))
        rest.append(IntradayBar(symbol, start, *prices, volume, vwap, trades))
    return stream, rest


def snapshot_of(symbol, bars, t):
    """What the vendor's snapshot says at ``t``."""
    mine = [b for b in bars if b.symbol == symbol and b.end_ms <= (PRE + t) * 1000]
    if not mine:
        return TickerSnapshot(symbol, previous_close=50.0)
    stream, _ = minutes_of(mine)
    last, volume = stream[-1], sum(b.volume for b in mine)
    regular = [b for b in mine if b.start_ms >= (PRE + OPEN) * 1000]
    told = {"updated_ms": mine[-1].end_ms, "last_ms": mine[-1].end_ms, "last_price": mine[-1].close, "accumulated_volume": volume}
    told |= {f"minute_{name}": getattr(last, name) for name in ("start_ms", "open", "high", "low", "close", "volume", "vwap")}
    if regular:
        told |= {"day_open": regular[0].open, "day_high": max(b.high for b in regular), "day_low": min(b.low for b in regular)}
        told |= {"day_vwap": sum(b.close * b.volume for b in mine) / volume, "day_volume": volume, "day_close": regular[-1].close}
    return TickerSnapshot(symbol, previous_close=50.0, **told)


def send(table, bars, stream, begin, end):
    """The stream of the wall seconds begin <= t < end: 2 s behind the tape."""
    for now in range(begin, end):
        seconds = [b for b in bars if b.end_ms == (PRE + now - 2) * 1000]
        closed = [b for b in stream if b.end_ms == (PRE + now - 2) * 1000]
        if seconds or closed:
            table.apply(StreamBatch((PRE + now) * 1000, seconds, closed))


def fill(table, missing, rest, asked):
    for symbol in missing:
        table.apply_minutes(symbol, [b for b in rest if b.symbol == symbol and b.start_ms + 60_000 <= (PRE + asked) * 1000])


def same(whole, started, t, but=frozenset()):
    expect, got = market_frame(whole, at(t)), market_frame(started, at(t))
    traded = [symbol for symbol in expect.symbols if symbol in got.symbols]
    for name in set(expect.columns) - but:
        for symbol in traded:
            wanted = expect.columns[name][expect.symbols.index(symbol)]
            value = got.columns[name][got.symbols.index(symbol)]
            assert value == pytest.approx(wanted, rel=1e-9, abs=1e-6, nan_ok=True), (symbol, name)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("start", [OPEN - 80, OPEN + 1234])
def test_stream_and_rest_merge_without_doubles_and_without_a_hole(seed, start):
    symbols = ["AAA", "BBB", "CCC", "DDD"]
    shift = start - 1500  # a short day: only its last 25 minutes trade
    bars = [
        msgspec.structs.replace(b, start_ms=b.start_ms + shift * 1000, end_ms=b.end_ms + shift * 1000) for b in market(seed, symbols, 3700)
    ]
    stream, rest = minutes_of(bars)
    whole, started = TodayTable(HOURS, 8), TodayTable(HOURS, 8)
    for table in (whole, started):
        table.set_levels(symbols, np.full(4, 1.0), np.full(4, 50.0))
    started.begin_live(start)
    send(whole, bars, stream, shift, start)
    for begin, end in ((start, start + 1), (start + 1, start + 9), (start + 9, start + 100)):
        send(whole, bars, stream, begin, end)
        send(started, bars, stream, begin, end)
        if begin == start:
            missing = seed_from_snapshot(started, read_snapshot([snapshot_of(symbol, bars, start) for symbol in symbols], HOURS))
        elif begin == start + 1:
            fill(started, missing, rest, start + 9)
    t = start + 100
    same(whole, started, t, SEEN_LIVE | PATHS | TO_THE_MINUTE)
    send(whole, bars, stream, t, start + 2100)
    send(started, bars, stream, t, start + 2100)
    same(whole, started, start + 2100, PATHS | TO_THE_MINUTE)


def started_at(t, *snapshots):
    table = TodayTable(HOURS, 8)
    table.begin_live(t)
    return table, seed_from_snapshot(table, read_snapshot(snapshots, HOURS))


def now(t):
    return {"updated_ms": (PRE + t) * 1000, "last_ms": (PRE + t) * 1000}


def value(table, column, t, symbol="AAA"):
    frame = market_frame(table, at(t))
    return float(frame.columns[column][frame.symbols.index(symbol)])


def test_while_partial_the_snapshot_speaks_and_the_rest_is_null():
    t = OPEN - 80
    told = {"minute_start_ms": (PRE + t - 100) * 1000, "minute_close": 12.0, "minute_volume": 9.0, "last_price": 12.1}
    table, missing = started_at(t, TickerSnapshot("AAA", accumulated_volume=1000.0, minute_vwap=11.5, **told, **now(t)))
    assert missing == ["AAA"]
    got = {name: value(table, name, t + 5) for name in ("partial", "price", "volume", "dollar_volume", "vwap")}
    assert got == {"partial": 1, "price": 12.0, "volume": 1000, "dollar_volume": 11_500, "vwap": 11.5}
    unknown = {"high", "low", "gap_state"}
    unknown |= {"trades", "pm_high", "pm_volume", "high_count", "high_at", "vol_1m", "chg_5m", "vwap_cross_at", "open"}
    assert all(math.isnan(value(table, name, t + 5)) for name in unknown)


def test_while_partial_the_regular_low_is_the_snapshots_or_a_lower_one_heard():
    t = OPEN + 3600
    table, _ = started_at(t, TickerSnapshot("AAA", accumulated_volume=1000.0, day_low=9.0, **now(t)))
    assert value(table, "regular_low", t + 5) == 9.0
    ms = (PRE + t) * 1000
    table.apply(StreamBatch(0, [StreamBar("AAA", ms, ms + 1000, 8.5, 8.5, 8.5, 8.5, 50.0)]))
    assert value(table, "regular_low", t + 5) == 8.5


def test_while_partial_the_streams_count_follows_the_snapshots():
    t = OPEN - 80
    table, _ = started_at(t, TickerSnapshot("AAA", accumulated_volume=1000.0, minute_vwap=11.5, minute_close=12.0, **now(t)))
    ms = (PRE + t) * 1000
    table.apply(StreamBatch(0, [StreamBar("AAA", ms, ms + 1000, 12, 12, 12, 12, 50.0, 12.0, 10.0, 1050.0, session_vwap=11.6)]))
    assert (value(table, "volume", t + 5), value(table, "dollar_volume", t + 5)) == (1050, pytest.approx(1050 * 11.6))


def test_a_row_is_whole_once_its_minutes_are_in_and_the_running_minute_is_closed():
    t = 5 * 3600 + 40
    table, _ = started_at(t, TickerSnapshot("AAA", accumulated_volume=1000.0, last_price=12.0, **now(t)))
    table.apply_minutes("AAA", [IntradayBar("AAA", (PRE + t - 100) * 1000, 12, 12, 12, 12, 900.0)])
    assert [value(table, "partial", t + s) for s in (5, 24, 25)] == [1, 1, 0]
    assert value(table, "volume", t + 25) == 900


def test_yesterday_never_leaks_from_a_snapshot_that_was_not_cleared():
    old, t = (PRE - 40_000) * 1000, OPEN - 80
    rows = [
        TickerSnapshot("AAA", updated_ms=old, minute_start_ms=old, last_price=9.0, accumulated_volume=5e6, day_open=9.0, day_vwap=9.0),
        TickerSnapshot("BBB", updated_ms=(PRE + t) * 1000, last_ms=old, last_price=9.0, previous_close=8.0),
        TickerSnapshot("CCC", minute_start_ms=old, updated_ms=(PRE + t) * 1000, minute_close=9.0, accumulated_volume=4.0),
        TickerSnapshot("DDD", last_price=9.0, accumulated_volume=4.0),
    ]
    table, missing = started_at(t, *rows)
    assert missing == [] and table.counts["snapshots_refused"] == 4
    table.add_symbols(["AAA", "BBB", "CCC", "DDD"])
    frame = market_frame(table, at(t))
    assert np.isnan(frame.columns["price"]).all() and (frame.columns["volume"] == 0).all() and np.isnan(frame.columns["open"]).all()


def test_the_biggest_are_asked_first_and_who_did_not_trade_is_not_asked():
    t = OPEN - 80
    said = {"AAA": 1_000.0, "BBB": 90_000.0, "CCC": 0.0, "DDD": None, "EEE": 20_000.0}
    table, missing = started_at(t, *(TickerSnapshot(s, accumulated_volume=av, last_price=5.0, **now(t)) for s, av in said.items()))
    assert missing == ["BBB", "EEE", "AAA"] and candidates(table, missing) == 2
    assert [value(table, "partial", t, s) for s in said] == [1, 1, 0, 0, 1]


def test_windows_are_null_until_seen_live_and_changes_from_the_open_are_not():
    t = OPEN - 80
    table, _ = started_at(t)
    begin = OPEN - 60
    for start in range(begin, begin + 2400, 60):
        ms = (PRE + start) * 1000
        table.apply(StreamBatch(0, [], [StreamBar("AAA", ms, ms + 60_000, 10.0, 10.0, 10.0, 11.0, 5.0, None, 1.0)]))
        known = {span for span in ("1m", "5m", "15m", "30m") if not math.isnan(value(table, f"vol_{span}", start + 60))}
        lasted = start + 60 - begin
        assert known == {span for span, length in (("1m", 60), ("5m", 300), ("15m", 900), ("30m", 1800)) if lasted >= length}
        assert math.isnan(value(table, "dvol_5m", start + 60)) == (lasted < 300)
        if start >= OPEN:
            assert value(table, "chg_5m", start + 60) == pytest.approx(10.0 if start < OPEN + 300 else 0.0)


def test_the_paths_are_null_until_something_is_seen_live():
    t = OPEN - 61
    table, _ = started_at(t)
    table.apply(StreamBatch(0, [StreamBar("AAA", (PRE + t) * 1000, (PRE + t + 1) * 1000, 10, 10, 10, 10, 1.0)], []))
    assert math.isnan(value(table, "high_count", t + 9)) and math.isnan(value(table, "high_at", t + 9))
    table.apply(StreamBatch(0, [StreamBar("AAA", (PRE + t + 9) * 1000, (PRE + t + 10) * 1000, 11, 11, 11, 11, 1.0)], []))
    assert (value(table, "high_count", t + 12), value(table, "high_at", t + 12)) == (1, PRE + t + 10)
    assert math.isnan(value(table, "low_count", t + 12)) and value(table, "low_count", t + 1900) == 0


def test_after_a_reconnect_only_rows_that_miss_shares_are_asked_and_end_whole():
    symbols = ["AAA", "BBB"]
    bars = [b for b in market(3, symbols, 1200) if not (b.symbol == "BBB" and 380 <= b.start_ms // 1000 - PRE < 700)]
    stream, rest = minutes_of(bars)
    table, whole = TodayTable(HOURS, 8), TodayTable(HOURS, 8)
    send(whole, bars, stream, 0, 1000)
    send(table, bars, stream, 0, 400)
    table.reconnected(650)  # 250 s lost, in which BBB was silent
    send(table, bars, stream, 650, 655)
    missing = seed_from_snapshot(table, read_snapshot([snapshot_of(symbol, bars, 655) for symbol in symbols], HOURS))
    assert missing == ["AAA"] and [value(table, "partial", 656, s) for s in symbols] == [1, 0]
    fill(table, missing, rest, 656)
    send(table, bars, stream, 655, 1000)
    same(whole, table, 1000, {"chg_5m", "chg_15m", "vol_5m", "dvol_5m", "trades_5m", "gap_state"} | PATHS)


def test_levels_that_know_no_close_leave_the_one_that_the_snapshot_said():
    table, _ = started_at(OPEN - 80, TickerSnapshot("AAA", last_price=11.0, previous_close=10.0, **now(OPEN - 80)))
    table.set_levels(["AAA", "BBB"], np.array([1.0, 1.0]), np.array([math.nan, 5.0]))
    assert [table.columns["prev_close"][table.index[symbol]] for symbol in ("AAA", "BBB")] == [10.0, 5.0]


def test_seconds_are_asked_of_those_who_traded_since_the_biggest_first():
    def row(symbol, last_s, shares):
        return TickerSnapshot(symbol, last_ms=(PRE + last_s) * 1000, accumulated_volume=shares, minute_close=10.0)

    table = TodayTable(HOURS, 8)
    table.add_symbols(["BIG", "OLD", "SMALL", "SILENT"])
    rows = [row("SMALL", 900, 5.0), row("OLD", 899, 1e9), row("NEW", 950, 1e6), row("BIG", 950, 1e6)]
    assert traded_since(table, read_snapshot(rows, HOURS), 900) == ["BIG", "SMALL"]


def test_a_minute_that_ended_without_its_bar_before_the_connection_is_asked_for():
    table = TodayTable(HOURS, 8)
    table.add_symbols(["FAR", "OPEN", "CLOSED", "RUNNING"])
    second = {
        name: StreamBar(name, (PRE + t) * 1000, (PRE + t + 1) * 1000, 10.0, 10.0, 10.0, 10.0, 5.0)
        for name, t in (("FAR", 100), ("OPEN", 310), ("CLOSED", 370), ("RUNNING", 425))
    }
    closing = msgspec.structs.replace(second["CLOSED"], start_ms=(PRE + 360) * 1000, end_ms=(PRE + 420) * 1000)
    table.apply(StreamBatch(0, [*second.values()], [closing]))
    table.reconnected(430.0)
    assert without_minute_bar(table) == ["OPEN"]
