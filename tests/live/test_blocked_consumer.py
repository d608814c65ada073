"""A table whose feed was held up now and then, and merged meanwhile, against one that heard every bar in its time."""

import random

import numpy as np
import pytest

from tests.live.test_recovery import HOURS, PRE, at, market, minutes_of
from tradeul.live.frames import market_frame
from tradeul.live.today_table import TodayTable
from tradeul.providers.polygon.backlog import Backlog
from tradeul.records.bars import StreamBatch

SYMBOLS = ["AAA", "BBB", "CCC"]
# As if nothing had happened; when an extreme was reached, and how often, is known to the merged bar only.
SAME = ("price", "volume", "dollar_volume", "trades", "high", "low", "open", "vwap", "pm_volume", "updated_at")


def batches_of(seed, until):
    rng = random.Random(seed)
    bars = market(seed, SYMBOLS, until)
    stream, _ = minutes_of(bars)
    for now in range(until + 70):
        seconds = [bar for bar in bars if bar.end_ms == (PRE + now - 2) * 1000]
        late = [bar for bar in bars if bar.end_ms == (PRE + now - 30) * 1000 and rng.random() < 0.05]
        minutes = [bar for bar in stream if bar.end_ms == (PRE + now - 2) * 1000]
        if seconds or late or minutes:
            yield StreamBatch((PRE + now) * 1000, seconds + late, minutes)


def table():
    made = TodayTable(HOURS, 8)
    made.set_levels(SYMBOLS, np.ones(3), np.full(3, 50.0))
    return made


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_lost_of_what_was_merged(seed):
    rng, heard, blocked, backlog = random.Random(seed), table(), table(), None
    for batch in batches_of(seed, 900):
        heard.apply(batch)
        if backlog is None and rng.random() < 0.05:
            backlog = Backlog()
        if backlog is not None:
            backlog.add(batch)
            if rng.random() < 0.03:
                blocked.apply(backlog.take())
                backlog = None
                # At once, not only with the next minute: the newest price and the shares that were traded.
                now = batch.received_ms / 1000 - PRE
                wanted, got = market_frame(heard, at(now)), market_frame(blocked, at(now))
                np.testing.assert_array_equal(got.columns["price"], wanted.columns["price"])
        else:
            blocked.apply(batch)
    if backlog is not None:
        blocked.apply(backlog.take())
    wanted, got = market_frame(heard, at(975)), market_frame(blocked, at(975))
    for name in SAME:
        np.testing.assert_allclose(got.columns[name], wanted.columns[name], rtol=1e-9, err_msg=name)
