import math
import re
from datetime import timedelta
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradeul.records.tickers import Ticker
from tradeul.scanner.columns import COLUMNS, KINDS, Join, market_table
from tradeul.scanner.sql import Kind

NAMES = re.compile(r"[a-z][a-z0-9_]+")


def row(make, at, live, usual=None):
    """Every column of the one ticker A."""
    held = None if usual is None else make.baselines(A=usual)
    return market_table(make.frame(at, A=live), held, make.hours).row(0, named=True)


def test_columns_of_the_two_inputs_meet_by_symbol(make):
    table = market_table(make.frame("10:00", B={"price": 5}, C={"price": 7}), make.baselines(A={"atr": 1}, C={"atr": 3}), make.hours)
    assert table.select("symbol", "price", "atr").rows() == [("B", 5.0, None), ("C", 7.0, 3.0)]


def test_percentages_and_ratios_are_the_contracts(make):
    live = {"price": 11, "open": 10.5, "high": 12, "low": 10, "vwap": 10, "volume": 3_000}
    got = row(make, "10:00", live, {"prev_close": 10, "atr": 0.5, "avg_volume_20d": 60_000, "avg_dollar_volume_20d": 6e5})
    want = {
        "change_pct": 10,
        "gap_pct": 5,
        "from_open_pct": 100 * 0.5 / 10.5,
        "atr_pct": 100 * 0.5 / 11,
        "range_atr": 4,
        "vol_pct_adv": 5,
        "range_pos": 50,
        "vwap_dist_pct": 10,
        "expected_volume": 72_000,
        "rvol": 3 / 72,
        "since_open_s": 1800,
        "avg_dollar_volume_20d": 6e5,
    }
    assert {name: got[name] for name in want} == pytest.approx(want, rel=1e-12)
    assert (got["phase"], got["baseline"], got["class"], got["since_close_s"]) == ("MARKET_OPEN", "ready", "CS", None)


def test_what_a_company_is_and_where_its_year_stands(make):
    usual = {"shares": 1e6, "free_float": 8e5, "short_interest": 4e4, "high_52w": 20, "low_52w": 5, "sma20": 8, "sma50": 16, "sma200": 10}
    got = row(make, "10:00", {"price": 10, "volume": 4e5}, usual | {"industry": "STEEL", "sector": "Manufacturing"})
    want = {
        "market_cap": 1e7,
        "free_float": 8e5,
        "float_rotation": 0.5,
        "short_pct_float": 5,
        "hi_52w_dist_pct": -50,
        "lo_52w_dist_pct": 100,
        "sma20_dist_pct": 25,
        "sma50_dist_pct": -37.5,
        "sma200_dist_pct": 0,
    }
    assert {name: got[name] for name in want} == pytest.approx(want)
    assert (got["industry"], got["sector"]) == ("STEEL", "Manufacturing")
    unknown = row(make, "10:00", {"price": 10, "volume": 4e5}, {})
    assert {unknown[name] for name in want} == {None}


def test_the_last_five_minutes_are_held_against_their_own_slots(make):
    got = row(make, "10:02:30", {"vol_5m": 9_000.0}, {})
    assert got["rvol_5m"] == pytest.approx(9)
    assert got["slot_lz"] == pytest.approx((math.log(9_001) - math.log(1_001)) / 0.5)


@pytest.mark.parametrize(
    ("live", "usual"),
    [
        ({"price": 11}, {}),  # no previous close
        ({"price": 11}, {"prev_close": 0}),
        ({"price": 11}, {"prev_close": -10}),
        ({"price": math.nan}, {"prev_close": 10}),
        ({"price": math.inf}, {"prev_close": 10}),
    ],
)
def test_a_change_without_both_ends_is_null(make, live, usual):
    assert row(make, "10:00", live, usual)["change_pct"] is None


def test_a_range_of_nothing_has_no_position(make):
    got = row(make, "10:00", {"price": 5, "high": 5, "low": 5}, {"atr": 0})
    assert (got["range_pos"], got["range_atr"]) == (None, None)


@pytest.mark.parametrize(
    ("at", "live", "want"),
    [
        ("09:00", {"price": 11}, 10),  # indicated
        ("10:00", {"price": 12, "open": 11}, 10),
        ("10:00", {"price": 12}, 20),  # not opened yet
        ("16:30", {"price": 12, "open": 11, "close": 10.5}, 10),
        ("16:30", {"price": 12, "price_at_close": 10.5}, 5),  # never opened: keeps the close's
    ],
)
def test_the_gap_is_the_opens_once_there_is_one(make, at, live, want):
    assert row(make, at, live, {"prev_close": 10})["gap_pct"] == pytest.approx(want)


def test_what_is_counted_from_the_close_begins_there(make):
    live = {"price": 11, "close": 10, "post_volume": 5}
    names = ("post_change_pct", "post_volume", "since_close_s")
    before, at_close, later = (row(make, at, live) for at in ("15:59:59", "16:00", "16:02"))
    assert [before[name] for name in names] == [None] * 3
    assert [at_close[name] for name in names] == [pytest.approx(10), 5, 0]
    assert later["since_close_s"] == 120


def test_ages_run_with_market_time(make):
    when = make.eastern("09:59").timestamp()
    names = ("updated_at", "high_at", "low_at", "vwap_cross_at")
    got = row(make, "10:00", dict.fromkeys(names, when))
    assert [got[name] for name in ("age_s", "high_age_s", "low_age_s", "vwap_cross_age_s")] == [60] * 4


@pytest.mark.parametrize(
    ("price", "want"),
    [
        (80, "1:8 split"),  # the reverse split took place: 10 before, 80 adjusted
        (10.4, "unverified"),  # still trading at the old price
        (7.9, "1:8 split"),  # off the old price by more than ln 1.25: not guessed
        (55, "1:8 split"),
    ],
)
def test_an_announced_split_that_the_price_contradicts_is_unverified(make, price, want):
    split = {"corp_action": "1:8 split", "prev_close": 80.0, "prev_close_raw": 10.0}
    held, made = (
        make.baselines(A=split, B={"prev_close": 80, "prev_close_raw": 10}),
        make.frame("10:00", A={"price": price}, B={"price": 10.4}),
    )
    assert market_table(made, held, make.hours)["corp_action"].to_list() == [want, None]
    assert make.market(made, held).texts("corp_action", [0, 1]) == [want, None]


def test_a_small_split_cannot_be_told_from_a_move(make):
    split = {"corp_action": "3:2 split", "prev_close": 10 / 1.5, "prev_close_raw": 10.0}
    assert row(make, "10:00", {"price": 10}, split)["corp_action"] == "3:2 split"


@pytest.mark.parametrize(("code", "want"), [(0, "filled"), (1, "holding"), (2, "fading"), (math.nan, None), (3, None), (-1, None)])
def test_lives_gap_state_becomes_a_word(make, code, want):
    assert row(make, "10:00", {"gap_state": code})["gap_state"] == want
    assert make.market(make.frame("10:00", A={"gap_state": code})).texts("gap_state", [0]) == [want]


@pytest.mark.parametrize(
    ("low", "prev_close", "before", "restricted"),
    [
        (9.0, 10.0, 0.0, True),  # ten percent exactly
        (9.01, 10.0, 0.0, False),
        (None, 10.0, 0.0, False),  # not opened yet
        (9.5, 10.0, 1.0, True),  # still by the session before
        (None, None, 1.0, True),
        (9.0, 10.0, None, True),
        (9.5, 10.0, None, None),
        (9.5, None, 0.0, None),
    ],
)
def test_short_sales_are_restricted_by_this_session_or_the_last(make, low, prev_close, before, restricted):
    live = {"price": 9.5} | ({} if low is None else {"regular_low": low})
    assert row(make, "10:00", live, {"prev_close": prev_close, "restricted_before": before})["ssr"] is restricted


def test_flags_are_three_valued(make):
    table = market_table(make.frame("10:00", A={"halted": 1}, B={"halted": 0}, C={}), None, make.hours)
    assert table["halted"].to_list() == [True, False, None]


def test_without_baselines_the_rest_stands(make):
    got = row(make, "10:00", {"price": 11, "volume": 5})
    assert (got["price"], got["volume"], got["rvol"], got["change_pct"], got["baseline"]) == (11, 5, None, None, "none")


def test_every_column_of_the_contract_is_there_with_its_type(make, shared_data):
    contract = (shared_data.parent / "CONTRACT.md").read_text()
    rows = contract.split("## Rows")[1].split("## The eleven lists")[0]
    protocol = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text()
    named = {*NAMES.findall(rows), *re.findall(r"`(ipo)`", protocol)}  # the page's badges were written down later
    assert not [name for name in COLUMNS if name not in named and not name.startswith(("chg_", "vol_"))]
    types = {Kind.TEXT: pl.String, Kind.CONDITION: pl.Boolean, Kind.NUMBER: pl.Float64}
    table = market_table(make.frame("10:00", A={}), make.baselines(A={}), make.hours)
    assert table.schema == {name: types[kind] for name, kind in KINDS.items()}


def test_a_join_is_kept_while_symbols_and_baselines_stay(make):
    held = make.baselines(A={})
    symbols = ["A", "B"]
    join = Join(symbols, held)
    assert join.fits(["A", "B"], held)
    symbols.append("C")  # live may append to its own list
    assert not join.fits(symbols, held)
    assert not join.fits(["A", "B"], make.baselines(A={}))


def test_a_newcomer_has_the_class_that_the_reference_says_and_baselines_win(make):
    said = {"NEW": Ticker("NEW", "New Inc. Warrant", "WARRANT", "XNAS"), "A": Ticker("A", "Another", "ETF")}
    frame = msgspec.structs.replace(make.frame("10:00", A={"price": 5}, NEW={"price": 7}, X={"price": 1}), newcomers=said)
    held = make.baselines(A={"name": "Alpha"})
    table = market_table(frame, held, make.hours).select("symbol", "class", "name", "exchange")
    assert table.rows() == [("A", "CS", "Alpha", None), ("NEW", "WARRANT", "New Inc. Warrant", "XNAS"), ("X", None, None, None)]
    assert not Join(frame.symbols, held).fits(frame.symbols, held, said)


def test_a_stock_is_new_for_seven_days_and_who_is_unknown_stays_unknown(make):
    """Of a reference that tells it within the session, too; a fund is never an IPO."""
    said = {"NEW": Ticker("NEW", "New Inc.", "CS", list_date=make.session), "ODD": Ticker("ODD", "Odd Inc.", "CS")}
    symbols = ("FUND", "NEW", "ODD", "OLD", "SIX", "SOON", "X", "Y")
    frame = msgspec.structs.replace(make.frame("10:00", **{symbol: {"price": 5} for symbol in symbols}), newcomers=said)
    dates = {"FUND": 0, "OLD": 7, "SIX": 6, "SOON": -1}
    known = {symbol: {"list_date": make.session - timedelta(days=days)} for symbol, days in dates.items()}
    held = make.baselines(**known | {"FUND": known["FUND"] | {"kind": "ETF"}, "Y": {}})
    table = market_table(frame, held, make.hours)
    found = dict(table.select("symbol", "ipo").iter_rows())
    assert found == {"FUND": False, "NEW": True, "ODD": None, "OLD": False, "SIX": True, "SOON": False, "X": None, "Y": None}
    assert market_table(frame, None, make.hours)["ipo"].to_list()[:2] == [None, True]


garbage = st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -0.0, -1.0, 1e308, -1e308, 5e-324, 1.0, 1e18])
LIVE = ("price", "open", "close", "high", "low", "vwap", "volume", "vol_5m", "updated_at", "high_at", "halted", "gap_state")
USUAL = ("prev_close", "prev_close_raw", "atr", "avg_volume_20d", "avg_dollar_volume_20d", "slots", "sd")


@settings(deadline=None)
@given(
    st.fixed_dictionaries(dict.fromkeys(LIVE, garbage)),
    st.fixed_dictionaries(dict.fromkeys(USUAL, garbage)),
    st.sampled_from(["04:00", "12:07", "19:59"]),
)
def test_the_border_lets_no_nan_and_no_infinity_through(make, live, usual, at):
    with np.errstate(all="ignore"):
        held = make.baselines(A=usual | {"corp_action": "1:2 split"})
    got = market_table(make.frame(at, A=live), held, make.hours).row(0)
    assert all(math.isfinite(value) for value in got if isinstance(value, float))
