"""Which partitions came from a vendor's file that has been replaced since. No task: a whole run asks it before those that load files.

A partition's footer keeps the ETag of the file it came from (``SESSION ETAG ...``), since that is written with the rows or not at all.
"""

import asyncio
from collections.abc import Sequence
from datetime import date

from tradeul.errors import CorruptPartition
from tradeul.maintenance.tasks import InThread
from tradeul.providers.ports import MinuteFiles
from tradeul.store.lake import Lake

HEADS_AT_ONCE = 8


class ReplacedFiles:
    def __init__(self, files: MinuteFiles, lake: Lake, in_thread: InThread) -> None:
        self._files = files
        self._lake = lake
        self._in_thread = in_thread

    async def among(self, dataset: str, sessions: Sequence[date], said: dict[tuple[date, str], bool]) -> list[date]:
        """The sessions whose file is no longer the one that they came from. Those that came by REST are not asked about.

        ``said``: the vendor's answers in this run, by session and mark: slots and minute bars come from the same files.

        Raises:
            ProviderError: the vendor does not say.
        """
        came_from = await self._in_thread(
            lambda: [(session, etag) for session in sessions if (etag := etag_of(self._lake, dataset, session))]
        )
        unasked = [each for each in came_from if each not in said]
        for start in range(0, len(unasked), HEADS_AT_ONCE):
            part = unasked[start : start + HEADS_AT_ONCE]
            answers = await asyncio.gather(*(self._files.is_replaced(*each) for each in part), return_exceptions=True)
            for each, answer in zip(part, answers, strict=True):
                if isinstance(answer, BaseException):
                    raise answer
                said[each] = bool(answer)
        return [session for session, etag in came_from if said[session, etag]]


def etag_of(lake: Lake, dataset: str, session: date) -> str | None:
    """The mark of the file that the partition came from; None for one that came by REST or cannot be read."""
    try:
        source = lake.footer(dataset, session).get("source", "").split()
    except CorruptPartition:
        return None
    return source[1] if len(source) > 1 else None
