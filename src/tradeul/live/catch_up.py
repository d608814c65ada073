"""What was missed is asked for: the snapshot, then minutes by REST, candidates first; and what differs later is healed.

What is missing, and in which order, says `recovery.py`; when to ask, `service.py`. No loops here, and no clock of its own.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

import structlog

from tradeul.clock import Clock
from tradeul.errors import NotEntitled, ProviderError, Unauthorized
from tradeul.live.recording import Recording
from tradeul.live.recovery import Told, accept, candidates, differing, official_opens, read_snapshot
from tradeul.live.tape import Seeded
from tradeul.live.today_table import TodayTable
from tradeul.providers.ports import MarketData

CANDIDATE_REQUESTS = 4  # at once; maintenance shares the key's limit
OTHER_REQUESTS = 2

log = structlog.get_logger()


class CatchUp:
    def __init__(
        self,
        market: MarketData,
        recording: Recording,
        clock: Clock,
        market_time: Callable[[], datetime],
        flush: Callable[[], None],
        goes_on: Callable[[TodayTable], bool],
    ) -> None:
        """``flush`` applies all that was heard; ``goes_on``: the table is still shown, and no other wish to recover came."""
        self._market, self._recording, self._clock = market, recording, clock
        self._market_time, self._flush, self._goes_on = market_time, flush, goes_on

    async def snapshot(self, table: TodayTable) -> Told:
        """Raises ProviderError."""
        with self._clock.busy():
            snapshots = await self._market.market_snapshot()
            return await asyncio.to_thread(read_snapshot, snapshots, table.hours)

    async def seed(self, table: TodayTable) -> list[str]:
        """Return the symbols whose minutes are missing in ``table``, in the order to ask for them. Raises ProviderError."""
        with self._clock.busy():
            told = await self.snapshot(table)
            self._flush()
            return self._recording.do(table, Seeded(told))

    async def recover(self, table: TodayTable) -> list[str]:
        """Return the symbols whose minutes could not be had. Raises ProviderError."""
        missing = await self.seed(table)
        urgent = candidates(table, missing)
        log.info("live_recovery_started", symbols=len(missing), candidates=urgent, **table.counts)
        late = await self._fill(table, missing[:urgent], CANDIDATE_REQUESTS)
        late += await self._fill(table, missing[urgent:], OTHER_REQUESTS)
        log.info("live_recovery_finished", symbols=len(missing), late=len(late), **table.counts)
        return late

    async def heal(self, table: TodayTable, told: Told, asked_s: float) -> None:
        """Ask again for what differs from a snapshot asked at ``asked_s`` (since 04:00); what stays different is the vendor's own.

        Its official opens are taken at once.
        """
        self._flush()
        asked = differing(table, told, asked_s)
        opens = official_opens(table, told)
        if opens.symbols:
            self._recording.do(table, opens)
        if not asked:
            return
        table.counts["differences"] += len(asked)
        late = await self._fill(table, asked, OTHER_REQUESTS)
        left = accept(table, told, asked_s, [symbol for symbol in asked if symbol not in set(late)])
        healed = len(asked) - len(late) - len(left)
        table.counts["healed"] += healed
        log.warning("live_differences", symbols=len(asked), healed=healed, late=len(late), sample=asked[:5])

    async def _fill(self, table: TodayTable, symbols: Sequence[str], at_once: int) -> list[str]:
        """Ask the minutes of ``symbols``; return those that could not be had. A new wish to recover ends it early."""
        late: list[str] = []
        line = iter(symbols)
        async with asyncio.TaskGroup() as group:
            for _ in range(min(at_once, len(symbols))):
                group.create_task(self._fill_from(line, table, late))
        return late

    async def _fill_from(self, line: Iterator[str], table: TodayTable, late: list[str]) -> None:
        for symbol in line:
            if not self._goes_on(table):
                return
            with self._clock.busy():
                asked_ms = self._market_time().timestamp() * 1000
                try:
                    bars = await self._market.intraday_bars(symbol, 1, table.session, table.session)
                except NotEntitled as error:
                    log.warning("live_recovery_not_entitled", reason=str(error))
                    return
                except ProviderError as error:
                    if isinstance(error, Unauthorized):
                        raise
                    late.append(symbol)
                    log.warning("live_minutes_not_had", symbol=symbol, reason=str(error))
                    continue
                # The running minute is not whole yet: its seconds and its AM bar come by the stream.
                whole = [bar for bar in bars if bar.start_ms + 60_000 <= asked_ms]
                self._recording.do(table, table.read_minutes(symbol, whole))
