import asyncio
import itertools
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tradeul.clock import STANDS, SimulatedClock, SteppedClock, SystemClock

START = datetime(2026, 3, 9, 13, 28, 40, tzinfo=UTC)


def test_the_anchor_survives_a_restart(tmp_path):
    path = tmp_path / "clock.json"
    first = SimulatedClock.resume_or_start(path, START, 2.0)
    again = SimulatedClock.resume_or_start(path, START + timedelta(days=9), 5.0)
    assert (again.anchor_at, again.started_at, again.speed) == (first.anchor_at, START, 2.0)


@given(st.lists(st.floats(-9.9, 3600)))
def test_a_clock_that_is_set_back_a_little_never_goes_back(steps):
    wall = iter([START, *(START + timedelta(seconds=step) for step in itertools.accumulate(steps))])
    clock = SystemClock(lambda: next(wall))
    shown = [clock.now() for _ in steps]
    assert all(later >= earlier or earlier - later >= STANDS for earlier, later in itertools.pairwise([START, *shown]))


async def test_a_clock_that_is_set_back_a_lot_is_followed_and_who_waits_looks_anew():
    walls = [START, START, START, START - timedelta(hours=1)]
    clock = SystemClock(lambda: walls.pop(0) if len(walls) > 1 else walls[0])
    async with asyncio.timeout(5):
        await clock.sleep_until(START + timedelta(seconds=0.01))
    assert clock.now() == START - timedelta(hours=1)


@given(st.floats(0, 40), st.integers(1, 24))
def test_skipped_time_is_never_shown(hours, length):
    awake = [(START + timedelta(days=day), START + timedelta(days=day, hours=length)) for day in range(60)]
    clock = SimulatedClock(datetime.now(UTC) - timedelta(hours=hours), START, 1.0, awake)
    now = clock.now()
    assert any(begin <= now <= end for begin, end in awake)


def test_the_clock_jumps_from_the_end_of_an_interval_to_the_next():
    awake = [(START, START + timedelta(hours=1)), (START + timedelta(hours=10), START + timedelta(hours=20))]
    clock = SimulatedClock(datetime.now(UTC) - timedelta(hours=2), START, 1.0, awake)
    assert abs(clock.now() - (START + timedelta(hours=11))) < timedelta(seconds=5)


async def test_the_stepped_clock_wakes_sleepers_in_order_of_time():
    clock, woken = SteppedClock(START), []

    async def sleeper(seconds):
        await clock.sleep(seconds)
        woken.append((seconds, clock.now() - START))

    async with asyncio.TaskGroup() as group:
        for seconds in (30, 10, 20):
            group.create_task(sleeper(seconds))
        await clock.settle()
        await clock.advance_to(START + timedelta(seconds=25))
        assert woken == [(10, timedelta(seconds=10)), (20, timedelta(seconds=20))]
        await clock.advance_to(START + timedelta(seconds=60))
    assert clock.now() == START + timedelta(seconds=60)


async def test_the_stepped_clock_does_not_overtake_work():
    clock, seen = SteppedClock(START), []

    async def worker():
        await clock.sleep(1)
        with clock.busy():
            await asyncio.to_thread(sum, range(200_000))
            seen.append(clock.now())

    async with asyncio.TaskGroup() as group:
        group.create_task(worker())
        group.create_task(clock.sleep(5))
        await clock.settle()
        await clock.advance_to(START + timedelta(seconds=5))
    assert seen == [START + timedelta(seconds=1)]
