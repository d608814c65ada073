"""Under random timings of the feed, failures and deaths: every filing is kept once, whole, and told once."""

import asyncio
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.filings.house import Killed, PlannedFeed, as_told, entry_of, housed, later
from tradeul.errors import VendorUnavailable
from tradeul.filings import reading, service
from tradeul.filings.reading import LATE

MOST_LATE = int(LATE.total_seconds())
# Seconds after the start when it is accepted, how much later it is shown, by how many it is filed.
FILINGS = st.lists(st.tuples(st.integers(-900, 900), st.integers(0, MOST_LATE), st.integers(1, 3)), max_size=40)
# What happens before each page, in turn: seconds that pass, or a failure; where the process dies, if it does.
EVENTS = st.lists(st.one_of(st.integers(0, 20), st.integers(0, 400), st.just("fails"), st.just("dies")), max_size=30)
DEATHS = st.sets(st.integers(1, 40), max_size=6)


class Mortal:
    """The store and the bus of a process that dies before its ``deaths``-th writes."""

    def __init__(self, house, deaths):
        self._house, self._deaths, self.writes = house, deaths, 0

    def __getattr__(self, name):
        owner = self._house.store if hasattr(self._house.store, name) else self._house.bus
        found = getattr(owner, name)
        if name not in ("add_filings", "set_mark", "append"):
            return found

        def mortal(*args):
            self.writes += 1
            if self.writes in self._deaths:
                raise Killed
            return found(*args)

        return mortal


async def lives(house, plan, events, deaths):
    """Readings, one after the other, by as many processes as it takes."""
    left = list(events)

    def between(start):
        event = left.pop(0) if left else 1
        if event == "fails":
            raise VendorUnavailable("503")
        if event == "dies":
            raise Killed
        later(house.clock, event)

    parts = Mortal(house, deaths)
    feed, alive = PlannedFeed(house.clock, plan, between), None
    done = 0
    while left or done < 2:
        if alive is None:
            alive = house.service(feed)
            alive._store = alive._bus = parts
        try:
            await alive.read_feed()
            done += not left
        except VendorUnavailable:
            later(house.clock, 5)
        except Killed:
            alive = None
        if not left:  # what is still to come is shown by then
            later(house.clock, 2000)


@pytest.mark.parametrize("examples", [30, pytest.param(2_000, marks=pytest.mark.long)])
async def test_no_timing_and_no_death_doubles_or_drops_a_filing(tmp_path, monkeypatch, examples):
    monkeypatch.setattr(reading, "PAGE", 5)
    monkeypatch.setattr(service, "PAGE", 5)
    async with housed(tmp_path) as house:
        start = house.clock.now()

        @given(FILINGS, EVENTS, DEATHS)
        @settings(max_examples=examples, suppress_health_check=list(HealthCheck))
        def check(filings, events, deaths):
            plan = [
                (start + timedelta(seconds=accepted + late), entry_of(number, start + timedelta(seconds=accepted), filers))
                for number, (accepted, late, filers) in enumerate(filings)
            ]
            asyncio.run_coroutine_threadsafe(once(plan, events, deaths), loop).result()

        async def once(plan, events, deaths):
            house.clock._now = start
            await house.bus.redis.flushall()
            with house.catalog.engine.begin() as connection:
                for table in ("filings", "filers", "marks"):
                    connection.exec_driver_sql(f"DELETE FROM {table}")
            await lives(house, plan, events, deaths)
            kept, told = house.kept(), await house.told()
            assert sorted(filing.accession for filing in kept) == sorted(entries[0].accession for _, entries in plan)
            assert sorted(map(as_told, told), key=str) == sorted(map(as_told, kept), key=str)
            whole = {entries[0].accession: [entry.filers[0] for entry in entries] for _, entries in plan}
            assert {filing.accession: list(filing.filers) for filing in kept} == whole

        loop = asyncio.get_running_loop()
        await asyncio.to_thread(check)  # hypothesis calls plain functions
