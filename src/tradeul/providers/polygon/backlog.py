"""What waits for a consumer that does not keep up, merged by symbol so that it stays small and nothing of a minute is lost. Pure.

    minute bars    the last of each (symbol, start): it replaces the earlier anyway
    second bars    one for each (symbol, minute), with the sums, extremes and last price of all; none once the minute's bar is in
    halts, quotes  the last of each symbol
    beyond MOST    the newest bars of each symbol alone, and `resubscribed`: read again what may be missing

A second that comes again is not added twice: what it says otherwise is left to its minute's bar.
"""

from collections.abc import Iterable

from tradeul.records.bars import HaltChange, Quote, StreamBar, StreamBatch

MOST = 50_000  # bars and halts: four minutes of the whole market, some 15 MB
MINUTE_MS = 60_000


def size(batch: StreamBatch) -> int:
    """Messages in it."""
    return len(batch.seconds) + len(batch.minutes) + len(batch.halts) + len(batch.quotes)


class Backlog:
    """``merged``: messages that went into another; ``dropped``: those that cost something, because even merged they were too many."""

    def __init__(self, most: int = MOST) -> None:
        self.merged = 0
        self.dropped = 0
        self._most = most
        self._received_ms = 0
        self._resubscribed = False
        self._minutes: dict[tuple[str, int], StreamBar] = {}
        self._seconds: dict[tuple[str, int], StreamBar] = {}
        self._halts: dict[str, HaltChange] = {}
        self._quotes: dict[str, Quote] = {}

    def __len__(self) -> int:
        return len(self._minutes) + len(self._seconds) + len(self._halts) + len(self._quotes)

    def add(self, batch: StreamBatch) -> None:
        came, before = size(batch), len(self)
        self._received_ms = batch.received_ms
        self._resubscribed |= batch.resubscribed
        for bar in batch.seconds:
            self._add_second(bar)
        for bar in batch.minutes:
            key = bar.symbol, bar.start_ms
            self._minutes[key] = bar
            self._seconds.pop(key, None)
        for halt in batch.halts:
            known = self._halts.get(halt.symbol)
            if known is None or halt.at_ms >= known.at_ms:
                self._halts[halt.symbol] = halt
        self._quotes.update((quote.symbol, quote) for quote in batch.quotes)
        self.merged += came - (len(self) - before)
        if len(self) > self._most:
            self._shrink()

    def take(self) -> StreamBatch:
        """All of it as one batch."""
        seconds, minutes, halts, quotes = ([*kept.values()] for kept in (self._seconds, self._minutes, self._halts, self._quotes))
        return StreamBatch(self._received_ms, seconds, minutes, halts, self._resubscribed, quotes)

    def _add_second(self, bar: StreamBar) -> None:
        key = bar.symbol, bar.start_ms - bar.start_ms % MINUTE_MS
        if key in self._minutes:
            return
        known = self._seconds.get(key)
        if known is None or (known.start_ms, known.end_ms) == (bar.start_ms, bar.end_ms):
            self._seconds[key] = bar
        elif bar.start_ms >= known.end_ms:
            self._seconds[key] = joined(known, bar)

    def _shrink(self) -> None:
        before = len(self)
        self._minutes, self._seconds = _newest(self._minutes.values()), _newest(self._seconds.values())
        if len(self) > self._most:  # of so many symbols as no market has
            self._minutes, self._seconds, self._halts, self._quotes = {}, {}, {}, {}
        self.dropped += before - len(self)
        self._resubscribed = True


def joined(one: StreamBar, other: StreamBar) -> StreamBar:
    """One bar for two of a symbol, the later one second."""
    volume = one.volume + other.volume
    dollars = (one.vwap or one.close) * one.volume + (other.vwap or other.close) * other.volume
    size = None
    if one.average_size_shares and other.average_size_shares and volume:
        trades = one.volume / one.average_size_shares + other.volume / other.average_size_shares
        size = volume / trades if trades else None
    return StreamBar(
        one.symbol,
        one.start_ms,
        other.end_ms,
        one.open,
        max(one.high, other.high),
        min(one.low, other.low),
        other.close,
        volume,
        dollars / volume if volume and (one.vwap or other.vwap) else None,
        size,
        other.accumulated_volume or one.accumulated_volume,
        other.official_open or one.official_open,
    )


def _newest(bars: Iterable[StreamBar]) -> dict[tuple[str, int], StreamBar]:
    newest: dict[str, StreamBar] = {}
    for bar in bars:
        known = newest.get(bar.symbol)
        if known is None or bar.start_ms >= known.start_ms:
            newest[bar.symbol] = bar
    return {(bar.symbol, bar.start_ms - bar.start_ms % MINUTE_MS): bar for bar in newest.values()}
