"""The gateway of `wired.py`: all of the real one but its loops and its sockets."""

from datetime import UTC, date, datetime
from unittest.mock import patch

from tradeul.errors import SequenceGap
from tradeul.gateway import fan_out
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
    """FanOut and ClientSession, wired as `GatewayServer` does, without its loops.

    What writes to many goes a viewer at a time here: `go_on` takes the next steps of all that is under way.
    """

    def __init__(self, bus, scanner):
        self._one_viewer_a_step = patch.object(fan_out, "CHUNK_VIEWERS", 1)
        self._one_viewer_a_step.start()
        self.bus, self.fan_out = bus, FanOut(FIRST)
        self.heads = scanner.heads
        self.under_way = {}  # of whom: a list's messages, the looks, the turn, the sweep, each one after the other

    def close(self):
        self._one_viewer_a_step.stop()

    def begin(self, whose, chunks):
        self.under_way[whose] = iter(chunks)

    def finish(self, whose):
        for _ in self.under_way.pop(whose, ()):
            pass

    def go_on(self, count=None):
        """So many steps, each of another; None: all."""
        while self.under_way and count != 0:
            whose = next(iter(self.under_way))
            chunks = self.under_way.pop(whose)
            if next(chunks, self) is not self:
                self.under_way[whose] = chunks
                count = None if count is None else count - 1

    def connect(self, pipe):
        viewer = Viewer("v", pipe, ClientSession(), self.fan_out.session)
        self.fan_out.viewers.add(viewer)
        self._greet(viewer)
        return viewer

    def hear(self, viewer, text, now):
        self._carry_out(viewer, viewer.session.receive(text, self._known(), now_seconds=now, clock_ms=0), now)

    def take_message(self, name, payload, now):
        self.finish(name)
        try:
            self.begin(name, self.fan_out.take_message(name, payload, now))
        except SequenceGap:
            self.begin(name, self.fan_out.take_frame(name, self.bus.frames.get(name), now))

    def turn(self, session, now):
        self.fan_out.roll_over(session, now)
        self.finish("turn")
        self.begin("turn", self.fan_out.announce())

    def sweep(self, now):
        self.finish("sweep")
        self.begin("sweep", self.fan_out.sweep(now))
        self.fan_out.cut_off_stuck(now)

    def take_lists(self, heads, now):
        self.heads = heads
        for viewer in list(self.fan_out.viewers):
            self._carry_out(viewer, viewer.session.forget(self._known()), now)
            self._greet(viewer)
        for name in [name for name in self.fan_out.feeds if split_name(name)[0] not in self._known()]:
            del self.fan_out.feeds[name]

    def look(self, now):
        """What comes every five seconds: the comparison with frames."""
        for name in [*self._known(), *self.fan_out.watched_variants()]:
            self.finish("look")
            self.begin("look", self.fan_out.reconcile(name, self.bus.frames.get(name), now))

    def _carry_out(self, viewer, actions, now):
        for action in actions:
            match action:
                case Reply(message):
                    viewer.say(text_frame(encode(message)))
                case Watch(name):
                    self.fan_out.feed(name).watch(viewer, now)
                case Unwatch(name):
                    self.fan_out.unwatch(name, viewer)

    def _greet(self, viewer):
        viewer.told = self.fan_out.session
        viewer.say(text_frame(encode(self._connected())))

    def _known(self):
        return {head.name: head.issue_class for head in self.heads}

    def _connected(self):
        return Connected("c", self.fan_out.session, "MARKET_OPEN", "SIMULATED", NOW, self.heads)
