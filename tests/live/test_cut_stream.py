"""A stream that is cut again and again: what the table ends with is what the vendor says of the day."""

import random
from datetime import date, datetime, timedelta

import numpy as np
import pytest

from tests.live.simulated import standing
from tradeul.market_calendar import nyse

SESSION = date(2026, 3, 9)
HOURS = nyse().hours(SESSION)
AFTER = timedelta(minutes=16)  # the last bar's correction, and the reconciliations after it


def random_cuts(seed: int, start: datetime, number: int) -> list[tuple[datetime, timedelta]]:
    """When, and for how long: half of them for seconds, half for minutes."""
    rng = random.Random(seed)
    length = (HOURS.post_close_at - start).total_seconds()
    instants = sorted(start + timedelta(seconds=rng.uniform(1, length)) for _ in range(number))
    return [(instant, timedelta(seconds=rng.choice([rng.uniform(0, 10), rng.uniform(10, 200)]))) for instant in instants]


async def volumes_end_as_the_vendors(state, tickers: int, seed: int, start: datetime):
    async with standing(state, start, tickers, seed) as stand:
        for instant, lasting in random_cuts(seed, start, 20):
            await stand.clock.advance_to(instant)
            await stand.simulator.cut_streams(lasting)
        await stand.clock.advance_to(HOURS.post_close_at + AFTER)
        assert stand.stream.reconnects >= 10  # some fall into another's time
        frame = stand.live.frame(HOURS.post_close_at)
        daily = {bar.symbol: bar.volume for bar in await stand.market.grouped_daily(SESSION)}
    got = dict(zip(frame.symbols, frame.columns["volume"], strict=True))
    assert len(daily) > tickers / 2
    assert {symbol: got.get(symbol) for symbol in daily} == daily
    assert not np.any(frame.columns["partial"])
    assert all(got[symbol] == 0 for symbol in set(got) - set(daily))


async def test_a_stream_cut_twenty_times_ends_with_the_vendors_volumes(tmp_path):
    await volumes_end_as_the_vendors(tmp_path, 60, 5, HOURS.post_close_at - timedelta(hours=1))


@pytest.mark.long
async def test_a_whole_session_cut_twenty_times_ends_with_the_vendors_volumes(tmp_path):
    await volumes_end_as_the_vendors(tmp_path, 300, 0, HOURS.pre_open_at - timedelta(minutes=5))
