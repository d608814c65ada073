"""Random numbers as a function of a key: the same question has the same answer, whoever asks it beside which others.

    key(seed, stream, issue, session)  ->  one 64-bit word for each (issue, session)
    words(keys, counter)               ->  one word for each (key, counter)

A counter hash (the finaliser of splitmix64) on whole arrays; numpy's Philox has no
vectorised keys (docs/decisions/0002-simulated-randomness.md). Sums of what is drawn
here are kept in integers, or in floats that hold integers: only then does a sum over
a part of the market equal the same sum inside the whole.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Words = NDArray[np.uint64]
Floats = NDArray[np.float64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_30, _27, _31 = np.uint64(30), np.uint64(27), np.uint64(31)
_LOW16 = np.uint64(0xFFFF)
_MASK = 0xFFFFFFFFFFFFFFFF


def mix(values: Words) -> Words:
    """Splitmix64's finaliser; ``values`` is left alone."""
    x = values ^ (values >> _30)
    x *= _FIRST
    x ^= x >> _27
    x *= _SECOND
    x ^= x >> _31
    return x


def word(seed: int, *parts: int) -> int:
    """One word for a few plain numbers; in plain integers, as it is asked one at a time."""
    x = seed & _MASK
    for part in parts:
        x = (x + (part + 1) * 0x9E3779B97F4A7C15) & _MASK
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
        x ^= x >> 31
    return x


def key(seed: int, stream: int, issues: NDArray[Any], sessions: NDArray[Any] | int) -> Words:
    """Words of (issue, session) pairs; the two arrays broadcast."""
    base = np.uint64(word(seed, stream))
    by_issue = mix(np.asarray(issues).astype(np.uint64) * _GOLDEN + base)
    return mix(by_issue + np.atleast_1d(sessions).astype(np.uint64) * _SECOND + _GOLDEN)


def words(keys: Words, counter: NDArray[Any] | int) -> Words:
    """The ``counter``-th word of each key; the two broadcast."""
    if isinstance(counter, int):
        return mix(keys + np.uint64(((counter + 1) * 0x9E3779B97F4A7C15) & _MASK))
    return mix(keys + (counter.astype(np.uint64) + np.uint64(1)) * _GOLDEN)


def uniform(drawn: Words, part: int = 0) -> Floats:
    """In (0, 1), never the ends, from 16 bits of each word; ``part`` 0-3 chooses which."""
    return (((drawn >> np.uint64(16 * part)) & _LOW16).astype(np.float64) + 0.5) / 65536.0


def fine_uniform(drawn: Words) -> Floats:
    """In (0, 1), never the ends, from 52 bits."""
    return ((drawn >> np.uint64(12)).astype(np.float64) + 0.5) / float(1 << 52)


def bell(drawn: Words) -> Floats:
    """About normal, mean 0, deviation 1, within +-3.5: the sum of the word's four 16-bit parts."""
    total = (drawn & _LOW16).astype(np.int64)
    for part in (16, 32, 48):
        total += ((drawn >> np.uint64(part)) & _LOW16).astype(np.int64)
    return (total - 131070).astype(np.float64) / 37837.0
