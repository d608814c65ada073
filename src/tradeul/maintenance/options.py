"""What may be asked of a run: pure. What cannot be done is refused in one sentence, before anything is tried."""

from collections.abc import Sequence
from datetime import date, datetime

from tradeul.errors import RunRefused, UnknownTask
from tradeul.maintenance.datasets import DATASETS, MINUTE_BARS, OHLC_DAILY, TIMESCALE_MIRROR, Schedule
from tradeul.maintenance.ledger import Key
from tradeul.maintenance.plan import Step
from tradeul.market_calendar import NEW_YORK
from tradeul.records.runs import RunOptions


def check(options: RunOptions, schedule: Schedule, now: datetime) -> None:
    """Raises UnknownTask, RunRefused: it cannot be done."""
    for name in (options.only, options.from_task):
        if name is not None and name not in DATASETS:
            raise UnknownTask(f"No task {name[:40]!r}. The tasks: {', '.join(DATASETS)}.")
    if options.only and options.from_task:
        raise RunRefused("One task only, or all from one on: not both.")
    if TIMESCALE_MIRROR in (options.only, options.from_task) and not schedule.windows.mirror:
        raise RunRefused("There is no mirror: TRADEUL_DATABASE_URL is not set.")
    if MINUTE_BARS in (options.only, options.from_task) and not schedule.windows.minute_sessions:
        raise RunRefused("No minute_bars are kept: TRADEUL_KEEP_MINUTE_BARS is 0, or the vendor's plan does not include its files.")
    if options.target_date is not None:
        _check_sessions(options, options.target_date, schedule, now)
    elif options.since is not None or options.failed_only:
        raise RunRefused("A range begins at `since` and ends with `target_date`: give both.")


def _check_sessions(options: RunOptions, target: date, schedule: Schedule, now: datetime) -> None:
    calendar = schedule.calendar
    if target > schedule.served(now)[-1]:
        raise RunRefused(f"{target} is in the future: the session is {calendar.current_session(now)}.")
    if target < calendar.sessions[0] or (options.since or target) < calendar.sessions[0]:
        raise RunRefused(f"{options.since or target} is before the calendar, which begins with {calendar.sessions[0]}.")
    if options.since is not None:
        if not calendar.between(options.since, target):
            raise RunRefused(f"There is no session from {options.since} to {target}.")
        return
    if not calendar.is_session(target):
        raise RunRefused(f"{target} is no session of the exchange; the one before is {calendar.latest(target)}.")
    first = schedule.window(OHLC_DAILY, now)[0]
    if target < first:
        raise RunRefused(
            f"{target} is before the window of {schedule.windows.daily_sessions} sessions, which begins with {first}: "
            "set TRADEUL_DAILY_SESSIONS to more, or load it with `tradeul backfill`."
        )
    if options.only is not None:
        _check_task(options.only, target, schedule, now)


def _check_task(task: str, target: date, schedule: Schedule, now: datetime) -> None:
    if DATASETS[task].served:
        served = schedule.sessions(task, now)
        if target not in served:
            raise RunRefused(f"{task} is loaded for the current session ({schedule.calendar.current_session(now)}), not for {target}.")
        return
    due_at = schedule.due_at(task, target)
    if due_at > now:
        raise RunRefused(f"{task} of {target} is due from {due_at.astimezone(NEW_YORK):%H:%M} ET on.")
    window, setting = schedule.window(task, now), "TRADEUL_KEEP_MINUTE_BARS" if task == MINUTE_BARS else "TRADEUL_SLOT_SESSIONS"
    if not window:
        raise RunRefused(f"No {task} are kept: the vendor's plan does not include them.")
    if target < window[0]:
        remedy = "" if task == MINUTE_BARS else ", or load it with `tradeul backfill`"
        raise RunRefused(
            f"{target} is before the window of {len(window)} sessions of {task}, which begins with {window[0]}: "
            f"set {setting} to more{remedy}."
        )


def again(options: RunOptions, steps: Sequence[Step]) -> set[Key]:
    """The partitions to be loaded although they are complete."""
    if not options.force:
        return set()
    named = {(step.dataset, session) for step in steps for session in step.sessions}
    last = options.target_date
    first = options.since or last
    return named if first is None or last is None else {key for key in named if first <= key[1] <= last}
