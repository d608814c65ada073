"""What the ledger means to a person: one sentence, then every partition. Pure; the words are the ledger's."""

from collections import Counter
from collections.abc import Collection, Iterable
from datetime import date, datetime

import msgspec

from tradeul.maintenance.datasets import BASELINES, DATASETS, OHLC_DAILY, VOLUME_SLOTS, Schedule
from tradeul.maintenance.ledger import USABLE, Key, Ledger, completed, is_settled, row_of
from tradeul.records.partitions import LedgerRow, State
from tradeul.records.runs import Run

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
    missing_entitlements: tuple[str, ...] = ()  # of the key's plan, each with its cost


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
) -> Status:
    keys = wanted(schedule, now)
    counts: dict[str, Counter[State]] = {name: Counter() for name in DATASETS}
    for key in keys:
        counts[key[0]][state_of(ledger, key, in_progress)] += 1
    return Status(
        summary=summary(ledger, schedule, now),
        session=schedule.calendar.current_session(now),
        mode=mode,
        now=now,
        next_run_at=next_run_at,
        sessions_behind=sessions_behind(ledger, schedule, now),
        run=run,
        datasets={name: dict(states) for name, states in counts.items()},
        partitions=[_partition(row_of(ledger, *key), state_of(ledger, key, in_progress)) for key in keys],
        missing_entitlements=missing_entitlements,
    )


def _partition(row: LedgerRow, state: State) -> Partition:
    seconds = None
    if row.started_at is not None and row.finished_at is not None:
        seconds = round((row.finished_at - row.started_at).total_seconds(), 3)
    return Partition(row.session, row.dataset, state, row.expected, row.got, row.missing, seconds, row.finished_at, row.attempts, row.error)


def summary(ledger: Ledger, schedule: Schedule, now: datetime) -> str:
    """How far today's numbers can be trusted, in one sentence."""
    current = schedule.calendar.current_session(now)
    last_close = schedule.calendar.previous(current)
    daily, slots = (schedule.before(name, current) for name in (OHLC_DAILY, VOLUME_SLOTS))
    there = {name: completed(ledger, name, sessions) for name, sessions in ((OHLC_DAILY, daily), (VOLUME_SLOTS, slots))}
    lacking = [f"{len(there[OHLC_DAILY]):,} of {len(daily):,} sessions of daily bars"] if there[OHLC_DAILY] != daily else []
    if there[VOLUME_SLOTS] != slots:
        lacking.append(f"{len(there[VOLUME_SLOTS]):,} of {len(slots):,} of slots")
    history = f"; history so far: {' and '.join(lacking)}" if lacking else ""
    if row_of(ledger, BASELINES, current).state not in USABLE:
        return f"today's numbers: none yet{history}"
    # The slots know exactly who traded at the last close; daily bars only how many did as a rule.
    rows = [row_of(ledger, name, last_close) for name in (VOLUME_SLOTS, OHLC_DAILY)]
    row = next((row for row in rows if row.expected and row.got), rows[1])
    got, expected = row.got or 0, max(row.expected or 0, row.got or 0)
    full_length = [session for session in there[VOLUME_SLOTS] if schedule.calendar.hours(session).is_full_length]
    sessions = len(full_length[-schedule.windows.rvol_sessions :])
    gone = f", {expected - got:,} missing" if expected > got else ""
    rvol = f"RVOL over {sessions} sessions" if slots else "no RVOL (volume_slots: not entitled)"
    return f"today's numbers: {got:,} of {expected:,} tickers{gone}, {rvol}{history}"
