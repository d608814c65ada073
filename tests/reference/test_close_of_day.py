"""A session by its daily bars alone, as END_OF_DAY mode and a start while CLOSED show it, against the reference."""

import asyncio
from datetime import date

import pytest

from tests.reference.close import Close
from tests.reference.hours import OPEN
from tests.reference.product import Product, baselines_of, differences
from tests.reference.raw_day import RawDay
from tradeul.scanner.definitions import built_in_lists
from tradeul.scanner.scan import lacking
from tradeul.store.lake import Lake

DAILY_BARS_SUFFICE = {"winners", "losers", "gappers_up", "gappers_down", "high_volume"}


@pytest.mark.parametrize(("session", "close", "seed"), [
    (date(2026, 1, 5), "16:00", 1),
    *(pytest.param(session, close, seed, marks=pytest.mark.long)
      for session, close in ((date(2025, 11, 28), "13:00"), (date(2026, 3, 9), "16:00")) for seed in (2, 3, 4)),
])  # fmt: skip
def test_daily_bars_alone_make_the_references_columns_and_lists(tmp_path, session, close, seed):
    day = RawDay(seed, session, close, busy_hours=[(OPEN, OPEN + 3600)])
    product = Product(asyncio.run(baselines_of(day.past, tmp_path / "past")))
    market, lists = product.look_back(day.grouped(), Lake(tmp_path / "lake", "test", simulated=True))
    look = Close(day.past, day.hours, day.grouped()).look_back()
    found = differences(market, lists, look, day.hours.close - 1)
    assert not found, f"{len(found)} differences, the first:\n" + "\n".join(found[:20])
    assert {name for name, members in lists.items() if members} == DAILY_BARS_SUFFICE
    assert {each.name for each in built_in_lists() if not lacking(market, each)} == DAILY_BARS_SUFFICE, "the others say what they lack"
