"""Why a ticker is on a list or not: the question, and the answer as it is shown to people.

Values have the wire's form (rounded; times ISO 8601; unknown is null). What
is asked and how it is found: `scanner/explain.py`.
"""

from datetime import date, datetime
from typing import Any

import msgspec


class Input(msgspec.Struct, frozen=True):
    """One column that a condition stands on."""

    column: str
    value: Any
    source: str  # live, baselines, session, computed, or none: nobody delivers it yet
    age_seconds: float | None = None  # of the newest bar behind it, or of the instant that it names; None: not of today, or unknown
    made_from: tuple[str, ...] = ()  # of a computed one; each of them is listed too


class Condition(msgspec.Struct, frozen=True):
    """One thing that is asked of a ticker; all must hold."""

    name: str  # session, class, corp_action, price, dollar_volume, trades, age ..., where
    asks: str
    holds: bool | None  # None: what it needs is unknown, so it does not hold
    applied: bool = True  # False: the source never delivers its input, so nobody is asked
    inputs: tuple[Input, ...] = ()
    unknown_because: str | None = None  # the first null behind it
    note: str = ""


class OrderKey(msgspec.Struct, frozen=True):
    expression: str
    direction: str
    value: Any


class Explanation(msgspec.Struct, frozen=True):
    """As of the list's frame ``epoch``/``sequence``: what that frame shows is what these values give."""

    list: str
    symbol: str
    session: date
    phase: str
    epoch: int
    sequence: int
    as_of: datetime  # market time
    on_list: bool
    fulfils: bool  # every condition; more may fulfil them than a list has rows
    rank: int | None  # 0-based among all who fulfil
    limit: int
    summary: str
    conditions: tuple[Condition, ...]
    order: tuple[OrderKey, ...]
    columns: dict[str, Any]  # every column there is, those for scans only too


class ExplainRequest(msgspec.Struct, frozen=True):
    reply_to: str  # the key that the answer is pushed to
    list: str
    symbol: str


class ExplainAnswer(msgspec.Struct, frozen=True):
    """One of the three: an explanation, no such list, or not now with its reason."""

    explanation: Explanation | None = None
    unknown_list: str | None = None
    not_now: str | None = None
