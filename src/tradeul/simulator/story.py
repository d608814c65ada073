"""Who plays which part on a session: the cast of the opening story, splits, halts, late bars. Pure functions of the seed.

    04:00-09:30  gappers move; the lead is a well-known one
    09:29:20     the lead is halted (LULD 17), and resumes at 09:30:20 (18): no bar between
    09:30:02     the 09:29 bar of the corrected one arrives with too little volume; the true one half a minute later
    09:31:10     the silent one trades for the last time
    the split    a reverse split of one for eight, in play, hardly changed when adjusted

The same story opens every session, so it is there whichever session the clock
starts in; the rest of the day's halts and late bars differ.
"""

from collections.abc import Mapping, Sequence
from datetime import date

import msgspec
import numpy as np
from numpy.typing import NDArray

from tradeul.records.tickers import Split
from tradeul.simulator.hashing import key, uniform, word, words
from tradeul.simulator.universe import Universe

DEFAULT_START = date(2026, 3, 9)  # a cadence of splits always falls on it
REVERSE_RATIO = 8
REVERSE_PAUSE = 100  # sessions between two reverse splits of one issue
FORWARD_EVERY = 9  # sessions
HALT_START, HALT_END = 19_760, 19_820  # 09:29:20, 09:30:20 in seconds since 04:00
CORRECTED_MINUTE = 19_740  # 09:29
SILENT_FROM = 19_870  # 09:31:10
LATER_HALTS = 7
HALT_SECONDS = 300
LATE_RATE = 0.0015  # of bars arrive too small first
_CAST, _REVERSE, _FORWARD, _HALTS, _LATE = 11, 12, 13, 14, 15  # streams of random words


class Halt(msgspec.Struct, frozen=True):
    """Nothing trades in start <= second < end; ``announced``: LULD messages tell of it (silence has none)."""

    number: int
    start: int
    end: int
    announced: bool = True


class Cast(msgspec.Struct, frozen=True):
    lead: int
    corrected: int
    silent: int


class Story:
    def __init__(self, seed: int, universe: Universe, sessions: Sequence[date]) -> None:
        self._seed = seed
        stocks = np.flatnonzero(universe.stock & (universe.listed < sessions[0].toordinal()))
        self._stocks = stocks[np.argsort(universe.liquidity_rank[stocks], kind="stable")]
        self.splits = self._schedule(universe, sessions)
        self._casts: dict[date, Cast] = {}

    def cast(self, session: date) -> Cast:
        """Three different stocks, none of them splitting: the lead and the corrected well known, the silent one less so."""
        if session in self._casts:
            return self._casts[session]
        splitting = {int(split) for split, _ in self.splits.get(session, ())}
        size, chosen = len(self._stocks), list[int]()
        for part, (first, last) in enumerate(((0.02, 0.15), (0.02, 0.15), (0.15, 0.4))):
            low, high = int(first * size), max(int(last * size), int(first * size) + 6)
            drawn = word(self._seed, _CAST, session.toordinal(), part)
            pool = [int(number) for number in self._stocks[low:high] if number not in splitting and number not in chosen]
            chosen.append(pool[drawn % len(pool)])
        return self._casts.setdefault(session, Cast(*chosen))

    def halts(self, session: date, in_play: NDArray[np.int64], close_second: int) -> list[Halt]:
        """The story's, and some of the liquid in-play issues' later in the regular session. One halt an issue."""
        cast = self.cast(session)
        halts = [Halt(cast.lead, HALT_START, HALT_END), Halt(cast.silent, SILENT_FROM, 90_000, announced=False)]
        taken = {cast.lead, cast.silent, cast.corrected}
        for turn in range(LATER_HALTS):
            drawn = word(self._seed, _HALTS, session.toordinal(), turn)
            pool = [int(number) for number in in_play if int(number) not in taken]
            if not pool:
                break
            number, offset = pool[drawn % len(pool)], (drawn >> 20) % max(close_second - HALT_SECONDS - 900 - 20_400, 1)
            taken.add(number)
            halts.append(Halt(number, 20_400 + offset, 20_400 + offset + HALT_SECONDS))
        return halts

    def late(self, session: date, issues: NDArray[np.int64], starts: NDArray[np.int64], width: int) -> NDArray[np.int64]:
        """Seconds by which the true bar follows the preliminary one, for each bar; 0: it is right at once."""
        keys = key(self._seed, _LATE + width, issues, session.toordinal())
        drawn = words(keys, starts)
        delay = 20 + (drawn >> np.uint64(32)) % np.uint64(21)
        chosen = uniform(drawn) + uniform(drawn, 1) / 65536.0 < LATE_RATE
        if width == 60:
            chosen |= (issues == self.cast(session).corrected) & (starts == CORRECTED_MINUTE)
        return np.where(chosen, delay, 0).astype(np.int64)

    def _schedule(self, universe: Universe, sessions: Sequence[date]) -> Mapping[date, list[tuple[int, Split]]]:
        """Reverse splits of cheap stocks about every session (fewer in a small universe), forward ones of dear stocks now and then."""
        cheap = [int(n) for n in self._stocks if universe.start_price[n] < 4.0]
        dear = [int(n) for n in self._stocks if universe.start_price[n] > 120.0]
        every = max(-(-REVERSE_PAUSE // max(len(cheap) // 2, 1)), 1)
        start = sessions.index(DEFAULT_START) if DEFAULT_START in sessions else 0
        last: dict[int, int] = {}
        schedule: dict[date, list[tuple[int, Split]]] = {}
        for place, session in enumerate(sessions):
            day = session.toordinal()
            if cheap and (place - start) % every == 0:
                rested = [n for n in cheap if place - last.get(n, -REVERSE_PAUSE) >= REVERSE_PAUSE]
                if rested:
                    number = rested[word(self._seed, _REVERSE, day) % len(rested)]
                    last[number] = place
                    self._add(schedule, universe, session, number, (REVERSE_RATIO, 1))
            if dear and (place - start) % FORWARD_EVERY == 0:
                drawn = word(self._seed, _FORWARD, day)
                number, ratio = dear[drawn % len(dear)], (10, 4, 2, 3)[(drawn >> 20) % 4]
                if place - last.get(number, -10_000) >= 10_000:
                    last[number] = place
                    self._add(schedule, universe, session, number, (1, ratio))
        return schedule

    @staticmethod
    def _add(schedule: dict[date, list[tuple[int, Split]]], universe: Universe, session: date, number: int, ratio: tuple[int, int]) -> None:
        split = Split(universe.issues[number].symbol, session, float(ratio[0]), float(ratio[1]))
        schedule.setdefault(session, []).append((number, split))
