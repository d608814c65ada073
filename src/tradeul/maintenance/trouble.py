"""What of maintenance is worth an alarm, as name -> sentence. Pure; `ops/alarms.py` tells each once.

key        the last run ended early: the vendor refuses the key, or the ledger could not be written
disk       little room is left
deadline   a traded session is not complete when the next one opens
task:NAME  the last run left partitions of it failed
"""

from collections.abc import Sequence
from datetime import date, datetime

from tradeul.maintenance.datasets import DATASETS, Schedule
from tradeul.maintenance.ledger import Ledger, is_settled
from tradeul.maintenance.report import wanted
from tradeul.records.partitions import LedgerRow
from tradeul.records.runs import Run

LEAST_FREE_BYTES = 2 * 10**9


def trouble(ledger: Ledger, schedule: Schedule, now: datetime, run: Run | None, free_bytes: int | None) -> dict[str, str]:
    """What stands now; ``run`` is the last whole one, None before it."""
    standing: dict[str, str] = {}
    if run is not None and run.reason is not None:
        standing["key"] = f"Maintenance ended early: {run.reason}"
    if free_bytes is not None and free_bytes < LEAST_FREE_BYTES:
        standing["disk"] = (
            f"The state folder's disk is short of room: {free_bytes / 1e9:.1f} GB free, {LEAST_FREE_BYTES / 1e9:.0f} are needed."
        )
    if late := late_sessions(ledger, schedule, now):
        more = f" and {len(late) - 1} before it" if len(late) > 1 else ""
        standing["deadline"] = f"The session of {late[0]}{more} is not complete, although the next one has opened: see /status."
    for name in DATASETS:
        if rows := [row for row in (run.failed if run else ()) if row.dataset == name]:
            standing[f"task:{name}"] = _failed(name, rows)
    return standing


def late_sessions(ledger: Ledger, schedule: Schedule, now: datetime) -> list[date]:
    """Traded sessions whose next one has opened and that are not as good as they can be, newest first."""
    keys = [(dataset, session) for dataset, session in wanted(schedule, now) if not DATASETS[dataset].served]
    open_since = [key for key in keys if schedule.calendar.hours(schedule.calendar.next(key[1])).open_at <= now]
    return sorted({session for dataset, session in open_since if not is_settled(ledger, schedule, dataset, session, now)}, reverse=True)


def _failed(name: str, rows: Sequence[LedgerRow]) -> str:
    newest = max(rows, key=lambda row: row.session)
    missing = f"; missing {', '.join(newest.missing[:5])}" if newest.missing else ""
    count = "the session of" if len(rows) == 1 else f"{len(rows)} sessions, the newest"
    return f"The task {name} failed for {count} {newest.session}: {newest.error or 'no reason given'}{missing}."
