"""Metadata: stalest first, bounded, dated; nothing waits for it, and its numbers reach the baselines."""

from datetime import date, time

import polars as pl
import pytest

from tests.maintenance.conftest import SESSION
from tradeul.analytics.baselines import Baselines
from tradeul.errors import NotEntitled, ProviderError, VendorUnavailable
from tradeul.maintenance.tasks import baselines, metadata_enrich
from tradeul.market_calendar import at
from tradeul.records.partitions import State
from tradeul.records.runs import RunOptions
from tradeul.records.tickers import Split

NEXT = date(2026, 3, 10)


def asked(house):
    return {name[1] for name in house.market.calls if name[0] == "ticker_details"}


async def table(house, session=SESSION):
    return Baselines.from_arrow(await house.bus.get_baselines(session)).table


async def test_what_is_known_of_a_company_reaches_the_baselines(house):
    assert (await house.service.reconcile()).success
    row = (await table(house)).row(7, named=True)
    assert (row["shares"], row["free_float"], row["short_interest"]) == (1_000_007, 8e5, 4e4)
    assert (row["kind"], row["sector"], row["industry"]) == ("CS", "Manufacturing", "ELECTRONIC COMPUTERS")
    landed = house.row("metadata_enrich", SESSION)
    assert (landed.state, landed.expected, landed.got) == (State.COMPLETED, 40, 40)


async def test_the_stalest_come_first_and_never_more_than_the_bound(house, monkeypatch):
    monkeypatch.setattr(metadata_enrich, "DETAILS_PER_RUN", 25)
    assert (await house.service.reconcile()).success
    first = asked(house)
    dollars = house.lake.read("ohlc_daily", date(2026, 3, 6)).sort(pl.col("close") * pl.col("volume"), descending=True)
    assert first == set(dollars["symbol"].head(25))
    house.restart()
    house.clock._now = at(NEXT, time(3, 0))
    assert (await house.service.reconcile()).success
    second = asked(house)
    assert len(second) == 25 and second >= set(house.market.symbols) - first
    assert (await table(house, NEXT))["shares"].null_count() == 0


@pytest.mark.parametrize("call", ["ticker_details", "free_floats", "short_interest"])
async def test_its_failure_blocks_nothing(house, call):
    house.market.faults[call] = VendorUnavailable("503")
    result = await house.service.reconcile()
    assert {name for name, state in result.tasks.items() if state is not State.COMPLETED} == {"metadata_enrich"}
    assert (await table(house))["prev_close"].null_count() == 0
    house.market.faults.clear()
    assert (await house.service.reconcile()).success
    assert (await table(house))["shares"].null_count() == 0


async def test_only_what_did_not_come_is_asked_again(house):
    house.market.faults["ticker_details", "T003"] = VendorUnavailable("503")
    assert not (await house.service.reconcile()).success
    row = house.row("metadata_enrich", SESSION)
    assert (row.state, row.expected, row.got, row.missing) == (State.FAILED, 40, 39, ("T003",))
    house.market.faults.clear()
    house.restart()
    assert (await house.service.reconcile()).success
    assert asked(house) == {"T003"}
    assert house.row("metadata_enrich", SESSION).got == 40


async def test_what_the_plan_lacks_is_said_and_the_rest_is_taken(house):
    house.market.faults["free_floats"] = NotEntitled("free float: 403")
    house.market.faults["ticker_details", "T005"] = ProviderError("details T005: refused with status 404")
    assert (await house.service.reconcile()).success
    assert house.row("metadata_enrich", SESSION).error == "not in the plan: free float: 403"
    found = await table(house)
    assert found["free_float"].null_count() == 40
    assert found["shares"].null_count() == 1  # nothing is told of it, and it is not asked for all day


async def test_only_metadata_is_new_and_the_numbers_are_those_that_stood(make_house, monkeypatch):
    twin = await make_house()
    assert (await twin.service.reconcile()).success
    house = await make_house()
    house.market.faults["ticker_details"] = VendorUnavailable("503")
    assert not (await house.service.reconcile()).success
    house.market.faults.clear()

    def never(*_):
        raise AssertionError("made again from bars")

    with monkeypatch.context() as patch:
        patch.setattr(baselines, "profile", never)
        assert (await house.service.reconcile()).success
        assert house.row("baselines", SESSION).checksum == twin.row("baselines", SESSION).checksum
        with pytest.raises(AssertionError, match="made again"):  # a person asked for it
            await house.service.reconcile(RunOptions(only="baselines", force=True))


@pytest.mark.parametrize("damage", ["unreadable", "gone", "another version's"])
async def test_numbers_that_do_not_stand_are_made_anew(house, damage):
    house.market.faults["free_floats"] = VendorUnavailable("503")
    assert not (await house.service.reconcile()).success
    house.market.faults.clear()
    path = house.lake.path("baselines", SESSION)
    if damage == "unreadable":
        path.write_bytes(path.read_bytes()[:5000])
    elif damage == "gone":
        path.unlink()
    else:
        frame = house.lake.read("baselines", SESSION).with_columns(atr=pl.lit(-1.0))
        source = house.lake.footer("baselines", SESSION)["source"]
        house.lake.write("baselines", SESSION, frame, source.replace("version ", "version 0."))
    assert (await house.service.reconcile()).success
    found = await table(house)
    assert (found["atr"] > 0).all() and found["free_float"].null_count() == 0


async def test_shares_from_before_a_split_are_those_after_it(house):
    house.market.split_list = [Split("T001", NEXT, 1, 10), Split("T002", NEXT, 8, 1)]
    assert (await house.service.reconcile()).success
    house.clock._now = at(SESSION, time(20, 15))
    assert (await house.service.reconcile()).success
    before, after = (await table(house)), (await table(house, NEXT))
    for row, factor in ((1, 10), (2, 1 / 8), (3, 1)):
        for name in ("shares", "free_float", "short_interest"):
            assert after[name][row] == pytest.approx(before[name][row] * factor)
