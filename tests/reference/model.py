"""The reference: the vendor's raw messages in, at any minute every column of every row and the eleven lists out.

    Past (raw REST rows) -> history.py -> one Base a ticker --+
    stream messages, polls.py -> today.py: one Today a ticker +-> rows -> lists.py

Slow and plain, written from CONTRACT.md and FORMATS.md alone, and sharing no
code with the product. What those leave open is in docs/columns.md.
"""

import math
from typing import Any, NamedTuple

from tests.reference.history import Base, Past, bases
from tests.reference.hours import OPEN, Hours
from tests.reference.lists import lists_of
from tests.reference.polls import Polls
from tests.reference.today import Bar, Today, change, minute_bar, stream_bar

Row = dict[str, Any]
TIMES = ("updated_at", "first_seen_at", "high_at", "low_at", "vwap_cross_at")
AGES = {"age_s": "updated_at", "high_age_s": "high_at", "low_age_s": "low_at", "vwap_cross_age_s": "vwap_cross_at"}


class Look(NamedTuple):
    rows: dict[str, Row]
    lists: dict[str, list[str]]


class Reference:
    def __init__(self, past: Past, hours: Hours) -> None:
        self.hours = hours
        self.bases = bases(past)
        self.heard_from: float | None = None
        self.last_open: dict[str, list[str]] = {}
        self.polls = Polls(hours)
        self.today: dict[str, Today] = {}
        self.whole_at = 0.0
        self.snapshot_due = False  # nobody has said yet who traded before we listened
        for symbol in self.bases:
            self.ticker(symbol)

    def ticker(self, symbol: str) -> Today:
        if symbol not in self.today:
            base = self.bases.get(symbol, Base())
            self.today[symbol] = Today(self.hours, base.atr, base.prev_close)
            self.today[symbol].seen_from = 0 if self.heard_from is None else math.ceil(self.heard_from / 60) * 60
            self.today[symbol].is_partial = self.snapshot_due
        return self.today[symbol]

    # --- the stream -------------------------------------------------------------------------------------------------

    def hear(self, frame: list[Row]) -> None:
        """One frame. What came together is taken in order of (end, arrival), a minute's seconds before its AM."""
        bars: list[tuple[int, bool, int, str, Bar]] = []
        for place, message in enumerate(frame):
            if message["ev"] in ("A", "AM"):
                bar = stream_bar(message, self.hours)
                if bar is not None:
                    bars.append((bar.end, message["ev"] == "AM", place, message["sym"], bar))
            elif message["ev"] == "LULD" and (17 in message["i"] or 18 in message["i"]):
                t = message["t"] / 1e9 - self.hours.pre_open
                if 0 <= t < self.hours.end:
                    self.ticker(message["T"]).tell_halt(t, halted=17 in message["i"])
        for _, is_minute, _, symbol, bar in sorted(bars, key=lambda found: found[:3]):
            self.ticker(symbol).take(bar, is_minute=is_minute)

    def hear_poll(self, rows: list[Row]) -> None:
        """The snapshot, asked in place of a stream."""
        bars = enumerate(self.polls.bars(rows))
        for _, (symbol, bar) in sorted(bars, key=lambda found: (found[1][1].end, found[0])):
            self.ticker(symbol).take_poll(bar)

    # --- a start inside the session, a new connection ---------------------------------------------------------------

    def restart(self, t: float) -> None:
        """Everything heard is forgotten; the stream is heard anew from ``t`` on."""
        self.heard_from = t
        self.today, self.polls = {}, Polls(self.hours)
        self.snapshot_due = True
        for symbol in self.bases:
            self.ticker(symbol)

    def seed(self, t: float, snapshot: dict[str, Row], missing: list[str]) -> None:
        """The vendor's snapshot, after the stream stands since ``t``; ``missing``: who misses some minutes.

        These are partial until their minutes are in and the AM bar of the minute in which the stream began has had time to come.
        """
        self.snapshot_due = False
        for today in self.today.values():
            today.is_partial = False
        for symbol, row in snapshot.items():
            today = self.ticker(symbol)
            today.snapshot = row
            today.official_open = today.official_open or row["day"].get("o") or None
        for symbol in missing:
            self.ticker(symbol).is_partial = True
        self.whole_at = math.ceil(t / 60) * 60 + 5

    def fill(self, symbol: str, minutes: list[Row]) -> None:
        self.ticker(symbol).fill([minute_bar(row, self.hours) for row in minutes])

    # --- a look -----------------------------------------------------------------------------------------------------

    def look(self, t: float) -> Look:
        if t >= self.whole_at and not self.snapshot_due:
            for today in self.today.values():
                today.is_partial = False
        told = any(today.tells_trades for today in self.today.values())
        rows = {symbol: self.row(symbol, t, trades_told=told) for symbol in sorted(self.today)}
        lists = lists_of(rows, t, self.hours, self.last_open, trades_told=told)
        if self.hours.phase(t) == "MARKET_OPEN":
            self.last_open = lists
        return Look(rows, lists)

    def row(self, symbol: str, t: float, *, trades_told: bool) -> Row:
        return self.completed(symbol, self.today[symbol].columns(t, trades_told=trades_told), t)

    def completed(self, symbol: str, row: Row, t: float) -> Row:
        """What today says of a ticker, held against its past and the clock."""
        base = self.bases.get(symbol, Base())
        row |= {"symbol": symbol, "name": base.name, "class": base.kind, "exchange": base.exchange, "industry": base.industry}
        row |= {"phase": self.hours.phase(t), "corp_action": corporate_action(base, row["price"])}
        row |= {"since_open_s": t - OPEN if t >= OPEN else None, "since_close_s": t - self.hours.close if t >= self.hours.close else None}
        for age, time in AGES.items():
            row[age] = None if row[time] is None else t - row[time]
        for time in TIMES:
            row[time] = None if row[time] is None else self.hours.instant(row[time])
        return row | self.against_history(row, base, t)

    def against_history(self, row: Row, base: Base, t: float) -> Row:
        price, volume, atr = row["price"], row["volume"], base.atr
        expected = self.expected(base, t)
        usual_5m = None if expected is None else expected - (self.expected(base, t - 300) or 0.0)
        gap_price = next((row[name] for name in ("open", "price_at_close", "price") if row[name] is not None), None)
        spread = None if row["high"] is None else row["high"] - row["low"]
        return {
            "expected_volume": expected,
            "rvol": over(volume, expected),
            "rvol_5m": over(row["vol_5m"], usual_5m) if usual_5m is not None and usual_5m >= 200 else None,
            "slot_lz": self.slot_lz(base, row["vol_5m"], t),
            "baseline": self.quality(base, expected),
            "prev_close": base.prev_close,
            "change_pct": change(price, base.prev_close),
            "gap_pct": change(gap_price, base.prev_close),
            "from_open_pct": change(price, row["open"]),
            "post_change_pct": change(price, row["close"]) if t >= self.hours.close else None,
            "atr": atr,
            "atr_pct": over(atr, price, 100),
            "range_atr": over(spread, atr),
            "avg_volume_20d": base.avg_volume_20d,
            "avg_dollar_volume_20d": base.avg_dollar_volume_20d,
            "vol_pct_adv": over(volume, base.avg_volume_20d, 100),
            "range_pos": None if spread is None else over(price - row["low"], spread, 100),
            "vwap_dist_pct": change(price, row["vwap"]),
            "market_cap": None if base.shares is None or price is None else base.shares * price,
            "free_float": base.free_float,
            "float_rotation": over(volume, base.free_float),
            "short_pct_float": over(base.short_interest, base.free_float, 100),
            "hi_52w_dist_pct": change(price, base.high_52w),
            "lo_52w_dist_pct": change(price, base.low_52w),
            "sma20_dist_pct": change(price, base.sma20),
            "sma50_dist_pct": change(price, base.sma50),
            "sma200_dist_pct": change(price, base.sma200),
            "ssr": restricted(base, row["regular_low"]),
        }

    def expected(self, base: Base, t: float) -> float | None:
        """E(t) = C(s-1) + g (C(s) - C(s-1))."""
        if base.cumulative is None:
            return None
        slot, within = divmod(min(max(t, 0.0), 192 * 300), 300)
        before = base.cumulative[int(slot) - 1] if slot else 0.0
        if slot == 192:
            return before
        gone = within / 300
        if slot in (self.hours.slot(OPEN), self.hours.slot(self.hours.close)):
            gone = math.sqrt(gone)
        return before + gone * (base.cumulative[int(slot)] - before)

    def quality(self, base: Base, expected: float | None) -> str:
        return "none" if base.sessions == 0 else "thin" if base.sessions < 5 or (expected or 0) < 1000 else "ready"

    def slot_lz(self, base: Base, volume_5m: float | None, t: float) -> float | None:
        if base.sessions < 5 or volume_5m is None or base.log_mean is None or base.log_sd is None:
            return None
        slot = self.hours.slot(min(max(t, 0.0), 192 * 300))
        judge = max((s for s in (slot, slot - 1) if 0 <= s < 192), key=lambda s: base.log_mean[s])
        return (math.log1p(volume_5m) - base.log_mean[judge]) / max(base.log_sd[judge], 0.25)


def over(value: float | None, base: float | None, factor: float = 1) -> float | None:
    return factor * value / base if value is not None and base else None


def restricted(base: Base, regular_low: float | None) -> bool | None:
    """Yesterday's restriction lasts through today; null where what would decide is unknown."""
    unknown = regular_low is not None and base.prev_close is None
    today = None if unknown else regular_low is not None and regular_low <= 0.9 * base.prev_close
    if today or base.restricted_before:
        return True
    return None if today is None or base.restricted_before is None else False


def corporate_action(base: Base, price: float | None) -> str | None:
    if base.split is None or price is None or base.prev_close is None:
        return base.split
    agrees_with_old = abs(math.log(price / base.prev_close_raw)) <= math.log(1.25)
    off_from_new = abs(math.log(price / base.prev_close)) > math.log(1.6)
    return "unverified" if agrees_with_old and off_from_new else base.split
