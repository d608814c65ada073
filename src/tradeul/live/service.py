"""Live's shell: hears the stream, asks the snapshot and REST minutes, rolls over, and tells how the feed is.

    stream -> pending (bounded) -> recording.py (tape) -> today's table -> frame() for the scanner
    start inside a session -> the tape's table -> as after a new connection:
    new connection -> snapshot -> minutes of the rows that differ, candidates first (`catch_up.py`)
    no stream in the plan -> snapshots, every few seconds -> the same as a stream's batches

Everything runs in the event loop, in slices: a flush of `FLUSH_BARS` bars takes
some 5 ms, a frame under 10, a recovered symbol under one. What waits to be
applied is bounded by `FLUSH_BARS` and one batch; behind it the stream's own
queue is, and says when it drops.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import structlog

from tradeul.analytics.baselines import Baselines
from tradeul.bus.redis import Bus
from tradeul.bus.topics import BASELINES_CHANGED, FEED_STATUS
from tradeul.clock import Clock
from tradeul.errors import NotEntitled, ProviderError, Unauthorized
from tradeul.live.beside_bars import forget_quotes
from tradeul.live.catch_up import CatchUp
from tradeul.live.feed_watch import FeedWatch, is_news
from tradeul.live.frames import market_frame
from tradeul.live.last_close import Closes
from tradeul.live.newcomers import Newcomers
from tradeul.live.polling import SnapshotBars
from tradeul.live.recording import Recording
from tradeul.live.session_minutes import session_minutes, tell_minutes
from tradeul.live.tape import Connected, Levels, Settled
from tradeul.live.today_table import TodayTable
from tradeul.market_calendar import Calendar, Phase
from tradeul.providers.ports import MarketData, MarketStream
from tradeul.records.bars import SessionMinutes, StreamBatch
from tradeul.records.entitlements import Mode
from tradeul.records.events import FeedStatus, StreamHealth
from tradeul.records.frame import MarketFrame
from tradeul.store.tape import TapeFiles

FLUSH_BARS = 2048
RETRY_SECONDS = 5.0
NEWCOMERS_LOOK_SECONDS = 10.0
QUOTES_LOOK_SECONDS = 5.0
BASELINES_LOOK_SECONDS = 2  # while there are none; a lost message costs no more
CLOSES_LOOK_SECONDS = 10.0
CHECKPOINT_LOOK_SECONDS = 10.0
TELL_SECONDS = 5  # the feed's status, when nothing has changed
RECONCILE_SECONDS = 300.0
SETTLE_SECONDS = 60.0  # a late trade's bar is corrected within some 40 s

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
        closes: Closes | None = None,
        poll_seconds: float = 5.0,
        tape: TapeFiles | None = None,
    ) -> None:
        """``mode`` may be changed.

        ``stream_refused`` is told that the plan has no stream; without it, that ends the service.
        ``closes`` knows sessions by their daily bars: for END_OF_DAY, and for a start after the session's end.
        ``poll_seconds``: how often the snapshot is asked where there is no stream.
        ``tape``: where the session is recorded; None: nowhere.
        """
        self._recording = Recording(tape if mode != Mode.END_OF_DAY else None, clock)
        self._catch_up = CatchUp(market, self._recording, clock, self._market_time, self._flush, self._goes_on)
        self._market, self._stream, self._bus, self._clock, self._calendar = market, stream, bus, clock, calendar
        self.mode = mode
        self._delay = timedelta(seconds=feed_delay_seconds)
        self._stream_refused = stream_refused
        self._closes = closes
        self._poll_seconds = poll_seconds
        self._polls: StreamHealth | None = None  # how polling is, once it stands in for the stream
        self._pending: list[StreamBatch] = []
        self._pending_bars = 0
        self._watch = FeedWatch(self._market_time())
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
        if as_of is None and (frame := self._close_shown()) is not None:
            return frame
        as_of = as_of or min(self._market_time(), self._last_second())
        if self._table.settles(t := as_of.timestamp() - self._table.pre_open_s):
            self._recording.do(self._table, Settled(t))
        return market_frame(self._table, as_of)

    def minutes_of(self, symbol: str) -> SessionMinutes:
        """Its minute bars of the session, everything received counted."""
        self._roll_over()
        self._flush()
        return session_minutes(self._table, symbol, self._market_time())

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
                if self._closes is not None:
                    duties.append(self._look_for_closes)
                if self.mode != Mode.END_OF_DAY:
                    duties += [self._hear, self._recover, self._reconcile, self._introduce, self._want_quotes, self._write_down]
                    group.create_task(tell_minutes(self._bus, self._clock, self.minutes_of), name="live.tell_minutes")
                for duty in duties:
                    group.create_task(duty(), name=f"live.{duty.__name__.strip('_')}")
        finally:
            self._recording.close()

    async def _write_down(self) -> None:
        while not cancelled():
            await self._clock.sleep(CHECKPOINT_LOOK_SECONDS)
            if self._recording.wants_checkpoint:
                await self._recording.checkpoint()

    # --- a close --------------------------------------------------------------------------------------------------------

    def _close_shown(self) -> MarketFrame | None:
        """What daily bars say, where they are all that is known: in END_OF_DAY mode, or of a session nobody here listened to."""
        frame = None if self._closes is None else self._closes.newest
        unheard = not self._table.newest_end_s and self._market_time() >= self._table.hours.post_close_at
        if self.mode == Mode.END_OF_DAY or (unheard and frame is not None and frame.session == self._table.session):
            return frame
        return None

    def _last_second(self) -> datetime:
        """Once the session has ended, its lists stay as at its end."""
        return self._table.hours.post_close_at - timedelta(seconds=1)

    async def _look_for_closes(self) -> None:
        assert self._closes is not None  # noqa: S101 only then a duty
        while not cancelled():
            with self._clock.busy():
                await asyncio.to_thread(self._closes.look, self._calendar.current_session(self._clock.now()))
            await self._clock.sleep(CLOSES_LOOK_SECONDS)

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
        # Of a session that is over and that no tape tells of, its daily bars do.
        inside = since > 0 and (self._closes is None or since < self._table.length_s)
        if inside or self._recording.is_reading:
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

    async def _introduce(self) -> None:
        """Ask the reference about symbols that the baselines do not know, once each."""
        newcomers, of = Newcomers(self._table), self._table
        while True:
            await self._clock.sleep(NEWCOMERS_LOOK_SECONDS)
            if of is not self._table:
                newcomers, of = Newcomers(self._table), self._table
            if self._levels_of is not of:
                continue  # as long as the universe is unknown everybody would be new
            await newcomers.introduce(self._market)

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
            if self.mode != Mode.END_OF_DAY:
                await self._poll_on()

    async def _hear_on(self) -> None:
        async for batch in self._stream.batches():
            await self._take(batch)

    async def _want_quotes(self) -> None:
        """Quotes of the tickers that are on lists: what the scanner tells is wanted, nothing else."""
        wanted: set[str] = set()
        while not cancelled():
            await self._clock.sleep(QUOTES_LOOK_SECONDS)
            active = await self._bus.get_active()
            if active != wanted:
                wanted = active
                await self._stream.want_quotes(wanted)
                self._flush()
                forget_quotes(self._table, but=wanted)

    async def _take(self, batch: StreamBatch) -> None:
        if self._watch.hear(batch, self._market_time()) or batch.resubscribed:
            self._note_connection(batch)
        self._pending.append(batch)
        self._pending_bars += len(batch.seconds) + len(batch.minutes) + len(batch.quotes)
        if self._pending_bars >= FLUSH_BARS:
            self._flush()
            await asyncio.sleep(0)  # a full queue must not keep the others waiting

    async def _poll_on(self) -> None:
        """The whole market's snapshot every few seconds, in place of a stream."""
        self._polls = StreamHealth()
        self._watch.patience = timedelta(seconds=3 * self._poll_seconds)
        table, bars = self._table, SnapshotBars(int(self._table.pre_open_s * 1000))
        while True:
            if table is not self._table:
                table, bars = self._table, SnapshotBars(int(self._table.pre_open_s * 1000))
            if table.hours.phase(self._market_time()) is not Phase.CLOSED:
                try:
                    with self._clock.busy():
                        rows = await self._market.market_snapshot()
                        batch = await asyncio.to_thread(bars.take, rows, int(self._clock.now().timestamp() * 1000))
                        if table is self._table:
                            await self._take(batch)
                    self._polls = StreamHealth()
                except NotEntitled as error:
                    log.warning("live_snapshot_not_entitled", reason=str(error))
                    self._polls = StreamHealth(str(error))
                    return
                except ProviderError as error:
                    if isinstance(error, Unauthorized):
                        raise
                    self._polls = StreamHealth(str(error))
            await self._clock.sleep(self._poll_seconds)

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
                late = await self._catch_up.recover(table)
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
                table = await self._recording.rebuilt(self._catch_up.missed_seconds)
                if table is not None:
                    self._table = table
                    self._baselines_wanted.set()  # they may be newer than the tape's
                    log.info("live_tape_read", symbols=len(table.symbols), **table.counts)
                seeding.cancel()

    async def _show_snapshot(self, table: TodayTable) -> None:
        try:
            await self._catch_up.seed(table)
        except ProviderError as error:
            if isinstance(error, Unauthorized):
                raise
            log.warning("live_recovery_delayed", reason=str(error))

    async def _reconcile(self) -> None:
        """Hold the table against the vendor's snapshot, as long as something can come and a little longer."""
        while True:
            await self._clock.sleep(RECONCILE_SECONDS)
            lately = self._market_time() - timedelta(seconds=2 * RECONCILE_SECONDS)
            idle = self._table.hours.phase(lately) is Phase.CLOSED and self._table.hours.phase(self._market_time()) is Phase.CLOSED
            if idle or self._polls is not None or self._recovery_wanted.is_set() or self._stream.health().trouble is not None:
                continue
            table, asked_s = self._table, self._since_pre_open()
            try:
                told = await self._catch_up.snapshot(table)
                await self._clock.sleep(SETTLE_SECONDS)
                if self._goes_on(table):
                    await self._catch_up.heal(table, told, asked_s)
            except ProviderError as error:
                if isinstance(error, Unauthorized):
                    raise
                log.warning("live_not_reconciled", reason=str(error))

    def _goes_on(self, table: TodayTable) -> bool:
        return table is self._table and not self._recovery_wanted.is_set()

    # --- telling -----------------------------------------------------------------------------------------------------

    async def _tell(self) -> None:
        turn, told = 0, self.status()
        while not cancelled():
            self._roll_over()
            self._flush()
            if self._levels_of is not self._table and turn % BASELINES_LOOK_SECONDS == 0:
                self._baselines_wanted.set()
            await self.recorded()
            status = self.status()
            if turn % TELL_SECONDS == 0 or is_news(status, told):
                told = status
                await self._bus.publish(FEED_STATUS, status)
            turn += 1
            await self._clock.sleep(1.0)

    def status(self) -> FeedStatus:
        return self._watch.status(self._market_time(), self._table, self.mode, self._polls or self._stream.health())
