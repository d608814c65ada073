"""The last half hour of every symbol on the 5-second grid, so that any window is the difference of two rows.

A row (`analytics/windows.py`) holds what was true at its end: the last price
and the sums since 04:00, carried forward. A bar changes its own row and all
later ones; most bars are two seconds late, so that is one or two rows. A
correction of any age lands where it belongs, and an order of arrival cannot
matter: sums commute, and a price yields only to one that ended no earlier.

Rows are a ring, one contiguous row per 5 s. At 12,400 symbols: price 36 MB,
its end 9, volume 36, dollars and trades (5 minutes only) 13, flags 9.

It does not know minutes, sessions or the difference between A and AM bars.
"""

import numpy as np
import numpy.typing as npt

from tradeul.analytics.windows import ROW_SECONDS, row_of
from tradeul.records.frame import FloatArray

IntArray = npt.NDArray[np.int64]

WINDOW_ROWS = 1800 // ROW_SECONDS
ROWS = WINDOW_ROWS + 8  # 30 minutes, the row that runs, and room for a frame asked a little late
SHORT_ROWS = 300 // ROW_SECONDS + 8
LATE_ROWS = 16  # up to here (a minute and the vendor's delay) all bars of a wave go together, beyond it one by one


class Windows:
    def __init__(self, capacity: int) -> None:
        self.head = 0  # the newest row
        self._used = False
        # Zeros, not NaN: untouched pages of a fresh array cost no memory. An end of 0 says "no price yet".
        self._price = np.zeros((ROWS, capacity))
        self._price_end = np.zeros((ROWS, capacity), np.uint16)  # whole seconds since 04:00
        self._volume: FloatArray = np.zeros((ROWS, capacity))
        self._dollars = np.zeros((SHORT_ROWS, capacity))
        self._trades = np.zeros((SHORT_ROWS, capacity))
        self._marks = np.zeros((2, ROWS, capacity), np.bool_)  # high, low exceeded in this row
        self._counts = np.zeros((2, capacity), np.int32)  # marks in the rows after _expired
        self._expired = -WINDOW_ROWS

    def touch(self) -> None:
        for ring in (self._price, self._price_end, self._volume, self._dollars, self._trades):
            ring.fill(0)

    def grow(self, capacity: int) -> None:
        """More symbols: every ring is copied, which stops the loop for some 50 ms; so begin with room."""
        for name in ("_price", "_price_end", "_volume", "_dollars", "_trades", "_marks", "_counts"):
            old = getattr(self, name)
            new = np.zeros((*old.shape[:-1], capacity), old.dtype)
            new[..., : old.shape[-1]] = old
            setattr(self, name, new)

    def advance(self, row: int) -> None:
        """Carry everything forward to ``row``."""
        if row <= self.head:
            return
        self._expire(row - ROWS)
        if not self._used:
            # Nothing to carry: a start late in the day must not touch 100 MB at once.
            self.head = row
            return
        for ring in (self._price, self._price_end, self._volume, self._dollars, self._trades):
            newest = ring[self.head % len(ring)].copy()
            for new in range(max(self.head + 1, row - len(ring) + 1), row + 1):
                ring[new % len(ring)] = newest
        for new in range(max(self.head + 1, row - ROWS + 1), row + 1):
            self._marks[:, new % ROWS] = False
        self.head = row

    def add(
        self, symbols: IntArray, end_s: IntArray, close: FloatArray, volume: FloatArray, dollars: FloatArray, trades: FloatArray
    ) -> None:
        """Add bars, or differences to bars, each symbol at most once. ``trades`` may hold no NaN."""
        rows = row_of(end_s)
        self.advance(int(rows.max()))
        self._used = True
        late = self.head - rows
        for one in np.flatnonzero(late > LATE_ROWS):
            pick = slice(one, one + 1)
            self.spread(int(symbols[one]), end_s[pick], close[pick], volume[pick], dollars[pick], trades[pick])
        for back in range(LATE_ROWS + 1):
            touched = np.flatnonzero((late >= back) & (late <= LATE_ROWS))
            if not len(touched):
                break
            who, row, short = symbols[touched], (self.head - back) % ROWS, (self.head - back) % SHORT_ROWS
            self._volume[row, who] += volume[touched]
            self._dollars[short, who] += dollars[touched]
            self._trades[short, who] += trades[touched]
            newer = end_s[touched] >= self._price_end[row, who]
            self._price[row, who[newer]] = close[touched][newer]
            self._price_end[row, who[newer]] = end_s[touched][newer]

    def spread(self, symbol: int, end_s: IntArray, close: FloatArray, volume: FloatArray, dollars: FloatArray, trades: FloatArray) -> None:
        """Add bars of ONE symbol, of any age, oldest first."""
        self.advance(int(row_of(end_s[-1:])[0]))
        self._used = True
        for ring, amount in ((self._volume, volume), (self._dollars, dollars), (self._trades, trades)):
            rows = np.arange(max(self.head - len(ring) + 1, 0), self.head + 1)
            sums = np.concatenate(([0.0], np.cumsum(amount)))
            ring[rows % len(ring), symbol] += sums[np.searchsorted(row_of(end_s), rows, side="right")]
        rows = np.arange(max(self.head - ROWS + 1, 0), self.head + 1)
        place = np.searchsorted(row_of(end_s), rows, side="right") - 1
        newer = (place >= 0) & (end_s[place] >= self._price_end[rows % ROWS, symbol])
        self._price[rows[newer] % ROWS, symbol] = close[place[newer]]
        self._price_end[rows[newer] % ROWS, symbol] = end_s[place[newer]]

    def mark(self, low: int, symbols: IntArray, end_s: IntArray) -> None:
        """The high (``low`` = 0) or the low (1) was exceeded; a row counts once."""
        rows = row_of(end_s)
        kept = rows > max(self._expired, self.head - ROWS)
        who, ring = symbols[kept], rows[kept] % ROWS
        new = ~self._marks[low, ring, who]
        self._marks[low, ring, who] = True
        self._counts[low, who[new]] += 1

    def counts(self, row: int) -> npt.NDArray[np.int32]:
        """How many rows after ``row`` - 30 minutes are marked: high, low; shape (2, capacity)."""
        self._expire(row - WINDOW_ROWS)
        return self._counts

    def price_at(self, row: int) -> FloatArray:
        """The last price at or before the end of ``row``; NaN if none."""
        place = max(row, 0) % ROWS
        price: FloatArray = np.where(self._price_end[place] > 0, self._price[place], np.nan)
        return price

    def volume_between(self, row: int, last: int) -> FloatArray:
        """Shares in the rows after ``row``, up to ``last``."""
        volume: FloatArray = np.maximum(self._volume[last % ROWS] - self._volume[max(row, 0) % ROWS], 0.0)
        return volume

    def short_between(self, row: int, last: int) -> tuple[FloatArray, FloatArray]:
        """Dollars and trades in the rows after ``row``, up to ``last``: five minutes at most."""
        start, end = max(row, 0) % SHORT_ROWS, last % SHORT_ROWS
        return (
            np.maximum(self._dollars[end] - self._dollars[start], 0.0),
            np.maximum(self._trades[end] - self._trades[start], 0.0),
        )

    def volume_by(self, symbols: IntArray, rows: IntArray) -> FloatArray:
        """Shares since 04:00 by the end of a row, for each symbol its own; the oldest kept row stands for older ones."""
        kept = np.clip(rows, max(self.head - ROWS + 1, 0), self.head)
        volume: FloatArray = self._volume[kept % ROWS, symbols]
        return volume

    def _expire(self, row: int) -> None:
        """Rows up to ``row`` no longer count."""
        for old in range(max(self._expired + 1, self.head - ROWS + 1, 0), min(row, self.head) + 1):
            self._counts -= self._marks[:, old % ROWS]
        self._expired = max(self._expired, row)
