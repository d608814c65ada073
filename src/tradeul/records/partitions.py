"""What the ledger says of one (dataset, session): the words that ledger, Redis, HTTP and CLI share."""

from datetime import date, datetime
from enum import StrEnum

import msgspec


class State(StrEnum):
    PENDING = "pending"
    IN_PROGRESS = "in_progress"  # computed from who leads now; never stored, never believed from a column
    PROVISIONAL = "provisional"  # loaded before it could be final
    COMPLETED = "completed"
    FAILED = "failed"


class LedgerRow(msgspec.Struct, frozen=True, kw_only=True):
    """One partition. ``expected`` and ``got`` count what its task counts: tickers, rows."""

    dataset: str
    session: date
    state: State = State.PENDING
    attempts: int = 0
    expected: int | None = None
    got: int | None = None
    missing: tuple[str, ...] = ()  # a sample, by dollar volume
    checksum: str | None = None  # of the lake's partition
    inputs: str | None = None  # what a derived dataset was made from, as one hash
    started_at: datetime | None = None
    finished_at: datetime | None = None
    error: str | None = None
    code_version: str | None = None
