"""What a client of docs/protocol.md holds and says, without its socket.

    message in -> `Follower.hear` -> events for whoever watches, and messages to send

Its events are the gateway's messages, with every delta applied: after each
change of a list comes the whole list as a `Snapshot`. What is of another
session, or contained already, is none; a gap becomes a request for a snapshot.
No socket, no clock, no retry (`client.py`).
"""

from collections.abc import Iterable
from datetime import date
from typing import NamedTuple, TypeAlias, get_args

import msgspec

from tradeul.errors import SequenceGap
from tradeul.records.lists import split_name
from tradeul.records.messages import (
    ClientMessage,
    Connected,
    Delta,
    ErrorMessage,
    ListHead,
    NewDay,
    Resync,
    ServerMessage,
    Snapshot,
    Status,
    Subscribe,
    Unsubscribed,
    decode,
)
from tradeul.records.rows import after_steps, in_order

ASK_AGAIN_SECONDS = 5.0  # the gateway may have refused the first request for its limits

Event: TypeAlias = Connected | Snapshot | NewDay | Status | Unsubscribed | ErrorMessage


class Heard(NamedTuple):
    events: list[Event]
    to_say: list[ClientMessage]


class Follower:
    def __init__(self, lists: Iterable[str]) -> None:
        """``lists``: names as `winners`, or `winners~etf` for another class than the list's own."""
        self.wanted = tuple(dict.fromkeys(lists))
        self.session: date | None = None
        self.lists: dict[str, ListHead] = {}  # what there is to subscribe to
        self.held: dict[str, Snapshot] = {}
        self.current: set[str] = set()  # of what is held: what no known gap and no lost connection has left behind
        self.refused = 0  # messages of an older session
        self._subscribed: set[str] = set()
        self._asked_at_seconds: dict[str, float] = {}

    def begin(self) -> None:
        """A new socket, which remembers nothing; what is held stays, and is not current."""
        self.current.clear()
        self._subscribed.clear()
        self._asked_at_seconds.clear()

    def hear(self, message: ServerMessage, now_seconds: float) -> Heard:
        """``now_seconds``: any clock that only goes forward."""
        match message:
            case Connected():
                return self._connect(message)
            case NewDay(session):
                return Heard(self._reach(session), [])
            case Snapshot() | Delta():
                return self._follow(message, now_seconds)
            case Unsubscribed(name):
                self._forget(name)
                self._subscribed.discard(name)
                return Heard([message], [])
            case Status() | ErrorMessage():
                return Heard([message], [])
        return Heard([], [])

    def name_of(self, wanted: str) -> str:
        """The name under which messages come: a list in its own class is the list itself."""
        base, issue_class = split_name(wanted)
        return base if base in self.lists and self.lists[base].issue_class == issue_class else wanted

    def _connect(self, message: Connected) -> Heard:
        self.lists = {head.name: head for head in message.lists}
        events: list[Event] = [message]
        if message.session != self.session:
            events += self._enter(message.session)
        known = {self.name_of(name) for name in self.wanted if split_name(name)[0] in self.lists}
        for name in self.held.keys() - known:
            self._forget(name)  # it went while there was no connection, else `unsubscribed` would have said it
        new = sorted(known - self._subscribed)
        self._subscribed = known  # one that went and comes back must be asked for again
        return Heard(events, [Subscribe(name) for name in new])

    def _reach(self, session: date) -> list[Event]:
        """Within a socket sessions only go forward."""
        return self._enter(session) if self.session is None or session > self.session else []

    def _enter(self, session: date) -> list[Event]:
        is_first, self.session = self.session is None, session
        self.held.clear()
        self.current.clear()
        self._asked_at_seconds.clear()
        return [] if is_first else [NewDay(session)]

    def _forget(self, name: str) -> None:
        self.held.pop(name, None)
        self.current.discard(name)
        self._asked_at_seconds.pop(name, None)

    def _follow(self, message: Snapshot | Delta, now_seconds: float) -> Heard:
        if message.list not in self._subscribed:
            return Heard([], [])
        if self.session is not None and message.session < self.session:
            self.refused += 1
            return Heard([], [])
        events = self._reach(message.session)
        held = self.held.get(message.list)
        if isinstance(message, Delta) and held is not None and (message.epoch, message.sequence) <= (held.epoch, held.sequence):
            return Heard(events, [])
        try:
            state = whole(message) if isinstance(message, Snapshot) else apply(held, message)
        except SequenceGap:
            return Heard(events, self._ask(message.list, now_seconds))
        self.held[message.list] = state
        if isinstance(message, Snapshot):
            self._asked_at_seconds.pop(message.list, None)
        if message.list not in self._asked_at_seconds:
            self.current.add(message.list)
        return Heard([*events, state], [])

    def _ask(self, name: str, now_seconds: float) -> list[ClientMessage]:
        self.current.discard(name)
        asked_at = self._asked_at_seconds.get(name)
        if asked_at is not None and now_seconds - asked_at < ASK_AGAIN_SECONDS:
            return []
        self._asked_at_seconds[name] = now_seconds
        return [Resync(name)]


def whole(snapshot: Snapshot) -> Snapshot:
    """The same, by rank.

    Raises:
        SequenceGap: its ranks are not 0 to n-1.
    """
    try:
        return msgspec.structs.replace(snapshot, rows=in_order(snapshot.rows))
    except ValueError as error:
        raise SequenceGap(f"{snapshot.list}: at sequence {snapshot.sequence} {error}; ask for a snapshot.") from error


def apply(held: Snapshot | None, delta: Delta) -> Snapshot:
    """What a viewer of ``held`` holds after ``delta``; rows are replaced, never changed in place.

    Raises:
        SequenceGap: the delta follows another state, or contradicts this one.
    """
    if held is None:
        raise SequenceGap(f"{delta.list}: a delta came before the first snapshot; ask for a snapshot.")
    if (delta.list, delta.session, delta.epoch, delta.base) != (held.list, held.session, held.epoch, held.sequence):
        raise SequenceGap(
            f"{held.list}: a delta of {delta.session}, epoch {delta.epoch}, from sequence {delta.base} does not follow "
            f"{held.session}, epoch {held.epoch}, sequence {held.sequence}; ask for a snapshot."
        )
    try:
        rows = after_steps(held.rows, delta.deltas)
    except ValueError as error:
        raise SequenceGap(f"{held.list}: at sequence {delta.sequence} {error}; ask for a snapshot.") from error
    return Snapshot(held.list, held.session, delta.mode, held.epoch, delta.sequence, len(rows), rows, delta.timestamp, delta.lacking)


class _Typed(msgspec.Struct):
    type: str


_typed = msgspec.json.Decoder(_Typed)
_KNOWN = {kind.__struct_config__.tag for kind in get_args(ServerMessage)}


def read(text: str | bytes) -> ServerMessage | None:
    """None: a message of a type that this version does not know.

    Raises:
        msgspec.DecodeError: no message of the protocol.
    """
    try:
        return decode(text)
    except msgspec.ValidationError:
        if _typed.decode(text).type in _KNOWN:
            raise
        return None
