"""The scanner: each cycle one frame of live becomes the lists, and what changed goes out.

    live's frame (in the loop) -> thread: columns, scans, rows, deltas, encoding -> bus -> gateways

State: per list the last SENT snapshot; a cycle that fails changes nothing. It
rolls over by the calendar, rests while the market is closed (lists stay as
they closed), refuses a frame of another session, and writes everything again
when the bus was emptied. The frame's arrays must not change after they were
handed over. It computes nothing itself (`scan.py`, `deltas.py`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import structlog

from tradeul.analytics.baselines import Baselines
from tradeul.bus.redis import Bus
from tradeul.bus.topics import BASELINES_CHANGED
from tradeul.clock import Clock
from tradeul.errors import StoreError
from tradeul.market_calendar import Calendar, Phase
from tradeul.records.frame import MarketFrame
from tradeul.records.lists import ListFrame
from tradeul.records.messages import Rows, Snapshot, encode
from tradeul.scanner.columns import Join, Market
from tradeul.scanner.definitions import ListFolder, ScanList, built_in_lists
from tradeul.scanner.deltas import after, follow
from tradeul.scanner.scan import scan_rows

LISTS_LOOK_SECONDS = 1.0
BASELINES_LOOK_SECONDS = 30.0

log = structlog.get_logger()

Outgoing = tuple[str, ListFrame, bytes, bool]


class Outcome(NamedTuple):
    """What one cycle found, before anybody has seen it."""

    join: Join
    rows: Mapping[str, Rows]
    sent: Mapping[str, Snapshot]  # of the lists that changed
    outgoing: Sequence[Outgoing]


class ScannerService:
    def __init__(
        self,
        frame: Callable[[datetime | None], MarketFrame],
        bus: Bus,
        clock: Clock,
        calendar: Calendar,
        mode: str,
        epoch: int,
        lists_folder: Path | None,
        cycle_seconds: float = 1.0,
        next_epoch: Callable[[], int] | None = None,
        recorded: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """``next_epoch`` takes the durable counter's next value for an edited list (called in a thread); None: count on from ``epoch``.

        ``recorded`` is awaited before anything that was made of a frame is published.
        """
        self._frame = frame
        self._bus = bus
        self._clock = clock
        self._calendar = calendar
        self.mode = mode
        self._epoch = epoch
        self._next_epoch = next_epoch or self._count_on
        self._recorded = recorded
        self._cycle_seconds = cycle_seconds
        self._folder = ListFolder(lists_folder, built_in_lists())
        self._looked_at: datetime | None = None
        self._lists: list[ScanList] = []
        self._sent: dict[str, Snapshot] = {}
        self._session: date | None = None
        self._members: dict[Phase, dict[str, list[str]]] = {}
        self._resting = False
        self._join: Join | None = None
        self._baselines: Baselines | None = None
        self._baselines_bytes = 0
        self._checks = 0
        self._turn = asyncio.Lock()  # one cycle at a time, whoever asks for it
        self.refused_frames = 0  # of another session
        self.cycles = 0

    async def run(self) -> None:
        await self.cycle()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._cycle_on())
            tasks.create_task(self._hear_of_baselines())
            tasks.create_task(self._look_for_baselines())

    async def cycle(self, as_of: datetime | None = None) -> None:
        """One round; ``as_of`` asks live for that market time."""
        with self._clock.busy():
            async with self._turn:
                await self._cycle(as_of)

    async def _cycle(self, as_of: datetime | None) -> None:
        session = self._calendar.current_session(self._clock.now())
        if session != self._session:
            await self._roll_over(session)
        await self._look_at_lists()
        await self._heal()
        frame = self._admitted(as_of)
        if frame is not None:
            await self._scan(frame)
        self.cycles += 1

    async def _cycle_on(self) -> None:
        while True:
            now = self._clock.now()
            left = self._cycle_seconds - now.timestamp() % self._cycle_seconds
            await self._clock.sleep_until(now + timedelta(seconds=max(left, 0.001)))  # never none: floats round
            await self.cycle()

    # A session

    async def _roll_over(self, session: date) -> None:
        """Empty lists at sequence 0, at once; at a start, what this session's lists already showed."""
        starting = self._session is None
        log.info("scanner_session", session=session.isoformat(), starting=starting, epoch=self._epoch)
        self._session, self._members, self._resting = session, {}, False
        self._baselines, self._baselines_bytes, self._join = None, 0, None
        if starting:
            self._report_broken_files()
            self._lists = self._folder.lists
            self._looked_at = self._clock.now()
            await self._bus.put_lists([found.definition for found in self._lists])
        for found in self._lists:
            rows = await self._resumed(found) if starting else []
            epoch = self._epoch if starting else self._sent[found.name].epoch
            self._sent[found.name] = self._first(found, epoch, rows)
        await self._send_again(self._lists)
        await self._load_baselines()

    async def _resumed(self, found: ScanList) -> Rows:
        """What this session's last scanner left on the list, as far as it is of the same form."""
        assert self._session is not None  # noqa: S101 set by _roll_over
        earlier = await self._bus.get_frame(found.name)
        fields = {"symbol", "rank", *found.cells}
        if earlier is None or earlier.session != self._session or any(set(row) != fields for row in earlier.rows):
            return []
        phase = self._calendar.hours(self._session).phase(_instant(earlier.timestamp))
        # A list that repeats the members of an earlier phase has handed them on.
        phase = found.questions[phase].members_of_last or phase
        if earlier.rows:
            self._remember(found.name, earlier.rows, phase)
        return earlier.rows

    def _first(self, found: ScanList, epoch: int, rows: Rows) -> Snapshot:
        assert self._session is not None  # noqa: S101 set by _roll_over
        return Snapshot(found.name, self._session, self.mode, epoch, 0, len(rows), rows, _milliseconds(self._clock.now()))

    def _remember(self, name: str, rows: Rows, phase: Phase) -> None:
        self._members.setdefault(phase, {})[name] = [row["symbol"] for row in rows]

    # Frames

    def _admitted(self, as_of: datetime | None) -> MarketFrame | None:
        assert self._session is not None  # noqa: S101 set by _roll_over
        hours = self._calendar.hours(self._session)
        if self._resting and as_of is None and hours.phase(self._clock.now()) is Phase.CLOSED:
            return None
        frame = self._frame(as_of)
        if frame.session != self._session:
            self.refused_frames += 1
            if self.refused_frames & (self.refused_frames - 1) == 0:  # 1, 2, 4, 8 ...: once a second would fill the log
                log.warning("frame_refused", of=frame.session.isoformat(), session=self._session.isoformat(), count=self.refused_frames)
            return None
        self._resting = hours.phase(frame.as_of) is Phase.CLOSED
        return None if self._resting or not len(frame.symbols) else frame

    async def _scan(self, frame: MarketFrame) -> None:
        join = self._join if self._join is not None and self._join.fits(frame.symbols, self._baselines) else None
        outcome = await asyncio.to_thread(self._think, frame, join)
        self._join = outcome.join
        if outcome.outgoing:
            if self._recorded is not None:
                await self._recorded()
            await self._bus.publish_frames(outcome.outgoing)
            self._sent |= outcome.sent
        phase = self._calendar.hours(frame.session).phase(frame.as_of)
        for name, rows in outcome.rows.items():
            self._remember(name, rows, phase)

    def _think(self, frame: MarketFrame, join: Join | None) -> Outcome:
        """In a thread; reads the service's state and changes none of it."""
        join = join or Join(frame.symbols, self._baselines)
        market = Market(frame, join, self._calendar.hours(frame.session))
        found_rows = scan_rows(market, self._lists, self._members)
        timestamp = _milliseconds(frame.as_of)
        sent: dict[str, Snapshot] = {}
        outgoing: list[Outgoing] = []
        for found in self._lists:
            delta = follow(self._sent[found.name], found_rows[found.name], timestamp)
            if delta is not None:
                state = sent[found.name] = after(self._sent[found.name], delta, found_rows[found.name])
                outgoing.append((found.name, _frame_of(state), encode(delta), found.definition.built_in))
        return Outcome(join, found_rows, sent, outgoing)

    # The bus

    async def _heal(self) -> None:
        """Look at one list's frame each cycle; when the bus was emptied, write everything again."""
        if not self._lists:
            return
        self._checks += 1
        name = self._lists[self._checks % len(self._lists)].name
        frame, sent = await self._bus.get_frame(name), self._sent[name]
        if frame is None or (frame.session, frame.epoch, frame.sequence) != (sent.session, sent.epoch, sent.sequence):
            log.warning("bus_emptied", list=name)
            await self._bus.put_lists([found.definition for found in self._lists])
            await self._send_again(self._lists)

    async def _send_again(self, lists: Sequence[ScanList]) -> None:
        states = [(self._sent[found.name], found.definition.built_in) for found in lists]
        if states:
            await self._bus.publish_frames([(state.list, _frame_of(state), encode(state), built_in) for state, built_in in states])

    # Lists

    def _report_broken_files(self) -> None:
        for error in self._folder.look():
            log.error("list_file_refused", reason=str(error), kept="the last good version, if there was one")

    async def _look_at_lists(self) -> None:
        """Take edited, new and removed files; an edited list starts anew, in its own epoch."""
        now = self._clock.now()
        if self._looked_at is not None and now - self._looked_at < timedelta(seconds=LISTS_LOOK_SECONDS):
            return
        self._looked_at = now
        self._report_broken_files()
        lists = self._folder.lists
        held = {found.name: found for found in self._lists}
        edited = [found for found in lists if found.name not in held or not _same(held[found.name], found)]
        removed = held.keys() - {found.name for found in lists}
        if not edited and not removed:
            return
        log.info("lists_changed", edited=[found.name for found in edited], removed=sorted(removed))
        self._lists = lists
        for name in removed:
            del self._sent[name]
            await self._bus.drop_frame(name)
        for found in edited:
            self._sent[found.name] = self._first(found, await asyncio.to_thread(self._next_epoch), [])
            for members in self._members.values():
                members.pop(found.name, None)
        await self._bus.put_lists([found.definition for found in lists])
        await self._send_again(edited)

    def _count_on(self) -> int:
        self._epoch += 1
        return self._epoch

    # Baselines

    async def _hear_of_baselines(self) -> None:
        async for _ in self._bus.subscribe(BASELINES_CHANGED):
            self._baselines_bytes = 0
            await self._load_baselines()

    async def _look_for_baselines(self) -> None:
        while True:
            await self._clock.sleep(BASELINES_LOOK_SECONDS)
            await self._load_baselines()

    async def _load_baselines(self) -> None:
        """Take this session's blob unless it is as long as the one held.

        The length spares fetching 15 MB at each look. New ones of the same length
        are taken when told (`_hear_of_baselines` forgets the length).
        """
        with self._clock.busy():
            session = self._session
            assert session is not None  # noqa: S101 set by the first cycle
            size = await self._bus.baselines_bytes(session)
            if size in (0, self._baselines_bytes):
                return
            blob = await self._bus.get_baselines(session)
            if blob is None:
                return
            try:
                baselines = await asyncio.to_thread(Baselines.from_arrow, blob)
            except StoreError as error:
                log.error("baselines_refused", reason=str(error))
                return
            if baselines.session != session or session != self._session:
                log.error("baselines_refused", reason=f"they serve {baselines.session}, the session is {self._session}")
                return
            self._baselines, self._baselines_bytes = baselines, len(blob)
            log.info("baselines_loaded", session=session.isoformat(), tickers=baselines.table.height, complete=baselines.complete)


def _same(one: ScanList, other: ScanList) -> bool:
    """Whether both ask and show the same; compiled expressions cannot be compared."""
    return one.definition == other.definition and one.floors == other.floors


def _frame_of(state: Snapshot) -> ListFrame:
    return ListFrame(state.session, state.epoch, state.sequence, state.rows, state.mode, state.timestamp)


def _milliseconds(instant: datetime) -> int:
    return round(instant.timestamp() * 1000)


def _instant(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
