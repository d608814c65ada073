import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradeul.market_calendar import Phase
from tradeul.scanner.columns import COLUMNS
from tradeul.scanner.definitions import built_in_lists, parse
from tradeul.scanner.explain import and_parts, explain
from tradeul.scanner.scan import scan_rows

LISTS = built_in_lists()
MINE = parse(
    """
[lists.mine]
title = "Mine"
class = "all"
floors = false
limit = 2
where = '''NOT (price < 2) AND (name IS NULL OR price BETWEEN 1 AND 50)
  AND CASE WHEN halted THEN trades > 5 ELSE rvol IS NULL OR rvol > 0.1 END'''
order = [["name", "asc"], ["price / atr", "desc"]]
columns = ["price"]
""",
    source="mine.toml",
    floors=LISTS[0].floors,
)
ALL = [*LISTS, *MINE]


def why(make, at, live, name="winners", usual=None, last=None, beside=None):
    fresh = {"updated_at": make.eastern(at).timestamp() - 7}
    made = make.frame(at, A=fresh | live, Z={"trades": 1, "dollar_volume": 1} | fresh if beside is None else beside)
    market = make.market(
        made, make.baselines(**({"A": {"prev_close": 100, "atr": 2} | (usual or {})} if usual is not False else {"Z": {}}))
    )
    found = next(each for each in ALL if each.name == name)
    return explain(market, found, "A", last or {}, epoch=3, sequence=9)


def of(explanation, name):
    return [condition for condition in explanation.conditions if condition.name == name]


GOOD = {"price": 110, "dollar_volume": 2e6, "trades": 500, "partial": 0, "halted": 0}

# Values around every threshold, and what is not known.
value = st.sampled_from([math.nan, 0.0, 0.9, 1.0, 2.0, 5.0, 40.0, 99.0, 100.0, 104.0, 110.0, 3e5, 2e6, -6.0])
live_row = st.fixed_dictionaries(
    dict.fromkeys(
        [
            "price",
            "open",
            "close",
            "high",
            "low",
            "vwap",
            "volume",
            "dollar_volume",
            "post_dollar_volume",
            "chg_5m",
            "vol_5m",
            "dvol_5m",
            "high_count",
            "low_count",
        ],
        value,
    )
    | {name: st.sampled_from([math.nan, 5.0, 12.0, 200.0]) for name in ("trades", "post_trades", "trades_5m")}
    | {name: st.sampled_from([math.nan, 0.0, 30.0, 119.0, 2_000.0]) for name in ("updated_at", "high_at", "low_at", "vwap_cross_at")}
    | {name: st.sampled_from([math.nan, 0.0, 1.0]) for name in ("halted", "partial")}
)
usual_row = st.fixed_dictionaries(
    {
        "prev_close": st.sampled_from([None, 0.5, 100.0, 110.0]),
        "prev_close_raw": st.sampled_from([100.0, 10.0]),
        "corp_action": st.sampled_from([None, "10:1 split"]),
        "atr": st.sampled_from([None, 1.0, 4.0]),
        "kind": st.sampled_from(["CS", "ETF", "WARRANT", None]),
        "name": st.sampled_from([None, "Alpha", "Beta 3x Shares"]),
        "avg_volume_20d": st.sampled_from([None, 100.0, 1e6]),
        "avg_dollar_volume_20d": st.sampled_from([None, 1e6, 60e6]),
        "sessions": st.sampled_from([None, 3, 20]),
        "slots": st.sampled_from([1.0, 1_000.0]),
    }
)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_an_explanation_agrees_with_the_list_for_every_row_of_every_list(make, data):
    at = data.draw(st.sampled_from(["04:30", "08:00", "09:32", "10:00", "15:59", "16:30"]))
    now = make.eastern(at).timestamp()
    tickers = {}
    for number in range(data.draw(st.integers(1, 4))):
        row = data.draw(live_row)
        tickers[f"T{number}"] = {name: now - each if name.endswith("_at") else each for name, each in row.items()}
    usual = {name: data.draw(usual_row) for name in tickers if data.draw(st.integers(0, 4))}
    last = data.draw(st.sampled_from([{}, {Phase.MARKET_OPEN: {"gappers_up": ["T0", "GONE"], "gappers_down": []}}]))
    market = make.market(make.frame(at, **tickers), make.baselines(**usual) if usual else None)
    shown = scan_rows(market, ALL, last)
    for found in ALL:
        places = {row["symbol"]: row["rank"] for row in shown[found.name]}
        for symbol in tickers:
            said = explain(market, found, symbol, last, epoch=1, sequence=1)
            assert said.on_list is (symbol in places), (found.name, said)
            assert said.fulfils is (said.rank is not None), (found.name, said)
            assert places.get(symbol) == (said.rank if said.on_list else None)
            assert said.fulfils or any(not condition.holds for condition in said.conditions)
            assert all(condition.unknown_because for condition in said.conditions if condition.holds is None and condition.name != "where")


def test_every_floor_shows_its_threshold_of_the_present_phase(make):
    said = why(make, "10:00", GOOD)
    asked = {condition.name: condition.asks for condition in said.conditions}
    assert asked == {
        "session": "a row of the session of 2026-03-09",
        "class": "class is one of stocks",
        "corp_action": "corp_action is not unverified",
        "price": "price IS NOT NULL AND greatest(price, prev_close) >= 1",
        "dollar_volume": "dollar_volume >= 1,000,000",
        "trades": "trades >= 150",
        "age": "halted OR age_s <= 90",
        "where": "change_pct >= 5",
    }
    assert said.on_list
    assert said.fulfils
    assert said.rank == 0
    assert said.summary == "A is on Winners: place 1 of 1."
    after = {condition.name: condition.asks for condition in why(make, "16:30", GOOD).conditions}
    assert (after["post_dollar_volume"], after["post_trades"], after["age"]) == (
        "post_dollar_volume >= 100,000",
        "post_trades >= 10",
        "halted OR age_s <= 900",
    )
    assert after["where"] == "post_change_pct >= 3"


def test_a_floor_whose_input_never_comes_says_that_it_is_not_applied(make):
    bare = {"price": 110, "dollar_volume": 2e6, "updated_at": make.eastern("10:00").timestamp()}
    (trades,) = of(why(make, "10:00", bare, beside=bare), "trades")
    assert not trades.applied
    assert trades.holds
    assert trades.note == "not applied: this source never delivers trades"


def test_each_and_part_is_told_with_its_value_and_what_it_is_made_from(make):
    live = GOOD | {"open": 104.0, "volume": 5e4}
    parts = of(why(make, "10:00", live, "gappers_up", usual={"avg_volume_20d": 1e6}), "where")
    assert [part.asks for part in parts] == [
        "(gap_pct >= 4 OR (gap_pct >= 2 AND avg_dollar_volume_20d >= 50e6))",
        "(vol_pct_adv >= 1 OR dollar_volume >= 1e6)",
    ]
    assert [part.holds for part in parts] == [True, True]
    gap = parts[0].inputs[0]
    assert (gap.column, gap.value, gap.source, gap.age_seconds) == ("gap_pct", 4.0, "computed", 7.0)
    by_name = {each.column: each for each in parts[0].inputs}
    assert set(gap.made_from) <= set(by_name)
    assert (by_name["open"].source, by_name["open"].age_seconds) == ("live", 7.0)
    assert (by_name["prev_close"].source, by_name["prev_close"].age_seconds) == ("baselines", None)


def test_the_first_null_is_followed_to_its_cause(make):
    (part,) = of(why(make, "10:00", GOOD, usual=False), "where")
    assert part.holds is None
    assert part.unknown_because == "change_pct is null: prev_close is null: the ticker has no baselines"
    said = why(make, "10:00", GOOD | {"high_at": make.eastern("09:59:30").timestamp(), "high_count": 3}, "new_highs", usual={"atr": None})
    ranged = next(each for each in of(said, "where") if each.asks.startswith("range_atr"))
    assert ranged.unknown_because == "range_atr is null: high is null: no source delivers it"
    (price,) = of(why(make, "10:00", GOOD | {"price": math.nan}), "price")
    assert price.holds is None
    assert price.unknown_because == "price is null"
    assert "is not on Winners: price IS NOT NULL" in why(make, "10:00", GOOD | {"price": math.nan}).summary


def test_a_ticker_beyond_the_lists_length_is_told_its_place(make):
    rows = {f"T{number}": {"price": 10 + number} for number in range(4)}
    market = make.market(make.frame("10:00", **rows))
    said = explain(market, MINE[0], "T3", {}, epoch=1, sequence=1)
    assert (said.fulfils, said.on_list, said.rank, said.limit) == (True, False, 3, 2)
    assert said.summary == "T3 fulfils every condition of Mine, but stands at place 4; the list holds 2."


def test_a_symbol_that_is_not_in_the_table_says_so(make):
    said = explain(make.market(make.frame("10:00", A={"price": 1})), LISTS[0], "NOPE", {}, epoch=1, sequence=1)
    assert not said.fulfils
    assert said.columns == {}
    assert said.summary.startswith("NOPE is not in today's table")


def test_after_the_close_gappers_are_asked_who_stood_there(make):
    kept = why(make, "16:30", GOOD, "gappers_up", last={Phase.MARKET_OPEN: {"gappers_up": ["A"]}})
    assert [condition.name for condition in kept.conditions] == ["session", "members"]
    assert kept.on_list
    unknown = why(make, "16:30", GOOD, "gappers_up")
    assert of(unknown, "members")[0].note.startswith("who stood there is not known")
    assert of(unknown, "dollar_volume")[0].asks == "dollar_volume >= 1,000,000"


def test_every_column_is_there_for_scans_only_ones_too(make):
    said = why(make, "10:00", GOOD)
    assert list(said.columns) == list(COLUMNS)
    assert said.columns["phase"] == "MARKET_OPEN"
    assert (said.columns["since_open_s"], said.columns["age_s"], said.columns["since_close_s"]) == (1800, 7, None)
    assert said.columns["change_pct"] == 10.0


def test_where_a_list_orders_the_keys_are_told(make):
    said = why(make, "10:00", GOOD | {"chg_5m": 3.0}, "momentum_up")
    assert [(key.expression, key.direction) for key in said.order] == [("chg_5m / atr_pct", "desc")]
    assert said.order[0].value == pytest.approx(3.0 / (200 / 110), abs=1e-6)


@pytest.mark.parametrize(
    ("where", "parts"),
    [
        ("price > 1", ["price > 1"]),
        ("price > 1 and rvol > 2 AND NOT halted", ["price > 1", "rvol > 2", "NOT halted"]),
        ("price BETWEEN 1 AND 5 AND rvol > 2", ["price BETWEEN 1 AND 5", "rvol > 2"]),
        ("price > 1 OR rvol > 2 AND halted", ["price > 1 OR rvol > 2 AND halted"]),
        ("(price > 1 OR rvol > 2) AND halted", ["(price > 1 OR rvol > 2)", "halted"]),
        ("name = 'SALT AND PEPPER' AND price > 1", ["name = 'SALT AND PEPPER'", "price > 1"]),
        ("name = 'it''s AND' AND price > 1", ["name = 'it''s AND'", "price > 1"]),
        ("CASE WHEN halted AND ssr THEN price > 1 ELSE price > 2 END AND rvol > 1", None),
        ("price > 1 -- AND rvol > 2\nAND rvol > 3", ["price > 1 -- AND rvol > 2\nAND rvol > 3"]),
    ],
)
def test_where_is_taken_apart_at_its_outermost_ands_only(where, parts):
    assert and_parts(where) == (parts or ["CASE WHEN halted AND ssr THEN price > 1 ELSE price > 2 END", "rvol > 1"])


def test_explaining_leaves_the_market_as_it_was(make):
    market = make.market(make.frame("10:00", A=GOOD), make.baselines(A={"prev_close": 100}))
    before = scan_rows(market, ALL, {})
    for found in ALL:
        explain(market, found, "A", {}, epoch=1, sequence=1)
    assert scan_rows(market, ALL, {}) == before
    assert np.isfinite(market["change_pct"]).all()
