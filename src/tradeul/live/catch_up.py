"""What was missed is asked for: the snapshot, then minutes by REST, candidates first; and what differs later is healed.

A start with a tape asks for the seconds since the tape's end before that, as far as there is time.

What is missing, and in which order, says `recovery.py`; when to ask, `service.py`. No loops here, and no clock of its own.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

import structlog

from tradeul.clock import Clock
from tradeul.errors import NotEntitled, ProviderError, Unauthorized
from tradeul.live.arrivals import Bars, Heard, joined, rest_bars
from tradeul.live.recording import Recording
from tradeul.live.recovery import Told, accept, candidates, differing, official_opens, read_snapshot, traded_since, without_minute_bar
from tradeul.live.tape import Seeded
from tradeul.live.today_table import TodayTable
from tradeul.providers.ports import MarketData

CANDIDATE_REQUESTS = 4  # at once; maintenance shares the key's limit
OTHER_REQUESTS = 2
# The seconds missed by a start: further back they are forgotten by the table, too; what is heard waits for them meanwhile.
MOST_MISSED_SECONDS, MISSED_PATIENCE_SECONDS, MISSED_REQUESTS = 90.0, 6.0, 8
HELD_BACK_SECONDS = 3.0  # by the vendor, some 2: a table no further behind has missed nothing
MISSED_TOGETHER = 100  # symbols in an event: a few milliseconds of the event loop

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
        self._told: Told | None = None  # by the last snapshot

    async def snapshot(self, table: TodayTable) -> Told:
        """Raises ProviderError."""
        with self._clock.busy():
            snapshots = await self._market.market_snapshot()
            self._told = await asyncio.to_thread(read_snapshot, snapshots, table.hours)
            return self._told

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
        # Of whom all shares are known by seconds, the minute's own bar is asked for last: it says the rest as the stream would have.
        asked = set(missing)
        others = [*missing[urgent:], *(symbol for symbol in without_minute_bar(table) if symbol not in asked)]
        late += await self._fill(table, others, OTHER_REQUESTS)
        log.info("live_recovery_finished", symbols=len(missing), late=len(late), **table.counts)
        return late

    async def missed_seconds(self, table: TodayTable, until_s: float) -> list[Heard]:
        """The seconds between the last that ``table`` has heard and ``until_s``, the biggest symbols first, as far as there is time.

        Of whom they are not had, the minutes tell it, as after any lost connection.
        """
        if not (HELD_BACK_SECONDS < until_s - table.newest_end_s <= MOST_MISSED_SECONDS and table.seconds.is_used):
            return []
        # Of its last second some may have been heard, which stands; what begins later than the connection it says itself.
        first_s, last_s = table.newest_end_s - 1, int(until_s)
        found: list[Bars] = []
        try:
            async with asyncio.timeout(MISSED_PATIENCE_SECONDS):
                # The one that was asked while the tape was read, if it is there: each costs a second.
                symbols = iter(traded_since(table, self._told or await self.snapshot(table), first_s))
                async with asyncio.TaskGroup() as group:
                    for _ in range(MISSED_REQUESTS):
                        group.create_task(self._ask_seconds(symbols, table, (first_s, last_s), found))
        except (TimeoutError, ProviderError) as error:
            if isinstance(error, Unauthorized):
                raise
            log.warning("live_seconds_not_all_had", reason=str(error) or f"it took longer than {MISSED_PATIENCE_SECONDS:g} s")
        log.info("live_seconds_had", symbols=len(found), seconds=round(until_s - table.newest_end_s, 1))
        return [Heard(joined(found[first : first + MISSED_TOGETHER]), []) for first in range(0, len(found), MISSED_TOGETHER)]

    async def _ask_seconds(self, symbols: Iterator[str], table: TodayTable, span_s: tuple[int, int], found: list[Bars]) -> None:
        first_ms, last_ms = (int(table.pre_open_s + at_s) * 1000 for at_s in span_s)
        for symbol in symbols:
            with self._clock.busy():
                try:
                    bars = await self._market.second_bars(symbol, first_ms, last_ms)
                except ProviderError as error:
                    if isinstance(error, Unauthorized):
                        raise
                    log.warning("live_seconds_not_had", symbol=symbol, reason=str(error))
                    return
            said = rest_bars(bars, table.index[symbol], seconds=1)
            new = ~table.seconds.holds(said.start_ms // 1000 - int(table.pre_open_s), said.symbol)
            if new.any():
                found.append(said.take(new))

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
