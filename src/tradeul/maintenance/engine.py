"""Where a run computes: in its own thread, or on workers (`ops/ray_workers.py`).

    prepare: file downloaded -> compute(work) ... landing: its answer -> lake -> ledger

Only pure work goes through it, from a file's bytes to columns: whatever computes it, and however often, the leader alone
downloads, judges, writes and notes.
"""

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from tradeul.maintenance.datasets import MINUTE_BARS, OHLC_DAILY, VOLUME_SLOTS

DAILY_AHEAD = 3

T = TypeVar("T")


class Engine(Protocol):
    @property
    def ahead(self) -> int:
        """How many files are asked for, computed or held at once, the present step's included."""
        ...

    def compute(self, work: Callable[[], T], /) -> Callable[[], T]:
        """Have it done; what is returned waits for the answer, and raises what the work raised."""
        ...


class Here:
    """In the thread that lands, when the step lands: one file's columns at a time in memory."""

    ahead = 2

    def compute(self, work: Callable[[], T], /) -> Callable[[], T]:
        return work


def ahead_of(engine: Engine) -> Mapping[str, int]:
    """Of each dataset that is asked for ahead. A daily answer is 1 MB, a file 20 to 40."""
    return {OHLC_DAILY: DAILY_AHEAD, VOLUME_SLOTS: engine.ahead, MINUTE_BARS: engine.ahead}
