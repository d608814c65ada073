"""Each list on hand-made markets: a member, and beside it what just misses, one condition at a time."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradeul.market_calendar import Phase
from tradeul.records.frame import MarketFrame
from tradeul.scanner.definitions import built_in_lists, parse
from tradeul.scanner.scan import lacking, scan, scan_rows

LISTS = built_in_lists()
# Passes every common condition at any time of the session; the usual slot trades 1,000 shares, so E(10:00) = 72,000.
LIVE = {"price": 100, "dollar_volume": 2e6, "trades": 500, "post_dollar_volume": 2e5, "post_trades": 50}
USUAL = {"prev_close": 100, "atr": 2, "avg_volume_20d": 1e6, "avg_dollar_volume_20d": 1e7}


def on(make, name, at, live, usual=None, last=None):
    """The symbols of a list in a market of one, A, and a second ticker that is never on a list but delivers every input."""
    fresh = LIVE | {"updated_at": make.eastern(at).timestamp()}
    made = make.frame(at, A=fresh | live, Z=fresh)
    rows = scan(made, make.baselines(A=USUAL | (usual or {}), Z={}), LISTS, make.hours, last or {})
    return "A" in [row["symbol"] for row in rows[name]]


def ago(make, at, seconds):
    return make.eastern(at).timestamp() - seconds


UP = {"price": 102.5, "high": 102.5, "vwap": 101, "chg_5m": 1.2, "vol_5m": 3_000, "dvol_5m": 2e5}
DOWN = {"price": 97.5, "low": 97.5, "vwap": 99, "chg_5m": -1.2, "vol_5m": 3_000, "dvol_5m": 2e5}
NO_ATR = {"atr": None}
# list, time, a member's values; then changes (live, baselines) and whether it is still a member
CASES = [
    (
        "winners",
        "10:00",
        {"price": 105},
        {},
        [({}, {}, 1), ({"price": 104.99}, {}, 0), ({"price": math.nan}, {}, 0), ({}, {"prev_close": None}, 0)],
    ),
    ("winners", "16:30", {"price": 103, "close": 100}, {}, [({}, {}, 1), ({"price": 102.99}, {}, 0), ({"close": math.nan}, {}, 0)]),
    ("winners", "16:30", {"price": 110, "close": 110}, {}, [({}, {}, 0)]),  # the day's winner, silent after the close
    ("losers", "10:00", {"price": 95}, {}, [({}, {}, 1), ({"price": 95.01}, {}, 0), ({}, {"prev_close": None}, 0)]),
    ("losers", "16:30", {"price": 97, "close": 100}, {}, [({}, {}, 1), ({"price": 97.01}, {}, 0)]),
    (
        "gappers_up",
        "10:00",
        {"open": 104},
        {},
        [
            ({}, {}, 1),
            ({"open": 103.99}, {}, 0),
            ({"open": 102}, {"avg_dollar_volume_20d": 50e6}, 1),
            ({"open": 102}, {"avg_dollar_volume_20d": 49.9e6}, 0),
            ({"open": 101.99}, {"avg_dollar_volume_20d": 50e6}, 0),
            ({"open": 102}, {"avg_dollar_volume_20d": None}, 0),
        ],
    ),
    (
        "gappers_up",
        "08:00",
        {"price": 104, "dollar_volume": 3e5, "volume": 10_000},  # 1 % of its usual day, indicated
        {},
        [
            ({}, {}, 1),
            ({"volume": 9_999}, {}, 0),
            ({"volume": 1, "dollar_volume": 1e6}, {}, 1),
            ({"volume": math.nan}, {}, 0),
            ({}, {"avg_volume_20d": None}, 0),
        ],
    ),
    (
        "gappers_down",
        "10:00",
        {"open": 96},
        {},
        [
            ({}, {}, 1),
            ({"open": 96.01}, {}, 0),
            ({"open": 98}, {"avg_dollar_volume_20d": 50e6}, 1),
            ({"open": 98.01}, {"avg_dollar_volume_20d": 50e6}, 0),
        ],
    ),
    (
        "momentum_up",
        "10:00",
        UP,
        {},
        [
            ({}, {}, 1),
            ({"chg_5m": 0.99}, {}, 0),
            ({"chg_5m": 1.2}, {"atr": 4}, 0),  # 0.35 x 3.9 %
            ({"vol_5m": 1_999}, {}, 0),
            ({"vol_5m": math.nan}, {}, 0),
            ({"dvol_5m": 99_999}, {}, 0),
            ({"price": 100.9}, {}, 0),  # below vwap
            ({"high": 102.81}, {}, 0),  # more than 0.15 atr from the high
            ({"high": 102.79}, {}, 1),
            ({"vwap": math.nan}, {}, 0),
            ({"high": 104}, NO_ATR, 1),  # without atr: within 1.5 % of the high, at least 1 %
            ({"high": 104.1}, NO_ATR, 0),
            ({"chg_5m": 0.99}, NO_ATR, 0),
        ],
    ),
    ("momentum_up", "09:40", UP | {"dvol_5m": 3e5}, {}, [({}, {}, 1), ({"dvol_5m": 299_999}, {}, 0)]),
    ("momentum_up", "08:00", UP | {"dvol_5m": 25_000}, {}, [({}, {}, 1), ({"dvol_5m": 24_999}, {}, 0)]),
    (
        "momentum_down",
        "10:00",
        DOWN,
        {},
        [
            ({}, {}, 1),
            ({"chg_5m": -0.99}, {}, 0),
            ({"chg_5m": 1.2}, {}, 0),
            ({"vol_5m": 1_999}, {}, 0),
            ({"vwap": 97}, {}, 0),
            ({"low": 97.19}, {}, 0),
            ({"low": 97.21}, {}, 1),
            ({"low": 96.1}, NO_ATR, 1),
            ({"low": 96}, NO_ATR, 0),
        ],
    ),
    (
        "new_highs",
        "10:00",
        {"price": 101, "high": 101, "low": 100.39, "high_at": -120, "high_count": 2, "volume": 108_000},
        {},
        [
            ({}, {}, 1),
            ({"high_at": -121}, {}, 0),
            ({"high_count": 1}, {}, 0),
            ({"high_count": math.nan}, {}, 0),
            ({"low": 100.41}, {}, 0),
            ({"volume": 107_999}, {}, 0),
            ({"price": 100}, {}, 0),
            ({}, NO_ATR, 0),
        ],
    ),
    (
        "new_lows",
        "10:00",
        {"price": 99, "high": 99.61, "low": 99, "low_at": -120, "low_count": 2, "volume": 108_000},
        {},
        [
            ({}, {}, 1),
            ({"low_at": -121}, {}, 0),
            ({"low_count": 1}, {}, 0),
            ({"high": 99.59}, {}, 0),
            ({"volume": 107_999}, {}, 0),
            ({"price": 100}, {}, 0),
        ],
    ),
    (
        "high_volume",
        "10:00",
        {"volume": 144_000},
        {},
        [
            ({}, {}, 1),
            ({"volume": 143_999}, {}, 0),
            ({"volume": 4_100}, {"slots": 2_001 / 72}, 1),
            ({"volume": 4_000}, {"slots": 1_999 / 72}, 0),  # too little is expected
            ({"dollar_volume": 5e6}, {"sessions": 0}, 1),
            ({"dollar_volume": 4.9e6}, {"sessions": 0}, 1),  # rvol still says so
            ({"dollar_volume": 5e6}, {"sessions": None, "slots": math.nan}, 1),  # no baseline, much money
            ({"dollar_volume": 4.9e6}, {"sessions": None, "slots": math.nan}, 0),
        ],
    ),
    ("high_volume", "08:00", {"volume": 50_000}, {"slots": 1e5}, [({}, {}, 1), ({"volume": 49_999}, {}, 0)]),
    ("high_volume", "10:00", {"volume": 50_000}, {"slots": 1e5}, [({}, {}, 0)]),  # 5 % of the day counts before the open only
    (
        "anomalies",
        "10:00",
        {"vol_5m": 5_000, "trades_5m": 25, "dvol_5m": 1e5, "chg_5m": -0.4},
        {"avg_dollar_volume_20d": 2.5e5, "sd": 0.5},
        [
            ({}, {}, 1),
            ({}, {"sd": 0.55}, 0),  # ln(5001 / 1001) / 0.55 = 2.92
            ({"vol_5m": 3_999}, {"sd": 0.25}, 0),
            ({"trades_5m": 24}, {}, 0),
            ({"trades_5m": math.nan}, {}, 0),
            ({"dvol_5m": 99_999}, {}, 0),
            ({}, {"avg_dollar_volume_20d": 249_999}, 0),
            ({"chg_5m": 0.39}, {}, 0),
            ({"chg_5m": 0.4}, {}, 1),
            ({}, NO_ATR, 0),
            ({}, {"sessions": 4}, 0),
        ],
    ),
    (
        "reversals",
        "10:00",
        {"open": 103, "price": 102, "vwap": 102.5, "vwap_cross_at": -1800},
        {},
        [
            ({}, {}, 1),
            ({"vwap_cross_at": -1801}, {}, 0),
            ({"vwap_cross_at": math.nan}, {}, 0),
            ({"open": 102.99}, {}, 0),
            ({"price": 102.3}, {}, 0),  # less than 0.4 atr below the open
            ({"vwap": 102}, {}, 0),
            ({}, NO_ATR, 0),
            ({"open": 97, "price": 98, "vwap": 97.5}, {}, 1),
            ({"open": 97.01, "price": 98, "vwap": 97.5}, {}, 0),
            ({"open": 97, "price": 98, "vwap": 98}, {}, 0),
        ],
    ),
    ("reversals", "09:35", {"open": 103, "price": 102, "vwap": 102.5, "vwap_cross_at": 0}, {}, [({}, {}, 1)]),
    ("reversals", "09:34:59", {"open": 103, "price": 102, "vwap": 102.5, "vwap_cross_at": 0}, {}, [({}, {}, 0)]),
]


@pytest.mark.parametrize(
    ("name", "at", "live", "usual", "wanted"),
    [
        (name, at, live | lives, usual | usuals, bool(wanted))
        for name, at, live, usual, changes in CASES
        for lives, usuals, wanted in changes
    ],
)
def test_a_list_holds_its_members_and_nobody_who_just_misses(make, name, at, live, usual, wanted):
    live = {column: ago(make, at, -value) if column.endswith("_at") else value for column, value in live.items()}
    assert on(make, name, at, live, usual) is wanted


WINNER = {"price": 110}


@pytest.mark.parametrize(
    ("live", "usual"),
    [
        ({"dollar_volume": 999_999}, {}),
        ({"updated_at": 0}, {}),
        ({}, {"kind": "ETF"}),
        ({"price": 0.9}, {"prev_close": 0.5}),
        ({"price": 110}, {"prev_close": 11, "prev_close_raw": 110, "corp_action": "10:1 split"}),  # the split that is no gain
    ],
)
def test_the_common_conditions_hold_on_every_list(make, live, usual):
    assert on(make, "winners", "10:00", WINNER)
    assert not on(make, "winners", "10:00", WINNER | live, usual)


def a_list(**changes):
    fields = {
        "title": "T",
        "where": "price > 0",
        "order": [["price", "desc"]],
        "columns": ["price"],
        "floors": False,
        "class": "all",
    } | changes
    body = "\n".join(f"{name} = {toml(value)}" for name, value in fields.items())
    return parse(f"[lists.mine]\n{body}", source="mine.toml", floors=LISTS[0].floors)


def toml(value):
    return str(value).lower() if isinstance(value, bool) else repr(value)


def symbols(make, lists, made, held=None, last=None):
    return [row["symbol"] for row in scan(made, held, lists, make.hours, last or {})["mine"]]


def test_a_list_without_floors_asks_neither_for_money_nor_for_a_dollar(make):
    made = make.frame("10:00", A={"price": 0.2}, B={"price": 3, "updated_at": 0})
    assert symbols(make, a_list(), made) == ["B", "A"]
    assert symbols(make, a_list(floors=True), made) == []


def test_ties_are_broken_by_symbol_and_nulls_come_last(make):
    made = make.frame(
        "10:00", D={"price": 1}, B={"price": 1, "chg_5m": 2}, C={"price": 1, "chg_5m": 2}, A={"price": 1}, E={"price": 1, "chg_5m": 3}
    )
    assert symbols(make, a_list(order=[["chg_5m", "desc"]]), made) == ["E", "B", "C", "A", "D"]
    assert symbols(make, a_list(order=[["chg_5m", "asc"]]), made) == ["B", "C", "E", "A", "D"]
    assert symbols(make, a_list(order=[["price", "desc"], ["chg_5m", "asc"]]), made) == ["B", "C", "E", "A", "D"]


def test_symbols_that_appeared_today_tie_by_name_too(make):
    made = MarketFrame(make.session, make.eastern("10:00"), ["B", "D", "A"], {"price": np.ones(3)})
    assert symbols(make, a_list(), made) == ["A", "B", "D"]


def test_texts_order_and_filter(make):
    made = make.frame("10:00", A={"price": 1}, B={"price": 1}, C={"price": 1}, D={"price": 1})
    held = make.baselines(A={"name": "Zebra"}, B={"name": "Apple"}, C={"name": None}, D={"name": "Mango", "kind": "ETF"})
    assert symbols(make, a_list(order=[["name", "asc"]]), made, held) == ["B", "D", "A", "C"]
    assert symbols(make, a_list(order=[["name", "desc"]], where="class = 'CS'"), made, held) == ["A", "B", "C"]
    assert symbols(make, a_list(where="symbol IN ('B', 'D') AND phase = 'MARKET_OPEN'"), made, held) == ["B", "D"]


def test_all_tickers_are_asked_before_any_is_cut(make):
    made = make.frame("10:00", **{f"T{number:03}": {"price": 1 + number} for number in range(250)})
    assert symbols(make, a_list(), made) == [f"T{number:03}" for number in range(249, 149, -1)]
    assert len(symbols(make, a_list(limit=7), made)) == 7


def test_a_list_may_name_what_no_source_gives_yet(make):
    made = make.frame("10:00", A={"price": 1})
    for where in ("free_float < 5e6", "NOT ssr", "headline IS NOT NULL", "spread_pct < 1", "news_at > 0"):
        assert symbols(make, a_list(where=where), made) == []
    assert symbols(make, a_list(where="free_float IS NULL AND sector IS NULL"), made) == ["A"]


@pytest.mark.parametrize("switch", [("stocks", "A"), ("etf", "B"), ("leveraged", "C"), ("all", "ABCD")])
def test_the_class_switch(make, switch):
    held = make.baselines(A={}, B={"kind": "ETF"}, C={"kind": "ETF", "name": "Daily 3x Shares"}, D={"kind": "WARRANT"})
    made = make.frame("10:00", **{symbol: {"price": 1} for symbol in "ABCD"})
    assert "".join(symbols(make, a_list(**{"class": switch[0]}), made, held)) == switch[1]


def test_after_the_close_gappers_are_those_of_the_last_open_frame(make):
    assert on(make, "gappers_up", "16:30", {"open": 100}, last={Phase.MARKET_OPEN: {"gappers_up": ["A"]}})
    assert not on(make, "gappers_up", "16:30", {"open": 105}, last={Phase.MARKET_OPEN: {"gappers_up": []}})
    # nothing remembered (a start after the close): what the last open frame would have asked
    assert on(make, "gappers_up", "16:30", {"open": 105, "post_trades": 0, "updated_at": ago(make, "16:30", 1800)})
    assert not on(make, "gappers_up", "16:30", {"open": 105, "dollar_volume": 9e5})


def test_members_of_an_earlier_phase_keep_their_order_and_leave_with_the_universe(make):
    lists = [found for found in LISTS if found.name == "gappers_up"]
    made = make.frame("16:30", A={"price": 1, "open": 102}, B={"price": 1, "open": 108}, C={"price": 1, "open": 120})
    held = make.baselines(**{symbol: {"prev_close": 100} for symbol in "ABC"})
    rows = scan(made, held, lists, make.hours, {Phase.MARKET_OPEN: {"gappers_up": ["GONE", "A", "B"]}})["gappers_up"]
    assert [row["symbol"] for row in rows] == ["B", "A"]


garbage = st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -1.0, 1e308, -1e308, 5e-324, 1.0, 7.25, 1e18])
NAMES = sorted(set().union(*(found.cells for found in LISTS)) - {"name", "baseline", "prev_close"})


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_nan_and_infinity_never_reach_a_row(make, data):
    tickers = {f"T{number}": data.draw(st.fixed_dictionaries(dict.fromkeys(NAMES, garbage))) for number in range(3)}
    usual = {
        name: data.draw(st.fixed_dictionaries(dict.fromkeys(("prev_close", "atr", "avg_volume_20d", "sd"), garbage))) for name in tickers
    }
    everything = parse(
        f"[lists.mine]\ntitle = 'T'\nwhere = 'symbol IS NOT NULL'\norder = [['chg_5m / atr_pct', 'desc']]\n"
        f"floors = false\nclass = 'all'\ncolumns = {NAMES[:30]}",
        source="x",
    )
    with np.errstate(all="ignore"):
        market = make.market(make.frame(data.draw(st.sampled_from(["08:00", "10:00", "16:30"])), **tickers), make.baselines(**usual))
        found = scan_rows(market, [*LISTS, *everything], {})
    assert len(found["mine"]) == 3
    for rows in found.values():
        assert all(math.isfinite(value) for row in rows for value in row.values() if isinstance(value, float))


def test_a_list_says_which_inputs_nobody_delivers(make):
    made = make.frame("10:00", A=LIVE | {"chg_5m": 1.0}, Z=LIVE)
    market = make.market(made, make.baselines(A=USUAL, Z={}))
    of = {found.name: lacking(market, found) for found in LISTS}
    assert of["winners"] == ()
    assert "chg_5m" not in of["momentum_up"] and {"rvol_5m", "vwap"} <= set(of["momentum_up"])
    before = make.market(make.frame("08:00", A=LIVE), make.baselines(A=USUAL))
    assert "since_open_s" in {found.name: lacking(before, found) for found in LISTS}["reversals"]
