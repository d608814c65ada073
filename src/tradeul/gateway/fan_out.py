"""Every list to everyone who watches it: who gets a delta, who a snapshot, who must wait.

                 snapshot sent                  buffer over the limit, or the copy was replaced
    waiting  ------------------->  current  ------------------------------------------------->  waiting

A viewer in `current` stands there with the sequence that it holds, which is the
copy's or, while a pass is under way, its delta's base: so there is no gap and
no duplicate, whatever happens between two chunks. One in `waiting` gets nothing of the list
but one fresh snapshot, once there is a copy and room in its buffer.

The session decides first: what belongs to an older one is refused and counted,
a newer one empties everything and says `new_day`. No bus and no sockets here:
`server.py` brings the bytes, transports take them. Ten thousand writes would
hold up everybody else, so whatever writes to many is an iterator, a chunk of
viewers a turn; the caller lets others work in between.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date
from itertools import chain
from typing import Protocol, TypeAlias

import msgspec
import structlog

from tradeul.errors import SequenceGap
from tradeul.gateway.client_session import ClientSession
from tradeul.gateway.frames import Framed
from tradeul.gateway.list_copy import ListCopy
from tradeul.records.lists import ListFrame, split_name
from tradeul.records.messages import Delta, NewDay, Snapshot, decode, encode

BUFFER_LIMIT_BYTES = 512 * 1024  # some ten snapshots; the kernel's buffer comes on top
DRAINED_BYTES = 64 * 1024
STUCK_SECONDS = 20.0
CHUNK_VIEWERS = 256  # some 2 ms of writing

Chunks: TypeAlias = Iterator[None]
NOTHING: tuple[None, ...] = ()

log = structlog.get_logger()


class Transport(Protocol):
    def write(self, data: bytes, /) -> None: ...
    def get_write_buffer_size(self) -> int: ...
    def is_closing(self) -> bool: ...
    def abort(self) -> None: ...


class Viewer:
    """One browser's socket as the fan-out sees it."""

    __slots__ = ("connection_id", "deflates", "full_since_seconds", "session", "told", "transport")

    def __init__(self, connection_id: str, transport: Transport, session: ClientSession, told: date, *, deflates: bool = False) -> None:
        """``told``: the session that it has heard of. ``deflates``: it negotiated compression."""
        self.connection_id = connection_id
        self.session = session
        self.transport = transport
        self.told = told
        self.deflates = deflates
        self.full_since_seconds: float | None = None

    def send(self, message: Framed) -> None:
        if not self.transport.is_closing():
            self.transport.write(message.deflated if self.deflates else message.plain)

    def take(self, message: Framed, now_seconds: float) -> bool:
        """Send it if there is room. `has_room` and `send` in one: it runs a hundred thousand times a second."""
        transport = self.transport
        if (self.full_since_seconds is not None or transport.get_write_buffer_size() > BUFFER_LIMIT_BYTES) and not self.has_room(
            now_seconds
        ):
            return False
        if not transport.is_closing():
            transport.write(message.deflated if self.deflates else message.plain)
        return True

    def say(self, frame: bytes) -> None:
        """What is for this one alone: plain, since compressing for one costs more than it saves."""
        if not self.transport.is_closing():
            self.transport.write(frame)

    def has_room(self, now_seconds: float) -> bool:
        """Full above the limit; and then until it has drained, lest it flicker around the limit."""
        buffered = self.transport.get_write_buffer_size()
        if self.full_since_seconds is None and buffered > BUFFER_LIMIT_BYTES:
            self.full_since_seconds = now_seconds
        elif self.full_since_seconds is not None and buffered <= DRAINED_BYTES:
            self.full_since_seconds = None
        return self.full_since_seconds is None


class ListFeed:
    """One list: our copy of it, and its viewers. ``tell`` says the copy's session to who has not heard of it."""

    def __init__(self, name: str, tell: Callable[[Viewer], None]) -> None:
        self.name = name
        self.copy: ListCopy | None = None
        self.current: dict[Viewer, int] = {}  # the sequence that each holds
        self.waiting: dict[Viewer, None] = {}  # a set that keeps its order
        self.last_looked_at: tuple[int, int] | None = None
        self._tell = tell
        self._passes = 0
        self._snapshot: Framed | None = None

    @property
    def is_watched(self) -> bool:
        return bool(self.current or self.waiting)

    def watch(self, viewer: Viewer, now_seconds: float) -> None:
        self.current.pop(viewer, None)
        self.waiting[viewer] = None
        self._serve(viewer, now_seconds)

    def unwatch(self, viewer: Viewer) -> None:
        self.current.pop(viewer, None)
        self.waiting.pop(viewer, None)

    def replace(self, copy: ListCopy | None, now_seconds: float) -> Chunks:
        self.copy, self._snapshot = copy, None
        self.waiting |= dict.fromkeys(self.current)
        self.current = {}
        return self.serve_waiting(now_seconds)

    def follow(self, delta: Delta, message: Framed, now_seconds: float) -> Chunks:
        """Raises SequenceGap; then there is no copy until a frame is read."""
        if self.copy is None:
            raise SequenceGap(f"{self.name}: a delta came before the first snapshot.")
        try:
            self.copy.apply(delta)
        except SequenceGap:
            self.replace(None, now_seconds)
            raise
        self._snapshot = None
        return chain(self._pass_on(delta, message, now_seconds), self.serve_waiting(now_seconds))

    def _pass_on(self, delta: Delta, message: Framed, now_seconds: float) -> Chunks:
        current = self.current
        for viewers in in_chunks(self._in_turn()):
            if self.current is not current:
                return  # replaced between two chunks: everybody waits for a snapshot
            for viewer in viewers:
                held = current.get(viewer)
                if held is None or held == delta.sequence:
                    continue  # it left, or was given a snapshot of after
                if viewer.take(message, now_seconds):
                    current[viewer] = delta.sequence
                else:
                    del current[viewer]
                    self.waiting[viewer] = None
            yield

    def _in_turn(self) -> list[Viewer]:
        """Each pass begins further on, so that nobody is always the last."""
        viewers = list(self.current)
        self._passes += 1
        first = self._passes * CHUNK_VIEWERS % max(len(viewers), 1)
        return viewers[first:] + viewers[:first]

    def serve_waiting(self, now_seconds: float) -> Chunks:
        for viewers in in_chunks(list(self.waiting) if self.copy is not None else []):
            for viewer in viewers:
                self._serve(viewer, now_seconds)
            yield

    def _serve(self, viewer: Viewer, now_seconds: float) -> None:
        if self.copy is None or viewer not in self.waiting or not viewer.has_room(now_seconds):
            return
        if self._snapshot is None:  # encoded once, and reused while the sequence stands
            self._snapshot = Framed(encode(self.copy.snapshot()))
        self._tell(viewer)
        viewer.send(self._snapshot)
        del self.waiting[viewer]
        self.current[viewer] = self.copy.sequence


class FanOut:
    """All lists and all viewers, in one session."""

    def __init__(self, session: date) -> None:
        self.session = session
        self.viewers: set[Viewer] = set()
        self.feeds: dict[str, ListFeed] = {}
        self.attending: dict[str, set[Viewer]] = {}  # who gets filings, who news: by stream
        self.missed = 0  # of these, by viewers whose buffers were full
        self.refused = 0  # frames and messages of an older session
        self._new_day = Framed(encode(NewDay(session)))
        self._announced = session

    def feed(self, name: str) -> ListFeed:
        return self.feeds.setdefault(name, ListFeed(name, self._tell))

    def unwatch(self, name: str, viewer: Viewer) -> None:
        """A variant that nobody watches is forgotten: the scanner ceases to publish it, and a copy would grow old."""
        feed = self.feed(name)
        feed.unwatch(viewer)
        if split_name(name)[1] is not None and not feed.is_watched:
            del self.feeds[name]

    def watched_variants(self) -> list[str]:
        return [name for name in self.feeds if split_name(name)[1] is not None]

    def remove(self, viewer: Viewer) -> None:
        self.viewers.discard(viewer)
        for attending in self.attending.values():
            attending.discard(viewer)
        for name in list(self.feeds):
            self.unwatch(name, viewer)

    def broadcast(self, message: Framed, now_seconds: float) -> Chunks:
        for viewers in in_chunks(list(self.viewers)):
            for viewer in viewers:
                if viewer.has_room(now_seconds):
                    viewer.send(message)
            yield

    def attend(self, stream: str, viewer: Viewer, *, wanted: bool) -> None:
        attending = self.attending.setdefault(stream, set())
        (attending.add if wanted else attending.discard)(viewer)

    def pass_on(self, stream: str, payload: bytes, now_seconds: float) -> Chunks:
        """A filing or a piece of news. There is nothing to bring anybody up to later: who is full misses it."""
        message = Framed(payload)
        for viewers in in_chunks(list(self.attending.get(stream, ()))):
            for viewer in viewers:
                self.missed += not viewer.take(message, now_seconds)
            yield

    def roll_over(self, session: date, now_seconds: float) -> int:
        """Drop everything of an earlier session; returns how many lists were dropped. `announce` says it."""
        if session <= self.session:
            return 0
        log.info("New trading day detected", date=session.isoformat(), previousCacheSize=len(self.feeds))
        self.session = session
        self._new_day = Framed(encode(NewDay(session)))
        dropped = sum(feed.copy is not None for feed in self.feeds.values())
        for feed in self.feeds.values():
            feed.replace(None, now_seconds)
        log.info("Cache cleared for new trading day", date=session.isoformat(), caches_cleared=dropped)
        return dropped

    def go_back(self, session: date) -> None:
        """Admit this earlier session from now on."""
        self.session = self._announced = min(session, self.session)

    def announce(self) -> Chunks:
        """Say `new_day` to whoever has not heard of the session; to a full one too: a few bytes that it must not miss."""
        session = self.session
        if self._announced == session:
            return
        for viewers in in_chunks([viewer for viewer in self.viewers if viewer.told < session]):
            for viewer in viewers:
                self._tell(viewer)
            yield
        self._announced = session

    def _tell(self, viewer: Viewer) -> None:
        if viewer.told < self.session:
            viewer.told = self.session
            viewer.send(self._new_day)

    def admits(self, session: date, now_seconds: float) -> bool:
        if session < self.session:
            self.refused += 1
            return False
        self.roll_over(session, now_seconds)
        return True

    def take_message(self, name: str, payload: bytes, now_seconds: float) -> Iterable[None]:
        """Pass on one message of the scanner; a list's next one is taken when this one's chunks are through.

        Raises:
            SequenceGap: it does not follow our copy: read the list's frame.
        """
        try:
            message = decode(payload)
        except msgspec.DecodeError as error:
            raise SequenceGap(f"{name}: a message of the scanner could not be read: {error}") from error
        if not isinstance(message, Delta | Snapshot) or message.list != name:
            raise SequenceGap(f"{name}: the scanner sent something that is no message of this list.")
        before = self.session
        if not self.admits(message.session, now_seconds):
            return NOTHING
        news = self.announce() if self.session > before else NOTHING
        if split_name(name)[1] is not None and name not in self.feeds:
            return news  # watched at another gateway
        feed = self.feed(name)
        if feed.copy is not None and (message.epoch, message.sequence) <= feed.copy.place:
            return news  # contained in the frame that we read
        if isinstance(message, Snapshot):
            return chain(news, feed.replace(ListCopy.of(name, message), now_seconds))
        return chain(news, feed.follow(message, Framed(payload), now_seconds))

    def take_frame(self, name: str, frame: ListFrame | None, now_seconds: float) -> Iterable[None]:
        """Adopt a frame that was read because of a gap; one that is not ahead of our copy changes nothing."""
        if frame is None or not self.admits(frame.session, now_seconds):
            return NOTHING
        feed = self.feed(name)
        if feed.copy is not None and (frame.epoch, frame.sequence) <= feed.copy.place:
            return NOTHING
        return chain(self.announce(), feed.replace(ListCopy.of(name, frame), now_seconds))

    def reconcile(self, name: str, frame: ListFrame | None, now_seconds: float) -> Iterable[None]:
        """Compare a frame, read now and then, with our copy.

        A difference counts once our copy has stood still since the last look:
        a message was lost and none came after it, or the epoch's counter was
        reset. Otherwise the messages between are merely on their way.
        """
        feed = self.feed(name)
        if frame is None or feed.copy is None:
            return self.take_frame(name, frame, now_seconds)
        stood_still, feed.last_looked_at = feed.last_looked_at == feed.copy.place, feed.copy.place
        if not stood_still or (frame.epoch, frame.sequence) == feed.copy.place or not self.admits(frame.session, now_seconds):
            return NOTHING
        return chain(self.announce(), feed.replace(ListCopy.of(name, frame), now_seconds))

    def sweep(self, now_seconds: float) -> Chunks:
        """Serve who has drained, and tell of the session whoever was not told yet."""
        yield from self.announce()
        for feed in list(self.feeds.values()):
            yield from feed.serve_waiting(now_seconds)

    def cut_off_stuck(self, now_seconds: float) -> int:
        """Abort who has been full for too long; returns how many."""
        stuck = [
            viewer
            for viewer in self.viewers
            if viewer.full_since_seconds is not None
            and not viewer.has_room(now_seconds)
            and now_seconds - viewer.full_since_seconds >= STUCK_SECONDS
        ]
        for viewer in stuck:
            viewer.transport.abort()
        return len(stuck)


def in_chunks(viewers: Sequence[Viewer]) -> Iterator[Sequence[Viewer]]:
    return (viewers[first : first + CHUNK_VIEWERS] for first in range(0, len(viewers), CHUNK_VIEWERS))
