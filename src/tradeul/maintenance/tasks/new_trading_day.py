"""The announcement of a session, for listeners without a calendar; ours roll over by themselves.

    ledger (begun) -> key `trading:session` -> channel `trading:new_day` -> gateway by HTTP -> ledger (completed)

Killed in between it is announced again: to hear it twice does no harm, not
to hear it does. A gateway that does not answer is logged and no failure.
"""

from datetime import date

import structlog

from tradeul.bus.redis import Bus
from tradeul.bus.topics import NEW_DAY
from tradeul.maintenance.client import GatewayClient
from tradeul.maintenance.datasets import NEW_TRADING_DAY, Schedule
from tradeul.maintenance.ledger import Landed, Ledger, row_of
from tradeul.maintenance.plan import Step
from tradeul.maintenance.tasks import Landing, Report
from tradeul.records.events import NewTradingDay, TradingSession

# How many sessions back blobs may still stand on the bus, after a holiday of the service.
DROPPED_SESSIONS = 5

log = structlog.get_logger()


class NewTradingDayTask:
    def __init__(self, bus: Bus, schedule: Schedule, gateway: GatewayClient) -> None:
        self._bus = bus
        self._schedule = schedule
        self._gateway = gateway

    async def prepare(self, step: Step, ledger: Ledger, _report: Report) -> Landing:
        session = step.session
        begun_at = row_of(ledger, NEW_TRADING_DAY, session).started_at
        log.info("cache_clear_time_detected", date=str(session))
        await self._announce(session, 0 if begun_at is None else int(begun_at.timestamp() * 1000))
        log.info("cache_clear_executed_successfully", date=str(session))
        return lambda: [Landed(session=session, expected=1, got=1)]

    async def _announce(self, session: date, timestamp: int) -> None:
        log.info("clear_caches_task_starting", date=str(session))
        previous = self._schedule.calendar.previous(session)
        await self._bus.put_trading_session(TradingSession(session, previous))
        heard = await self._bus.publish(NEW_DAY, NewTradingDay(date=session, timestamp=timestamp, previous_date=previous))
        log.info("new_day_event_published", channel=NEW_DAY.channel, date=str(session))
        cleared = await self._bus.drop_baselines(self._schedule.calendar.before(session, DROPPED_SESSIONS))
        log.info("redis_day_caches_cleared", count=cleared)
        told, reason = await self._gateway.clear_cache(session)
        if reason is not None:
            log.warning("websocket_notification_failed", date=str(session), reason=reason)
        log.info("clear_caches_task_completed", services_notified=heard + told, caches_cleared=cleared)
