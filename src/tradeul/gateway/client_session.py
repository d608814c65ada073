"""One browser's conversation, without its socket.

    text or bytes in -> `ClientSession.receive` -> actions for the server to carry out, in order

It knows what the browser subscribed to and how much it has asked lately; it
does not know rows, sequences or buffers (`fan_out.py`).
"""

from collections.abc import Collection, Mapping
from typing import TypeAlias

import msgspec

from tradeul.records import messages
from tradeul.records.filings import FILINGS_STREAM, NEWS_STREAM
from tradeul.records.lists import CLASSES, split_name, variant_name
from tradeul.records.messages import ErrorMessage, Pong, ServerMessage, Subscribed, Unsubscribed

MAX_SUBSCRIPTIONS = 64  # eleven built-in lists and a person's own, with room
MAX_MESSAGE_BYTES = 4096  # the longest sensible message is below 200
BURST_MESSAGES = 100  # a page opening: one subscription a list, and a reconnect on top
MESSAGES_PER_SECOND = 10.0
MAX_ERRORS_IN_A_ROW = 20  # then the socket is closed: nobody reads the answers


class Reply(msgspec.Struct, frozen=True):
    message: ServerMessage


class Watch(msgspec.Struct, frozen=True):
    """Give a snapshot of the list as soon as there is one, then its deltas."""

    list: str  # or its variant in a class, as winners~etf


class Unwatch(msgspec.Struct, frozen=True):
    list: str


class Attend(msgspec.Struct, frozen=True):
    """Pass on each entry of a stream, filings or news, from now on; or no more."""

    stream: str
    wanted: bool = True


class HangUp(msgspec.Struct, frozen=True):
    reason: str


Action: TypeAlias = Reply | Watch | Unwatch | Attend | HangUp
STREAMS = {"filings": FILINGS_STREAM, "news": NEWS_STREAM}


class _Request(msgspec.Struct, frozen=True):
    action: str
    list: str | None = None
    class_: str | None = msgspec.field(default=None, name="class")  # None: the list's own


_decoder = msgspec.json.Decoder(_Request)


class ClientSession:
    def __init__(self) -> None:
        self.subscriptions: set[str] = set()
        self._allowance = float(BURST_MESSAGES)
        self._asked_at_seconds = 0.0
        self._errors_in_a_row = 0

    def receive(self, message: str | bytes, known_lists: Mapping[str, str], *, now_seconds: float, clock_ms: int) -> list[Action]:
        """Answer one message.

        Args:
            message: what arrived; bytes for a binary frame.
            known_lists: the names that may be subscribed to now, each with its list's own class.
            now_seconds: any clock that only goes forward; the rate limit is by it.
            clock_ms: the product's clock, for `pong`.
        """
        return self._judged(self._answer(message, known_lists, now_seconds, clock_ms))

    def receive_control(self, *, now_seconds: float) -> list[Action]:
        """A ping or pong of the WebSocket protocol: nothing to do, unless there are too many of them."""
        return [] if self._is_allowed(now_seconds) else self._judged(_too_fast())

    def _judged(self, answer: list[Action]) -> list[Action]:
        """Mistakes in a row are counted."""
        if not (isinstance(answer[0], Reply) and isinstance(answer[0].message, ErrorMessage)):
            self._errors_in_a_row = 0
            return answer
        self._errors_in_a_row += 1
        if self._errors_in_a_row < MAX_ERRORS_IN_A_ROW:
            return answer
        return [*answer, HangUp("too many errors in a row")]

    def forget(self, known_lists: Collection[str]) -> list[Action]:
        """Lists were removed: end their subscriptions."""
        gone = sorted(name for name in self.subscriptions if split_name(name)[0] not in known_lists)
        return [action for name in gone for action in self._unsubscribe(name)]

    def _answer(self, message: str | bytes, known_lists: Mapping[str, str], now_seconds: float, clock_ms: int) -> list[Action]:
        if not self._is_allowed(now_seconds):
            return _too_fast()
        if isinstance(message, bytes):
            return _error(messages.BAD_JSON, "A binary message: send JSON text.")
        text = message.encode("utf-8", "surrogatepass")
        if len(text) > MAX_MESSAGE_BYTES:
            return _error(messages.TOO_LARGE, f"A message holds at most {MAX_MESSAGE_BYTES} bytes.")
        try:
            request = _decoder.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:  # nested too deeply
            return _error(messages.BAD_JSON, f"{error}. Send an object such as " + '{"action":"subscribe","list":"winners"}.')
        return self._obey(request, known_lists, clock_ms)

    def _is_allowed(self, now_seconds: float) -> bool:
        elapsed = max(now_seconds - self._asked_at_seconds, 0.0)
        self._asked_at_seconds = now_seconds
        self._allowance = min(self._allowance + elapsed * MESSAGES_PER_SECOND, float(BURST_MESSAGES))
        if self._allowance < 1.0:
            return False
        self._allowance -= 1.0
        return True

    def _obey(self, request: _Request, known_lists: Mapping[str, str], clock_ms: int) -> list[Action]:
        match request.action:
            case "ping":
                return [Reply(Pong(clock_ms))]
            case "subscribe" | "subscribe_list":
                return self._subscribe(request, known_lists)
            case "unsubscribe" | "unsubscribe_list":
                return self._unsubscribe(_meant(request, known_lists))
            case "subscribe_filings" | "subscribe_news":
                stream = STREAMS[request.action.removeprefix("subscribe_")]
                return [Reply(Subscribed(stream)), Attend(stream)]
            case "unsubscribe_filings" | "unsubscribe_news":
                stream = STREAMS[request.action.removeprefix("unsubscribe_")]
                return [Attend(stream, wanted=False), Reply(Unsubscribed(stream))]
            case "resync":
                name = _meant(request, known_lists)
                if name is None or name not in self.subscriptions:
                    return _error(messages.UNKNOWN_LIST, f"Not subscribed to {_quoted(name)}: subscribe first.")
                return [Watch(name)]
        allowed = "subscribe, unsubscribe, resync, subscribe_filings, subscribe_news, ping"
        return _error(messages.UNKNOWN_ACTION, f"Unknown action {_quoted(request.action)}: use one of {allowed}.")

    def _subscribe(self, request: _Request, known_lists: Mapping[str, str]) -> list[Action]:
        name = _meant(request, known_lists)
        base, issue_class = split_name(name or "")
        if name is None or base not in known_lists:
            return _error(messages.UNKNOWN_LIST, f"No list {_quoted(name)}. The lists: {', '.join(sorted(known_lists)) or 'none yet'}.")
        if issue_class is not None and issue_class not in CLASSES:
            return _error(messages.UNKNOWN_LIST, f"{base} has no class {_quoted(issue_class)}. The classes: {', '.join(CLASSES)}.")
        if name not in self.subscriptions and len(self.subscriptions) >= MAX_SUBSCRIPTIONS:
            return _error(messages.TOO_MANY, f"At most {MAX_SUBSCRIPTIONS} subscriptions on one socket: unsubscribe from one first.")
        self.subscriptions.add(name)
        return [Reply(Subscribed(name)), Watch(name)]

    def _unsubscribe(self, name: str | None) -> list[Action]:
        if name not in self.subscriptions:
            return _error(messages.UNKNOWN_LIST, f"Not subscribed to {_quoted(name)}.")
        self.subscriptions.remove(name)
        return [Unwatch(name), Reply(Unsubscribed(name))]


def _meant(request: _Request, known_lists: Mapping[str, str]) -> str | None:
    """The list, or its variant: by the field `class`, or as answers name it (winners~etf). A list's own class is the list itself."""
    if request.list is None:
        return None
    base, issue_class = split_name(request.list)
    issue_class = request.class_ if request.class_ is not None else issue_class
    return base if issue_class is None or issue_class == known_lists.get(base) else variant_name(base, issue_class)


def _too_fast() -> list[Action]:
    return _error(messages.TOO_MANY, f"More than {MESSAGES_PER_SECOND:.0f} messages a second: slow down.")


def _error(code: str, message: str) -> list[Action]:
    return [Reply(ErrorMessage(code, message))]


def _quoted(text: str | None) -> str:
    """What the client said, short enough to be said back."""
    return "(none given)" if text is None else repr(text[:40])
