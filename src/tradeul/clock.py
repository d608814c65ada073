"""The only place that knows what time it is.

    SystemClock      the machine's
    SimulatedClock   anchor + elapsed x speed; the anchor is a file, so that restarts and other processes agree
    LateClock        another one, so much behind: a delayed market's
    SteppedClock     tests: jumps to the next wake-up when nothing is running

Schedules and market time ask a clock. Network time-outs are wall time. Backoff
is wall time too, except on the stepped clock, where waiting costs nothing.
What it does not know: sessions and phases (`market_calendar/`).
"""

import asyncio
import bisect
import heapq
import itertools
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

# A laptop that slept, or a clock that was set, is noticed within this long.
LOOK_EVERY_SECONDS = 30.0
STANDS = timedelta(seconds=10)
# The loop is taken to be at rest after this many turns in which nobody was busy.
QUIET_TURNS = 25


class Clock(Protocol):
    def now(self) -> datetime:
        """The current instant, UTC."""
        ...

    async def sleep_until(self, instant: datetime) -> None: ...

    async def sleep(self, seconds: float) -> None:
        """Wait for ``seconds`` of this clock's time."""
        ...

    async def back_off(self, seconds: float) -> None:
        """Wait before trying a network call again: wall seconds, or stepped time in tests."""
        ...

    def busy(self) -> AbstractContextManager[None]:
        """Held while work is under way that the stepped clock must not overtake."""
        ...


class SystemClock:
    """The machine's time. Set back by a little it stands still until that is made good, so that no session ends twice."""

    def __init__(self, wall: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._wall = wall
        self._newest = wall()

    def now(self) -> datetime:
        wall = self._wall()
        if not self._newest - STANDS < wall < self._newest:
            self._newest = wall
        return self._newest

    async def sleep_until(self, instant: datetime) -> None:
        """Ends early when the clock is set back by more: who waits for an instant looks anew."""
        before = self.now()
        while before <= (now := self.now()) < instant:
            before = now
            await asyncio.sleep(min((instant - now).total_seconds(), LOOK_EVERY_SECONDS))

    async def sleep(self, seconds: float) -> None:
        await self.sleep_until(self.now() + timedelta(seconds=seconds))

    async def back_off(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def busy(self) -> AbstractContextManager[None]:
        return nullcontext()


class SimulatedClock:
    """Simulated time: ``started_at`` at wall instant ``anchor_at``, then ``speed`` seconds a second.

    With ``awake`` (sorted, disjoint intervals) the time between them is skipped:
    the clock jumps from the end of one to the start of the next.
    """

    def __init__(
        self,
        anchor_at: datetime,
        started_at: datetime,
        speed: float,
        awake: Sequence[tuple[datetime, datetime]] = (),
    ) -> None:
        self.speed = speed
        self.anchor_at = anchor_at
        self.started_at = started_at
        self._awake = list(awake) or [(started_at - timedelta(days=365), started_at + timedelta(days=36_500))]
        lengths = [(end - start).total_seconds() for start, end in self._awake]
        self._offsets = [0.0, *itertools.accumulate(lengths)]
        self._start_offset = self._offset(started_at)

    def _offset(self, instant: datetime) -> float:
        """Awake seconds before ``instant``."""
        place = bisect.bisect_right(self._awake, instant, key=lambda interval: interval[0]) - 1
        if place < 0:
            return 0.0
        within = (instant - self._awake[place][0]).total_seconds()
        return min(self._offsets[place] + within, self._offsets[place + 1])

    def now(self) -> datetime:
        elapsed = (datetime.now(UTC) - self.anchor_at).total_seconds() * self.speed
        offset = self._start_offset + max(elapsed, 0.0)
        place = min(bisect.bisect_right(self._offsets, offset) - 1, len(self._awake) - 1)
        return self._awake[place][0] + timedelta(seconds=offset - self._offsets[place])

    async def sleep_until(self, instant: datetime) -> None:
        while (now := self.now()) < instant:
            left = (self._offset(instant) - self._offset(now)) / self.speed
            await asyncio.sleep(min(max(left, 0.0005), LOOK_EVERY_SECONDS))

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self.speed)

    async def back_off(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def busy(self) -> AbstractContextManager[None]:
        return nullcontext()

    def to_json(self) -> str:
        return json.dumps(
            {
                "anchor_at": self.anchor_at.isoformat(),
                "started_at": self.started_at.isoformat(),
                "speed": self.speed,
                "awake": [[start.isoformat(), end.isoformat()] for start, end in self._awake],
            }
        )

    @classmethod
    def from_json(cls, text: str) -> "SimulatedClock":
        data = json.loads(text)
        awake = [(datetime.fromisoformat(start), datetime.fromisoformat(end)) for start, end in data["awake"]]
        instants = datetime.fromisoformat(data["anchor_at"]), datetime.fromisoformat(data["started_at"])
        return cls(*instants, data["speed"], awake)

    @classmethod
    def resume_or_start(
        cls, path: Path, started_at: datetime, speed: float, awake: Sequence[tuple[datetime, datetime]] = ()
    ) -> "SimulatedClock":
        """The clock whose anchor stands in ``path``; a new one, started now, if none does."""
        if not path.exists():
            draft = path.with_suffix(f".{os.getpid()}.tmp")
            draft.write_text(cls(datetime.now(UTC), started_at, speed, awake).to_json())
            with suppress(FileExistsError):  # of several that start at once the first one's holds
                os.link(draft, path)
            draft.unlink()
        return cls.from_json(path.read_text())


class LateClock:
    """Another clock, so much behind: the time of a delayed market."""

    def __init__(self, clock: Clock, delay: timedelta) -> None:
        self._clock, self._delay = clock, delay

    def now(self) -> datetime:
        return self._clock.now() - self._delay

    async def sleep_until(self, instant: datetime) -> None:
        await self._clock.sleep_until(instant + self._delay)

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)

    async def back_off(self, seconds: float) -> None:
        await self._clock.back_off(seconds)

    def busy(self) -> AbstractContextManager[None]:
        return self._clock.busy()


class SteppedClock:
    """Time for tests: stands still while anybody works, then jumps to the next wake-up.

    ``await clock.advance_to(instant)`` drives it: waits until nobody is `busy` and
    the event loop is at rest, jumps to the earliest sleeper, and so on to ``instant``.
    """

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._busy = 0
        self._idle = asyncio.Event()
        self._sleepers: list[tuple[datetime, int, asyncio.Event]] = []
        self._count = itertools.count()

    def now(self) -> datetime:
        return self._now

    async def sleep_until(self, instant: datetime) -> None:
        if instant <= self._now:
            await asyncio.sleep(0)
            return
        woken = asyncio.Event()
        heapq.heappush(self._sleepers, (instant, next(self._count), woken))
        await woken.wait()

    async def sleep(self, seconds: float) -> None:
        await self.sleep_until(self._now + timedelta(seconds=seconds))

    async def back_off(self, seconds: float) -> None:
        await self.sleep(seconds)

    @contextmanager
    def busy(self) -> Iterator[None]:
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1
            if not self._busy:
                self._idle.set()

    async def settle(self) -> None:
        """Wait until nobody is busy and the loop is at rest."""
        quiet = 0
        while quiet < QUIET_TURNS:
            quiet += 1
            await asyncio.sleep(0)
            while self._busy:
                quiet = 0
                self._idle.clear()
                await self._idle.wait()

    async def advance_to(self, instant: datetime) -> None:
        await self.settle()
        while self._sleepers and self._sleepers[0][0] <= instant:
            at, _, woken = heapq.heappop(self._sleepers)
            self._now = max(self._now, at)
            woken.set()
            await self.settle()
        self._now = max(self._now, instant)
