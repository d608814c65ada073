"""What a pause of the loop is counted as."""

import asyncio
import time

from tradeul.ops.watchdog import LIMIT_SECONDS, LoopWatchdog


async def test_who_works_in_the_loop_is_counted_whether_or_not_a_processor_was_free():
    watchdog = LoopWatchdog()
    watching = asyncio.create_task(watchdog.run())
    await asyncio.sleep(0)
    until = time.thread_time() + 2 * LIMIT_SECONDS
    while time.thread_time() < until:
        pass
    await asyncio.sleep(0.02)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    assert watchdog.longest_seconds >= watchdog.longest_own_seconds > LIMIT_SECONDS
    assert watchdog.over_limit >= watchdog.own_over_limit >= 1
