"""How long the event loop was blocked: the promise is never above 50 ms."""

import asyncio
import time

import structlog

LIMIT_SECONDS = 0.050
LOOK_SECONDS = 0.010
REPORT_SECONDS = 10.0

log = structlog.get_logger()


class LoopWatchdog:
    """``longest_seconds``: the longest pause since the start; pauses above the limit are logged, at most every 10 s."""

    def __init__(self) -> None:
        self.longest_seconds = 0.0
        self.over_limit = 0

    async def run(self) -> None:
        try:
            await self._watch()
        finally:
            log.info("event_loop_watched", longest_seconds=round(self.longest_seconds, 3), over_limit=self.over_limit)

    async def _watch(self) -> None:
        reported, worst = time.monotonic(), 0.0
        while True:
            before = time.monotonic()
            await asyncio.sleep(LOOK_SECONDS)
            pause = time.monotonic() - before - LOOK_SECONDS
            self.longest_seconds = max(self.longest_seconds, pause)
            if pause > LIMIT_SECONDS:
                self.over_limit += 1
                worst = max(worst, pause)
            if worst and time.monotonic() - reported > REPORT_SECONDS:
                log.info("event_loop_blocked", longest_seconds=round(worst, 3))
                reported, worst = time.monotonic(), 0.0
