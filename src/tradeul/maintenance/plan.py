"""What a run does, in which order: a pure function of schedule, ledger and instant.

    first   the new day's announcement
    head    tickers, splits, the last close                 -> baselines, bus   (first rows of the lists)
            end of day: the close before it, and the same for the close that is shown
    body    first load: newest first, in the order in which today's lists need it
            later:      oldest first, in the order of dependency
            -> baselines, bus   after each stage
    then    metadata -> baselines, bus
    tail    from the evening on: the next session's tickers, splits -> baselines, bus
    last    minute bars, newest first, and the mirror: no list waits for them

A run with options does less: some sessions' partitions and what today's lists
make of them, or some tasks only.

It names every wanted partition once (baselines and bus after each stage);
whether a step is due is asked again when its turn comes (`ledger.is_due`),
so a run that is begun again skips what stands. It waits for nothing.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime

import msgspec

from tradeul.maintenance.datasets import (
    BASELINES,
    DATASETS,
    FILES_AT,
    METADATA_ENRICH,
    MINUTE_BARS,
    NEW_TRADING_DAY,
    OHLC_DAILY,
    REDIS_SYNC,
    SPLITS,
    TICKERS,
    TIMESCALE_MIRROR,
    VOLUME_SLOTS,
    Schedule,
)
from tradeul.maintenance.ledger import Ledger, row_of
from tradeul.market_calendar import at
from tradeul.records.partitions import State
from tradeul.records.runs import WHOLE, RunOptions

# ATR looks at the last 100 bars of each ticker, and some did not trade every session.
ATR_SESSIONS = 110
# One call per ticker brings this many sessions: more would be too many bars at once.
RANGE_SESSIONS = 30


class Step(msgspec.Struct, frozen=True):
    """One unit of work. ``ranged``: several sessions by one call per ticker; else one session by one call.

    ``afresh``: what stands is asked for again. ``last``, of a publication: the plan has none of this session after it.
    """

    dataset: str
    sessions: tuple[date, ...]
    ranged: bool = False
    afresh: bool = False
    last: bool = True

    @property
    def session(self) -> date:
        return self.sessions[-1]


def is_first_load(ledger: Ledger) -> bool:
    """Until baselines have once been complete: a first load that was killed goes on in its order."""
    return not any(row.state is State.COMPLETED for row in ledger.values() if row.dataset == BASELINES)


def plan(ledger: Ledger, schedule: Schedule, now: datetime, options: RunOptions = WHOLE) -> list[Step]:
    steps = _wanted(ledger, schedule, now) if options.target_date is None else _of_sessions(ledger, schedule, now, options)
    names = list(DATASETS)
    if options.only is not None:
        names = [options.only]
    elif options.from_task is not None:
        names = names[names.index(options.from_task) :]
    last = {step.session: place for place, step in enumerate(steps) if step.dataset == REDIS_SYNC}
    return [
        msgspec.structs.replace(step, afresh=options.force, last=step.dataset != REDIS_SYNC or last[step.session] == place)
        for place, step in enumerate(steps)
        if step.dataset in names
    ]


def _wanted(ledger: Ledger, schedule: Schedule, now: datetime) -> list[Step]:
    current, closed = schedule.calendar.current_session(now), schedule.closed(now)
    steps = _announce(schedule, now)
    # A close that is shown is held against the one before it.
    closes = schedule.calendar.before(current, 1 + len(closed))[::-1]
    steps += [*_list(current), *_each(OHLC_DAILY, closes), *_publish(current)]
    for session in closed:
        steps += [*_list(session), *_publish(session)]
    body = _first_load if is_first_load(ledger) else _catch_up
    steps += body(schedule, now, current)
    for session in closed:
        steps += _publish(session)
    for session in schedule.following(now):
        steps += [*_list(session), *_publish(session)]
    return [*steps, *_each(MINUTE_BARS, schedule.window(MINUTE_BARS, now)[::-1]), *_mirror(schedule, now)]


def _of_sessions(ledger: Ledger, schedule: Schedule, now: datetime, options: RunOptions) -> list[Step]:
    """Some sessions' partitions, newest first, since each is judged by its neighbours; then today's numbers."""
    last = options.target_date or schedule.calendar.current_session(now)
    sessions = schedule.calendar.between(options.since or last, last)[::-1]

    def traded(dataset: str) -> list[date]:
        due = [session for session in sessions if schedule.due_at(dataset, session) <= now]
        if options.since is None:
            due = [session for session in due if session in schedule.window(dataset, now)]
        return [each for each in due if not options.failed_only or row_of(ledger, dataset, each).state is State.FAILED]

    current = schedule.calendar.current_session(now)
    slots = traded(VOLUME_SLOTS)
    steps = _announce(schedule, now) if current in sessions else []
    steps += [*_list(current), *_each(OHLC_DAILY, traded(OHLC_DAILY)), *_each(VOLUME_SLOTS, _filed(schedule, slots, now))]
    for start in range(0, len(slots), RANGE_SESSIONS):
        steps += _ranged(slots[start : start + RANGE_SESSIONS])
    steps += _publish(current)
    if current in sessions:
        steps += _enrich(schedule, now, current)
    for session in [*schedule.closed(now), *schedule.following(now)]:
        if session in sessions:
            steps += [*_list(session), *_publish(session)]
    # Not those before the window: they would be deleted again.
    steps += _each(MINUTE_BARS, [each for each in traded(MINUTE_BARS) if each in schedule.window(MINUTE_BARS, now)])
    return [*steps, *_mirror(schedule, now)]


def _mirror(schedule: Schedule, now: datetime) -> list[Step]:
    return _each(TIMESCALE_MIRROR, schedule.sessions(TIMESCALE_MIRROR, now))


def _announce(schedule: Schedule, now: datetime) -> list[Step]:
    return _each(NEW_TRADING_DAY, schedule.sessions(NEW_TRADING_DAY, now))


def _enrich(schedule: Schedule, now: datetime, current: date) -> list[Step]:
    """After the numbers that lists need, and they once more with it."""
    return [*_each(METADATA_ENRICH, schedule.sessions(METADATA_ENRICH, now)), *_publish(current)]


def _list(session: date) -> list[Step]:
    return [Step(TICKERS, (session,)), Step(SPLITS, (session,))]


def _publish(session: date) -> list[Step]:
    return [Step(BASELINES, (session,)), Step(REDIS_SYNC, (session,))]


def _catch_up(schedule: Schedule, now: datetime, current: date) -> list[Step]:
    slots = schedule.window(VOLUME_SLOTS, now)
    filed = _filed(schedule, slots, now)
    steps = _each(OHLC_DAILY, schedule.window(OHLC_DAILY, now)) + _each(VOLUME_SLOTS, filed)
    return [*steps, *_ranged(slots), *_publish(current), *_enrich(schedule, now, current)]


def _first_load(schedule: Schedule, now: datetime, current: date) -> list[Step]:
    daily = schedule.window(OHLC_DAILY, now)[::-1]
    slots = schedule.window(VOLUME_SLOTS, now)[::-1]
    full_length = [session for session in slots if schedule.calendar.hours(session).is_full_length]
    # RVOL first from what one call a session gives, then with the newest sessions, which have no file yet.
    filed = _filed(schedule, full_length, now)[: schedule.windows.rvol_sessions]
    unfiled = [session for session in slots if session not in _filed(schedule, slots, now)]
    steps = [*_each(OHLC_DAILY, daily[:ATR_SESSIONS]), *_publish(current)]
    steps += [*_each(VOLUME_SLOTS, filed), *_publish(current)]
    steps += [*_ranged(unfiled), *_publish(current)]
    rest = [session for session in slots if session not in filed and session not in unfiled]
    steps += _each(OHLC_DAILY, daily[ATR_SESSIONS:]) + _each(VOLUME_SLOTS, rest)
    return [*steps, *_ranged(slots), *_publish(current), *_enrich(schedule, now, current)]


def _filed(schedule: Schedule, sessions: Sequence[date], now: datetime) -> list[date]:
    """Those whose flat file should exist by now."""
    return [session for session in sessions if at(schedule.calendar.next(session), FILES_AT) <= now]


def _each(dataset: str, sessions: Iterable[date]) -> list[Step]:
    return [Step(dataset, (session,)) for session in sessions]


def _ranged(sessions: Sequence[date]) -> list[Step]:
    """One step for all that files did not bring: when its turn comes, it takes the sessions still due."""
    return [Step(VOLUME_SLOTS, tuple(sorted(sessions)), ranged=True)] if sessions else []
