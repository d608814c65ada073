"""How long history is kept: pure. What is outlived goes at the end of each whole run (`run.py`).

Kept of a dataset are the newest partitions, and whatever a number of today, or of a session that is being prepared, is made from,
however few are kept. A ledger row goes with its partition; one that failed outlasts it, for `tradeul backfill --reprocess failed`.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple

from tradeul.maintenance.datasets import (
    BASELINES,
    DATASETS,
    MINUTE_BARS,
    NEW_TRADING_DAY,
    OHLC_DAILY,
    REDIS_SYNC,
    TIMESCALE_MIRROR,
    VOLUME_SLOTS,
    Schedule,
)
from tradeul.maintenance.ledger import Key, Ledger
from tradeul.records.partitions import State

# Made anew for each session, and looked at once it is over by nobody but people: 32 MB each of the whole market's baselines.
PASSING = (BASELINES, REDIS_SYNC, NEW_TRADING_DAY, TIMESCALE_MIRROR)
PASSING_SESSIONS = 5
ELSEWHERE = (REDIS_SYNC, NEW_TRADING_DAY, TIMESCALE_MIRROR)  # not in the lake


class Outlived(NamedTuple):
    partitions: list[Key]  # of the lake
    rows: list[Key]  # of the ledger


def needed(schedule: Schedule, dataset: str, now: datetime) -> set[date]:
    """The sessions that are wanted, and those that the numbers of the sessions served now are made from."""
    sessions = set(schedule.sessions(dataset, now))
    if dataset in (OHLC_DAILY, VOLUME_SLOTS):
        sessions.update(each for served in schedule.served(now) for each in schedule.before(dataset, served))
    return sessions


def outlived(ledger: Ledger, held: Mapping[str, Sequence[date]], schedule: Schedule, now: datetime) -> Outlived:
    """``held``: the sessions of each dataset in the lake."""
    gone = Outlived([], [])
    window = schedule.calendar.before(schedule.calendar.current_session(now), schedule.windows.history_sessions)
    for name in DATASETS:
        of_ledger = {session for dataset, session in ledger if dataset == name}
        there, needs = of_ledger if name in ELSEWHERE else set(held.get(name, ())), needed(schedule, name, now)
        stay = needs | set(sorted(there)[-_count(schedule, name, there) :])
        if name not in ELSEWHERE:
            gone.partitions.extend((name, session) for session in sorted(there - stay))
        failed = {session for session in of_ledger if ledger[name, session].state is State.FAILED and session >= window[0]}
        gone.rows.extend((name, session) for session in sorted(of_ledger - stay - failed))
    return gone


def _count(schedule: Schedule, dataset: str, there: Collection[date]) -> int:
    """At least one, so that what the newest is made from is never in doubt."""
    if dataset in PASSING:
        return PASSING_SESSIONS
    if dataset == MINUTE_BARS:  # set to 0, what stands stays
        return schedule.windows.minute_sessions or max(len(there), 1)
    return schedule.windows.history_sessions
