"""The gateway of `wired.py`: all of the real one but its loops and its sockets."""

from datetime import UTC, date, datetime

from tradeul.errors import SequenceGap
from tradeul.gateway.client_session import ClientSession, Reply, Unwatch, Watch
from tradeul.gateway.fan_out import BUFFER_LIMIT_BYTES, FanOut, Viewer
from tradeul.gateway.frames import text_frame
from tradeul.records.lists import split_name
from tradeul.records.messages import Connected, encode

FIRST = date(2026, 3, 9)
NOW = datetime(2026, 3, 9, 15, tzinfo=UTC)


class Pipe:
    """A transport: what the gateway wrote and nobody has read yet. ``is_stuck``: its buffer counts as full."""

    def __init__(self):
        self.unread, self.is_stuck, self.is_cut = [], False, False

    def write(self, data):
        self.unread.append(data[{126: 4, 127: 10}.get(data[1], 2) :])

    def get_write_buffer_size(self):
        return BUFFER_LIMIT_BYTES + 1 if self.is_stuck else 0

    def is_closing(self):
        return self.is_cut

    def abort(self):
        self.is_cut = True


class Gateway:
    """FanOut and ClientSession, wired as `GatewayServer` does, without its loops."""

    def __init__(self, bus, scanner):
        self.bus, self.fan_out = bus, FanOut(FIRST)
        self.heads = scanner.heads

    def connect(self, pipe):
        viewer = Viewer("v", pipe, ClientSession())
        self.fan_out.viewers.add(viewer)
        viewer.send(text_frame(encode(self._connected())))
        return viewer

    def hear(self, viewer, text, now):
        self._carry_out(viewer, viewer.session.receive(text, self._known(), now_seconds=now, clock_ms=0), now)

    def take_message(self, name, payload, now):
        try:
            self.fan_out.take_message(name, payload, now)
        except SequenceGap:
            self.fan_out.take_frame(name, self.bus.frames.get(name), now)

    def turn(self, session, now):
        self.fan_out.roll_over(session, now)

    def sweep(self, now):
        self.fan_out.sweep(now)

    def take_lists(self, heads, now):
        self.heads = heads
        for viewer in list(self.fan_out.viewers):
            self._carry_out(viewer, viewer.session.forget(self._known()), now)
            viewer.send(text_frame(encode(self._connected())))
        for name in [name for name in self.fan_out.feeds if split_name(name)[0] not in self._known()]:
            del self.fan_out.feeds[name]

    def look(self, now):
        """What comes every five seconds: the comparison with frames."""
        for name in [*self._known(), *self.fan_out.watched_variants()]:
            self.fan_out.reconcile(name, self.bus.frames.get(name), now)

    def _carry_out(self, viewer, actions, now):
        for action in actions:
            match action:
                case Reply(message):
                    viewer.send(text_frame(encode(message)))
                case Watch(name):
                    self.fan_out.feed(name).watch(viewer, now)
                case Unwatch(name):
                    self.fan_out.unwatch(name, viewer)

    def _known(self):
        return {head.name: head.issue_class for head in self.heads}

    def _connected(self):
        return Connected("c", self.fan_out.session, "MARKET_OPEN", "SIMULATED", NOW, self.heads)
