"""What was already counted of each minute and second, so that a bar with a known start REPLACES the earlier one.

Every minute of the day is kept, because the vendor may correct any of them, and charts want them:
sparse rows (59 bytes a traded minute, some 100 MB by 20:00) behind an index of
one int32 per (minute, symbol), whose pages cost memory only once touched (48 MB
in the end at 12,400 symbols). Seconds matter only until their minute's AM bar
closes it: a ring of the last 128 (35 MB).

It knows nothing of totals, windows or prices' meaning; `today_table.py` does.
"""

import numpy as np
import numpy.typing as npt

from tradeul.records.frame import FloatArray

IntArray = npt.NDArray[np.int64]

MINUTES = 960  # 04:00-20:00
SECONDS_KEPT = 128  # the running minute, the one before it, and the vendor's delay
FIRST_ROWS = 1 << 18


class MinuteStore:
    """Rows of counted minutes. Row 0 stands for "none": nothing counted, not closed."""

    def __init__(self, capacity: int) -> None:
        self._index = np.zeros((MINUTES, capacity), np.int32)
        self._used = 1
        self.volume = np.zeros(FIRST_ROWS)
        self.dollars = np.zeros(FIRST_ROWS)
        self.trades = np.zeros(FIRST_ROWS)
        self.high = np.zeros(FIRST_ROWS)
        self.low = np.zeros(FIRST_ROWS)
        self.open = np.zeros(FIRST_ROWS)
        self.close = np.zeros(FIRST_ROWS)
        self._first = np.zeros(FIRST_ROWS, np.uint8)  # seconds from the start of the open's bar to the minute's end; 0: none yet
        self._last = np.zeros(FIRST_ROWS, np.uint8)  # the second within the minute that the close's bar began in, plus 1
        self.closed = np.zeros(FIRST_ROWS, np.bool_)  # by an AM bar; before it the row is the sum of its seconds
        self.high[0], self.low[0] = -np.inf, np.inf

    def touch(self, minutes: int) -> None:
        self._index[:minutes].fill(0)

    def grow(self, capacity: int) -> None:
        index = np.zeros((MINUTES, capacity), np.int32)
        index[:, : self._index.shape[1]] = self._index
        self._index = index

    @property
    def rows_used(self) -> int:
        return self._used - 1

    def find(self, minutes: IntArray, symbols: IntArray) -> npt.NDArray[np.int32]:
        return self._index[minutes, symbols]

    def find_or_add(self, minutes: IntArray, symbols: IntArray) -> npt.NDArray[np.int32]:
        """The rows of distinct (minute, symbol) pairs; new ones count nothing yet."""
        rows = self._index[minutes, symbols]
        new = np.flatnonzero(rows == 0)
        if len(new):
            last = self._used + len(new)
            if last > len(self.volume):
                self._lengthen(last)
            rows[new] = np.arange(self._used, last)
            self.high[self._used : last], self.low[self._used : last] = -np.inf, np.inf
            self._index[minutes[new], symbols[new]] = rows[new]
            self._used = last
        return rows

    def see(self, rows: npt.NDArray[np.int32], start_s: IntArray, opens: FloatArray, closes: FloatArray) -> None:
        """Seconds of distinct rows, in any order: the earliest has the open, the latest the close, a corrected one its own again."""
        second = (start_s % 60).astype(np.uint8)
        left, begun = 60 - second, second + 1
        early, late = left >= self._first[rows], begun >= self._last[rows]
        self.open[rows[early]], self._first[rows[early]] = opens[early], left[early]
        self.close[rows[late]], self._last[rows[late]] = closes[late], begun[late]

    def of(self, symbol: int) -> tuple[IntArray, npt.NDArray[np.int32]]:
        """The minutes in which the symbol traded, oldest first, and their rows."""
        column = self._index[:, symbol]
        minutes = np.flatnonzero(column)
        return minutes, column[minutes]

    def not_closed(self, minute: int) -> IntArray:
        """The symbols of which only seconds of that minute are counted."""
        rows = self._index[minute]
        return np.flatnonzero((rows > 0) & ~self.closed[rows])

    def extremes(self, symbol: int, first: int = 0, last: int = MINUTES) -> tuple[float, float]:
        """The highest high and lowest low of the minutes first <= m < last; NaN if none traded."""
        column = self._index[first:last, symbol]
        rows = column[column > 0]
        return (float(self.high[rows].max()), float(self.low[rows].min())) if len(rows) else (np.nan, np.nan)

    def _lengthen(self, needed: int) -> None:
        length = max(needed, len(self.volume) * 3 // 2)
        for name in ("volume", "dollars", "trades", "high", "low", "open", "close", "_first", "_last", "closed"):
            old = getattr(self, name)
            new = np.zeros(length, old.dtype)
            new[: len(old)] = old
            setattr(self, name, new)


class SecondRing:
    """The last seconds' bars, until their minute is closed."""

    def __init__(self, capacity: int) -> None:
        self._start = np.zeros((SECONDS_KEPT, capacity), np.uint16)  # seconds since 04:00, plus 1; 0: none
        self._volume = np.zeros((SECONDS_KEPT, capacity))
        self._dollars = np.zeros((SECONDS_KEPT, capacity))
        self._trades = np.zeros((SECONDS_KEPT, capacity), np.float32)  # whole and far below 2^24 in one second

    def grow(self, capacity: int) -> None:
        for name in ("_start", "_volume", "_dollars", "_trades"):
            old = getattr(self, name)
            new = np.zeros((SECONDS_KEPT, capacity), old.dtype)
            new[:, : old.shape[1]] = old
            setattr(self, name, new)

    @property
    def is_used(self) -> bool:
        return bool(self._start.any())

    def holds(self, start_s: IntArray, symbols: IntArray) -> npt.NDArray[np.bool_]:
        held: npt.NDArray[np.bool_] = self._start[start_s % SECONDS_KEPT, symbols] == start_s + 1
        return held

    def too_old(self, start_s: IntArray, symbols: IntArray) -> npt.NDArray[np.bool_]:
        """Bars whose place a later second holds already: whether they were counted is forgotten."""
        return self._start[start_s % SECONDS_KEPT, symbols] > start_s + 1

    def replace(
        self, start_s: IntArray, symbols: IntArray, volume: FloatArray, dollars: FloatArray, trades: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Keep these bars; return by how much each differs from what was counted for it."""
        place = start_s % SECONDS_KEPT
        known = self.holds(start_s, symbols)
        differences = (
            volume - np.where(known, self._volume[place, symbols], 0.0),
            dollars - np.where(known, self._dollars[place, symbols], 0.0),
            trades - np.where(known, self._trades[place, symbols], 0.0),
        )
        self._start[place, symbols] = start_s + 1
        self._volume[place, symbols], self._dollars[place, symbols], self._trades[place, symbols] = volume, dollars, trades
        return differences
