"""What a list would be: the question, as the text of a file of lists, and what the scanner says of it."""

from datetime import datetime
from typing import Any

import msgspec

from tradeul.records.lists import ListDefinition


class PreviewRequest(msgspec.Struct, frozen=True):
    reply_to: str  # the key that the answer is pushed to
    text: str  # one list


class UnknownInput(msgspec.Struct, frozen=True):
    """A column whose absence leaves tickers undecided."""

    column: str
    tickers: int
    example: str  # one of them
    why: str  # the first null behind it there


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """``reason`` is None: it can be a list. Counts are None while there is no frame to ask, and of what cannot be a list."""

    reason: str | None = None  # why it cannot
    field: str | None = None  # where: name, title, where, order, columns ...; None: the text itself
    definition: ListDefinition | None = None
    as_of: datetime | None = None
    candidates: int | None = None  # tickers of its class and above its floors: who is asked
    matches: int | None = None  # of all, however many rows it shows
    rows: tuple[dict[str, Any], ...] = ()  # the first
    undecided: int | None = None  # candidates for whom `where` is null: not on it, though perhaps they should be
    unknown: tuple[UnknownInput, ...] = ()  # why, each ticker once, by the first unknown column of `where`; most tickers first
