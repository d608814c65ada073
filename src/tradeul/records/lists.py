"""Lists: their definitions, and the frame of rows each of them publishes."""

from datetime import date
from typing import Any

import msgspec

# A list asked of another class of issues: `winners~etf` (CONTRACT.md, "WebSocket"). No list's own name holds the sign.
CLASS_SIGN = "~"
CLASSES = ("stocks", "etf", "leveraged", "all")


def variant_name(list_name: str, issue_class: str) -> str:
    return f"{list_name}{CLASS_SIGN}{issue_class}"


def split_name(name: str) -> tuple[str, str | None]:
    """A list's name and the class that is asked instead of its own; None: its own."""
    base, sign, issue_class = name.partition(CLASS_SIGN)
    return base, issue_class if sign else None


class PhaseVariant(msgspec.Struct, frozen=True):
    """What a list asks instead during one phase; None: as otherwise."""

    where: str | None = None
    order: tuple[tuple[str, str], ...] | None = None
    members_of_last: str | None = None  # instead of `where`: the members of this phase's last frame


class ListDefinition(msgspec.Struct, frozen=True):
    """One ranked scan, as FORMATS.md's TOML says it."""

    name: str
    title: str
    where: str
    order: tuple[tuple[str, str], ...]  # (expression, "asc" or "desc"); then symbol
    columns: tuple[str, ...]
    issue_class: str = "stocks"
    floors: bool = True
    limit: int = 100
    phases: dict[str, PhaseVariant] = {}
    built_in: bool = False


class Floor(msgspec.Struct, frozen=True):
    """The least a ticker must have traded, from a moment of the session on."""

    from_: str  # HH:MM, open, open+5m, open+30m, close
    age_s: float
    dollar_volume: float | None = None
    trades: float | None = None
    post_dollar_volume: float | None = None
    post_trades: float | None = None


class ListFrame(msgspec.Struct, frozen=True):
    """The value of key ``frames:{list}``: what our services read."""

    session: date
    epoch: int
    sequence: int
    rows: list[dict[str, Any]]  # each: symbol, rank, and the list's columns
    mode: str
    timestamp: int  # epoch milliseconds of market time
    lacking: tuple[str, ...] = ()  # inputs of its question that nobody delivers now
