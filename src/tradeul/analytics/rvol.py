"""Relative volume: today's volume against the usual one at this moment of the session.

CONTRACT.md, "Rows": slots of five minutes from 04:00 ET, s = 0..191, and

    E(t) = C(s-1) + g (C(s) - C(s-1))      C(s): mean cumulative volume by the END of slot s
    g = f, the fraction of slot s gone; sqrt(f) in the two slots that begin with an auction

An auction prints in its slot's first seconds: with g = f a third of all rows
would show rvol >= 2 at 09:31. All arrays are float64, NaN is unknown, one
element or row per ticker. It knows no clock, no session and no ticker.
"""

from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from tradeul.analytics.baselines import SLOTS
from tradeul.records.frame import FloatArray

SLOT_SECONDS = 300.0
MIN_SESSIONS = 5  # fewer: `thin`, and no slot_lz
MIN_EXPECTED_SHARES = 1_000.0  # fewer: `thin`
MIN_EXPECTED_SHARES_5M = 200.0  # fewer: no rvol_5m
MIN_LOG_SD = 0.25  # a ticker that trades the same in every session is no anomaly at the first odd lot
QUALITIES = ("none", "thin", "ready")


class Moment(NamedTuple):
    slot: int  # 0..192; 192 from the end of the post-market on
    fraction: float  # of it gone, 0 <= f < 1
    weight: float  # g


def moment(seconds: float, auction_slots: Collection[int]) -> Moment:
    """Where ``seconds`` after 04:00 ET falls. Before it, the first slot has not begun."""
    slot, within = divmod(min(max(seconds, 0.0), SLOTS * SLOT_SECONDS), SLOT_SECONDS)
    fraction = within / SLOT_SECONDS
    return Moment(int(slot), fraction, fraction**0.5 if slot in auction_slots else fraction)


def expected_volume(cumulative: FloatArray, seconds: float, auction_slots: Collection[int]) -> FloatArray:
    """E(t) in shares, shape (tickers,), from C of shape (tickers, 192)."""
    slot, _, weight = moment(seconds, auction_slots)
    before = cumulative[:, slot - 1] if slot else np.where(np.isnan(cumulative[:, 0]), np.nan, 0.0)
    if slot == SLOTS:
        return before
    expected: FloatArray = before + weight * (cumulative[:, slot] - before)
    return expected


def relative_volume(volume: FloatArray, expected: FloatArray) -> FloatArray:
    """NaN where nothing is expected."""
    return np.divide(volume, expected, out=np.full_like(expected, np.nan), where=expected > 0)


def relative_volume_5m(volume_5m: FloatArray, expected: FloatArray, expected_5m_ago: FloatArray) -> FloatArray:
    """NaN where fewer than 200 shares are expected in five minutes."""
    usual = expected - expected_5m_ago
    return np.divide(volume_5m, usual, out=np.full_like(usual, np.nan), where=usual >= MIN_EXPECTED_SHARES_5M)


def judging_slots(profile: FloatArray, slot: int) -> FloatArray:
    """The slots over which the last five minutes can lie, s-1 and s: shape (tickers, 1 or 2)."""
    return profile[:, max(slot - 1, 0) : min(slot, SLOTS - 1) + 1]


def slot_log_z(volume_5m: FloatArray, log_mean: FloatArray, log_sd: FloatArray, sessions: FloatArray) -> FloatArray:
    """How unusual the last five minutes are, in deviations of ln(1 + a slot's volume).

    ``log_mean`` and ``log_sd`` are `judging_slots`. The slot with the larger mean
    judges, so that the minutes after an opening auction are not held against 09:25.
    """
    first, last = log_mean[:, 0], log_mean[:, -1]
    by_first = (first > last) | np.isnan(last)
    mean = np.where(by_first, first, last)
    deviation = np.where(by_first, log_sd[:, 0], log_sd[:, -1])
    score: FloatArray = (np.log1p(volume_5m) - mean) / np.maximum(deviation, MIN_LOG_SD)
    return np.where(sessions >= MIN_SESSIONS, score, np.nan)


def quality(expected: FloatArray, sessions: FloatArray) -> FloatArray:
    """Places in `QUALITIES`: how far the baseline behind ``expected`` can be trusted."""
    known = (sessions >= 1) & ~np.isnan(expected)
    ready = known & (sessions >= MIN_SESSIONS) & (expected >= MIN_EXPECTED_SHARES)
    return known.astype(np.float64) + ready
