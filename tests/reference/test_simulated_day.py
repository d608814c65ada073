"""The product's decoding, table, columns and lists against the reference, on simulated days with every nuisance."""

import asyncio
import random
from datetime import date

import pytest

from tests.reference.hours import OPEN
from tests.reference.lists import LISTS
from tests.reference.model import Reference
from tests.reference.product import Play, Product, baselines_of
from tests.reference.raw_day import RawDay

SESSION = date(2026, 1, 5)  # an early close, 2025-12-24, is among the sessions before
EARLY_CLOSE = date(2025, 11, 28)
CLOCKS_FORWARD, CLOCKS_BACK = date(2026, 3, 9), date(2026, 11, 2)  # the first sessions in the other time
CLOSE = 12 * 3600
# An hour of each phase, and the first and the last minutes of the day.
SAMPLE = [(0, 600), (OPEN - 3600, OPEN + 3600), (CLOSE - 300, CLOSE + 3600), (57_300, 57_720)]


def play_of(tmp_path, seed, session=SESSION, close="16:00", **more):
    day = RawDay(seed, session, close, **more)
    return Play(day, Product(asyncio.run(baselines_of(day.past, tmp_path))), Reference(day.past, day.hours))


def look_at(play, seed, spans):
    """Each minute of the spans, at some second of it."""
    rng = random.Random(seed)
    for begin, end in spans:
        for minute in range(begin, end, 60):
            play.look(minute + rng.choice([0, 1, 4.5, 5, 17, 30, 44, 58.25]))


def test_every_column_and_list_is_the_references_in_an_hour_of_each_phase(tmp_path):
    play = play_of(tmp_path, 1, busy_hours=SAMPLE)
    look_at(play, 1, SAMPLE)
    play.check()
    assert set(play.members) == set(LISTS)
    assert min(play.members.values()) > 100, "a list that nobody is on proves nothing"


@pytest.mark.long
@pytest.mark.parametrize(("session", "close", "seed"), [(SESSION, "16:00", 2), (CLOCKS_FORWARD, "16:00", 3), (EARLY_CLOSE, "13:00", 4)])
def test_every_column_and_list_is_the_references_at_every_minute(tmp_path, session, close, seed):
    play = play_of(tmp_path, seed, session, close)
    look_at(play, seed, [(-60, play.day.hours.end + 300)])
    play.check()


@pytest.mark.parametrize("seed", [0, 1, pytest.param(2, marks=pytest.mark.long)])
def test_seconds_minutes_and_their_corrections_come_to_the_same(tmp_path, seed):
    """Few tickers, all with second bars, looked at every few seconds."""
    begin = [OPEN - 600, CLOSE - 600, 900][seed]
    spans = [(begin, begin + 1200)]
    session = [SESSION, CLOCKS_BACK, CLOCKS_FORWARD][seed]
    play = play_of(tmp_path, 10 + seed, session, tickers=12, busy_hours=spans, seconds_every=1, daily_sessions=60)
    rng, t = random.Random(seed), begin
    while t < begin + 1200:
        t += rng.randrange(1, 17)
        play.look(t)
    play.check()


def test_an_early_close_closes_at_13(tmp_path):
    close = 9 * 3600
    spans = [(close - 600, close + 900), (close + 4 * 3600 - 120, close + 4 * 3600 + 60)]
    play = play_of(tmp_path, 5, EARLY_CLOSE, "13:00", tickers=60, busy_hours=spans, daily_sessions=60)
    look_at(play, 5, spans)
    play.check()


@pytest.mark.parametrize(("seed", "begin"), [
    (20, OPEN), (22, CLOSE - 900), pytest.param(21, 10_800, marks=pytest.mark.long), pytest.param(23, CLOSE + 1800, marks=pytest.mark.long),
])  # fmt: skip
def test_a_lost_connection_and_a_start_inside_the_session_end_where_the_reference_does(tmp_path, seed, begin):
    cut, stands, restart, end = begin + 420, begin + 633, begin + 1250, begin + 3360
    play = play_of(tmp_path, seed, tickers=60, busy_hours=[(begin - 1200, end)], seconds_every=6, daily_sessions=60)
    look_at(play, seed, [(begin - 300, cut)])
    play.hear(stands, lost=True)
    play.product.reconnect(stands)
    missing = play.recover(stands)
    assert len(missing) > 10
    assert play.unheard(cut - 62, stands - 64) == [], "the snapshot did not give away who missed something"
    play.look(stands + 4)
    look_at(play, seed, [(begin + 660, restart // 60 * 60)])
    play.hear(restart, lost=True)
    play.product.restart(restart)
    play.reference.restart(restart)
    play.look(restart + 1)
    play.recover(restart)
    assert play.unheard(0, restart - 64) == []
    play.look(restart + 4)
    look_at(play, seed, [(begin + 1260, end)])
    play.check()
