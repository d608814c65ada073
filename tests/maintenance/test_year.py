"""Months on the stepped clock: changed clocks, holidays, 13:00 closes, outages, a laptop's sleep: all complete, each task once."""

import asyncio
from collections import Counter
from datetime import date, datetime, time

import pytest

from tests.maintenance.conftest import CALENDAR
from tradeul.analytics.baselines import Baselines
from tradeul.maintenance.datasets import DATASETS, Windows
from tradeul.market_calendar import NEW_YORK, at
from tradeul.records.partitions import State

WINDOWS = Windows(12, 8, 5)
# Made again when what they are made from has changed; the others are loaded once for good.
DERIVED = ("baselines", "redis_sync")
DOWN, ASLEEP = "down", "asleep"


class Years:
    """A service that is up, but for its pauses; ``completions``: how often a partition became complete."""

    def __init__(self, house):
        self.house = house
        self.completions = Counter()
        self.asked = Counter()
        self._running = None

    def start(self):
        self.asked += self.house.market.calls
        self.house.restart()
        note = self.house.catalog.note
        stood = {(row.dataset, row.session): row.state for row in self.house.catalog.ledger()}

        def noted(rows):
            rows = list(rows)
            note(rows)
            for row in rows:
                key = row.dataset, row.session
                if row.state is State.COMPLETED and stood.get(key) is not State.COMPLETED:
                    self.completions[key] += 1
                stood[key] = row.state

        self.house.catalog.note = noted
        self._running = asyncio.create_task(self.house.service.run())

    async def stop(self):
        assert not self._running.done(), self._running.exception()
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)

    async def live(self, until, pauses):
        """``pauses``: (from, until, down or asleep), in order."""
        self.start()
        for begins, ends, kind in pauses:
            await self.house.clock.advance_to(begins)
            if kind == DOWN:
                await self.stop()
                # What waited is gone with its process.
                self.house.clock._sleepers.clear()
            self.house.clock._now = ends
            if kind == DOWN:
                self.start()
        await self.house.clock.advance_to(until)
        await self.stop()
        self.asked += self.house.market.calls


def eastern(*parts):
    return datetime(*parts, tzinfo=NEW_YORK)


async def lived(make_house, first, last, pauses):
    """From the morning of ``first`` to the night after ``last``."""
    house = await make_house(now=at(first, time(9, 28, 40)), windows=WINDOWS, tickers=8)
    years = Years(house)
    await years.live(at(CALENDAR.next(last), time(3, 30)), pauses)
    sessions = CALENDAR.between(first, last)
    for dataset in ("ohlc_daily", "volume_slots"):
        assert {session for session, state in house.states(dataset).items() if state is State.COMPLETED} >= set(sessions)
    assert {row.state for row in house.catalog.ledger()} == {State.COMPLETED}
    assert {count for (dataset, _), count in years.completions.items() if dataset not in DERIVED} == {1}
    # Asked for at most twice: before it is final, and then.
    assert max(count for name, count in years.asked.items() if name[0] == "grouped_daily") <= 2
    assert max(count for name, count in years.asked.items() if name[0] == "minute_file") == 1
    served = {session for dataset, session in years.completions if dataset == "new_trading_day"}
    away = {
        session for session in sessions if any(a <= at(session, time(3)) and at(CALENDAR.next(session), time(3)) <= b for a, b, _ in pauses)
    }
    assert served == set(sessions) - away | {CALENDAR.next(last)}
    for dataset in set(DATASETS) - {"minute_bars", "timescale_mirror"}:  # nobody asked for any
        completed = {session for name, session in years.completions if name == dataset}  # the ledger forgets
        assert completed >= served - {CALENDAR.next(last)}, dataset
    assert all(run.success for run in house.catalog.runs())
    blob = Baselines.from_arrow(await house.bus.get_baselines(CALENDAR.next(last)))
    assert (blob.complete, blob.rvol_sessions) == (True, WINDOWS.rvol_sessions)
    return years


async def test_a_month_with_an_outage_and_a_sleep(make_house):
    """The night of 2 November, Thanksgiving, the 13:00 close after it."""
    pauses = [
        (eastern(2025, 11, 6, 14, 0), eastern(2025, 11, 11, 18, 30), DOWN),
        (eastern(2025, 11, 18, 16, 59), eastern(2025, 11, 20, 9, 0), ASLEEP),
    ]
    await lived(make_house, date(2025, 10, 30), date(2025, 11, 28), pauses)


@pytest.mark.long
async def test_a_year(make_house):
    pauses = [
        (eastern(2025, 11, 26, 20, 14, 59), eastern(2025, 12, 2, 3, 0), DOWN),  # over Thanksgiving and the close at 13:00
        (eastern(2026, 1, 14, 12, 0), eastern(2026, 1, 15, 12, 0), ASLEEP),
        (eastern(2026, 3, 5, 17, 0, 0), eastern(2026, 3, 12, 2, 59), DOWN),  # over the night of 8 March
        (eastern(2026, 6, 30, 4, 0), eastern(2026, 7, 6, 21, 0), DOWN),  # over Independence Day
    ]
    years = await lived(make_house, date(2025, 10, 20), date(2026, 10, 16), pauses)
    assert len({session for dataset, session in years.completions if dataset == "ohlc_daily"}) >= 250
