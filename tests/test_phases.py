"""docs/phases.md is true: each cell of its tables is what live and the scanner make of the day that the page describes.

The day is bars as the vendor sends them; the cells were checked by hand against CONTRACT.
"""

import re
from datetime import date, datetime, time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tradeul.analytics.baselines import COLUMNS, SLOTS, Baselines
from tradeul.live.frames import market_frame
from tradeul.live.last_close import COLUMNS as OF_DAILY_BARS
from tradeul.live.last_close import close_frame
from tradeul.live.today_table import TodayTable
from tradeul.market_calendar import NEW_YORK, at, nyse
from tradeul.records.bars import StreamBar, StreamBatch
from tradeul.scanner.columns import Join, Market
from tradeul.scanner.definitions import built_in_lists
from tradeul.scanner.floors import floor_in_force
from tradeul.scanner.ranking import wire_values
from tradeul.scanner.scan import lacking

PAGE = (Path(__file__).parents[1] / "docs" / "phases.md").read_text()
UNKNOWN = "–"
REGULAR, HALF = date(2026, 3, 9), date(2025, 11, 28)
# Minute bars: start, open, high, low, close, shares; each share count makes a tenth as many trades.
DAYS = {
    REGULAR: [
        ("08:00", 104, 104, 104, 104, 1_000),
        ("09:30", 105, 107, 105, 106, 2_000),
        ("15:59", 106, 110, 103, 110, 3_000),
        ("16:10", 112, 112, 112, 112, 500),
    ],
    HALF: [("09:30", 105, 107, 105, 106, 2_000), ("12:59", 106, 110, 103, 110, 3_000), ("13:10", 112, 112, 112, 112, 500)],
}
# The same as the vendor's daily bars: prices of regular hours, volume, VWAP and trades of all.
DAILY = {REGULAR: (105, 110, 103, 110, 6_500, 108, 650), HALF: (105, 110, 103, 110, 5_500, 598_000 / 5_500, 550)}
BY_DAILY_BARS = "daily bars"
USUAL = {"symbol": "A", "kind": "CS", "sessions": 20, "prev_close": 100.0, "prev_close_raw": 100.0, "atr": 2.0}
USUAL |= {"avg_volume_20d": 1e4, "avg_dollar_volume_20d": 1e6}


def tables():
    """(session, moment, row's name, cell) of every table of the page."""
    for title, body in re.findall(r"^## .*?\((\d{4}-\d\d-\d\d)\)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL):
        rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in body.splitlines() if line.startswith("|")]
        moments = rows[0][1:]
        for name, *cells in rows[2:]:
            for moment, cell in zip(moments, cells, strict=True):
                yield date.fromisoformat(title), moment, name, cell


def clock(text):
    return time(*(int(part) for part in text.split(":")))


def market(session, moment):
    hours = nyse().hours(session)
    frame = by_daily_bars(hours) if moment == BY_DAILY_BARS else by_minutes(hours, at(session, clock(moment)))
    cumulative = np.cumsum(np.full((1, SLOTS), 1_000.0), axis=1)
    slots = np.full((1, SLOTS), np.log(1_001.0))
    rows = pl.DataFrame([{name: USUAL.get(name) for name in COLUMNS}], schema=COLUMNS)
    held = Baselines(session, True, 20, rows, cumulative, slots, np.full((1, SLOTS), 0.5))
    return Market(frame, Join(frame.symbols, held), hours)


def by_daily_bars(hours):
    return close_frame(pl.DataFrame([("A", *DAILY[hours.session])], schema=list(OF_DAILY_BARS), orient="row"), hours)


def by_minutes(hours, as_of):
    table = TodayTable(hours, 4)
    table.set_levels(["A"], np.array([2.0]), np.array([100.0]))
    for start, opened, high, low, close, volume in DAYS[hours.session]:
        begun = int(at(hours.session, clock(start)).timestamp() * 1000)
        if begun + 60_000 <= as_of.timestamp() * 1000:
            bar = StreamBar("A", begun, begun + 60_000, opened, high, low, close, volume, close, 10.0, None, None)
            table.apply(StreamBatch(0, [], [bar], []))
    return market_frame(table, as_of)


def shown(market, name):
    if name == "floor":
        return floor_in_force(built_in_lists()[0].floors, market.hours, market.frame.as_of).from_
    value = wire_values(market, name, np.array([0]))[0]
    if value is None:
        return UNKNOWN
    if name.endswith("_at"):
        return at_wall(value)
    return f"{value:,.10g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def at_wall(text):
    return f"{datetime.fromisoformat(text).astimezone(NEW_YORK):%H:%M}"


CELLS = list(tables())


@pytest.mark.parametrize(("session", "moment"), sorted({cell[:2] for cell in CELLS}), ids=str)
def test_every_cell_of_the_page_is_what_the_product_shows(session, moment):
    seen = market(session, moment)
    said = {name: cell for at_session, at_moment, name, cell in CELLS if (at_session, at_moment) == (session, moment)}
    assert len(said) >= 10
    assert {name: shown(seen, name) for name in said} == said


def test_the_page_names_every_column_that_a_phase_changes():
    """What live or the clock give; the others are the baselines' all day, or follow from these."""
    named = {name for session, _, name, _ in CELLS if session == REGULAR}
    prices = "price open close high low vwap pm_high pm_low change_pct gap_pct gap_state from_open_pct post_change_pct chg_5m"
    amounts = "volume dollar_volume trades pm_volume post_volume post_dollar_volume post_trades vol_5m dvol_5m expected_volume rvol rvol_5m"
    assert set(f"phase floor since_open_s since_close_s {prices} {amounts}".split()) <= named


def test_a_past_close_fills_the_lists_that_the_page_says_and_the_others_lack_what_it_says():
    said = dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \|$", PAGE.split("## What lists lack")[1], re.MULTILINE))
    seen = market(REGULAR, BY_DAILY_BARS)
    lack = {found.name: ", ".join(f"`{name}`" for name in lacking(seen, found)) or UNKNOWN for found in built_in_lists()}
    assert lack == said


@pytest.mark.parametrize("named", re.findall(r"`(tests/[a-z_/]+\.py)::(\w+)`", PAGE), ids=lambda pair: pair[1])
def test_the_tests_that_the_page_names_are_there(named):
    path, name = named
    assert re.search(rf"^(async )?def {name}\(", (Path(__file__).parents[1] / path).read_text(), re.MULTILINE)
