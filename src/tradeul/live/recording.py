"""What happens to today's table happens through here: performed, and kept for the tape, in one order.

    do(table, event) --> perform                     at once, in the event loop
                     \\-> waiting --> written() --> file     in a thread, before anything that counts it is published

A start that finds the session's tape reads it into a table of its own, in a
thread, a slice at a time, while the visible table shows what the snapshot and
the stream say; what is heard meanwhile is applied and recorded behind it. A
tape that ends in the past is a lost connection: `recovery.py` asks what is missing.
So that there is never much to read, a child writes the table down now and then (`checkpoint.py`).

What waits is bounded by `MOST_WAITING` and `PATIENCE_SECONDS`. A disk that is
full, refuses or hangs is said once; live goes on without its tape until the
next session. This file starts no tasks and opens no files.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from datetime import date

import msgspec
import structlog

from tradeul.clock import Clock
from tradeul.errors import StoreError
from tradeul.live.checkpoint import restored
from tradeul.live.tape import Connected, Encoder, Event, Opened, Symbols, perform, replay, size
from tradeul.live.today_table import TodayTable
from tradeul.ops.child import run_once
from tradeul.records.bars import StreamBatch
from tradeul.store.checkpoints import CheckpointFiles
from tradeul.store.tape import TapeFiles

MOST_WAITING = 500_000  # bars, some 100 bytes each: two minutes of a busy market
PATIENCE_SECONDS = 5.0  # that a write may take
CHECKPOINT_BARS = 2_000_000  # on the tape that no checkpoint holds, before one is made: a start reads them in some 3 s
CHECKPOINT_PATIENCE_SECONDS = 300.0
CAUGHT_UP_BARS = 2048  # so few may be applied in the event loop
WITHOUT = "until the next session a start must ask REST what happened, and does not know the paths"

log = structlog.get_logger()


class Recording:
    def __init__(self, files: TapeFiles | None, clock: Clock) -> None:
        """Without ``files`` events are performed, nothing is kept."""
        self._files, self._clock = files, clock
        self._off = files is None
        self._recorded: TodayTable | None = None  # the table whose events are kept
        self._told = 0  # symbols of it that the tape knows
        self._waiting: list[tuple[date, Event]] = []
        self._waiting_bars = 0
        self._visible: TodayTable | None = None  # while the tape is read behind it
        self._since_s = 0.0
        self._meanwhile: list[StreamBatch] = []
        self._meanwhile_bars = 0
        self._open: date | None = None  # whose file is open
        self._bare_bars = 0  # on its tape, and in no checkpoint
        self._encoder = Encoder()
        self._turn = asyncio.Lock()

    @property
    def is_reading(self) -> bool:
        """The session has a tape, which `rebuilt` has not read yet."""
        return self._visible is not None

    def begin(self, table: TodayTable, since_s: float) -> None:
        """A new session's table, heard from ``since_s`` (seconds since 04:00) on; its tape is found or begun."""
        found = self._files is not None and self._files.has(table.session)
        self._off = self._files is None
        self._recorded, self._visible = (None, table) if found else (table, None)
        self._since_s, self._told = since_s, 0
        self._meanwhile, self._meanwhile_bars, self._bare_bars = [], 0, 0
        self.do(table, Opened(table.session, since_s))

    def hear(self, table: TodayTable, batches: Sequence[StreamBatch]) -> None:
        if table is self._visible:
            self._meanwhile += batches
            self._meanwhile_bars += sum(len(batch.seconds) + len(batch.minutes) for batch in batches)
            if self._meanwhile_bars > MOST_WAITING:
                # As if the connection stood from now on: REST knows the minutes before.
                self._since_s = batches[-1].received_ms / 1000 - table.pre_open_s
                self._meanwhile, self._meanwhile_bars = [], 0
        self.do(table, table.read(*batches))

    def do(self, table: TodayTable, event: Event) -> list[str]:
        """See `perform`. What befalls a table of the past, or the one that is only shown, is not kept."""
        if table is self._recorded and not self._off:
            if len(table.symbols) > self._told:
                self._keep(table.session, Symbols(self._told, table.symbols[self._told :]))
                self._told = len(table.symbols)
            self._keep(table.session, event)
        return perform(table, event)

    def _keep(self, session: date, event: Event) -> None:
        self._waiting.append((session, event))
        self._waiting_bars += size(event)
        if self._waiting_bars > MOST_WAITING:
            self._stop(f"{self._waiting_bars} bars wait to be written")

    def _stop(self, reason: str) -> None:
        self._off, self._waiting, self._waiting_bars = True, [], 0
        log.error("live_tape_stopped", reason=reason, means=WITHOUT)

    async def written(self) -> None:
        """All that was performed is on the tape, or there is none.

        While an earlier tape is read, what is heard waits behind it and this returns at once.
        """
        if self._off or self.is_reading:
            return
        async with self._turn:
            waiting, self._waiting = self._waiting, []
            bars, self._waiting_bars = self._waiting_bars, 0
            if not waiting:
                return
            try:
                with self._clock.busy():
                    async with asyncio.timeout(PATIENCE_SECONDS):
                        await asyncio.to_thread(self._write, waiting)
                self._bare_bars += bars
            except StoreError as error:
                self._stop(str(error))
            except TimeoutError:
                self._stop(f"the disk took longer than {PATIENCE_SECONDS:g} s")

    def _write(self, waiting: Sequence[tuple[date, Event]]) -> None:
        assert self._files is not None  # noqa: S101 else it is off
        for session, kept in itertools.groupby(waiting, key=lambda entry: entry[0]):
            if session != self._open:
                self._open_file(session)
                for _ in self._files.blocks():
                    raise StoreError(f"There is a tape of {session} already, and it was not read.")
            self._files.append(self._encoder.blocks(event for _, event in kept))

    def _open_file(self, session: date) -> None:
        assert self._files is not None  # noqa: S101 else it is off
        self._files.open(session)
        self._open, self._encoder = session, Encoder()

    @property
    def wants_checkpoint(self) -> bool:
        return self._bare_bars >= CHECKPOINT_BARS and not self._off and not self.is_reading

    async def checkpoint(self) -> None:
        """Have a child write the table down as its tape tells it by now. What fails costs a start some seconds, and is said."""
        table, bars = self._recorded, self._bare_bars
        assert self._files is not None and table is not None  # noqa: S101 `wants_checkpoint`
        self._bare_bars = 0
        of = str(self._files.path(table.session)), msgspec.json.encode(table.hours).decode()
        with self._clock.busy():
            reason = await run_once("tradeul.live.checkpoint", of, CHECKPOINT_PATIENCE_SECONDS)
        if reason is None:
            log.info("live_checkpoint_made", session=str(table.session), bars=bars)
        else:
            log.warning("live_checkpoint_failed", session=str(table.session), reason=reason)

    # --- a start inside a session ------------------------------------------------------------------------------------

    async def rebuilt(self, missed: Callable[[TodayTable, float], Awaitable[Sequence[Event]]] | None = None) -> TodayTable | None:
        """The table that the tape tells of, and what was heard since this start; None if its session ended meanwhile.

        ``missed``: what can be had of the time between the two; it is asked once the tape is read, and its answer comes between them.
        From here on it is the one that is recorded; the caller shows it before anything else is heard. A tape
        that cannot be read is set aside: the table is as if this start were the session's first.
        """
        visible = self._visible
        assert visible is not None  # noqa: S101 `is_reading`
        async with self._turn:
            table = await self._read(visible)
            if self._visible is not visible:
                return None
            self._recorded, self._told = table, len(table.symbols)
            since_s = self._since_s
            self.do(table, Connected(since_s) if table.symbols else Opened(table.session, since_s))
            if table.symbols and missed is not None:
                for event in await missed(table, since_s):
                    self.do(table, event)
            while self._visible is visible and self._meanwhile_bars > CAUGHT_UP_BARS:
                await asyncio.to_thread(self.hear, table, self._taken())
            if self._visible is not visible:
                return None
            self.hear(table, self._taken())
            if self._since_s != since_s or visible.subscribed_s not in (None, table.subscribed_s):
                self.do(table, Connected(max(self._since_s, visible.subscribed_s or 0.0)))
            self._visible = None
            return table

    def _taken(self) -> list[StreamBatch]:
        batches, self._meanwhile, self._meanwhile_bars = self._meanwhile, [], 0
        return batches

    async def _read(self, visible: TodayTable) -> TodayTable:
        assert self._files is not None  # noqa: S101 else there is nothing to read
        files, hours = self._files, visible.hours
        try:
            await asyncio.to_thread(self._open_file, hours.session)
            standing = await asyncio.to_thread(restored, CheckpointFiles(files.root), hours, files.path(hours.session))
        except StoreError as error:
            self._stop(str(error))
            return TodayTable(hours)
        blocks, known = files.blocks(standing.end), standing.table.counts["bars"]
        try:
            while self._visible is visible and await asyncio.to_thread(replay, blocks, standing.decoder, standing.table):
                pass
        except StoreError as error:
            log.error("live_tape_unreadable", reason=str(error), kept="under another name")
            await self._begin_anew(hours.session)
            return TodayTable(hours)
        self._bare_bars = standing.table.counts["bars"] - known
        return standing.table

    async def _begin_anew(self, session: date) -> None:
        assert self._files is not None  # noqa: S101 else there is nothing to read
        self._open = None
        try:
            await asyncio.to_thread(self._files.set_aside, session)
        except StoreError as error:
            self._stop(str(error))

    def close(self) -> None:
        if self._files is not None:
            self._files.close()
