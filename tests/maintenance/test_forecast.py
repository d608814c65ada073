from datetime import date, time

import pytest

from tradeul.maintenance.datasets import BASELINES, OHLC_DAILY, REDIS_SYNC, VOLUME_SLOTS, Schedule, Windows
from tradeul.maintenance.forecast import forecast
from tradeul.maintenance.plan import plan
from tradeul.market_calendar import at, nyse
from tradeul.records.runs import WHOLE, RunOptions

SESSION, YESTERDAY = date(2026, 3, 9), date(2026, 3, 6)


async def foreseen_and_done(house, options):
    """What a dry run says, and what the run then does: (dataset, session), in order, each time it is landed."""
    foreseen = [(step.dataset, session) for step in await house.service.foresee(options) for session in step.sessions]
    done = []
    note = house.catalog.note

    def noted(rows):
        done.extend((row.dataset, row.session) for row in rows if row.finished_at is not None)
        note(rows)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(house.catalog, "note", noted)
        assert (await house.service.reconcile(options)).success
    return foreseen, done


@pytest.mark.parametrize("wall", [time(12), time(20, 16)])
async def test_a_dry_run_says_what_a_run_then_does(make_house, wall):
    house = await make_house(at(SESSION, wall))
    foreseen, done = await foreseen_and_done(house, WHOLE)
    assert sorted(foreseen) == sorted(done)
    assert await house.service.foresee(WHOLE) == []


async def test_what_is_loaded_again_may_change_todays_numbers(house):
    assert (await house.service.reconcile()).success
    foreseen, done = await foreseen_and_done(house, RunOptions(target_date=YESTERDAY, force=True))
    assert done == [(OHLC_DAILY, YESTERDAY), (VOLUME_SLOTS, YESTERDAY)], "the same bars as before"
    assert foreseen == [*done, (BASELINES, SESSION), (REDIS_SYNC, SESSION)]


async def test_a_dry_run_changes_nothing_and_asks_nobody(house):
    assert (await house.service.reconcile()).success
    house.lake.path(OHLC_DAILY, YESTERDAY).unlink()
    before = house.catalog.ledger()
    house.restart()
    steps = await house.service.foresee(WHOLE)
    assert [step.dataset for step in steps] == [OHLC_DAILY, BASELINES, REDIS_SYNC]
    assert house.catalog.ledger() == before
    assert not house.market.calls


def test_slots_without_daily_bars_are_not_foreseen():
    schedule, now, options = Schedule(nyse(), Windows()), at(SESSION, time(12)), RunOptions(only=VOLUME_SLOTS)
    assert forecast(plan({}, schedule, now, options), {}, schedule, now) == []
