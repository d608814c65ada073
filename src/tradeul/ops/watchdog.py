"""How long the event loop was blocked: the promise is never above 50 ms.

A pause has two parts. In the one the loop's thread had a processor, or waited for
another thread of ours that had the interpreter: that is ours to mend. In the other it was ready to
run and the kernel ran somebody else: the machine has more to do than processors. Linux tells the second.
"""

import asyncio
import os
import threading
import time

import structlog

LIMIT_SECONDS = 0.050
LOOK_SECONDS = 0.010
REPORT_SECONDS = 10.0

log = structlog.get_logger()


class LoopWatchdog:
    """``longest_seconds``: the longest pause since the start; ``longest_own_seconds``: without what was waited for a processor.

    ``over_limit``, ``own_over_limit``: how many were above the limit. They are logged, at most every 10 s.
    """

    def __init__(self) -> None:
        self.longest_seconds = self.longest_own_seconds = 0.0
        self.over_limit = self.own_over_limit = 0

    async def run(self) -> None:
        waits = _Waits()
        try:
            await self._watch(waits)
        finally:
            waits.close()
            told = {"longest_own_seconds": round(self.longest_own_seconds, 3), "own_over_limit": self.own_over_limit}
            log.info("event_loop_watched", longest_seconds=round(self.longest_seconds, 3), over_limit=self.over_limit, **told)

    async def _watch(self, waits: "_Waits") -> None:
        reported, worst, worst_own = time.monotonic(), 0.0, 0.0
        while True:
            before, waited = time.monotonic(), waits.seconds()
            await asyncio.sleep(LOOK_SECONDS)
            pause = time.monotonic() - before - LOOK_SECONDS
            own = max(pause - (waits.seconds() - waited), 0.0)
            self.note(pause, own)
            if pause > LIMIT_SECONDS:
                worst, worst_own = max(worst, pause), max(worst_own, own)
            if worst and time.monotonic() - reported > REPORT_SECONDS:
                log.info("event_loop_blocked", longest_seconds=round(worst, 3), longest_own_seconds=round(worst_own, 3))
                reported, worst, worst_own = time.monotonic(), 0.0, 0.0

    def note(self, pause: float, own: float) -> None:
        self.longest_seconds, self.longest_own_seconds = max(self.longest_seconds, pause), max(self.longest_own_seconds, own)
        self.over_limit += pause > LIMIT_SECONDS
        self.own_over_limit += own > LIMIT_SECONDS


class _Waits:
    """How long this thread has been ready to run without a processor."""

    def __init__(self) -> None:
        try:
            self._file: int | None = os.open(f"/proc/self/task/{threading.get_native_id()}/schedstat", os.O_RDONLY)
        except OSError:  # no Linux, or one that does not count
            self._file = None

    def seconds(self) -> float:
        """Since the thread began; 0 where nobody knows."""
        # On a processor and waiting for one, in nanoseconds, and how often.
        return 0.0 if self._file is None else int(os.pread(self._file, 100, 0).split()[1]) / 1e9

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
