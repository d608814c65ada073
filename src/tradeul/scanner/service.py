"""The scanner: each cycle one frame of live becomes the lists, and what changed goes out.

    live's frame (in the loop) -> thread: columns, scans, rows, deltas, encoding -> bus -> gateways

State: per list the last SENT snapshot; a cycle that fails changes nothing. It
rolls over by the calendar, hardly looks while the market is closed (lists stay
as they closed), refuses a frame of another session, and writes everything again
when the bus was emptied. The frame's arrays must not change after they were
handed over. It computes nothing itself (`scan.py`, `deltas.py`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple, TypeVar

import structlog

from tradeul.bus.redis import Bus
from tradeul.bus.topics import BASELINES_CHANGED, EXPLAIN, PREVIEW, VARIANTS_WATCHED, Topic
from tradeul.clock import Clock
from tradeul.errors import StoreError
from tradeul.market_calendar import Calendar, Phase
from tradeul.records.entitlements import Mode
from tradeul.records.explanations import ExplainAnswer, ExplainRequest
from tradeul.records.frame import MarketFrame
from tradeul.records.lists import ListFrame, split_name
from tradeul.records.messages import Rows, Snapshot, encode
from tradeul.records.previews import Preview, PreviewRequest
from tradeul.scanner.columns import Join, Market
from tradeul.scanner.definitions import ListFolder, ScanList, built_in_lists
from tradeul.scanner.deltas import after, follow, frame_of
from tradeul.scanner.explain import answer
from tradeul.scanner.membership import Membership
from tradeul.scanner.preview import preview
from tradeul.scanner.scan import lacking, scan_rows
from tradeul.scanner.session_baselines import SessionBaselines
from tradeul.scanner.summary import Summary
from tradeul.scanner.told import Listener, Told
from tradeul.scanner.variants import Watched

LISTS_LOOK_SECONDS = 1.0
BASELINES_LOOK_SECONDS, MISSING_LOOK_SECONDS = 30.0, 2.0
CLOSED_CYCLE_SECONDS = 10.0  # little can change then
END_OF_SESSION = timedelta(seconds=1)  # live's last frame is of so long before

log = structlog.get_logger()

Asked = TypeVar("Asked", ExplainRequest, PreviewRequest)
Outgoing = tuple[str, ListFrame, bytes, bool]


class Outcome(NamedTuple):
    """What one cycle found, before anybody has seen it."""

    market: Market
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
        membership: Membership | None = None,
        recorded: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """``next_epoch`` takes the durable counter's next value for an edited list (called in a thread); None: count on from ``epoch``.

        ``membership``: the log of enters and leaves; None: none is kept.
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
        self._membership = membership
        self._over = asyncio.Event()  # something of the membership log may go to the lake
        self._folder = ListFolder(lists_folder, built_in_lists())
        self._looked_at: datetime | None = None
        self._lists: list[ScanList] = []
        self._watched = Watched()
        self._sent: dict[str, Snapshot] = {}
        self._summary = Summary(bus)
        self._session: date | None = None
        self._members: dict[Phase, dict[str, list[str]]] = {}
        self._rests_until = clock.now()
        self._took_over = False  # rows of this session from a scanner before
        self._ended = False  # the session's last frame was seen
        self._join: Join | None = None
        self._market: Market | None = None  # that of the last cycle, for whoever asks why
        self._baselines = SessionBaselines(bus)
        self._told = Listener(bus)
        self._turn = asyncio.Lock()  # one cycle at a time, whoever asks for it
        self.refused_frames = 0  # of another session
        self.cycles = 0

    async def run(self) -> None:
        await self.cycle()
        async with asyncio.TaskGroup() as tasks:
            listening = self._hear_of_baselines, self._look_for_baselines, self._hear_of_variants, self._told.follow
            for loop in (self._cycle_on, self._settle_on, *listening):
                tasks.create_task(loop())
            tasks.create_task(self._answer_others(EXPLAIN, self.explain))
            tasks.create_task(self._answer_others(PREVIEW, self.preview))

    async def cycle(self, as_of: datetime | None = None) -> None:
        """One round; ``as_of`` asks live for that market time."""
        with self._clock.busy():
            async with self._turn:
                await self._cycle(as_of)

    async def _cycle(self, as_of: datetime | None) -> None:
        session = self._session_due()
        if session != self._session:
            await self._roll_over(session)
        await self._look_at_lists()
        await self._heal()
        frame = self._admitted(as_of)
        if frame is not None:
            await self._scan(frame)
        await self._summary.tell(self._sent, self._market)
        self.cycles += 1

    async def _cycle_on(self) -> None:
        while True:
            now = self._clock.now()
            left = self._cycle_seconds - now.timestamp() % self._cycle_seconds
            await self._clock.sleep_until(now + timedelta(seconds=max(left, 0.001)))  # never none: floats round
            await self.cycle()

    # A session

    def _session_due(self) -> date:
        """The current one; in END_OF_DAY mode that of the last close there is, never an older one than shown before."""
        now = self._clock.now()
        if self.mode != Mode.END_OF_DAY:
            return self._calendar.current_session(now)
        frame = self._frame(None)
        oldest = frame.session if frame.whole_day else self._calendar.oldest_close(now)
        return max(oldest, self._session or oldest)

    async def _roll_over(self, session: date) -> None:
        """Empty lists at sequence 0, at once; at a start, what this session's lists already showed."""
        starting = self._session is None
        log.info("scanner_session", session=session.isoformat(), starting=starting, epoch=self._epoch)
        self._session, self._members, self._took_over, self._ended = session, {}, False, False
        self._rests_until = self._clock.now()
        self._join = self._market = None
        self._baselines.begin(session)
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
        await self._begin_membership()
        await self._load_baselines()

    async def _resumed(self, found: ScanList) -> Rows:
        """What this session's last scanner left on the list, as far as it is of the same form."""
        assert self._session is not None  # noqa: S101 set by _roll_over
        earlier = await self._bus.get_frame(found.name)
        fields = {"symbol", "rank", *found.cells}
        if earlier is None or earlier.session != self._session or any(set(row) != fields for row in earlier.rows):
            return []
        phase = self._calendar.hours(self._session).phase(datetime.fromtimestamp(earlier.timestamp / 1000, UTC))
        # A list that repeats the members of an earlier phase has handed them on.
        phase = found.questions[phase].members_of_last or phase
        if earlier.rows:
            self._took_over = True
            self._remember(found.name, earlier.rows, phase)
        return earlier.rows

    def _first(self, found: ScanList, epoch: int, rows: Rows) -> Snapshot:
        assert self._session is not None  # noqa: S101 set by _roll_over
        return Snapshot(found.name, self._session, self.mode, epoch, 0, len(rows), rows, _milliseconds(self._clock.now()))

    def _remember(self, name: str, rows: Rows, phase: Phase) -> None:
        self._members.setdefault(phase, {})[name] = [row["symbol"] for row in rows]

    # Membership

    async def _begin_membership(self) -> None:
        """Its log also knows who stood on the lists at the end of a phase, when the bus has forgotten."""
        if self._membership is None:
            return
        assert self._session is not None  # noqa: S101 set by _roll_over
        then = await asyncio.to_thread(self._membership.begin, self._calendar.hours(self._session))
        for phase, lists in then.items():
            self._members[phase] = lists | self._members.get(phase, {})
        self._over.set()

    async def _settle_on(self) -> None:
        while True:
            await self._over.wait()
            self._over.clear()
            with self._clock.busy():
                async with self._turn:  # the cycle that saw the end writes its events first
                    await self.settle_membership()

    async def settle_membership(self) -> None:
        if self._membership is not None and self._session is not None:
            await asyncio.to_thread(self._membership.settle, self._session, is_closed=self._ended)

    # Frames

    def _admitted(self, as_of: datetime | None) -> MarketFrame | None:
        assert self._session is not None  # noqa: S101 set by _roll_over
        hours, now = self._calendar.hours(self._session), self._clock.now()
        if as_of is None and hours.phase(now) is Phase.CLOSED:
            if now < self._rests_until:
                return None
            self._rests_until = now + timedelta(seconds=CLOSED_CYCLE_SECONDS)
        frame = self._frame(as_of)
        if self.mode == Mode.END_OF_DAY and not frame.whole_day:
            return None  # no close is there yet
        if frame.whole_day and self._took_over and self.mode != Mode.END_OF_DAY:
            return None  # the lists stay as they closed: they knew more than daily bars do
        if frame.session != self._session:
            self.refused_frames += 1
            if self.refused_frames & (self.refused_frames - 1) == 0:  # 1, 2, 4, 8 ...: once a second would fill the log
                log.warning("frame_refused", of=frame.session.isoformat(), session=self._session.isoformat(), count=self.refused_frames)
            return None
        if not self._ended and frame.as_of + END_OF_SESSION >= hours.post_close_at:
            self._ended = True
            self._over.set()
        return None if hours.phase(frame.as_of) is Phase.CLOSED or not len(frame.symbols) else frame

    async def _scan(self, frame: MarketFrame) -> None:
        join = self._join if self._join is not None and self._join.fits(frame.symbols, self._baselines.held, frame.newcomers) else None
        previous_close_at = self._calendar.hours(self._calendar.previous(frame.session)).close_at
        outcome = await asyncio.to_thread(self._think, frame, join, self._told.since(previous_close_at))
        self._join, self._market = outcome.market.join, outcome.market
        if self._membership is not None and not frame.whole_day:  # daily bars do not know when
            lists = {name: rows for name, rows in outcome.rows.items() if split_name(name)[1] is None}
            await asyncio.to_thread(self._membership.note, lists, frame.as_of)
        if outcome.outgoing:
            if self._recorded is not None:
                await self._recorded()
            await self._bus.publish_frames(outcome.outgoing)
            self._sent |= outcome.sent
        phase = self._calendar.hours(frame.session).phase(frame.as_of)
        for name, rows in outcome.rows.items():
            self._remember(name, rows, phase)

    def _think(self, frame: MarketFrame, join: Join | None, told: Told) -> Outcome:
        """In a thread; reads the service's state and changes none of it."""
        join = join or Join(frame.symbols, self._baselines.held, frame.newcomers)
        market = Market(frame, join, self._calendar.hours(frame.session), told)
        found_rows = scan_rows(market, self._lists, self._members)
        timestamp = _milliseconds(frame.as_of)
        sent: dict[str, Snapshot] = {}
        outgoing: list[Outgoing] = []
        for found in self._lists:
            delta = follow(self._sent[found.name], found_rows[found.name], timestamp, self.mode, lacking(market, found))
            if delta is not None:
                state = sent[found.name] = after(self._sent[found.name], delta, found_rows[found.name])
                outgoing.append((found.name, frame_of(state), encode(delta), found.definition.built_in))
        return Outcome(market, found_rows, sent, outgoing)

    # The bus

    async def _heal(self) -> None:
        """Look at each list's key and one's frame each cycle; when the bus was emptied, write everything again."""
        if not self._lists:
            return
        name = self._lists[self.cycles % len(self._lists)].name
        frame, sent = await self._bus.get_frame(name), self._sent[name]
        lacks = await self._bus.lacks([found.name for found in self._lists])
        if lacks or frame is None or (frame.session, frame.epoch, frame.sequence) != (sent.session, sent.epoch, sent.sequence):
            log.warning("bus_emptied", list=name)
            self._summary.forget()
            await self._bus.put_lists([found.definition for found in self._folder.lists])
            await self._send_again(self._lists)

    async def _send_again(self, lists: Sequence[ScanList]) -> None:
        states = [(self._sent[found.name], found.definition.built_in) for found in lists]
        if states:
            await self._bus.publish_frames([(state.list, frame_of(state), encode(state), built_in) for state, built_in in states])

    # Questions

    async def _answer_others(self, topic: Topic[Asked], think: Callable[[Asked], ExplainAnswer | Preview]) -> None:
        """Between two cycles, so that what is told is of the last frame."""
        async for request in self._bus.subscribe(topic):
            with self._clock.busy():
                async with self._turn:
                    said = await asyncio.to_thread(think, request)
                await self._bus.answer(request.reply_to, said)

    def explain(self, asked: ExplainRequest) -> ExplainAnswer:
        return answer(asked.list, asked.symbol, self._lists, self._sent, self._market, self._members)

    def preview(self, asked: PreviewRequest) -> Preview:
        return preview(asked.text, self._folder, self._market, self._members)

    # Lists

    def _report_broken_files(self) -> None:
        for error in self._folder.look():
            log.error("list_file_refused", reason=str(error), kept="the last good version, if there was one")

    async def _hear_of_variants(self) -> None:
        async for watched in self._bus.subscribe(VARIANTS_WATCHED):
            self.watch(watched.names)

    def watch(self, names: Sequence[str]) -> None:
        """Scan these variants from the next cycle on, until nobody has named them for a while."""
        self._watched.hear(names, _seconds())

    async def _look_at_lists(self) -> None:
        """Take edited, new and removed files, and variants newly watched or left; an edited list starts anew, in its own epoch."""
        now = self._clock.now()
        if self._looked_at is None or now - self._looked_at >= timedelta(seconds=LISTS_LOOK_SECONDS):
            self._looked_at = now
            self._report_broken_files()
        own = self._folder.lists
        lists = [*own, *self._watched.variants(own, _seconds())]
        held = {found.name: found for found in self._lists}
        edited = [found for found in lists if found.name not in held or not held[found.name].is_same(found)]
        removed = held.keys() - {found.name for found in lists}
        if not edited and not removed:
            return
        try:
            epochs = {found.name: await asyncio.to_thread(self._next_epoch) for found in edited}
        except StoreError as error:  # at the next look, then
            log.warning("lists_not_changed", reason=str(error))
            return
        log.info("lists_changed", edited=[found.name for found in edited], removed=sorted(removed))
        self._lists = lists
        for name in removed:
            del self._sent[name]
            await self._bus.drop_frame(name)
        for members in self._members.values():
            for found in edited:
                members.pop(found.name, None)
        rows = await self._present_rows(edited)
        for found in edited:
            self._sent[found.name] = self._first(found, epochs[found.name], rows.get(found.name, []))
        if any(split_name(name)[1] is None for name in [*removed, *(found.name for found in edited)]):
            await self._bus.put_lists([found.definition for found in own])
        await self._send_again(edited)

    async def _present_rows(self, lists: Sequence[ScanList]) -> dict[str, Rows]:
        """As of the last frame: who comes while the market is closed must not wait for the next."""
        if self._market is None:
            return {}
        return await asyncio.to_thread(scan_rows, self._market, lists, self._members)

    def _count_on(self) -> int:
        self._epoch += 1
        return self._epoch

    # Baselines

    async def _hear_of_baselines(self) -> None:
        async for _ in self._bus.subscribe(BASELINES_CHANGED):
            self._baselines.forget_size()
            await self._load_baselines()

    async def _look_for_baselines(self) -> None:
        while True:
            await self._clock.sleep(BASELINES_LOOK_SECONDS if self._baselines.held else MISSING_LOOK_SECONDS)
            await self._load_baselines()

    async def _load_baselines(self) -> None:
        session = self._session
        assert session is not None  # noqa: S101 set by the first cycle
        with self._clock.busy():
            await self._baselines.look(session)


def _seconds() -> float:
    """How long ago a gateway spoke is the network's time, not the market's."""
    return asyncio.get_running_loop().time()


def _milliseconds(instant: datetime) -> int:
    return round(instant.timestamp() * 1000)
