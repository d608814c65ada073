import pytest
from datetime import date, time, timedelta

from tradeul.market_calendar import at, nyse
from tradeul.records.partitions import State

CALENDAR = nyse()
SESSION = date(2026, 3, 9)


async def test_a_run_from_empty_completes_every_partition(house):
    result = await house.service.reconcile()
    assert result.success, result
    assert set(result.tasks.values()) == {State.COMPLETED}
    assert list(house.states("ohlc_daily")) and set(house.states("ohlc_daily")) == set(CALENDAR.before(SESSION, 40))
