"""The market as of an instant: what has ended by now, of the session that is shown. The only place where bars meet time.

Holds the last whole-market tables (a session of minutes is some 60 MB), one generation
at a time, so that memory stays bounded and nothing is made twice.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from tradeul.market_calendar import Calendar, SessionHours
from tradeul.records.tickers import Split
from tradeul.simulator.bars import Bars, Totals, add, segments, totals
from tradeul.simulator.hashing import Floats
from tradeul.simulator.memory import give_back
from tradeul.simulator.source import DailyColumns, Source

SNAPSHOT_CLEARED_AFTER = timedelta(minutes=30)  # 03:30, after the session's 03:00
KEPT_SESSIONS, KEPT_SECONDS, KEPT_DAYS = 2, 3, 8
T = TypeVar("T")


class Shown(msgspec.Struct, frozen=True):
    """The session that a snapshot shows, and how many seconds after 04:00 of it are visible."""

    session: date
    second: float


class State(msgspec.Struct, frozen=True):
    """Every issue of the universe as of an instant of one session."""

    totals: Totals
    minute_rows: Bars  # the newest complete minute of those that have one
    minute_volume: Floats  # shares until the end of that minute


class Market:
    def __init__(self, source: Source, calendar: Calendar) -> None:
        self.source, self.calendar = source, calendar
        self._lock = threading.RLock()
        self._splits_of: dict[int, list[Split]] = {}
        for split in source.splits:
            self._splits_of.setdefault(source.number_of[split.symbol], []).append(split)
        self._bearers: dict[str, list[int]] = {}
        for issue in source.issues:
            for symbol in (issue.symbol, *((issue.former[0],) if issue.former else ())):
                self._bearers.setdefault(symbol, []).append(issue.number)
        self._minutes: OrderedDict[date, Bars] = OrderedDict()
        self._seconds: OrderedDict[tuple[date, int], Bars] = OrderedDict()
        self._daily: OrderedDict[date, DailyColumns] = OrderedDict()

    def hours(self, session: date) -> SessionHours:
        return self.calendar.hours(session)

    def second(self, session: date, now: datetime) -> float:
        """Seconds after the session's 04:00."""
        return (now - self.hours(session).pre_open_at).total_seconds()

    def close_second(self, session: date) -> int:
        return int(self.second(session, self.hours(session).close_at))

    def begun(self, session: date, now: datetime) -> bool:
        return self.source.covers(session) and self.hours(session).pre_open_at <= now

    def shown(self, now: datetime) -> Shown:
        current = self.calendar.current_session(now)
        if now < self.hours(current).new_day_at + SNAPSHOT_CLEARED_AFTER:
            current = self.calendar.previous(current)
        return Shown(current, self.second(current, now))

    def minutes(self, session: date) -> Bars:
        """The whole market's minute bars of a session, also those to come."""

        def make() -> Bars:
            bars = self.source.minutes(session)
            give_back()
            return bars

        return self._kept(self._minutes, session, KEPT_SESSIONS, make)

    def seconds(self, session: date, start: int) -> Bars:
        """The whole market's second bars of the minute that starts ``start`` seconds after 04:00."""

        def make() -> Bars:
            minutes = self.minutes(session)
            return self.source.seconds(session, minutes.take(minutes.start == start))

        return self._kept(self._seconds, (session, start), KEPT_SECONDS, make)

    def minutes_of(self, number: int, sessions: Sequence[date], now: datetime) -> list[Bars]:
        """One issue's minute bars that ended by now, for each of these (begun) sessions."""
        return [bars.ended_by(self.second(session, now)) for session, bars in zip(sessions, self._of(number, sessions), strict=True)]

    def seconds_of(self, number: int, session: date, span_s: tuple[float, float], now: datetime) -> Bars:
        """One issue's second bars that ended by now, of the minutes that touch ``span_s`` (seconds after 04:00)."""
        minutes = self._of(number, [session])[0]
        until_s = min(self.second(session, now), span_s[1] + 1)
        near = (minutes.start + 60 > span_s[0]) & (minutes.start < until_s)
        return self.source.seconds(session, minutes.take(near)).ended_by(self.second(session, now))

    def _of(self, number: int, sessions: Sequence[date]) -> list[Bars]:
        """One issue's minute bars, also those to come."""
        with self._lock:
            kept = {session: self._minutes[session] for session in sessions if session in self._minutes}
        made = [session for session in sessions if session not in kept]
        bars = dict(zip(made, self.source.minutes_of(number, made), strict=True))
        bars |= {session: table.of(number) for session, table in kept.items()}
        return [bars[session] for session in sessions]

    def daily(self, session: date, now: datetime) -> DailyColumns:
        """Daily bars of a begun session, as far as it has gone."""
        if now >= self.hours(session).post_close_at:
            return self._kept(self._daily, session, KEPT_DAYS, lambda: self.source.daily(session))
        bars = self.minutes(session).ended_by(self.second(session, now))
        return self._running(totals(bars, len(self.source.issues), self.close_second(session)))

    def bearers(self, symbol: str) -> Sequence[int]:
        """The issues that ever have this symbol."""
        return self._bearers.get(symbol, ())

    def number_of(self, symbol: str, session: date) -> int | None:
        """The issue that is listed under the symbol in ``session``."""
        issues = self.source.issues
        found = (number for number in self.bearers(symbol) if issues[number].is_listed(session))
        return next((number for number in found if issues[number].symbol_on(session) == symbol), None)

    def daily_of(self, number: int, sessions: Sequence[date], now: datetime) -> DailyColumns:
        complete = [session for session in sessions if now >= self.hours(session).post_close_at]
        daily = self.source.daily_of(number, complete)
        for place, session in enumerate(sessions[len(complete) :], len(complete)):
            bars = self.minutes_of(number, [session], now)[0]
            here = self._running(totals(msgspec.structs.replace(bars, issue=np.zeros(len(bars), np.int32)), 1, self.close_second(session)))
            here = msgspec.structs.replace(here, key=here.key + place)
            pairs = {name: (getattr(daily, name), getattr(here, name)) for name in DailyColumns.__struct_fields__}
            daily = DailyColumns(**{name: np.concatenate(pair) for name, pair in pairs.items()})
        return daily

    def state(self, shown: Shown) -> State:
        """Complete minutes, and the seconds of the running one that ended."""
        size, close = len(self.source.issues), self.close_second(shown.session)
        minutes = self.minutes(shown.session).ended_by(shown.second)
        sums = totals(minutes, size, close)
        _, newest, _ = segments(minutes.issue)
        running = int(shown.second // 60) * 60
        volume = sums.volume
        if 0 <= running < self.second(shown.session, self.hours(shown.session).post_close_at) and self.source.counts_trades:
            sums = add(sums, totals(self.seconds(shown.session, running).ended_by(shown.second), size, close))
        return State(sums, minutes.take(newest), volume)

    def price_factors(self, session: date, now: datetime) -> dict[int, float]:
        """Issue -> what a raw price of ``session`` is multiplied by, and a volume divided by, to be adjusted as of now. Absent: 1."""
        factors = {number: self.price_factor(number, session, now) for number in self._splits_of}
        return {number: factor for number, factor in factors.items() if factor != 1.0}

    def price_factor(self, number: int, session: date, now: datetime) -> float:
        current = self.calendar.current_session(now)
        factor = 1.0
        for split in self._splits_of.get(number, ()):
            if session < split.session <= current:
                factor *= split.split_from / split.split_to
        return factor

    def _running(self, sums: Totals) -> DailyColumns:
        key = np.flatnonzero(sums.regular)
        vwap = np.round(sums.dollars[key] / sums.volume[key], 4) if self.source.counts_trades else np.full(len(key), np.nan)
        columns = {name: getattr(sums, name)[key] for name in ("open", "high", "low", "close", "volume", "trades")}
        return DailyColumns(key=key, **columns, vwap=vwap)

    def _kept(self, kept: "OrderedDict[Any, T]", key: Any, count: int, make: Callable[[], T]) -> T:
        with self._lock:
            if key not in kept:
                while len(kept) >= count:  # before making: two are never held beside the new one
                    kept.popitem(last=False)
                kept[key] = make()
            kept.move_to_end(key)
            return kept[key]


def symbols(source: Source, numbers: NDArray[Any], session: date) -> list[str]:
    """What the issues are called in ``session``."""
    issues = source.issues
    return [issues[number].symbol_on(session) for number in numbers.tolist()]
