"""A maintenance run as everybody sees it: what was asked, how far it is, what came of it."""

from datetime import date, datetime

import msgspec

from tradeul.records.events import Progress
from tradeul.records.partitions import LedgerRow, State


class RunOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a run is limited to, or does beyond its duty. Also the body of ``POST /trigger``."""

    target_date: date | None = None  # this session's partitions, instead of all that are wanted
    since: date | None = None  # with target_date: every session from here to it, before the windows too
    only: str | None = None  # one task
    from_task: str | None = None  # this task and those after it
    force: bool = False  # load again what is complete
    failed_only: bool = False  # with target_date: what failed, not what was never loaded
    dry_run: bool = False  # say the steps, do none

    @property
    def is_whole(self) -> bool:
        """The duty itself: everything that is wanted, once."""
        return self == WHOLE


WHOLE = RunOptions()


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One reconciliation, under way or done. Times are the product's."""

    id: str
    date: date  # the session it began in
    options: RunOptions
    started_at: datetime
    finished_at: datetime | None = None  # None: under way
    success: bool | None = None
    reason: str | None = None  # why it ended early
    completed: int = 0  # partitions brought up to date
    failed: tuple[LedgerRow, ...] = ()
    tasks: dict[str, State] = {}  # of each dataset, the worst of its wanted partitions
    task_seconds: dict[str, float] = {}
    progress: Progress | None = None  # of the step under way
    progress_since: datetime | None = None  # when that step began
    requests: int | None = None  # made with the vendor's key meanwhile, live's among them; None: not counted

    @property
    def duration_seconds(self) -> float | None:
        return None if self.finished_at is None else round((self.finished_at - self.started_at).total_seconds(), 3)


class RunStatus(msgspec.Struct, frozen=True):
    """The value of key ``maintenance:status:{date}``."""

    date: date
    started_at: datetime
    finished_at: datetime | None
    duration_seconds: float | None
    success: bool | None
    tasks: dict[str, State]
