"""What the ledger means to a person: one sentence, then every partition. Pure; the words are the ledger's."""

from collections import Counter
from collections.abc import Collection, Iterable
from datetime import date, datetime

import msgspec

from tradeul.maintenance.datasets import BASELINES, DATASETS, OHLC_DAILY, VOLUME_SLOTS, Schedule
from tradeul.maintenance.ledger import USABLE, Key, Ledger, completed, is_settled, row_of
from tradeul.records.partitions import LedgerRow, State
from tradeul.records.runs import Run
from tradeul.store.disk import Disk

WORST_FIRST = (State.FAILED, State.IN_PROGRESS, State.PENDING, State.PROVISIONAL, State.COMPLETED)


class Partition(msgspec.Struct, frozen=True):
    session: date
    dataset: str
    state: State
    expected: int | None
    got: int | None
    missing: tuple[str, ...]  # a sample, by dollar volume
    duration_seconds: float | None
    finished_at: datetime | None
    attempts: int
    error: str | None


class Trust(msgspec.Struct, frozen=True):
    """What the sentence stands on."""

    ready: bool  # the session's baselines stand; else there are no numbers yet
    got: int | None  # tickers of the last close
    expected: int | None
    rvol_sessions: int | None  # that relative volume averages over; None: it cannot be had
    daily_sessions: tuple[int, int]  # complete, wanted
    slot_sessions: tuple[int, int]


class Status(msgspec.Struct, frozen=True):
    summary: str  # one sentence
    session: date
    mode: str
    now: datetime  # the product's
    next_run_at: datetime | None  # None: nobody is up to wake
    sessions_behind: int
    run: Run | None  # under way
    datasets: dict[str, dict[State, int]]  # how many wanted partitions are in which state
    partitions: list[Partition]  # newest session first
    missing_entitlements: tuple[str, ...]  # of the key's plan, each with its cost
    trust: Trust
    disk: Disk | None = None


def wanted(schedule: Schedule, now: datetime) -> list[Key]:
    """Every partition that is wanted now, newest session first, in the order of dependency."""
    keys: list[Key] = []
    for name in DATASETS:
        keys += [(name, session) for session in schedule.sessions(name, now)]
    order = list(DATASETS)
    return sorted(keys, key=lambda key: (-key[1].toordinal(), order.index(key[0])))


def state_of(ledger: Ledger, key: Key, in_progress: Collection[Key] = ()) -> State:
    return State.IN_PROGRESS if key in in_progress else row_of(ledger, *key).state


def worst(ledger: Ledger, keys: Iterable[Key], in_progress: Collection[Key] = ()) -> dict[str, State]:
    """Of each dataset, the worst of its partitions; the one under way counts before what waits."""
    states: dict[str, State] = {}
    for key in keys:
        state = state_of(ledger, key, in_progress)
        states[key[0]] = min(state, states.get(key[0], state), key=WORST_FIRST.index)
    return {name: states[name] for name in DATASETS if name in states}


def sessions_behind(ledger: Ledger, schedule: Schedule, now: datetime) -> int:
    """How many sessions have a partition that is not as good as it can be."""
    return len({session for dataset, session in wanted(schedule, now) if not is_settled(ledger, schedule, dataset, session, now)})


def status(
    ledger: Ledger,
    schedule: Schedule,
    now: datetime,
    mode: str,
    run: Run | None = None,
    in_progress: Collection[Key] = (),
    next_run_at: datetime | None = None,
    missing_entitlements: tuple[str, ...] = (),
    disk: Disk | None = None,
) -> Status:
    keys = wanted(schedule, now)
    counts: dict[str, Counter[State]] = {name: Counter() for name in DATASETS}
    for key in keys:
        counts[key[0]][state_of(ledger, key, in_progress)] += 1
    stands_on = trust(ledger, schedule, now)
    return Status(
        summary=summary(stands_on),
        session=schedule.calendar.current_session(now),
        mode=mode,
        now=now,
        next_run_at=next_run_at,
        sessions_behind=sessions_behind(ledger, schedule, now),
        run=run,
        datasets={name: dict(states) for name, states in counts.items()},
        partitions=[_partition(row_of(ledger, *key), state_of(ledger, key, in_progress)) for key in keys],
        missing_entitlements=missing_entitlements,
        trust=stands_on,
        disk=disk,
    )


def _partition(row: LedgerRow, state: State) -> Partition:
    seconds = None
    if row.started_at is not None and row.finished_at is not None:
        seconds = round((row.finished_at - row.started_at).total_seconds(), 3)
    return Partition(row.session, row.dataset, state, row.expected, row.got, row.missing, seconds, row.finished_at, row.attempts, row.error)


def trust(ledger: Ledger, schedule: Schedule, now: datetime) -> Trust:
    current = schedule.calendar.current_session(now)
    last_close = schedule.calendar.previous(current)
    wanted_of = {name: schedule.before(name, current) for name in (OHLC_DAILY, VOLUME_SLOTS)}
    there = {name: completed(ledger, name, sessions) for name, sessions in wanted_of.items()}
    # The slots know exactly who traded at the last close; daily bars only how many did as a rule.
    rows = [row_of(ledger, name, last_close) for name in (VOLUME_SLOTS, OHLC_DAILY)]
    row = next((row for row in rows if row.expected and row.got), rows[1])
    full_length = [session for session in there[VOLUME_SLOTS] if schedule.calendar.hours(session).is_full_length]
    return Trust(
        ready=row_of(ledger, BASELINES, current).state in USABLE,
        got=row.got,
        expected=None if row.expected is None else max(row.expected, row.got or 0),
        rvol_sessions=len(full_length[-schedule.windows.rvol_sessions :]) if wanted_of[VOLUME_SLOTS] else None,
        daily_sessions=(len(there[OHLC_DAILY]), len(wanted_of[OHLC_DAILY])),
        slot_sessions=(len(there[VOLUME_SLOTS]), len(wanted_of[VOLUME_SLOTS])),
    )


def summary(stands_on: Trust) -> str:
    """How far today's numbers can be trusted, in one sentence."""
    (daily, daily_wanted), (slots, slots_wanted) = stands_on.daily_sessions, stands_on.slot_sessions
    lacking = [f"{daily:,} of {daily_wanted:,} sessions of daily bars"] if daily < daily_wanted else []
    if slots < slots_wanted:
        lacking.append(f"{slots:,} of {slots_wanted:,} of slots")
    history = f"; history so far: {' and '.join(lacking)}" if lacking else ""
    if not stands_on.ready:
        return f"today's numbers: none yet{history}"
    got, expected = stands_on.got or 0, max(stands_on.expected or 0, stands_on.got or 0)
    gone = f", {expected - got:,} missing" if expected > got else ""
    sessions = stands_on.rvol_sessions
    rvol = "no RVOL (volume_slots: not entitled)" if sessions is None else f"RVOL over {sessions} sessions"
    return f"today's numbers: {got:,} of {expected:,} tickers{gone}, {rvol}{history}"
