from datetime import date, time

import pytest

from tradeul.analytics.baselines import Baselines
from tradeul.maintenance.tasks.splits import splits_of
from tradeul.market_calendar import at, nyse
from tradeul.records.tickers import Split

SESSION, NEXT = date(2026, 3, 9), date(2026, 3, 10)


async def test_a_split_listed_twice_is_applied_once(house):
    split = Split("T001", SESSION, 8, 1)
    house.market.split_list = [split, Split("T001", SESSION, 8, 1), Split("T002", nyse().before(SESSION, 3)[0], 1, 10)]
    assert (await house.service.reconcile()).success
    assert splits_of(house.lake.read("splits", SESSION))[0] == split
    assert house.row("splits", SESSION).got == 2
    assert "T001" in house.row("splits", SESSION).error


async def baselines(house, session):
    return Baselines.from_arrow(await house.bus.get_baselines(session))


async def test_a_split_known_in_the_evening_changes_the_next_session_and_not_the_current(house):
    assert (await house.service.reconcile()).success
    before = await baselines(house, SESSION)
    house.market.split_list = [Split("T001", NEXT, 8, 1)]
    house.clock._now = at(SESSION, time(20, 15))
    assert (await house.service.reconcile()).success
    assert (await baselines(house, SESSION)).to_frame().equals((before).to_frame())
    row = (await baselines(house, NEXT)).table.filter(symbol="T001").row(0, named=True)
    assert row["corp_action"] == "1:8 split"
    assert row["prev_close"] == 8 * row["prev_close_raw"]


async def test_a_split_announced_overnight_makes_the_baselines_anew(house):
    house.clock._now = at(SESSION, time(20, 15))
    assert (await house.service.reconcile()).success
    assert (await baselines(house, NEXT)).table["corp_action"].null_count() == 40
    house.market.split_list = [Split("T001", NEXT, 1, 10)]
    house.clock._now = at(NEXT, time(3))
    assert (await house.service.reconcile()).success
    row = (await baselines(house, NEXT)).table.filter(symbol="T001").row(0, named=True)
    assert row["corp_action"] == "10:1 split"
    assert row["prev_close"] == pytest.approx(row["prev_close_raw"] / 10)
