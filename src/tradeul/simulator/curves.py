"""How activity is spread over a section of the day and over a minute: fixed curves, as tables of their inverses."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tradeul.simulator.hashing import Floats
from tradeul.simulator.intraday import inverse_curve

PRE_MINUTES, REGULAR_MINUTES, EARLY_MINUTES, POST_MINUTES = 330, 390, 210, 240
PRE_SHAPES = 3
LATE_STARTS = (40, 110, 190, 275)  # minutes after 09:30
REGULAR_SHAPES = 1 + len(LATE_STARTS)


def _pre(shape: int) -> Floats:
    """Shapes: rising to the opening; busy from 07:00 on; news at 06:00 that fades until the last hour."""
    left = PRE_MINUTES - np.arange(PRE_MINUTES)
    rising = 0.06 + 0.5 * np.exp(-left / 40.0) + 0.25 * np.exp(-left / 120.0)
    first = np.where(np.arange(PRE_MINUTES) == 0, 0.4, 0.0)
    if shape == 0:
        return rising + first
    if shape == 1:
        return 0.4 * rising + 0.25 * (left <= 150) + first
    since = np.maximum(120 - left + 90, 0)
    return 0.5 * rising + 0.9 * np.exp(-since / 25.0) * (left <= 210) + first


def _regular(minutes: int) -> Floats:
    """U-shaped, with the auctions in the first and the last minute."""
    minute = np.arange(minutes, dtype=np.float64)
    left = minutes - 1 - minute
    curve = 0.55 + 1.9 * np.exp(-minute / 18.0) + 0.8 * np.exp(-minute / 70.0) + 1.5 * np.exp(-left / 10.0) + 0.6 * np.exp(-left / 45.0)
    curve[0] += 5.0
    curve[-1] += 14.0
    return curve


def _post() -> Floats:
    minute = np.arange(POST_MINUTES, dtype=np.float64)
    return 0.12 + 1.6 * np.exp(-minute / 12.0) + 0.5 * np.exp(-minute / 60.0)


def _late(minutes: int, starts: int) -> Floats:
    """Quiet until news at minute ``starts``, then busy, fading over an hour."""
    minute = np.arange(minutes, dtype=np.float64)
    curve = 0.12 * _regular(minutes) + (minute >= starts) * (0.5 + 4.0 * np.exp(-(minute - starts) / 40.0))
    return np.asarray(curve, np.float64)


_CURVES = [
    *(_pre(shape) for shape in range(PRE_SHAPES)),
    *(_regular(REGULAR_MINUTES), *(_late(REGULAR_MINUTES, starts) for starts in LATE_STARTS)),
    *(_regular(EARLY_MINUTES), *(_late(EARLY_MINUTES, starts // 2) for starts in LATE_STARTS)),
    _post(),
]
MINUTE_CURVES: NDArray[np.int16] = np.stack([inverse_curve(curve) for curve in _CURVES])
_EVEN = np.ones(60)
_SECOND = np.arange(60.0)
SECOND_CURVES: NDArray[np.int16] = np.stack(
    [
        inverse_curve(_EVEN),
        inverse_curve(_EVEN + 12.0 * np.exp(-_SECOND / 3.0)),
        inverse_curve(_EVEN + 20.0 * np.exp((_SECOND - 59.0) / 2.0)),
    ]
)


def of_sections(
    section: NDArray[np.int64], full_length: NDArray[np.bool_], pre_shape: NDArray[np.int64], regular_shape: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """First minute since 04:00, number of minutes, and curve of each section."""
    regular_minutes = np.where(full_length, REGULAR_MINUTES, EARLY_MINUTES)
    regular_curve = PRE_SHAPES + np.where(full_length, 0, REGULAR_SHAPES) + regular_shape
    first = np.choose(section, [np.zeros_like(section), np.full_like(section, PRE_MINUTES), PRE_MINUTES + regular_minutes])
    minutes = np.choose(section, [np.full_like(section, PRE_MINUTES), regular_minutes, np.full_like(section, POST_MINUTES)])
    return first, minutes, np.choose(section, [pre_shape, regular_curve, np.full_like(section, len(_CURVES) - 1)])


def second_curve(start: NDArray[Any], open_second: int, close_second: int) -> NDArray[np.int64]:
    return np.where(start == open_second, 1, np.where(start == close_second - 60, 2, 0))
