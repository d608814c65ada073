"""A real whole-market day, 2024-06-20, as an end-of-day snapshot: the lists hold stocks, the class switch brings the others.

Classes are those of the exchanges' directories of a year later; who is in none
of them has no class, as with the vendor. The day's file has no close of the
session before, so its own open stands in for it; then the day backwards, from
close to open, so that gaps are there as well.
"""

import csv
import gzip
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest

from tradeul.analytics.baselines import COLUMNS, SLOTS, Baselines
from tradeul.market_calendar import nyse
from tradeul.records.frame import MarketFrame
from tradeul.scanner.classes import leverage_of
from tradeul.scanner.columns import Join, Market
from tradeul.scanner.definitions import built_in_lists
from tradeul.scanner.scan import scan_rows
from tradeul.scanner.variants import variant

SESSION = date(2024, 6, 20)
HOURS = nyse().hours(SESSION)
AS_OF = HOURS.close_at - timedelta(seconds=1)  # the floors of 10:00 to the close
FILLED = ("winners", "losers", "gappers_up", "gappers_down", "high_volume")
TOP = 20
# What a name says of an issue that is no common stock, the vendor's code for it.
KINDS = {"Warrant": "WARRANT", "Unit": "UNIT", "Right": "RIGHT", "Preferred": "PFD", "Depositary Shares": "PFD", "Notes": "BOND"}


@pytest.fixture(scope="module")
def directory(shared_data):
    """Symbol as the vendor writes it -> (fund or not, name)."""
    found = {}
    for name, symbol in (("nasdaqlisted", "Symbol"), ("otherlisted", "ACT Symbol")):
        with gzip.open(shared_data / f"universe/{name}.txt.gz", "rt") as file:
            for row in csv.DictReader(file, delimiter="|"):
                written = (row[symbol] or "").replace("$", "p")
                written = written + "S" if written.endswith(".W") else written
                found[written] = (row["ETF"] == "Y", row["Security Name"] or "")
    return found


@pytest.fixture(scope="module")
def day(shared_data):
    return pl.read_csv(shared_data / "polygon/grouped_daily_2024-06-20.csv.gz").sort("T")


def kind_of(is_fund, name):
    if is_fund:
        return "ETN" if "ETN" in name else "ETF"
    return next((kind for word, kind in KINDS.items() if word in name and "American Depositary" not in name), "CS")


def market_of(day, directory, *, backwards):
    symbols, opened, closed = day["T"].to_list(), day["o"].to_numpy(), day["c"].to_numpy()
    before, price = (closed, opened) if backwards else (opened, closed)
    dollars = day["v"].to_numpy() * day["vw"].fill_null(day["c"]).to_numpy()
    columns = {
        "price": price,
        "open": opened,
        "high": day["h"].to_numpy(),
        "low": day["l"].to_numpy(),
        "volume": day["v"].to_numpy(),
        "dollar_volume": dollars,
        "trades": day["n"].cast(pl.Float64).fill_null(float("nan")).to_numpy(),
        "updated_at": np.full(len(symbols), AS_OF.timestamp()),
    }
    rows = []
    for symbol, close, traded in zip(symbols, before.tolist(), dollars.tolist(), strict=True):
        listed = directory.get(symbol)
        kind = None if listed is None else kind_of(*listed)
        name = None if listed is None else listed[1]
        row = {"symbol": symbol, "kind": kind, "name": name, "prev_close": close, "prev_close_raw": close, "avg_dollar_volume_20d": traded}
        rows.append({column: row.get(column) for column in COLUMNS})
    unknown = np.full((len(rows), SLOTS), np.nan)
    held = Baselines(SESSION, True, 0, pl.DataFrame(rows, schema=COLUMNS), unknown, unknown, unknown)
    return Market(MarketFrame(SESSION, AS_OF, symbols, columns), Join(symbols, held), HOURS)


@pytest.fixture(scope="module", params=[False, True], ids=["open to close", "close to open"])
def market(day, directory, request):
    return market_of(day, directory, backwards=request.param)


def top(market, lists):
    return {name: [row["symbol"] for row in rows[:TOP]] for name, rows in scan_rows(market, lists, {}).items()}


def test_no_fund_warrant_unit_or_sub_dollar_row_is_among_the_first_of_a_list(market, directory):
    shown = top(market, built_in_lists())
    price, before = market["price"], market["prev_close"]
    seen = 0
    for name in FILLED:
        for symbol in shown[name]:
            is_fund, says = directory.get(symbol, (False, ""))
            place = market.join.place_of[symbol]
            assert not is_fund, (name, symbol, says)
            assert not any(word in says for word in ("Warrant", " Unit", " Right", "Preferred")), (name, symbol, says)
            assert max(price[place], before[place]) >= 1, (name, symbol)
            seen += 1
    assert seen >= 3 * TOP
    assert all(len(shown[name]) == TOP for name in ("winners", "losers", "high_volume"))
    # and there were enough of them to be kept away: without classes and floors they fill the places
    bare = [each._replace(definition=variant(each, "all").definition) for each in built_in_lists()]
    assert any(directory.get(symbol, (False, ""))[0] for symbol in top(market, bare)["high_volume~all"])


def test_the_class_switch_brings_them_back(market, directory):
    lists = [variant(found, issue_class) for found in built_in_lists() for issue_class in ("etf", "leveraged", "all")]
    shown = top(market, lists)
    for name in ("winners", "high_volume"):
        funds, leveraged, everything = (shown[f"{name}~{issue_class}"] for issue_class in ("etf", "leveraged", "all"))
        assert len(leveraged) >= 5
        assert all(directory[symbol][0] for symbol in [*funds, *leveraged])
        assert not [symbol for symbol in funds if leverage_of("ETF", directory[symbol][1])]
        assert len(everything) == TOP
    assert {"SPY", "QQQ"} <= set(shown["high_volume~etf"])
    assert {"TQQQ", "SOXL"} <= set(shown["high_volume~leveraged"])
    assert {"SPY", "NVDA", "TQQQ"} <= set(shown["high_volume~all"])
