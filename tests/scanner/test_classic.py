"""The shipped simple forms: each at its threshold, and as a person's file."""

from importlib import resources

import pytest

from tradeul.scanner.definitions import ListFolder, built_in_lists, parse
from tradeul.scanner.scan import scan

TEXT = resources.files("tradeul.scanner").joinpath("classic.toml").read_text()
LISTS = parse(TEXT, source="classic.toml", floors=built_in_lists()[0].floors)
LIVE = {"price": 100.0, "dollar_volume": 2e6, "trades": 500, "high": 200.0, "low": 1.0}
USUAL = {"prev_close": 100.0}
# A list; live values and those of the baselines that are just enough; the ones that just are not. E(10:00) is 72,000 shares.
CASES = [
    ("winners", {"price": 105.0}, {"price": 104.99}),
    ("losers", {"price": 95.0}, {"price": 95.01}),
    ("gappers_up", {"open": 102.0}, {"open": 101.99}),
    ("gappers_down", {"open": 98.0}, {"open": 98.01}),
    ("momentum_up", {"chg_5m": 3.0}, {"chg_5m": 2.99}),
    ("momentum_down", {"chg_5m": -3.0}, {"chg_5m": -2.99}),
    ("new_highs", {"high": 100.1}, {"high": 100.11}),
    ("new_lows", {"low": 99.91}, {"low": 99.89}),
    ("high_volume", {"volume": 144_000.0}, {"volume": 143_999.0}),
    ("anomalies", {"volume": 216_000.0}, {"volume": 215_999.0}),
    ("reversals", {"open": 102.0, "price": 100.97}, {"open": 102.0, "price": 100.99}),
    ("reversals", {"open": 98.0, "price": 98.98}, {"open": 98.0, "price": 98.97}),
    ("reversals", {"open": 102.0, "price": 100.97}, {"open": 101.99, "price": 100.9}),
]


def test_there_is_one_for_each_built_in_list():
    assert [found.name for found in LISTS] == [f"classic_{found.name}" for found in built_in_lists()]


@pytest.mark.parametrize(("name", "enough", "less"), CASES)
def test_each_form_has_its_documented_threshold(make, name, enough, less):
    fresh = LIVE | {"updated_at": make.eastern("10:00").timestamp()}
    made = make.frame("10:00", A=fresh | enough, B=fresh | less)
    rows = scan(made, make.baselines(A=USUAL, B=USUAL), LISTS, make.hours, {})[f"classic_{name}"]
    assert [row["symbol"] for row in rows] == ["A"]


def test_copied_to_the_folder_they_stand_beside_the_built_in_ones(tmp_path):
    (tmp_path / "classic.toml").write_text(TEXT)
    folder = ListFolder(tmp_path, built_in_lists())
    assert folder.look() == []
    assert len(folder.lists) == 22
    assert folder.lists[-1].floors == built_in_lists()[0].floors
