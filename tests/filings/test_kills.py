"""SIGKILL at random instants: what is kept and told ends as if nobody had died."""

import asyncio
import random
from datetime import timedelta

import pytest

from tests.filings.dying import PROCESSES, read
from tests.filings.house import as_told, housed
from tests.filings.test_service import simulated
from tradeul.bus.topics import NEWS


async def lives_through(root, lives, lasted, dice=None):
    """Readings half an hour apart, each by processes that die until one does not; what is kept and told."""
    died = 0
    async with housed(root) as house, simulated(house) as (simulator, _, _):
        address, loop = f"http://127.0.0.1:{simulator.port}", asyncio.get_running_loop()
        url = f"unix://{house.bus.redis.connection_pool.connection_kwargs['path']}"
        symbols = [issue.symbol for issue in simulator.market.source.issues[:100]]
        await house.bus.put_active(symbols)
        for _ in range(lives):
            for left in range(2 if dice else 0, -1, -1):
                mine, theirs = PROCESSES.Pipe()
                process = PROCESSES.Process(target=read, args=(house.root, url, address, house.clock.now(), theirs))
                process.start()
                theirs.close()
                assert await asyncio.to_thread(mine.recv) == "begun"
                began = loop.time()
                if left and not await asyncio.to_thread(mine.poll, dice.uniform(0, min(lasted) / (1 + 3 * (left > 1)))):
                    process.kill()
                else:
                    assert await asyncio.to_thread(mine.recv) == "done"
                    lasted.append(loop.time() - began)
                await asyncio.to_thread(process.join, 60)
                died += process.exitcode != 0
                mine.close()
            house.clock._now += timedelta(minutes=30)
        assert (died > 0) == (dice is not None)
        told, news = await house.told(), await house.told(NEWS)
        return (
            sorted(map(as_told, house.kept()), key=str),
            sorted(map(as_told, told), key=str),
            sorted(piece.id for piece in house.kept_news()),
            sorted(piece.id for piece in news),
        )


@pytest.mark.parametrize(("seed", "lives"), [(0, 1), *(pytest.param(seed, 6, marks=pytest.mark.long) for seed in range(1, 8))])
async def test_killed_at_random_instants_nothing_is_lost_or_doubled(tmp_path, seed, lives):
    for name in ("twin", "killed"):
        (tmp_path / name).mkdir()
    lasted = []  # seconds of each reading, as long as nobody kills
    undisturbed = await lives_through(tmp_path / "twin", lives, lasted)
    assert all(undisturbed), "there was something to lose"
    ends = await lives_through(tmp_path / "killed", lives, lasted, random.Random(seed))
    assert ends == undisturbed
