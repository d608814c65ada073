"""One file per task, named as its dataset.

A task's `prepare` asks the vendor (it awaits what it is handed) and returns
its `Landing`: the heavy rest, to be run in a thread, which judges what came,
writes the lake and says what landed. Both may be repeated at will. Neither
reads a clock nor notes anything: the ledger is `service.py`'s.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeAlias, TypeVar

from tradeul.maintenance.ledger import Landed, Ledger
from tradeul.maintenance.plan import Step

T = TypeVar("T")
Landing: TypeAlias = Callable[[], list[Landed]]
# Awaited after each part of a long step: parts done, parts in all, what is under way.
Report: TypeAlias = Callable[[int, int, str], Awaitable[None]]


class InThread(Protocol):
    """Heavy or blocking work of a `prepare`; the stepped clock stands still meanwhile."""

    async def __call__(self, work: Callable[[], T], /) -> T: ...


class Task(Protocol):
    async def prepare(self, step: Step, ledger: Ledger, report: Report, /) -> Landing:
        """Raises ProviderError: the vendor did not give it; StoreError: lake or bus did not."""
        ...


def some(names: list[str], count: int = 5) -> str:
    """The first few names, for a message."""
    return ", ".join(names[:count]) + (f" and {len(names) - count:,} more" if len(names) > count else "")
