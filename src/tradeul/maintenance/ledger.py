"""The ledger's rules: what a state means, and what follows from it. Pure; `store/catalog.py` keeps the rows.

    pending --start--> (in progress) --landed--> completed | provisional | failed
    provisional        due again once its final instant has passed
    failed             due again in the next run
    completed          never touched, unless what it was made from has changed

"In progress" is no stored state: it is the step that the holder of the
maintenance lock is in. A step is written to the lake first and noted then, so
a kill between the two repeats the step, which ends in the same partition.
"""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import TypeAlias

import msgspec

from tradeul.analytics.baselines import COLUMNS
from tradeul.errors import IncompleteData
from tradeul.maintenance.datasets import (
    BASELINES,
    METADATA_ENRICH,
    OHLC_DAILY,
    REDIS_SYNC,
    SPLITS,
    TICKERS,
    TIMESCALE_MIRROR,
    VOLUME_SLOTS,
    Schedule,
)
from tradeul.records.partitions import LedgerRow, State

Key: TypeAlias = tuple[str, date]
Ledger: TypeAlias = Mapping[Key, LedgerRow]
MISSING_SAMPLE = 50
USABLE = (State.COMPLETED, State.PROVISIONAL)


class Landed(msgspec.Struct, frozen=True, kw_only=True):
    """What a task says of one partition that it wrote."""

    session: date
    expected: int
    got: int
    missing: tuple[str, ...] = ()  # by dollar volume
    checksum: str | None = None
    whole: bool = True  # False: written, but less than expected: failed
    final: bool = True  # False: right as far as it goes; more will come: provisional
    remark: str | None = None  # rows set aside, volumes that do not add up
    inputs: str | None = None


def row_of(ledger: Ledger, dataset: str, session: date) -> LedgerRow:
    return ledger.get((dataset, session)) or LedgerRow(dataset=dataset, session=session)


def completed(ledger: Ledger, dataset: str, sessions: Iterable[date]) -> list[date]:
    return [session for session in sessions if row_of(ledger, dataset, session).state is State.COMPLETED]


def inputs_of(ledger: Ledger, schedule: Schedule, dataset: str, session: date) -> str | None:
    """One hash of what a derived partition would be made from now; None for datasets from the vendor."""
    if dataset == REDIS_SYNC:
        return _hash([row_of(ledger, BASELINES, session)])
    if dataset == TIMESCALE_MIRROR:
        rows = [row_of(ledger, name, session) for name in (TICKERS, BASELINES)]
        rows += [row_of(ledger, name, past) for name in (OHLC_DAILY, VOLUME_SLOTS) for past in schedule.mirrored(name, session)]
        return _hash(row for row in rows if row.checksum is not None)
    if dataset != BASELINES:
        return None
    metadata = metadata_session(ledger, session)
    rows = [] if metadata is None else [row_of(ledger, METADATA_ENRICH, metadata)]
    return _hash(rows, form=numbers_of(ledger, schedule, session))


def numbers_of(ledger: Ledger, schedule: Schedule, session: date) -> str:
    """One hash of what the baselines' numbers would be made from now: all but the metadata beside them."""
    rows = [row_of(ledger, name, session) for name in (TICKERS, SPLITS)]
    rows += [row_of(ledger, name, past) for name in (OHLC_DAILY, VOLUME_SLOTS) for past in schedule.before(name, session)]
    form = f"{' '.join(COLUMNS)} {schedule.windows.rvol_sessions}"
    return _hash((row for row in rows if row.checksum is not None), form=form)


def metadata_session(ledger: Ledger, served: date) -> date | None:
    """The newest session whose metadata stands, of those that ``served`` may use."""
    rows = (row for row in ledger.values() if row.dataset == METADATA_ENRICH and row.session <= served)
    return max((row.session for row in rows if row.checksum is not None), default=None)


def is_due(ledger: Ledger, schedule: Schedule, dataset: str, session: date, now: datetime) -> bool:
    row = row_of(ledger, dataset, session)
    if row.state not in USABLE:
        return True
    inputs = inputs_of(ledger, schedule, dataset, session)
    if inputs is not None:
        return inputs != row.inputs
    return row.state is State.PROVISIONAL and now >= schedule.final_at(dataset, session)


def is_settled(ledger: Ledger, schedule: Schedule, dataset: str, session: date, now: datetime) -> bool:
    """As good as it can be now: completed, or provisional while it cannot yet be final."""
    state = row_of(ledger, dataset, session).state
    return state is State.COMPLETED or (state is State.PROVISIONAL and now < schedule.final_at(dataset, session))


def started(row: LedgerRow, now: datetime, code_version: str | None) -> LedgerRow:
    return msgspec.structs.replace(row, attempts=row.attempts + 1, started_at=now, finished_at=None, code_version=code_version)


def landed(row: LedgerRow, result: Landed, schedule: Schedule, now: datetime) -> LedgerRow:
    """The row after its task wrote the partition. What was asked before the final instant cannot be final."""
    asked_at = row.started_at or now
    final = result.final and asked_at >= schedule.final_at(row.dataset, row.session)
    state = State.FAILED if not result.whole else State.COMPLETED if final else State.PROVISIONAL
    return msgspec.structs.replace(
        row,
        state=state,
        expected=result.expected,
        got=result.got,
        missing=result.missing[:MISSING_SAMPLE],
        checksum=result.checksum,
        inputs=result.inputs,
        finished_at=now,
        error=result.remark,
    )


def failed(row: LedgerRow, error: Exception, now: datetime) -> LedgerRow:
    """The row after its task gave up; what an earlier attempt wrote still stands in the lake."""
    row = msgspec.structs.replace(row, state=State.FAILED, finished_at=now, error=str(error))
    if isinstance(error, IncompleteData):
        row = msgspec.structs.replace(row, expected=error.expected, got=error.got, missing=error.missing[:MISSING_SAMPLE])
    return row


def forgotten(row: LedgerRow, reason: str) -> LedgerRow:
    """The row of a partition whose file is gone or cannot be read: to be loaded anew."""
    return msgspec.structs.replace(row, state=State.PENDING, checksum=None, inputs=None, error=reason)


def _hash(rows: Iterable[LedgerRow], form: str = "") -> str:
    """``form``: what an upgrade makes differently, so that it is made anew."""
    text = form + "\n".join(f"{row.dataset} {row.session} {row.state.value} {row.checksum}" for row in rows)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
