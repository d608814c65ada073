"""The product against the reference where the plan has no stream: snapshots, polled, with what may be wrong with them."""

import asyncio
import random
from datetime import date

import pytest

from tests.reference.hours import OPEN
from tests.reference.model import Reference
from tests.reference.product import Play, Product, baselines_of
from tests.reference.raw_day import RawDay
from tests.reference.raw_polls import RawPolls

SESSION = date(2026, 1, 5)
CLOSE = 12 * 3600


class PolledPlay(Play):
    """Every five seconds in the spans that are looked at, rarely between them."""

    def __init__(self, tmp_path, seed, spans, tickers=40):
        busy = [(begin, end + 60) for begin, end in spans]
        day = RawDay(seed, SESSION, tickers=tickers, busy_hours=busy, daily_sessions=60)
        super().__init__(day, Product(asyncio.run(baselines_of(day.past, tmp_path))), Reference(day.past, day.hours))
        self.source, self.rng, self.spans, self.next_poll = RawPolls(day, seed), random.Random(seed), busy, 1

    def hear(self, t, *, lost=False):
        """``lost``: the vendor does not answer."""
        while self.next_poll <= t:
            if not lost:
                rows = self.source.rows(self.next_poll)
                self.product.poll(rows)
                self.reference.hear_poll(rows)
            is_busy = any(begin <= self.next_poll < end for begin, end in self.spans)
            self.next_poll += self.rng.choice([5, 5, 5, 6]) if is_busy else 240

    def look_through(self, begin, end):
        for t in range(begin, end, 60):
            self.look(t + self.rng.choice([0, 1, 4.5, 17, 30, 44, 58.25]))


SPANS = [(30, 330), (OPEN - 180, OPEN + 420), (CLOSE - 180, CLOSE + 180)]


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in (1, 2, 3))])
def test_polled_snapshots_make_the_references_columns_and_lists(tmp_path, seed):
    play = PolledPlay(tmp_path, seed, SPANS)
    for begin, end in SPANS:
        play.look_through(begin, end - 120)
        play.hear(end - 70, lost=True)
        play.look_through(end - 60, end)
    play.check()
    assert sum(count > 0 for count in play.members.values()) >= 6, "few of the lists have members"


@pytest.mark.long
def test_a_whole_polled_session_makes_the_references_columns_and_lists(tmp_path):
    play = PolledPlay(tmp_path, 4, [(0, 57_600)], tickers=24)
    play.look_through(0, 57_900)
    play.check()


@pytest.mark.parametrize(("seed", "begin"), [(10, OPEN + 300), pytest.param(11, CLOSE + 600, marks=pytest.mark.long)])
def test_polling_that_begins_inside_the_session_ends_where_the_reference_does(tmp_path, seed, begin):
    """What came before the first poll is asked of REST, and counts on with what polls bring."""
    play = PolledPlay(tmp_path, seed, [(begin - 600, begin + 2400)], tickers=24)
    play.product.restart(begin)
    play.reference.restart(begin)
    play.next_poll = begin
    play.hear(begin)
    missing = play.recover(begin)
    assert len(missing) > 10
    play.look_through(begin // 60 * 60 + 120, begin + 2400)
    play.check()
