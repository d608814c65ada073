"""One ticker's session from raw bars: CONTRACT.md "Rows", FORMATS.md "Bars". Imports nothing of the product.

Totals are summed anew from the bars that count. What depends on the path (when
an extreme was exceeded, VWAP crossed, the gap filled) is judged at each bar in
its order, and what was judged stays (docs/columns.md). Unknown is None; times
are seconds since 04:00.
"""

import bisect
import math
from typing import Any, NamedTuple

from tests.reference.hours import OPEN, Hours

Row = dict[str, Any]
STILL_PRINTS = 10  # seconds after a halt was told; who trades later has resumed
WINDOWS = {"1m": 60, "5m": 300, "15m": 900, "30m": 1800}


class Bar(NamedTuple):
    start: int
    end: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    dollars: float  # vwap, else close, x volume
    trades: int | None
    official_open: float | None = None
    accumulated: float | None = None  # shares since 04:00, and their VWAP
    vwap_so_far: float | None = None


def stream_bar(message: Row, hours: Hours) -> Bar | None:
    """An A or AM message; None where it is of another session, or says what cannot be."""
    volume, close = message.get("v"), message.get("c")
    prices = [message.get(name) for name in "ohlc"]
    numbers = [volume, *prices, message.get("s"), message.get("e")]
    if any(isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number) for number in numbers):
        return None
    if min(prices) <= 0 or volume < 0 or message["h"] < message["l"] or len(message["sym"]) > 24:
        return None
    start, end = message["s"] / 1000 - hours.pre_open, message["e"] / 1000 - hours.pre_open
    if not 0 <= start < hours.end or not start < end <= start + 60:
        return None
    z = message.get("z")
    return Bar(
        int(start), int(end), *prices, volume, (message.get("vw") or close) * volume, round(volume / z) if z else None,
        message.get("op") or None, message.get("av"), message.get("a"),
    )  # fmt: skip


def minute_bar(row: Row, hours: Hours) -> Bar:
    """A minute of /v2/aggs/…/range/1/minute."""
    start = row["t"] // 1000 - hours.pre_open
    return Bar(start, start + 60, row["o"], row["h"], row["l"], row["c"], row["v"], (row.get("vw") or row["c"]) * row["v"], row.get("n"))


class Today:
    def __init__(self, hours: Hours, atr: float | None, prev_close: float | None) -> None:
        self.hours, self.atr, self.prev_close = hours, atr, prev_close
        self.minutes: dict[int, Bar] = {}  # AM and REST bars by start
        self.seconds: dict[int, dict[int, Bar]] = {}  # minute -> start -> A bar
        self.steps: dict[int, list[tuple[int, Bar, Bar | None]]] = {}  # polled: minute -> (end, what it says now, what it said)
        self.second_extremes: dict[int, tuple[float, float]] = {}  # minute -> highest, lowest of any version
        self.prices: list[tuple[int, int, float]] = []  # (end, arrival, close) of every bar that counted, sorted
        self.opens: list[tuple[int, int, float]] = []  # (start, -arrival, open) of regular ones
        self.closes_since_open: list[float] = []
        self.regular_closes: list[tuple[int, int, float]] = []
        self.official_open: float | None = None
        self.arrivals = 0
        self.tells_trades = False
        self.halted: bool | None = None
        self.halt_known_at = -math.inf  # the instant that the newest word of it is of
        self.high_at: int | None = None
        self.low_at: int | None = None
        self.high_marks: set[int] = set()  # 5-second rows
        self.low_marks: set[int] = set()
        self.side = 0
        self.cross_at: int | None = None
        self.volume_so_far = self.dollars_so_far = 0.0
        # A start inside the session
        self.seen_from = 0  # what began before was not heard
        self.is_partial = False
        self.snapshot: Row | None = None
        self.newest_accumulated: tuple[float, float] | None = None
        self._totals: Row | None = None
        self._standing: tuple[float | None, float | None] | None = (None, None)  # high and low; None: to be looked up

    # --- bars ---------------------------------------------------------------------------------------------------------

    def take(self, bar: Bar, *, is_minute: bool) -> None:
        """The next bar, in order of (end, arrival) within what came together."""
        minute = bar.start // 60 * 60
        if not is_minute and minute in self.minutes:
            return  # closed by its AM
        high, low = self._standing = self._standing or self.extremes()
        if is_minute:
            before = [self.minutes[minute]] if minute in self.minutes else list(self.seconds.get(minute, {}).values())
            self.minutes[minute] = bar
        else:
            inside = self.seconds.setdefault(minute, {})
            before = [inside[bar.start]] if bar.start in inside else []
            inside[bar.start] = bar
            known = self.second_extremes.get(minute, (bar.high, bar.low))
            self.second_extremes[minute] = max(known[0], bar.high), min(known[1], bar.low)
        self.count(bar, before)
        if self.halted and bar.end >= self.prices[-1][0] and bar.start - STILL_PRINTS > self.halt_known_at:
            self.halted, self.halt_known_at = False, bar.start - STILL_PRINTS
        self.judge(bar, high, low)
        if is_minute and before:
            self._standing = None  # what it replaces may have been the extreme
        else:
            self._standing = (bar.high, bar.low) if high is None else (max(high, bar.high), min(low, bar.low))

    def take_poll(self, bar: Bar) -> None:
        """A minute as a poll shows it: what it says beyond the poll before counts at its end."""
        before = self.minutes.get(bar.start)
        self.take(bar, is_minute=True)
        self.steps.setdefault(bar.start, []).append((bar.end, bar, before))

    def tell_halt(self, t: float, *, halted: bool) -> None:
        """An older word never undoes a newer one."""
        if t >= self.halt_known_at:
            self.halted, self.halt_known_at = halted, t

    def fill(self, bars: list[Bar]) -> None:
        """Minutes asked for later: each replaces what was counted; nothing is exceeded or crossed by the past."""
        for bar in sorted(bars):
            before = [self.minutes[bar.start]] if bar.start in self.minutes else list(self.seconds.get(bar.start, {}).values())
            if bar.start in self.steps:
                self.steps[bar.start].append((bar.end, bar, before[0]))
            self.minutes[bar.start] = bar
            self.count(bar, before)
        self._standing = None

    def count(self, bar: Bar, replaced: list[Bar]) -> None:
        self._totals = None
        self.arrivals += 1
        self.volume_so_far += bar.volume - sum(old.volume for old in replaced)
        self.dollars_so_far += bar.dollars - sum(old.dollars for old in replaced)
        self.tells_trades |= bar.trades is not None
        bisect.insort(self.prices, (bar.end, self.arrivals, bar.close))
        if bar.accumulated and bar.end >= self.prices[-1][0] and bar.accumulated >= (self.newest_accumulated or (0,))[0]:
            self.newest_accumulated = bar.accumulated, bar.vwap_so_far or bar.close
        if bar.start >= OPEN:
            self.closes_since_open.append(bar.close)
            self.official_open = bar.official_open or self.official_open
            if bar.start < self.hours.close:
                bisect.insort(self.opens, (bar.start, -self.arrivals, bar.open))
                bisect.insort(self.regular_closes, (bar.end, self.arrivals, bar.close))

    def judge(self, bar: Bar, high: float | None, low: float | None) -> None:
        """``high``, ``low``: what stood before the bar."""
        if self.is_partial:
            return
        row = math.ceil(bar.end / 5)
        if high is not None and bar.high > high:
            self.high_at = bar.end
            self.high_marks.add(row)
        if low is not None and bar.low < low:
            self.low_at = bar.end
            self.low_marks.add(row)
        if bar.end < self.prices[-1][0] or self.volume_so_far <= 0:
            return  # an older bar makes no price
        beyond = bar.close - self.dollars_so_far / self.volume_so_far
        least = 0.005 * bar.close if self.atr is None else 0.1 * self.atr
        side = 1 if beyond > least else -1 if beyond < -least else 0
        if side * self.side < 0:
            self.cross_at = bar.end
        self.side = side or self.side

    # --- what counts --------------------------------------------------------------------------------------------------

    def counted(self) -> list[Bar]:
        """A minute's AM bar, else the seconds heard of it."""
        bars = list(self.minutes.values())
        for minute, inside in self.seconds.items():
            if minute not in self.minutes:
                bars += inside.values()
        return bars

    def totals(self) -> Row:
        if self._totals is None:
            bars = self.counted()
            pre = [bar for bar in bars if bar.start < OPEN]
            post = [bar for bar in bars if bar.start >= self.hours.close]
            regular_low = self.extremes(OPEN, self.hours.close)[1]
            pm_high, pm_low = self.extremes(0, OPEN)
            high, low = self.extremes()
            self._totals = {
                "volume": sum(bar.volume for bar in bars),
                "dollar_volume": sum(bar.dollars for bar in bars),
                "trades": sum(bar.trades or 0 for bar in bars),
                "high": high,
                "low": low,
                "pm_high": pm_high,
                "pm_low": pm_low,
                "pm_volume": sum(bar.volume for bar in pre),
                "post_volume": sum(bar.volume for bar in post),
                "post_dollar_volume": sum(bar.dollars for bar in post),
                "post_trades": sum(bar.trades or 0 for bar in post),
                "regular_low": regular_low,
            }
        return self._totals

    def extremes(self, first: int = 0, last: int = 86_400) -> tuple[float | None, float | None]:
        """Highest and lowest price of the minutes first <= start < last. A corrected second is put right by its minute's AM."""
        pairs = [(bar.high, bar.low) for start, bar in self.minutes.items() if first <= start < last]
        pairs += [pair for start, pair in self.second_extremes.items() if first <= start < last and start not in self.minutes]
        return (max(high for high, _ in pairs), min(low for _, low in pairs)) if pairs else (None, None)

    def price_at(self, t: float) -> float | None:
        """The last price at or before ``t``."""
        place = bisect.bisect_right(self.prices, (t, math.inf, 0.0))
        return self.prices[place - 1][2] if place else None

    def sums_after(self, t: float) -> tuple[float, float, int]:
        """Shares, dollars, trades of the bars that ended after ``t``."""
        shares = dollars = 0.0
        trades = 0
        newest = self.prices[-1][0] if self.prices else 0
        for minute in range(int(t) // 60 * 60, newest + 60, 60):
            whole, seconds = self.minutes.get(minute), self.seconds.get(minute, {})
            if minute in self.steps:
                steps = [step for step in self.steps[minute] if step[0] > t]
                after, before = [now for _, now, _ in steps], [then for _, _, then in steps if then is not None]
            elif whole is None:
                after, before = [bar for bar in seconds.values() if bar.end > t], []
            elif whole.end > t:  # what it says beyond its seconds counts at its end
                after, before = [whole], [bar for bar in seconds.values() if bar.end <= t]
            else:
                continue
            for bars, sign in ((after, 1), (before, -1)):
                for bar in bars:
                    shares += sign * bar.volume
                    dollars += sign * bar.dollars
                    trades += sign * (bar.trades or 0)
        return max(shares, 0.0), max(dollars, 0.0), max(trades, 0)

    # --- columns ------------------------------------------------------------------------------------------------------

    def columns(self, t: float, *, trades_told: bool) -> Row:
        """What CONTRACT.md says of this ticker alone, as of ``t``."""
        sums = dict(self.totals())
        after_close = t >= self.hours.close
        row: Row = {"halted": self.halted, "partial": self.is_partial} | sums
        row["price"] = self.prices[-1][2] if self.prices else None
        if not self.prices and self.snapshot is not None:  # before the first bar
            row["price"] = self.snapshot["min"].get("c") or self.snapshot["lastTrade"]["p"]
        row["vwap"] = sums["dollar_volume"] / sums["volume"] if sums["volume"] > 0 else None
        row["open"] = self.official_open or (self.opens[0][2] if self.opens else None)
        row["close"] = self.regular_closes[-1][2] if self.regular_closes and t >= self.hours.close + 60 else None
        row["price_at_close"] = self.price_at(self.hours.close) if after_close else None
        row["updated_at"] = self.prices[-1][0] if self.prices else self.told_at()
        row["first_seen_at"] = self.prices[0][0] if self.prices else None
        row["high_at"], row["low_at"], row["vwap_cross_at"] = self.high_at, self.low_at, self.cross_at
        if not after_close:
            row |= dict.fromkeys(("post_volume", "post_dollar_volume", "post_trades"))
        if self.is_partial:
            row |= self.while_partial(row, t)
        row |= self.windows(t, row) | self.counts(t)
        if not trades_told:
            row |= dict.fromkeys(("trades", "post_trades", "trades_5m"))
        row["gap_state"] = None if self.is_partial else self.gap_state(row)
        return row

    def while_partial(self, row: Row, t: float) -> Row:
        """The snapshot speaks until what came before is known; what cannot be known is null."""
        unknown = ("trades", "high", "low", "pm_high", "pm_low", "pm_volume", "post_volume", "post_dollar_volume", "post_trades")
        day, minute = ({}, {}) if self.snapshot is None else (self.snapshot["day"], self.snapshot["min"])
        found: Row = dict.fromkeys(unknown)
        if t >= self.hours.close + 60:
            found["close"] = row["close"] or day.get("c") or None
        found["regular_low"] = min((low for low in (row["regular_low"], day.get("l") or None) if low), default=None)
        found["volume"], vwap = minute.get("av"), day.get("vw") or minute.get("vw") or row["price"]
        if self.newest_accumulated is not None and self.newest_accumulated[0] >= (found["volume"] or 0):
            found["volume"], vwap = self.newest_accumulated
        found["dollar_volume"] = None if found["volume"] is None or vwap is None else found["volume"] * vwap
        found["vwap"] = vwap if found["volume"] else None
        return found

    def told_at(self) -> float | None:
        """When the snapshot's price is from; the running minute's end is still to come."""
        if self.snapshot is None:
            return None
        return min(self.snapshot["updated"] // 1_000_000 / 1000, self.snapshot["min"]["t"] / 1000 + 60) - self.hours.pre_open

    def windows(self, t: float, row: Row) -> Row:
        found: Row = {}
        floor = t // 5 * 5
        for name, seconds in WINDOWS.items():
            begin = floor - seconds
            seen = begin >= self.seen_from or self.seen_from == 0
            shares, dollars, trades = self.sums_after(begin)
            found[f"vol_{name}"] = shares if seen else None
            from_open = OPEN <= floor <= OPEN + seconds
            before = row["open"] if from_open else self.price_at(begin)
            found[f"chg_{name}"] = change(row["price"], before) if seen or from_open else None
            if name == "5m":
                found["dvol_5m"] = (dollars if shares > 0 else 0.0) if seen else None
                found["trades_5m"] = (trades if shares > 0 else 0) if seen else None
        return found

    def counts(self, t: float) -> Row:
        """Rows of 5 s within the last half hour in which the extreme was exceeded."""
        begin = (t // 5 * 5 - 1800) / 5
        found: Row = {}
        for name, marks, at in (("high_count", self.high_marks, self.high_at), ("low_count", self.low_marks, self.low_at)):
            unseen = self.seen_from > 0 and begin * 5 < self.seen_from
            found[name] = None if (unseen or self.is_partial) and at is None else sum(1 for mark in marks if mark > begin)
        return found

    def gap_state(self, row: Row) -> str | None:
        opened, before, price = row["open"], self.prev_close, row["price"]
        if opened is None or before is None or price is None:
            return None
        if opened == before:
            return "filled"
        up = opened > before
        if any(close <= before if up else close >= before for close in self.closes_since_open):
            return "filled"
        return "holding" if (price >= opened if up else price <= opened) else "fading"


def change(value: float | None, base: float | None) -> float | None:
    return None if value is None or base is None or base <= 0 else 100 * (value - base) / base
