"""Every list to everyone who watches it: who gets a delta, who a snapshot, who must wait.

                 snapshot sent                  buffer over the limit, or the copy was replaced
    waiting  ------------------->  current  ------------------------------------------------->  waiting

A viewer in `current` holds exactly the copy's sequence, so the next delta is
its next delta: no gap, no duplicate. One in `waiting` gets nothing of the list
but one fresh snapshot, once there is a copy and room in its buffer.

The session decides first: what belongs to an older one is refused and counted,
a newer one empties everything and says `new_day`. No bus and no sockets here:
`server.py` brings the bytes, transports take them.
"""

from datetime import date
from typing import Protocol

import msgspec
import structlog

from tradeul.errors import SequenceGap
from tradeul.gateway.client_session import ClientSession
from tradeul.gateway.frames import text_frame
from tradeul.gateway.list_copy import ListCopy
from tradeul.records.lists import ListFrame, split_name
from tradeul.records.messages import Delta, NewDay, Snapshot, decode, encode

BUFFER_LIMIT_BYTES = 512 * 1024  # some ten snapshots; the kernel's buffer comes on top
DRAINED_BYTES = 64 * 1024
STUCK_SECONDS = 20.0

log = structlog.get_logger()


class Transport(Protocol):
    def write(self, data: bytes, /) -> None: ...
    def get_write_buffer_size(self) -> int: ...
    def is_closing(self) -> bool: ...
    def abort(self) -> None: ...


class Viewer:
    """One browser's socket as the fan-out sees it."""

    def __init__(self, connection_id: str, transport: Transport, session: ClientSession) -> None:
        self.connection_id = connection_id
        self.session = session
        self.transport = transport
        self.full_since_seconds: float | None = None

    def send(self, frame: bytes) -> None:
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
    """One list: our copy of it, and its viewers."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.copy: ListCopy | None = None
        self.current: set[Viewer] = set()
        self.waiting: set[Viewer] = set()
        self.last_looked_at: tuple[int, int] | None = None
        self._snapshot_frame: bytes | None = None

    @property
    def is_watched(self) -> bool:
        return bool(self.current or self.waiting)

    def watch(self, viewer: Viewer, now_seconds: float) -> None:
        self.current.discard(viewer)
        self.waiting.add(viewer)
        self.serve_waiting(now_seconds)

    def unwatch(self, viewer: Viewer) -> None:
        self.current.discard(viewer)
        self.waiting.discard(viewer)

    def replace(self, copy: ListCopy | None, now_seconds: float) -> None:
        self.copy, self._snapshot_frame = copy, None
        self.waiting |= self.current
        self.current = set()
        self.serve_waiting(now_seconds)

    def follow(self, delta: Delta, frame: bytes, now_seconds: float) -> None:
        """Raises SequenceGap; then there is no copy until a frame is read."""
        if self.copy is None:
            raise SequenceGap(f"{self.name}: a delta came before the first snapshot.")
        try:
            self.copy.apply(delta)
        except SequenceGap:
            self.replace(None, now_seconds)
            raise
        self._snapshot_frame = None
        full = {viewer for viewer in self.current if not viewer.has_room(now_seconds)}
        self.current -= full
        for viewer in self.current:
            viewer.send(frame)
        self.waiting |= full
        self.serve_waiting(now_seconds)

    def serve_waiting(self, now_seconds: float) -> None:
        if self.copy is None:
            return
        for viewer in list(self.waiting):
            if viewer.has_room(now_seconds):
                viewer.send(self._snapshot(self.copy))
                self.waiting.remove(viewer)
                self.current.add(viewer)

    def _snapshot(self, copy: ListCopy) -> bytes:
        """Encoded once, and reused while the sequence stands."""
        if self._snapshot_frame is None:
            self._snapshot_frame = text_frame(encode(copy.snapshot()))
        return self._snapshot_frame


class FanOut:
    """All lists and all viewers, in one session."""

    def __init__(self, session: date) -> None:
        self.session = session
        self.viewers: set[Viewer] = set()
        self.feeds: dict[str, ListFeed] = {}
        self.refused = 0  # frames and messages of an older session

    def feed(self, name: str) -> ListFeed:
        return self.feeds.setdefault(name, ListFeed(name))

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
        for name in list(self.feeds):
            self.unwatch(name, viewer)

    def broadcast(self, frame: bytes, now_seconds: float) -> None:
        for viewer in self.viewers:
            if viewer.has_room(now_seconds):
                viewer.send(frame)

    def roll_over(self, session: date, now_seconds: float) -> int:
        """Drop everything of an earlier session and say so; returns how many lists were dropped."""
        if session <= self.session:
            return 0
        log.info("New trading day detected", date=session.isoformat(), previousCacheSize=len(self.feeds))
        self.session = session
        dropped = sum(feed.copy is not None for feed in self.feeds.values())
        for feed in self.feeds.values():
            feed.replace(None, now_seconds)
        frame = text_frame(encode(NewDay(session)))
        for viewer in self.viewers:
            viewer.send(frame)  # even to a full one: a few bytes that it must not miss
        log.info("Cache cleared for new trading day", date=session.isoformat(), caches_cleared=dropped)
        return dropped

    def admits(self, session: date, now_seconds: float) -> bool:
        if session < self.session:
            self.refused += 1
            return False
        self.roll_over(session, now_seconds)
        return True

    def take_message(self, name: str, payload: bytes, now_seconds: float) -> None:
        """Pass on one message of the scanner.

        Raises:
            SequenceGap: it does not follow our copy: read the list's frame.
        """
        try:
            message = decode(payload)
        except msgspec.DecodeError as error:
            raise SequenceGap(f"{name}: a message of the scanner could not be read: {error}") from error
        if not isinstance(message, Delta | Snapshot) or message.list != name:
            raise SequenceGap(f"{name}: the scanner sent something that is no message of this list.")
        if not self.admits(message.session, now_seconds):
            return
        if split_name(name)[1] is not None and name not in self.feeds:
            return  # watched at another gateway
        feed = self.feed(name)
        if feed.copy is not None and (message.epoch, message.sequence) <= feed.copy.place:
            return  # contained in the frame that we read
        if isinstance(message, Snapshot):
            feed.replace(ListCopy.of(name, message), now_seconds)
        else:
            feed.follow(message, text_frame(payload), now_seconds)

    def take_frame(self, name: str, frame: ListFrame | None, now_seconds: float) -> None:
        """Adopt a frame that was read because of a gap; one that is not ahead of our copy changes nothing."""
        if frame is None or not self.admits(frame.session, now_seconds):
            return
        feed = self.feed(name)
        if feed.copy is None or (frame.epoch, frame.sequence) > feed.copy.place:
            feed.replace(ListCopy.of(name, frame), now_seconds)

    def reconcile(self, name: str, frame: ListFrame | None, now_seconds: float) -> None:
        """Compare a frame, read now and then, with our copy.

        A difference counts once our copy has stood still since the last look:
        a message was lost and none came after it, or the epoch's counter was
        reset. Otherwise the messages between are merely on their way.
        """
        feed = self.feed(name)
        if frame is None or feed.copy is None:
            self.take_frame(name, frame, now_seconds)
            return
        stood_still, feed.last_looked_at = feed.last_looked_at == feed.copy.place, feed.copy.place
        if stood_still and (frame.epoch, frame.sequence) != feed.copy.place and self.admits(frame.session, now_seconds):
            feed.replace(ListCopy.of(name, frame), now_seconds)

    def sweep(self, now_seconds: float) -> int:
        """Serve who has drained, cut off who is stuck; returns how many were cut off."""
        for feed in self.feeds.values():
            feed.serve_waiting(now_seconds)
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
