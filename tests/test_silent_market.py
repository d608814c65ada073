"""With time alone, only what CONTRACT names may change: live's table and the scanner's columns together, every column."""

from datetime import date, timedelta

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from tradeul.analytics.baselines import COLUMNS as BASELINE_COLUMNS
from tradeul.analytics.baselines import SLOTS, Baselines
from tradeul.live.frames import market_frame
from tradeul.live.today_table import TodayTable
from tradeul.market_calendar import nyse
from tradeul.records.bars import StreamBar, StreamBatch
from tradeul.scanner.columns import COLUMNS, Join, Market
from tradeul.scanner.ranking import wire_values

HOURS = nyse().hours(date(2026, 3, 9))
ALLOWED = {"expected_volume", "rvol", "rvol_5m", "slot_lz", "dvol_5m", "trades_5m", "high_count", "low_count", "baseline"}
ALLOWED |= {f"{kind}_{window}" for kind in ("chg", "vol") for window in ("1m", "5m", "15m", "30m")}
# The moments at which a session itself changes what a column is.
TURNS = [HOURS.open_at, HOURS.close_at, HOURS.close_at + timedelta(seconds=60), HOURS.post_close_at]
SYMBOLS = ["A", "B"]


def baselines():
    rows = [
        {"symbol": symbol, "kind": "CS", "sessions": 20, "prev_close": 100.0, "atr": 2.0, "avg_volume_20d": 1e5, "shares": 1e6}
        for symbol in SYMBOLS
    ]
    table = pl.DataFrame([{name: row.get(name) for name in BASELINE_COLUMNS} for row in rows], schema=BASELINE_COLUMNS)
    slots = np.full((2, SLOTS), 1_000.0)
    return Baselines(HOURS.session, True, 20, table, np.cumsum(slots, axis=1), np.log1p(slots), np.full((2, SLOTS), 0.5))


HELD = baselines()
bars = st.lists(
    st.tuples(st.sampled_from(SYMBOLS), st.integers(0, 950), st.sampled_from([90.0, 99.0, 100.0, 101.0, 130.0]), st.integers(1, 9_000)),
    min_size=1,
    max_size=12,
    unique_by=lambda each: each[:2],
).map(lambda found: sorted(found, key=lambda each: each[1]))


def shown(table, as_of):
    frame = market_frame(table, as_of)
    market = Market(frame, Join(frame.symbols, HELD), HOURS)
    places = np.arange(len(frame.symbols))
    return {name: list(wire_values(market, name, places)) for name in COLUMNS if COLUMNS[name].on_wire}


@settings(max_examples=60, deadline=None)
@given(bars, st.integers(0, 4_000), st.integers(0, 3_000))
def test_a_silent_market_changes_with_the_clock_only_what_the_contract_names_and_standing_nothing(found, wait, silence):
    table = TodayTable(HOURS, 8)
    table.set_levels(SYMBOLS, np.array([2.0, 2.0]), np.array([100.0, 100.0]))
    for symbol, minute, price, volume in found:
        begun = int((HOURS.pre_open_at + timedelta(minutes=minute)).timestamp() * 1000)
        bar = StreamBar(symbol, begun, begun + 60_000, price, price + 0.5, price - 0.5, price, volume, price, 10.0, None, None)
        table.apply(StreamBatch(0, [], [bar], []))
    first = HOURS.pre_open_at + timedelta(minutes=found[-1][1] + 1, seconds=wait)
    before_turn = [turn - timedelta(seconds=1) for turn in TURNS if turn > first]
    second = max(first, min([first + timedelta(seconds=silence), *before_turn]))
    before, after = shown(table, first), shown(table, second)
    assert {name for name in before if before[name] != after[name]} <= ALLOWED
    assert shown(table, second) == after
