"""The rules of the table one by one; every column of whole days: `tests/reference/`."""

import math
from datetime import UTC, date, datetime

import msgspec
import numpy as np
import pytest

from tradeul.live.beside_bars import forget_quotes
from tradeul.live.frames import market_frame
from tradeul.live.today_table import TodayTable
from tradeul.market_calendar import nyse
from tradeul.records.bars import HaltChange, Quote, StreamBar, StreamBatch

HOURS = nyse().hours(date(2025, 2, 13))
PRE = int(HOURS.pre_open_at.timestamp())
OPEN, CLOSE = int(HOURS.open_at.timestamp()) - PRE, int(HOURS.close_at.timestamp()) - PRE
WINDOWS = {"1m": 60, "5m": 300, "15m": 900, "30m": 1800}
ATR, PREV = {"AAA": 2.0, "B.C": math.nan, "ZZ": 0.5}, {"AAA": 99.0, "B.C": 101.0, "ZZ": math.nan}


def bar(symbol, start, seconds, close, volume, *, opens=None, high=None, low=None, vwap=None, size=None, official=None, av=None):
    opens = close if opens is None else opens
    high, low = max(opens, close) if high is None else high, min(opens, close) if low is None else low
    ms = (PRE + start) * 1000
    return StreamBar(symbol, ms, ms + seconds * 1000, opens, high, low, close, volume, vwap, size, av, official)


def second(symbol, start, close, volume, **more):
    return bar(symbol, start, 1, close, volume, **more)


def minute(symbol, start, close, volume, **more):
    return bar(symbol, start, 60, close, volume, **more)


def batch(seconds=(), minutes=(), halts=()):
    return StreamBatch(0, list(seconds), list(minutes), list(halts))


def at(t):
    return datetime.fromtimestamp(PRE + t, UTC)


def table(symbols=("AAA",), capacity=8):
    made = TodayTable(HOURS, capacity)
    made.set_levels(list(symbols), np.array([ATR.get(s, math.nan) for s in symbols]), np.array([PREV.get(s, math.nan) for s in symbols]))
    return made


def value(made, column, t, symbol="AAA"):
    frame = market_frame(made, at(t))
    return float(frame.columns[column][frame.symbols.index(symbol)])


def test_live_works_from_minutes_alone():
    made = table()
    made.apply(batch(minutes=[minute("AAA", 0, 100.0, 50), minute("AAA", 60, 101.0, 70, high=103.0)]))
    assert [value(made, name, 120) for name in ("price", "volume", "high", "vol_1m", "vol_5m")] == [101.0, 120, 103.0, 70, 120]


def test_a_minute_replaces_the_sum_of_its_seconds_and_an_earlier_minute():
    made = table()
    made.apply(batch([second("AAA", 3, 100.0, 10), second("AAA", 50, 99.0, 20)]))
    assert value(made, "volume", 52) == 30
    made.apply(batch(minutes=[minute("AAA", 0, 99.0, 33)]))
    assert value(made, "volume", 62) == 33
    made.apply(batch(minutes=[minute("AAA", 0, 99.5, 40)]))
    assert (value(made, "volume", 70), value(made, "price", 70)) == (40, 99.5)


def test_a_second_of_a_closed_minute_is_ignored():
    made = table()
    made.apply(batch(minutes=[minute("AAA", 0, 100.0, 33)]))
    made.apply(batch([second("AAA", 59, 120.0, 9)]))
    assert (value(made, "volume", 63), value(made, "high", 63), made.counts["closed_minute"]) == (33, 100.0, 1)


@pytest.mark.parametrize("again", [1, 2, 5])
def test_duplicates_add_once_however_batched(again):
    made = table()
    bars = [second("AAA", 3, 100.0, 10), second("AAA", 4, 100.0, 5)] * again
    made.apply(batch(bars, [minute("AAA", 60, 100.0, 7)] * again), *[batch(bars)] * again)
    assert value(made, "volume", 121) == 22


def test_a_replacement_takes_an_extreme_back():
    made = table()
    made.apply(batch(minutes=[minute("AAA", 0, 100.0, 1), minute("AAA", 60, 100.0, 1, high=150.0, low=50.0)]))
    made.apply(batch(minutes=[minute("AAA", 60, 100.0, 1, high=101.0, low=99.0)]))
    assert [value(made, name, 125) for name in ("high", "low", "pm_high", "pm_low")] == [101.0, 99.0, 101.0, 99.0]


def test_the_oldest_minute_of_the_day_can_still_be_corrected():
    made = table()
    made.apply(batch(minutes=[minute("AAA", start, 100.0, 10) for start in range(0, 57_600, 60)]))
    made.apply(batch(minutes=[minute("AAA", 0, 100.0, 25)]))
    assert (value(made, "volume", 57_600), value(made, "pm_volume", 57_600)) == (9_615, 3_315)
    assert (value(made, "vol_30m", 57_600), value(made, "post_volume", 57_600)) == (300, 2_400)


def test_the_first_print_exceeds_nothing_and_a_row_counts_once():
    made = table()
    made.apply(batch([second("AAA", 0, 100.0, 1)]))
    assert math.isnan(value(made, "high_at", 2)) and value(made, "high_count", 2) == 0
    made.apply(batch([second("AAA", 5, 101.0, 1), second("AAA", 7, 102.0, 1), second("AAA", 12, 103.0, 1)]))
    assert (value(made, "high_at", 15), value(made, "high_count", 15)) == (PRE + 13, 2)
    assert [value(made, "high_count", t) for t in (1809, 1810, 1815)] == [2, 1, 0]


def test_bars_of_one_frame_are_judged_by_their_ends():
    made = table()
    made.apply(batch([second("AAA", 58, 100.0, 1)]))
    # The minute's bar knows of a higher print than its seconds; the next minute's second came with it.
    made.apply(batch([second("AAA", 61, 102.0, 1), second("AAA", 60, 101.5, 1)], [minute("AAA", 0, 100.0, 9, high=101.0)]))
    assert (value(made, "high_count", 65), value(made, "high_at", 65)) == (2, PRE + 62)


def test_the_price_at_the_close_is_that_of_the_last_bar_before_it_whichever_hours():
    made = table(("AAA", "ZZ"))
    made.apply(batch(minutes=[minute("AAA", OPEN - 60, 90.0, 1), minute("ZZ", OPEN, 50.0, 1), minute("AAA", CLOSE, 95.0, 1)]))
    assert math.isnan(value(made, "price_at_close", CLOSE - 1))
    assert (value(made, "price_at_close", CLOSE), value(made, "price", CLOSE + 60)) == (90.0, 95.0)
    assert math.isnan(value(made, "close", CLOSE + 60))  # it never opened
    assert value(made, "close", CLOSE + 60, "ZZ") == 50.0


def test_the_regular_low_knows_regular_hours_alone_and_follows_corrections():
    made = table()
    made.apply(batch(minutes=[minute("AAA", OPEN - 60, 80.0, 1), minute("AAA", OPEN, 95.0, 1), minute("AAA", OPEN + 60, 85.0, 1)]))
    assert value(made, "regular_low", OPEN + 120) == 85.0
    made.apply(batch(minutes=[minute("AAA", OPEN + 60, 96.0, 1), minute("AAA", CLOSE, 70.0, 1)]))
    assert value(made, "regular_low", CLOSE + 60) == 95.0


def test_after_the_open_changes_are_against_the_open_until_the_window_is_past_it():
    made = table()
    made.apply(batch(minutes=[minute("AAA", OPEN - 60, 90.0, 1)]))
    assert math.isnan(value(made, "chg_1m", OPEN))
    made.apply(batch(minutes=[minute("AAA", OPEN, 110.0, 1, opens=100.0)]))
    assert [value(made, "chg_5m", OPEN + t) for t in (60, 300)] == pytest.approx([10.0, 10.0])
    assert value(made, "chg_5m", OPEN + 305) == pytest.approx(100 * 20 / 90)


def test_a_silent_ticker_traded_nothing_and_has_no_price():
    made = table(("AAA", "B.C"))
    made.apply(batch([second("B.C", 9, 5.0, 10, size=5)]))
    assert [value(made, name, 100) for name in ("volume", "vol_5m", "dvol_5m", "trades_5m", "trades")] == [0] * 5
    assert all(math.isnan(value(made, name, 100)) for name in ("price", "vwap", "high", "chg_1m", "updated_at"))


def test_trades_are_unknown_when_the_source_never_tells_them():
    made = table()
    made.apply(batch(minutes=[minute("AAA", 0, 100.0, 1)]))
    assert all(math.isnan(value(made, name, 100)) for name in ("trades", "trades_5m"))


def test_bars_of_another_session_are_refused_whatever_the_clock_says():
    made = table()
    made.apply(batch([second("AAA", -86_400, 70.0, 5), second("NEW", 57_600, 70.0, 5)], [minute("AAA", 86_400, 70.0, 5)]))
    assert (value(made, "volume", 57_700), made.counts["other_session"], made.symbols) == (0, 3, ["AAA"])


@pytest.mark.parametrize(
    "wrong", [{"volume": -1.0}, {"volume": math.nan}, {"close": math.inf}, {"low": 0.0}, {"high": 1.0}, {"open": -3.0}]
)
def test_a_number_that_cannot_be_is_refused_and_counted(wrong):
    made = table()
    good = second("AAA", 1, 100.0, 5)
    made.apply(batch([msgspec.structs.replace(good, **wrong), second("AAA", 2, 100.0, 7)]))
    assert (value(made, "volume", 9), made.counts["malformed"]) == (7, 1)


def test_symbols_that_appear_are_added_once_and_come_out_sorted():
    made = table(("MMM", "TTT"), capacity=2)
    made.apply(batch([second("MMM", 1, 10.0, 3)]))
    made.apply(batch([second(s, 2, 10.0, 1) for s in ("ZZZ", "AAA", "MMM", "ZZZ", "C")]))
    frame = market_frame(made, at(60))
    assert frame.symbols == ["AAA", "C", "MMM", "TTT", "ZZZ"] and made.counts["unknown_symbols"] == 3
    assert frame.columns["volume"].tolist() == [1, 1, 4, 0, 1] == frame.columns["vol_1m"].tolist()


def test_halts_and_resumes_are_known_once_told():
    made = table()
    assert math.isnan(value(made, "halted", 5))
    made.apply(batch(halts=[HaltChange("AAA", True, (PRE + 9) * 1000)]))
    assert value(made, "halted", 10) == 1
    made.apply(batch(halts=[HaltChange("AAA", False, (PRE + 19) * 1000), HaltChange("AAA", True, (PRE - 99) * 1000)]))
    assert value(made, "halted", 20) == 0


def test_an_older_word_on_a_halt_does_not_undo_a_newer_one():
    made = table()
    for t, halted in ((9, True), (19, False), (9, True)):
        made.apply(batch(halts=[HaltChange("AAA", halted, (PRE + t) * 1000)]))
    assert value(made, "halted", 20) == 0


def test_who_trades_again_is_no_longer_halted_even_if_the_resumption_was_missed():
    made = table()
    made.apply(batch([second("AAA", 7, 10.0, 5)], halts=[HaltChange("AAA", True, (PRE + 8) * 1000)]))
    made.apply(batch([second("AAA", 8, 10.0, 5)]))
    assert value(made, "halted", 20) == 1
    made.apply(batch([second("AAA", 300, 11.0, 5)]))
    assert value(made, "halted", 310) == 0
    made.apply(batch(halts=[HaltChange("AAA", True, (PRE + 8) * 1000)]))
    assert value(made, "halted", 320) == 0, "the same word said again"


def test_names_that_only_the_stream_knows_are_bounded_and_counted():
    made = table(capacity=4)
    made._most_symbols = 8
    made.apply(batch([second(f"X{n}", 1, 10.0, 1) for n in range(20)], halts=[HaltChange("H", True, (PRE + 5) * 1000)]))
    made.apply(batch([second("AAA", 1, 10.0, 3), second("X19", 2, 10.0, 1)]))
    assert len(made.symbols) == 8 and value(made, "volume", 9) == 3
    assert (made.counts["unknown_symbols"], made.counts["too_many_symbols"], made.counts["malformed"]) == (7, 15, 0)


def test_the_spread_is_of_fresh_quotes_alone_and_does_not_change_with_time():
    made = table()

    def quoted(t, bid, ask):
        made.apply(StreamBatch(0, quotes=[Quote(symbol, bid, ask, (PRE + t) * 1000) for symbol in ("AAA", "NOBODY")]))
        return value(made, "spread_pct", t)

    assert math.isnan(value(made, "spread_pct", 5))
    assert quoted(10, 9.9, 10.1) == pytest.approx(2.0) == value(made, "spread_pct", 20_000)
    assert math.isnan(quoted(11, 10.2, 10.1)) and math.isnan(quoted(12, None, 10.1)) and quoted(13, 10.0, 10.0) == 0
    made.apply(batch([second("AAA", 70, 10.0, 5)]))
    assert value(made, "spread_pct", 71) == 0
    made.apply(batch([second("AAA", 74, 10.0, 5)]))  # ends more than a minute after the quote
    assert math.isnan(value(made, "spread_pct", 75))
    assert quoted(76, 9.9, 10.1) > 1
    forget_quotes(made, but=["AAA"])
    assert value(made, "spread_pct", 77) > 1
    forget_quotes(made)
    assert math.isnan(value(made, "spread_pct", 77)) and made.symbols == ["AAA"]


def test_the_official_close_comes_a_minute_after_the_close():
    made = table()
    made.apply(batch(minutes=[minute("AAA", CLOSE - 60, 100.0, 9), minute("AAA", CLOSE, 101.0, 4)]))
    assert math.isnan(value(made, "close", CLOSE + 59)) and value(made, "close", CLOSE + 60) == 100.0
    assert math.isnan(value(made, "post_volume", CLOSE - 1)) and value(made, "post_volume", CLOSE + 60) == 4


def test_a_silence_of_hours_leaves_no_window_behind():
    made = table()
    made.apply(batch([second("AAA", 10, 100.0, 5), second("AAA", 20, 101.0, 5)]))
    assert [value(made, name, 40_000) for name in ("vol_30m", "high_count", "chg_30m", "price")] == [0, 0, 0, 101.0]


def test_a_day_of_bars_does_not_lengthen_the_rings():
    made = table()
    sizes = [ring.nbytes for part in (made.windows, made.seconds) for ring in vars(part).values() if isinstance(ring, np.ndarray)]
    for start in range(0, 57_600, 60):
        made.apply(batch([second("AAA", start + 5, 100.0, 1)], [minute("AAA", start, 100.0, 2)]))
    after = [ring.nbytes for part in (made.windows, made.seconds) for ring in vars(part).values() if isinstance(ring, np.ndarray)]
    assert sizes == after and made.minutes.rows_used == 960 and value(made, "volume", 57_600) == 1920
