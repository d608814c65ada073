"""How late bars arrive, over the last minute: a bounded histogram. Pure; instants come in."""

from collections import Counter, deque
from collections.abc import Sequence

from tradeul.records.bars import StreamBar

STEP_MS = 50
WORST_MS = 600_000  # everything later counts as this late
SLOT_MS = 5_000
WINDOW_MS = 60_000


class LagMeter:
    """Twelve slots of five seconds, each a count per 50 ms of lag (arrival - bar end)."""

    def __init__(self) -> None:
        self._slots: deque[tuple[int, Counter[int]]] = deque(maxlen=WINDOW_MS // SLOT_MS)

    def note(self, bars: Sequence[StreamBar], received_ms: int) -> None:
        slot = received_ms // SLOT_MS
        if not self._slots or self._slots[-1][0] != slot:
            self._slots.append((slot, Counter()))
        counts = self._slots[-1][1]
        for end_ms, number in Counter([bar.end_ms for bar in bars]).items():
            counts[min(max(received_ms - end_ms, 0), WORST_MS) // STEP_MS] += number

    def percentile_ms(self, share: float, now_ms: int) -> int | None:
        """Lag that ``share`` of the last minute's bars did not exceed, to the step; None without bars."""
        total: Counter[int] = Counter()
        for slot, counts in self._slots:
            if (now_ms - WINDOW_MS) // SLOT_MS < slot:
                total.update(counts)
        left = share * total.total()
        for step in sorted(total):
            left -= total[step]
            if left <= 0:
                return (step + 1) * STEP_MS
        return None
