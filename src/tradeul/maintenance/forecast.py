"""What a run would do if every step succeeded: pure, for ``--dry-run``. It asks nobody and changes nothing."""

from collections.abc import Collection, Sequence
from datetime import date, datetime

import msgspec

from tradeul.maintenance.datasets import DATASETS, Schedule
from tradeul.maintenance.ledger import USABLE, Key, Landed, Ledger, inputs_of, is_due, landed, row_of, started
from tradeul.maintenance.plan import Step
from tradeul.records.partitions import State


def forecast(steps: Sequence[Step], ledger: Ledger, schedule: Schedule, now: datetime, again: Collection[Key] = frozenset()) -> list[Step]:
    """The steps that would be taken, each with the sessions it would bring up to date, in order.

    What a session's file would bring is taken for there. ``again`` are the
    partitions to be loaded although they are complete.
    """
    ledger = dict(ledger)
    left = set(again)
    taken: list[Step] = []
    for step in steps:
        due = tuple(each for each in step.sessions if _is_taken(ledger, schedule, (step.dataset, each), now, left))
        if not due:
            continue
        taken.append(msgspec.structs.replace(step, sessions=due))
        for session in due:
            left.discard((step.dataset, session))
            result = Landed(
                session=session,
                expected=0,
                got=0,
                checksum=f"foreseen {len(taken)}",
                inputs=inputs_of(ledger, schedule, step.dataset, session),
            )
            row = started(row_of(ledger, step.dataset, session), now, None)
            ledger[step.dataset, session] = landed(row, result, schedule, now)
    return taken


def _is_taken(ledger: Ledger, schedule: Schedule, key: Key, now: datetime, again: Collection[Key]) -> bool:
    dataset, session = key
    return (key in again or is_due(ledger, schedule, dataset, session, now)) and _needs_stand(ledger, dataset, session)


def _needs_stand(ledger: Ledger, dataset: str, session: date) -> bool:
    kind = DATASETS[dataset]
    enough = USABLE if kind.served else (State.COMPLETED,)
    return all(row_of(ledger, name, session).state in enough for name in kind.needs)
