"""Live's shell: hears the stream, asks the snapshot and REST minutes, rolls over, and tells how the feed is.

    stream -> pending (bounded) -> recording.py (tape) -> today's table -> frame() for the scanner
    start inside a session -> the tape's table -> as after a new connection:
    new connection -> snapshot -> minutes of the rows that differ, candidates first

Everything runs in the event loop, in slices: a flush of `FLUSH_BARS` bars takes
some 5 ms, a frame under 10, a recovered symbol under one. What waits to be
applied is bounded by `FLUSH_BARS` and one batch; behind it the stream's own
queue is, and says when it drops.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import datetime, timedelta

import numpy as np
import structlog

from tradeul.analytics.baselines import Baselines
from tradeul.bus.redis import Bus
from tradeul.bus.topics import BASELINES_CHANGED, FEED_STATUS
from tradeul.clock import Clock
from tradeul.errors import NotEntitled, ProviderError, Unauthorized
from tradeul.live.frames import market_frame
from tradeul.live.recording import Recording
from tradeul.live.recovery import candidates, read_snapshot
from tradeul.live.tape import Connected, Levels, Seeded, Settled
from tradeul.live.today_table import TodayTable
from tradeul.market_calendar import Calendar, Phase
from tradeul.providers.ports import MarketData, MarketStream
from tradeul.records.bars import StreamBatch
from tradeul.records.entitlements import Mode
from tradeul.records.events import FeedStatus
from tradeul.records.frame import MarketFrame
from tradeul.store.tape import TapeFiles

FLUSH_BARS = 2048
CANDIDATE_REQUESTS = 4  # at once; maintenance shares the key's limit
OTHER_REQUESTS = 2
RETRY_SECONDS = 5.0
BASELINES_LOOK_SECONDS = 30  # a lost message costs no more
LAGS_KEPT = 6000
LAG_WINDOW_MS = 60_000
# Silence beyond this is stale: with second bars the market is never silent, minute bars alone come once a minute.
STALE_SECONDS, STALE_MINUTES_ONLY_SECONDS = 5.0, 75.0

log = structlog.get_logger()


def cancelled() -> bool:
    """Whether this task was cancelled: on Python 3.11 a redis-py command can swallow that (its `asyncio.wait_for`; mended in 3.12)."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class LiveService:
    def __init__(
        self,
        market: MarketData,
        stream: MarketStream,
        bus: Bus,
        clock: Clock,
        calendar: Calendar,
        mode: str,
        feed_delay_seconds: float = 0.0,
        stream_refused: Callable[[], Awaitable[None]] | None = None,
        tape: TapeFiles | None = None,
    ) -> None:
        """``stream_refused`` is told that the plan has no stream; without it, that ends the service. ``mode`` may be changed."""
        self._recording = Recording(tape if mode != Mode.END_OF_DAY else None, clock)
        self._market, self._stream, self._bus, self._clock, self._calendar = market, stream, bus, clock, calendar
        self.mode = mode
        self._delay = timedelta(seconds=feed_delay_seconds)
        self._stream_refused = stream_refused
        self._pending: list[StreamBatch] = []
        self._pending_bars = 0
        self._messages = 0
        self._hears_seconds = False
        self._heard_at: datetime | None = None
        self._lags: deque[tuple[int, float]] = deque(maxlen=LAGS_KEPT)
        self._baselines_wanted = asyncio.Event()
        self._recovery_wanted = asyncio.Event()
        self._levels_of: TodayTable | None = None  # the table that has its baselines
        self._table = self._open()

    @property
    def table(self) -> TodayTable:
        return self._table

    def frame(self, as_of: datetime | None = None) -> MarketFrame:
        """The market as of ``as_of`` (market time; now if not given), everything received counted."""
        self._roll_over()
        self._flush()
        as_of = as_of or self._market_time()
        if self._table.settles(t := as_of.timestamp() - self._table.pre_open_s):
            self._recording.do(self._table, Settled(t))
        return market_frame(self._table, as_of)

    async def recorded(self) -> None:
        """To be awaited before anything that was made of a frame is published: what it counts is on the tape."""
        await self._recording.written()

    async def run(self) -> None:
        if self._recovery_wanted.is_set() and not self._recording.is_reading:
            with self._clock.busy():
                await asyncio.to_thread(self._table.touch, self._since_pre_open())
        try:
            async with asyncio.TaskGroup() as group:
                duties = [self._watch_baselines, self._load_baselines, self._tell]
                if self.mode != Mode.END_OF_DAY:
                    duties += [self._hear, self._recover]
                for duty in duties:
                    group.create_task(duty(), name=f"live.{duty.__name__.strip('_')}")
        finally:
            self._recording.close()

    # --- session -----------------------------------------------------------------------------------------------------

    def _market_time(self) -> datetime:
        return self._clock.now() - self._delay

    def _since_pre_open(self) -> float:
        return self._market_time().timestamp() - self._table.pre_open_s

    def _open(self) -> TodayTable:
        """An empty table for the current session; opened inside it, it must be recovered."""
        self._table = TodayTable(self._calendar.hours(self._calendar.current_session(self._clock.now())))
        self._baselines_wanted.set()
        since = self._since_pre_open()
        self._recording.begin(self._table, since)
        if since > 0 or self._recording.is_reading:
            self._recovery_wanted.set()
        return self._table

    def _roll_over(self) -> None:
        if self._calendar.current_session(self._clock.now()) != self._table.session:
            before = self._table
            self._flush()
            self._open()
            log.info("live_session_opened", session=str(self._table.session), previous=str(before.session), **before.counts)

    async def _watch_baselines(self) -> None:
        async for changed in self._bus.subscribe(BASELINES_CHANGED):
            if changed.session == self._table.session:
                self._baselines_wanted.set()

    async def _load_baselines(self) -> None:
        while not cancelled():
            await self._baselines_wanted.wait()
            self._baselines_wanted.clear()
            with self._clock.busy():
                table = self._table
                blob = await self._bus.get_baselines(table.session)
                if blob is None:
                    continue
                baselines = (await asyncio.to_thread(Baselines.from_arrow, blob)).table
                levels = Levels(baselines["symbol"].to_list(), baselines["atr"].to_numpy(), baselines["prev_close"].to_numpy())
                self._recording.do(table, levels)
                self._levels_of = table

    # --- the stream --------------------------------------------------------------------------------------------------

    async def _hear(self) -> None:
        try:
            await self._hear_on()
        except (NotEntitled, Unauthorized) as error:
            # The vendor calls a key whose plan has no stream, or only the delayed one, by either name.
            if self._stream_refused is None:
                raise
            log.warning("live_stream_not_entitled", reason=str(error))
            await self._stream_refused()

    async def _hear_on(self) -> None:
        async for batch in self._stream.batches():
            first, self._heard_at = self._heard_at is None, self._market_time()
            if first or batch.resubscribed:
                self._note_connection(batch)
            self._note_lag(batch)
            self._pending.append(batch)
            self._pending_bars += len(batch.seconds) + len(batch.minutes)
            self._messages += len(batch.seconds) + len(batch.minutes) + len(batch.halts)
            if self._pending_bars >= FLUSH_BARS:
                self._flush()
                await asyncio.sleep(0)  # a full queue must not keep the others waiting

    def _flush(self) -> None:
        batches, self._pending, self._pending_bars = self._pending, [], 0
        if batches:
            self._recording.hear(self._table, batches)

    def _note_connection(self, batch: StreamBatch) -> None:
        """Recover what this connection cannot bring: minutes that ended before it stood."""
        table, since = self._table, self._since_pre_open()
        if since <= 0 or (table.subscribed_s is None and not batch.resubscribed):
            return  # heard since before 04:00
        if table.subscribed_s is not None and since // 60 == table.subscribed_s // 60:
            return  # the running minute's AM bar brings it all
        self._flush()
        self._recording.do(table, Connected(since))
        self._recovery_wanted.set()

    def _note_lag(self, batch: StreamBatch) -> None:
        bars = batch.seconds or batch.minutes
        self._hears_seconds |= bool(batch.seconds)
        if bars:
            self._lags.append((batch.received_ms, batch.received_ms - bars[0].end_ms - self._delay.total_seconds() * 1000))

    # --- recovery ----------------------------------------------------------------------------------------------------

    async def _recover(self) -> None:
        while True:
            await self._recovery_wanted.wait()
            self._recovery_wanted.clear()
            try:
                if self._recording.is_reading:
                    await self._rewind()
                if self._since_pre_open() <= 0:
                    continue
                table = self._table
                late = await self._recover_once(table)
            except NotEntitled as error:
                log.warning("live_recovery_not_entitled", reason=str(error))
                continue
            except ProviderError as error:
                if isinstance(error, Unauthorized):
                    raise
                log.warning("live_recovery_delayed", reason=str(error))
                late = ["the snapshot"]
            if late and table is self._table:
                await self._clock.back_off(RETRY_SECONDS)
                self._recovery_wanted.set()

    async def _rewind(self) -> None:
        """Go on with the table that the tape tells of; until it is read, the visible one shows the snapshot."""
        with self._clock.busy():
            async with asyncio.TaskGroup() as group:
                seeding = group.create_task(self._show_snapshot(self._table))
                table = await self._recording.rebuilt()
                if table is not None:
                    self._table = table
                    self._baselines_wanted.set()  # they may be newer than the tape's
                    log.info("live_tape_read", symbols=len(table.symbols), **table.counts)
                seeding.cancel()

    async def _show_snapshot(self, table: TodayTable) -> None:
        try:
            await self._seed(table)
        except ProviderError as error:
            if isinstance(error, Unauthorized):
                raise
            log.warning("live_recovery_delayed", reason=str(error))

    async def _seed(self, table: TodayTable) -> list[str]:
        """Return the symbols whose minutes are missing in ``table``, in the order to ask for them."""
        with self._clock.busy():
            snapshots = await self._market.market_snapshot()
            told = await asyncio.to_thread(read_snapshot, snapshots, table.hours)
            self._flush()
            return self._recording.do(table, Seeded(told))

    async def _recover_once(self, table: TodayTable) -> list[str]:
        """Return the symbols whose minutes could not be had."""
        missing = await self._seed(table)
        urgent = candidates(table, missing)
        log.info("live_recovery_started", symbols=len(missing), candidates=urgent, **table.counts)
        late = await self._fill(table, missing[:urgent], CANDIDATE_REQUESTS)
        late += await self._fill(table, missing[urgent:], OTHER_REQUESTS)
        log.info("live_recovery_finished", symbols=len(missing), late=len(late), **table.counts)
        return late

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
            if self._recovery_wanted.is_set() or table is not self._table:
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

    # --- telling -----------------------------------------------------------------------------------------------------

    async def _tell(self) -> None:
        turn = 0
        while not cancelled():
            self._roll_over()
            self._flush()
            if self._levels_of is not self._table and turn % BASELINES_LOOK_SECONDS == 0:
                self._baselines_wanted.set()
            await self.recorded()
            await self._bus.publish(FEED_STATUS, self.status())
            turn += 1
            await self._clock.sleep(1.0)

    def status(self) -> FeedStatus:
        now, table = self._market_time(), self._table
        phase = table.hours.phase(now)
        now_ms = self._clock.now().timestamp() * 1000
        recent = [lag for received_ms, lag in self._lags if now_ms - received_ms <= LAG_WINDOW_MS]
        newest_ms = (table.pre_open_s + table.newest_end_s) * 1000 if table.newest_end_s else None
        patience = STALE_SECONDS if self._hears_seconds else STALE_MINUTES_ONLY_SECONDS
        heard = self._heard_at
        return FeedStatus(
            session=table.session,
            phase=str(phase),
            mode=self.mode,
            feed_age_ms=None if newest_ms is None else max(int(now.timestamp() * 1000 - newest_ms), 0),
            feed_lag_p99_ms=int(np.percentile(recent, 99)) if recent else None,
            stale=self.mode != Mode.END_OF_DAY
            and phase is not Phase.CLOSED
            and (heard is None or (now - heard).total_seconds() > patience),
            messages=self._messages,
            symbols=len(table.symbols),
        )
