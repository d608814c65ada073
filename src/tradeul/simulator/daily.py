"""The path of days: for any issues and sessions, one bar each for pre-market, regular hours and post-market.

    log close:  x(s) = x(s-1) - pull (x(s-1) - start) + gap(s) + day(s) + split(s)
    regular     opens at x(s) - day(s), closes at x(s); its bar is the daily OHLC
    pre         from where the last post-market ended to about the open
    post        from the close part of the way to the next session's open

`moves` says how far an issue jumps over night and moves by day, and how much it
trades: quiet for most, "in play" for a few hundred a session. Everything is elementwise
over (session, issue); the recursion over sessions is a loop of whole-market turns.
"""

from collections.abc import Sequence
from datetime import date
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tradeul.simulator.bars import TICKS
from tradeul.simulator.hashing import Floats, Words, bell, fine_uniform, key, uniform, word, words
from tradeul.simulator.intraday import on_grid
from tradeul.simulator.story import Story
from tradeul.simulator.universe import REAL_SIZE, Universe

EPOCH = date(2024, 1, 2)  # the first simulated session
PULL = 0.004  # a day's return towards the start price
SECTIONS = 3  # pre, regular, post
LOWEST, HIGHEST = np.log(0.02), np.log(9_000.0)
_MOVES, _SECTIONS, _MARKET = 21, 22, 23  # streams of random words
_BLOCK = 32  # sessions of the path computed at once


class Moves(msgspec.Struct, frozen=True):
    """Shape (sessions, issues)."""

    gap: Floats  # log, against the last close
    day: Floats  # log, open to close
    multiple: Floats  # of the usual volume; of those not in play: how much they are stirred
    early: Floats  # share of the volume traded pre-market; NaN of those not in play
    news: NDArray[np.bool_]  # the gap is already seen in the post-market before
    in_play: NDArray[np.bool_]
    gapping: NDArray[np.bool_]  # in play since before the opening


class Sections(msgspec.Struct, frozen=True):
    """Ticks and shares, shape (sessions, issues, SECTIONS); volume 0 where nothing traded."""

    open: NDArray[np.int64]
    high: NDArray[np.int64]
    low: NDArray[np.int64]
    close: NDArray[np.int64]
    volume: NDArray[np.int64]
    trades: NDArray[np.int64]
    gapping: NDArray[np.bool_]  # (sessions, issues): busy early
    running: NDArray[np.bool_]  # (sessions, issues): busy from some time of the day on


class Days:
    def __init__(self, seed: int, universe: Universe, story: Story, sessions: Sequence[date]) -> None:
        """``sessions``: all from EPOCH on that may ever be asked for, without gaps."""
        self._seed, self._universe, self._story, self._sessions = seed, universe, story, sessions
        self._place = {session: place for place, session in enumerate(sessions)}
        self._path = np.zeros((0, len(universe.issues)), np.float32)  # log close, raw

    def covers(self, session: date) -> bool:
        # The last one is only there to say where the post-market before it goes.
        return session in self._place and self._place[session] < len(self._sessions) - 1

    def extend_to(self, session: date) -> None:
        """Compute the path as far as ``session`` needs; not safe from two threads at once."""
        while len(self._path) < self._place[session] + 2:
            first = len(self._path)
            block = self._sessions[first : first + _BLOCK]
            start = np.log(self._universe.start_price)
            everyone = np.arange(len(start))
            moves = self.moves(block, everyone)
            log_close = self._path[-1].astype(np.float64) if first else start.copy()
            path = np.empty((len(block), len(start)), np.float32)
            for place, session_ in enumerate(block):
                log_close += moves.gap[place] + moves.day[place] - PULL * (log_close - start)
                for number, split in self._story.splits.get(session_, ()):
                    log_close[number] += np.log(split.split_from / split.split_to)
                np.clip(log_close, LOWEST, HIGHEST, out=log_close)
                path[place] = log_close
                log_close = path[place].astype(np.float64)
            self._path = np.concatenate([self._path, path])

    def moves(self, sessions: Sequence[date], issues: NDArray[Any]) -> Moves:
        universe, seed = self._universe, self._seed
        days = np.array([session.toordinal() for session in sessions])[:, None]
        keys = key(seed, _MOVES, issues[None, :], days)
        deviation, rank, stock = universe.deviation[issues], universe.liquidity_rank[issues], universe.stock[issues]
        market = np.array([[_small(word(seed, _MARKET, session.toordinal(), part)) for part in (0, 1)] for session in sessions])
        beta, index = universe.beta[issues], universe.index[issues]
        nightly, daily, choice = bell(words(keys, 0)), bell(words(keys, 1)), words(keys, 2)
        gap = deviation * nightly * (0.336 + 0.05 * nightly**2) + market[:, :1] * beta
        day = deviation * daily * (0.612 + 0.058 * daily**2) + market[:, 1:] * beta
        stir = np.abs(daily) + 0.7 * np.abs(nightly)
        in_play = fine_uniform(choice) < np.where(stock, 0.042 * (rank < 0.72 * REAL_SIZE), 0.002 * ~index)
        moves = Moves(gap, day, stir, np.full_like(gap, np.nan), np.zeros_like(in_play), in_play, np.zeros_like(in_play))
        self._play(moves, keys, choice, issues)
        self._direct(moves, sessions, issues)
        return moves

    def _play(self, moves: Moves, keys: Words, choice: Words, issues: NDArray[Any]) -> None:
        """Move those in play: gap up and go on, or fade; gap down and recover, or go on; run up or down by day."""
        at = np.nonzero(moves.in_play)
        universe, number, choice, size = self._universe, issues[at[1]], choice[at], words(keys[at], 3)
        wide = np.clip(universe.deviation[number] / 0.04, 0.45, 1.25)
        jump = np.maximum(0.04 * np.exp(3.0 * uniform(size) ** 2.2), 0.045) * wide
        up, down = np.log1p(jump), np.log1p(-0.6 * np.minimum(jump, 1.2))
        style, twist = uniform(size, 1), uniform(size, 2)
        moves.day[at] = np.select(
            [style < 0.28, style < 0.46, style < 0.58, style < 0.68, style < 0.90],
            [up * (1.2 * twist - 0.1), up * (-0.9 * twist - 0.15), down * (0.9 * twist), down * (-0.9 * twist - 0.1), up * (0.6 + twist)],
            down * (0.5 + twist),
        )
        moves.gap[at] = np.select([style < 0.46, style < 0.68], [up, down], moves.gap[at] * 1.5)
        busy = 3.0 * np.exp(2.7 * uniform(choice, 3) ** 1.4) * (0.7 + 3.0 * jump)
        least = np.exp(14.2 + 3.6 * uniform(choice, 2)) / (universe.adv_shares[number] * universe.start_price[number])
        moves.multiple[at] = np.minimum(np.maximum(busy, least), 50.0)  # at least 1.5 to 54 million dollars
        gapping = style < 0.68
        moves.gapping[at] = gapping
        moves.early[at] = np.where(gapping, 0.07 + 0.16 * twist, 0.02 + 0.03 * twist)
        moves.news[at] = gapping & (uniform(choice, 1) < 0.4)

    def _direct(self, moves: Moves, sessions: Sequence[date], issues: NDArray[Any]) -> None:
        """Give the cast its moves."""
        column = {int(number): place for place, number in enumerate(issues)}
        for place, session in enumerate(sessions):
            cast = self._story.cast(session)
            parts = [(cast.lead, 0.17, 0.05, 9.0, 0.16), (cast.corrected, 0.085, -0.03, 6.0, 0.13), (cast.silent, 0.12, 0.02, 8.0, 0.2)]
            for number, split in self._story.splits.get(session, ()):
                parts.append((number, 0.006, 0.04 if split.split_from > split.split_to else 0.01, 6.0, 0.08))
            for number, gap, day, multiple, early in parts:
                if number in column:
                    at = place, column[number]
                    moves.gap[at], moves.day[at], moves.multiple[at], moves.early[at] = gap, day, multiple, early
                    moves.in_play[at], moves.gapping[at], moves.news[at] = True, True, False

    def sections(self, sessions: Sequence[date], issues: NDArray[Any]) -> Sections:
        """Bars of every asked (session, issue); the path must reach the session after the last (`extend_to`)."""
        universe = self._universe
        places = np.array([self._place[session] for session in sessions])
        moves = self.moves(sessions, issues)
        following = self.moves([self._sessions[place + 1] for place in places], issues)
        start = np.log(universe.start_price[issues])
        log_close = self._path[places[:, None], issues[None, :]].astype(np.float64)
        before = np.where(places[:, None] > 0, self._path[np.maximum(places - 1, 0)[:, None], issues[None, :]].astype(np.float64), start)
        before = before + self._log_split(sessions, issues)
        log_open = log_close - moves.day
        next_sessions = [self._sessions[place + 1] for place in places]
        next_open = self._path[places[:, None] + 1, issues[None, :]].astype(np.float64) - following.day
        next_open = next_open - self._log_split(next_sessions, issues)

        days = np.array([session.toordinal() for session in sessions])[:, None]
        keys = key(self._seed, _SECTIONS, issues[None, :], days)
        after = key(self._seed, _SECTIONS, issues[None, :], np.array([session.toordinal() for session in next_sessions])[:, None])
        start_pre = before + (log_open - before) * _seen_early(moves, keys)
        end_post = log_close + (next_open - log_close) * _seen_early(following, after)
        deviation = np.maximum(universe.deviation[issues], 0.45 * np.maximum(np.abs(moves.day), np.abs(moves.gap)) * moves.in_play)
        jitter = bell(words(keys, 6))
        opens = np.stack([start_pre, log_open, log_close + 0.01 * deviation * jitter], axis=-1)
        closes = np.stack([log_open - 0.03 * deviation * jitter, log_close, end_post], axis=-1)
        reach = deviation[..., None] * np.stack(
            [0.10 + 0.15 * moves.in_play, 0.42 + 0.15 * moves.in_play, 0.06 + 0.10 * following.news], axis=-1
        )
        up, down = (np.stack([-np.log(uniform(words(keys, 7 + side), part)) for part in range(SECTIONS)], axis=-1) for side in (0, 1))
        volume, trades = self._amounts(sessions, issues, moves, following.news, np.exp(log_close), keys)
        # The price must be reachable with the trades there are (intraday.Parents).
        reach = np.where(trades < 4, 0.0, reach)
        opens, closes, extreme_up, extreme_down = (
            on_grid(np.maximum(np.exp(values) * TICKS, 1.0))
            for values in (opens, closes, np.maximum(opens, closes) + reach * up, np.minimum(opens, closes) - reach * down)
        )
        opens = np.where(trades == 1, closes, opens)
        extreme_up = np.where(trades < 4, 0.0, extreme_up)
        extreme_down = np.where(trades < 4, np.inf, extreme_down)
        columns = opens, np.maximum(np.maximum(opens, closes), extreme_up), np.minimum(np.minimum(opens, closes), extreme_down), closes
        open_, high, low, close = (column.astype(np.int64) for column in columns)
        return Sections(open_, high, low, close, volume, trades, moves.gapping, moves.in_play & ~moves.gapping)

    def _log_split(self, sessions: Sequence[date], issues: NDArray[Any]) -> Floats:
        """By how much the raw log price jumps from the last session to each of these."""
        jumps = np.zeros((len(sessions), len(issues)))
        for place, session in enumerate(sessions):
            for number, split in self._story.splits.get(session, ()):
                jumps[place, issues == number] += np.log(split.split_from / split.split_to)
        return jumps

    def _amounts(
        self, sessions: Sequence[date], issues: NDArray[Any], moves: Moves, news: NDArray[np.bool_], price: Floats, keys: Any
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        universe = self._universe
        days = np.array([session.toordinal() for session in sessions])[:, None]
        # Dollars a day stay about what they are when the price drifts or splits.
        drawn, other = words(keys, 9), words(keys, 10)
        usual = np.exp(0.33 * bell(words(keys, 11)) - 0.05 + 0.14 * np.minimum(moves.multiple, 5.0))
        shares = universe.adv_shares[issues] * universe.start_price[issues] / price * np.where(moves.in_play, moves.multiple, usual)
        early = np.where(moves.in_play, moves.early, 0.004 + 0.03 * uniform(words(keys, 12)) ** 2)
        size = np.clip(110.0 * (20.0 / price) ** 0.35, 20.0, 900.0)
        late = np.where(news, 0.08 + 0.1 * uniform(other, 3), 0.003 + 0.02 * uniform(drawn, 3) ** 2)
        late = np.where(moves.in_play, np.maximum(late, 0.02), late)
        for place, session in enumerate(sessions):
            silent = issues == self._story.cast(session).silent
            shares[place, silent] *= 0.2
            late[place, silent] = 0.0
            early[place, silent] = 0.85
        split = np.stack([early, 1.0 - early - late, late], axis=-1)
        expected = split * (shares / size)[..., None]
        trades = np.floor(expected + np.stack([uniform(drawn, part) for part in range(SECTIONS)], axis=-1))
        # A day with a trade has one in regular hours, so that it has an official open and close.
        trades[..., 1] = np.maximum(trades[..., 1], trades.max(axis=-1) > 0)
        trades[(universe.listed[issues][None, :] > days) | (universe.last[issues][None, :] < days)] = 0.0
        odd = 0.75 + 0.5 * np.stack([uniform(other, part) for part in range(SECTIONS)], axis=-1)
        volume = np.maximum(np.rint(trades * size[..., None] * odd), trades)
        return volume.astype(np.int64), trades.astype(np.int64)


def _small(drawn: int) -> float:
    """The whole market's part of a move: about half a percent."""
    return (sum(drawn >> part & 0xFFFF for part in (0, 16, 32, 48)) - 131_070) / 37_837.0 * 0.0045


def _seen_early(moves: Moves, keys: Any) -> Floats:
    """The part of a gap that the post-market before has already travelled."""
    drawn = words(keys, 5)
    return np.where(moves.news, 0.5 + 0.4 * uniform(drawn), 0.25 * uniform(drawn, 1))
