"""The synthetic market: universe, days, minutes and seconds behind one face (`source.Source`). No clock and no wire."""

import itertools
import threading
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradeul.market_calendar import Calendar
from tradeul.records.tickers import Split
from tradeul.simulator import curves
from tradeul.simulator.bars import REGULAR_START, TICKS, Bars
from tradeul.simulator.daily import EPOCH, SECTIONS, Days, Sections
from tradeul.simulator.hashing import key, uniform, words
from tradeul.simulator.headlines import headlines
from tradeul.simulator.intraday import Blocked, Children, Parents, subdivide
from tradeul.simulator.source import DailyColumns, News
from tradeul.simulator.story import Halt, Story
from tradeul.simulator.universe import Issue, make_universe

# So many candidates let a busy issue trade in (nearly) every minute or second.
DRAWS_PER_CELL = 3
NEAR_MINUTES, NEAR_SECONDS = 5, 6  # cells that share a burst of activity
HALTED_RANK = 6_000  # halts are for issues that trade without pause
INCOMPLETE_RATE = 0.005  # daily rows without vwap and trades, as some of the vendor's
_MINUTES, _SECONDS, _INCOMPLETE = 31, 32, 33  # streams of random words


class SyntheticMarket:
    def __init__(self, seed: int, size: int, calendar: Calendar) -> None:
        self._seed, self._calendar = seed, calendar
        self.universe = make_universe(seed, size)
        sessions = calendar.between(EPOCH, calendar.sessions[-1])
        self.story = Story(seed, self.universe, sessions)
        self._days = Days(seed, self.universe, self.story, sessions)
        self._everyone = np.arange(size)
        self._splits = [split for day in sorted(self.story.splits) for _, split in self.story.splits[day]]
        self._halts: dict[date, Sequence[Halt]] = {}  # a dozen a session; kept for all that were asked for
        self._news: dict[date, Sequence[News]] = {}  # some two hundred a session
        self._growing = threading.Lock()

    @property
    def counts_trades(self) -> bool:
        return True

    @property
    def issues(self) -> Sequence[Issue]:
        return self.universe.issues

    @property
    def number_of(self) -> Mapping[str, int]:
        return self.universe.number_of

    @property
    def splits(self) -> Sequence[Split]:
        return self._splits

    def covers(self, session: date) -> bool:
        return self._days.covers(session)

    def minutes(self, session: date) -> Bars:
        return self._minutes([session], self._everyone)[0]

    def minutes_of(self, number: int, sessions: Sequence[date]) -> list[Bars]:
        return self._minutes(sessions, np.array([number])) if sessions else []

    def seconds(self, session: date, minutes: Bars) -> Bars:
        if minutes.trades is None:
            raise ValueError("minute bars of another source: they do not count their trades")
        keys = words(key(self._seed, _SECONDS, minutes.issue, session.toordinal()), minutes.start)
        parents = Parents(
            *(minutes.open, minutes.high, minutes.low, minutes.close, minutes.volume, minutes.trades, keys),
            curve=curves.second_curve(minutes.start, REGULAR_START, self._close_second(session)),
            draws=np.minimum(minutes.trades, 60 * DRAWS_PER_CELL),
        )
        blocked = []
        for halt in self.halts(session):
            for place in np.flatnonzero((minutes.issue == halt.number) & (minutes.start + 60 > halt.start) & (minutes.start < halt.end)):
                start = int(minutes.start[place])
                blocked.append(Blocked(int(place), max(halt.start - start, 0), min(halt.end - start, 60)))
        children = subdivide(parents, curves.SECOND_CURVES, NEAR_SECONDS, blocked)
        return _bars(children, slice(None), minutes.issue[children.parent], minutes.start[children.parent] + children.cell, 1)

    def daily(self, session: date) -> DailyColumns:
        sections = self._sections([session], self._everyone)
        return _daily(sections, (0, slice(None)), self._everyone, self._incomplete([session], self._everyone)[0])

    def daily_of(self, number: int, sessions: Sequence[date]) -> DailyColumns:
        issues = np.array([number])
        sections = self._sections(sessions, issues)
        return _daily(sections, (slice(None), 0), np.arange(len(sessions)), self._incomplete(sessions, issues)[:, 0])

    def halts(self, session: date) -> Sequence[Halt]:
        if session not in self._halts:
            universe = self.universe
            in_play = self._days.moves([session], self._everyone).in_play[0]
            liquid = np.flatnonzero(in_play & universe.stock & (universe.liquidity_rank < HALTED_RANK))
            self._halts[session] = self.story.halts(session, liquid, self._close_second(session))
        return self._halts[session]

    def late(self, session: date, bars: Bars) -> NDArray[np.int64]:
        return self.story.late(session, bars.issue, bars.start, bars.width)

    def news(self, session: date) -> Sequence[News]:
        if session not in self._news:
            moves = self._days.moves([session], self._everyone)
            self._news[session] = headlines(self._seed, self.universe, self._calendar.hours(session), moves)
        return self._news[session]

    def _close_second(self, session: date) -> int:
        hours = self._calendar.hours(session)
        return int((hours.close_at - hours.pre_open_at).total_seconds())

    def _sections(self, sessions: Sequence[date], issues: NDArray[Any]) -> Sections:
        with self._growing:
            self._days.extend_to(max(sessions))
        return self._days.sections(sessions, issues)

    def _incomplete(self, sessions: Sequence[date], issues: NDArray[Any]) -> NDArray[np.bool_]:
        days = np.array([session.toordinal() for session in sessions])[:, None]
        return uniform(key(self._seed, _INCOMPLETE, issues[None, :], days)) < INCOMPLETE_RATE

    def _minutes(self, sessions: Sequence[date], issues: NDArray[Any]) -> list[Bars]:
        """Minute bars of each session: the sections that traded, subdivided all at once."""
        sections = self._sections(sessions, issues)
        traded = np.flatnonzero(sections.trades)
        place, section = np.divmod(traded, SECTIONS)
        turn, column = np.divmod(place, len(issues))
        number = issues[column]
        full = np.array([self._calendar.hours(session).is_full_length for session in sessions])[turn]
        days = np.array([session.toordinal() for session in sessions])[turn]
        keys = words(key(self._seed, _MINUTES, number, days), section)
        drawn = (keys >> np.uint64(40)).astype(np.int64)
        pre_shape = np.where(sections.gapping.ravel()[place], drawn % curves.PRE_SHAPES, 0)
        regular_shape = np.where(sections.running.ravel()[place], drawn % curves.REGULAR_SHAPES, 0)
        first_minute, minutes, curve = curves.of_sections(section, full, pre_shape, regular_shape)
        columns = {name: getattr(sections, name).ravel()[traded] for name in ("open", "high", "low", "close", "volume", "trades")}
        # Trades come in clusters: their number to the power of 3/4, by square roots because those are exact everywhere.
        clusters = np.sqrt(columns["trades"] * np.sqrt(columns["trades"]))
        draws = np.minimum(np.ceil(clusters).astype(np.int64), minutes * DRAWS_PER_CELL)
        blocked = []
        for index, session in enumerate(sessions):
            for halt in self.halts(session):
                for parent in np.flatnonzero((number == halt.number) & (turn == index)):
                    # Only whole minutes; those at the ends are left to `seconds`.
                    first, last = -(-halt.start // 60) - first_minute[parent], halt.end // 60 - first_minute[parent]
                    if first < minutes[parent] and last > max(first, 0):
                        blocked.append(Blocked(int(parent), max(int(first), 0), min(int(last), int(minutes[parent]))))
        children = subdivide(Parents(**columns, keys=keys, curve=curve, draws=draws), curves.MINUTE_CURVES, NEAR_MINUTES, blocked)
        starts = (first_minute[children.parent] + children.cell) * 60
        edges = np.searchsorted(turn[children.parent], np.arange(len(sessions) + 1))
        rows = [slice(int(first), int(last)) for first, last in itertools.pairwise(edges)]
        return [_bars(children, part, number[children.parent[part]], starts[part], 60) for part in rows]


def _bars(children: Children, rows: slice, issue: NDArray[Any], start: NDArray[Any], width: int) -> Bars:
    return Bars(
        issue=issue.astype(np.int32),
        start=start.astype(np.int32),
        open=children.open[rows],
        high=children.high[rows],
        low=children.low[rows],
        close=children.close[rows],
        volume=children.volume[rows],
        trades=children.trades[rows],
        width=width,
    )


def _daily(sections: Sections, where: Any, keys: NDArray[np.int64], incomplete: NDArray[np.bool_]) -> DailyColumns:
    """Official prices are those of regular hours; volume, trades and vwap are of all."""
    open_, high, low, close, volume, trades = (
        getattr(sections, name)[where].astype(np.float64) for name in ("open", "high", "low", "close", "volume", "trades")
    )
    total = volume.sum(axis=-1)
    dollars = ((open_ + high + low + close) / (4.0 * TICKS) * volume).sum(axis=-1)
    regular = {"open": open_, "high": high, "low": low, "close": close}
    regular = {name: column[..., 1] / TICKS for name, column in regular.items()}
    vwap = np.where(incomplete, np.nan, np.round(dollars / np.maximum(total, 1.0), 4))
    counted = np.where(incomplete, np.nan, trades.sum(axis=-1))
    return DailyColumns(key=keys, **regular, volume=total, vwap=vwap, trades=counted).take(total > 0)
