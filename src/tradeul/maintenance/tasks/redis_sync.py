"""The baselines from the lake onto the bus, whole: its length there is compared with what was sent.

The bus is disposable, so this is also what heals it after it was emptied.
"""

from tradeul.analytics.baselines import Baselines
from tradeul.bus.redis import Bus
from tradeul.bus.topics import BASELINES_CHANGED
from tradeul.errors import IncompleteData
from tradeul.maintenance.datasets import BASELINES, REDIS_SYNC, Schedule
from tradeul.maintenance.ledger import Landed, Ledger, inputs_of
from tradeul.maintenance.plan import Step
from tradeul.maintenance.tasks import InThread, Landing, Report
from tradeul.records.events import BaselinesChanged
from tradeul.store.lake import Lake

# The session before is still served until 03:00; what is older is dropped.
DROPPED_SESSIONS = 5


class RedisSyncTask:
    def __init__(self, lake: Lake, bus: Bus, schedule: Schedule, in_thread: InThread) -> None:
        self._in_thread = in_thread
        self._lake = lake
        self._bus = bus
        self._schedule = schedule

    async def prepare(self, step: Step, ledger: Ledger, _report: Report) -> Landing:
        session = step.session
        rows, blob = await self._in_thread(lambda: self._blob(step))
        await self._bus.put_baselines(session, blob)
        there = await self._bus.baselines_bytes(session)
        if there != len(blob):
            raise IncompleteData(
                f"The bus holds {there:,} of {len(blob):,} bytes of {session}'s baselines: see its memory and its eviction policy.",
                expected=rows,
                got=0,
            )
        await self._bus.publish(BASELINES_CHANGED, BaselinesChanged(session))
        await self._bus.drop_baselines(self._schedule.calendar.before(session, DROPPED_SESSIONS)[:-1])
        inputs = inputs_of(ledger, self._schedule, REDIS_SYNC, session)
        return lambda: [Landed(session=session, expected=rows, got=rows, inputs=inputs)]

    def _blob(self, step: Step) -> tuple[int, bytes]:
        baselines = Baselines.from_frame(self._lake.read(BASELINES, step.session))
        return baselines.table.height, baselines.to_arrow()
