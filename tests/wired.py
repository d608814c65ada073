"""A scanner, a gateway and its clients in one place, with networks between them that a test may disturb. No sockets, no loop, no time.

    Scanner -> bus (messages: lost, doubled, disordered; keys: emptied) -> FanOut -> a socket each (cut, full; disordered too) -> Follower

Real code: deltas of the scanner, all of the gateway but its loops, the client's
follower. Invented: rows, and what stands here for the loops of `ScannerService`
and `GatewayServer`. `check` says what is always true of a client, `calm` lets
everything heal and says what must be true then.
"""

import json
from contextlib import contextmanager
from datetime import timedelta

import msgspec

from tests.wired_gateway import FIRST, Gateway, Pipe
from tradeul.client.follower import Follower, read
from tradeul.records.lists import split_name
from tradeul.records.messages import ListHead, Resync, Snapshot, encode
from tradeul.scanner.deltas import after, follow, frame_of

LISTS = ("winners", "losers", "winners~etf")


class Scanner:
    """What is true: each list's state, and every state that it ever had."""

    def __init__(self, bus):
        self.bus, self.session, self.epoch, self.mode = bus, FIRST, 0, "SIMULATED"
        self.columns = dict.fromkeys(LISTS, ("price",))
        self.state, self.history = {}, {}
        self.restart()

    @property
    def heads(self):
        return [
            ListHead(name, name, "price > 1", (("price", "desc"),), columns) for name, columns in self.columns.items() if "~" not in name
        ]

    def rows(self, name, members):
        """``members``: symbol -> value or None. Each row says of which session it is."""
        values = enumerate(members.items())
        return [
            {"symbol": symbol, "rank": rank, "of": f"{self.session}"} | dict.fromkeys(self.columns[name], value)
            for rank, (symbol, value) in values
        ]

    def change(self, name, members, lacking=()):
        rows = self.rows(name, members)
        delta = follow(self.state[name], rows, 0, self.mode, lacking)
        if delta is not None:
            self._publish(after(self.state[name], delta, rows), delta)

    def reprice(self, name, values):
        """The same rows in the same order, some with other values."""
        held = {row["symbol"]: row["price"] for row in self.state[name].rows}
        self.change(name, held | {symbol: value for symbol, value in values.items() if symbol in held})

    def restart(self):
        """Every list in the next epoch, with what this session's lists showed."""
        self.epoch += 1
        for name in self.columns:
            frame = self.bus.frames.get(name)
            self._begin(name, self.epoch, frame.rows if frame is not None and frame.session == self.session else [])

    def edit(self, name, members):
        """Other columns, the next epoch; a list's variant is edited with it."""
        self.epoch += 1
        self.columns[name] = ("price", f"column{self.epoch}")
        self._begin(name, self.epoch, self.rows(name, members))

    def remove(self, name):
        self.columns.pop(name)
        self.state.pop(name)
        self.bus.frames.pop(name, None)

    def turn(self, session):
        if session > self.session:
            self.session = session
            for name in self.columns:
                self._begin(name, self.state[name].epoch, [])

    def heal(self):
        """The bus was emptied: everything once more."""
        if any(name not in self.bus.frames for name in self.columns):
            for state in self.state.values():
                self._publish(state, state)

    def _begin(self, name, epoch, rows):
        snapshot = Snapshot(name, self.session, self.mode, epoch, 0, len(rows), rows, 0)
        self._publish(snapshot, snapshot)

    def _publish(self, state, message):
        self.state[state.list] = state
        place = state.list, state.session, state.epoch, state.sequence
        assert self.history.setdefault(place, state) == state, "two states of one number"
        self.bus.frames[state.list] = frame_of(state)
        self.bus.messages.append((state.list, encode(message)))


class Bus:
    def __init__(self):
        self.frames, self.messages = {}, []


class Watcher:
    """One client on its socket. ``asked``: its requests for a snapshot. ``steps``: all that it went through, as a test vector."""

    def __init__(self, gateway, lists, *, records):
        self.gateway, self.follower, self.asked = gateway, Follower(lists), 0
        self.steps, self.records, self.waited = [], records, 0.0
        self.connect()

    def connect(self):
        self.pipe, self.said, self.is_disturbed = Pipe(), [], False
        self.viewer = self.gateway.connect(self.pipe)

    def break_off(self, *, gateway_notices=True):
        """What was under way is lost; the gateway may learn of it late."""
        if gateway_notices:
            self.gateway.fan_out.remove(self.viewer)
        self.pipe.is_cut = gateway_notices
        self.follower.begin()
        self._record({"reconnect": True})
        self.connect()

    def read(self, now, count=None):
        taken = self.pipe.unread[:count]
        del self.pipe.unread[: len(taken)]
        for text in taken:
            said = self.follower.hear(read(text), now).to_say
            self.said += [encode(message) for message in said]
            asks = [message.list for message in said if isinstance(message, Resync)]
            self.asked += len(asks)
            self._record({"hear": msgspec.Raw(text), "asks": asks})

    def speak(self, now, count=None):
        said = self.said[:count]
        del self.said[: len(said)]
        for text in said:
            self.gateway.hear(self.viewer, text.decode(), now)

    def _record(self, step):
        if not self.records:
            return
        fields = "session", "epoch", "sequence", "rows", "lacking"
        holds = {name: {field: getattr(state, field) for field in fields} for name, state in self.follower.held.items()}
        known = {"session": self.follower.session, "holds": holds, "wait_seconds": self.waited}
        self.steps.append(json.loads(msgspec.json.encode(step | known)))
        self.waited = 0.0


class World:
    def __init__(self, *, records=False):
        """``records``: every client's story becomes a test vector."""
        self.now = 0.0
        self.bus = Bus()
        self.scanner = Scanner(self.bus)
        self.gateway = Gateway(self.bus, self.scanner)
        self.watchers = [Watcher(self.gateway, wanted, records=records) for wanted in (LISTS, ("winners", "mine"), ("losers",))]
        self.session = FIRST  # the calendar's

    # What may happen

    def change(self, name, members, lacking=()):
        if name in self.scanner.columns:
            self.scanner.change(name, members, lacking)

    def reprice(self, name, values):
        if name in self.scanner.columns:
            self.scanner.reprice(name, values)

    def edit(self, name, members):
        self.scanner.edit(name, members)
        if split_name(name)[1] is None:
            self.gateway.take_lists(self.scanner.heads, self.now)

    def remove(self, name):
        """Of the lists only one may go, so that there are always some."""
        if name in self.scanner.columns and name == "mine":
            self.scanner.remove(name)
            self.gateway.take_lists(self.scanner.heads, self.now)

    def empty_bus(self):
        self.bus.frames.clear()

    def next_session(self, days, *, scanner_first):
        """Each rolls over by itself, one before the other."""
        self.session += timedelta(days=days)
        if scanner_first:
            self.scanner.turn(self.session)
        else:
            self.gateway.turn(self.session, self.now)

    def wait(self, seconds):
        self.now += seconds
        for watcher in self.watchers:
            watcher.waited += seconds
        self.scanner.turn(self.session)
        self.gateway.turn(self.session, self.now)
        self.scanner.heal()

    def carry_bus(self, count, fault=None, at=0, steps=None):
        """The bus brings its next messages; before that a fault happens to one of them. So far the gateway gets with them."""
        disturb(self.bus.messages, fault, at)
        for name, payload in take(self.bus.messages, count):
            self.gateway.take_message(name, payload, self.now)
        self.gateway.go_on(steps)

    def disturb_socket(self, number, fault, at=0):
        """More than TCP does: lists' messages and `new_day` lost, doubled, in another order."""
        watcher = self.watchers[number]
        kinds = [json.loads(text)["type"] in ("snapshot", "delta", "new_day") for text in watcher.pipe.unread]
        lists = [text for text, is_lists in zip(watcher.pipe.unread, kinds, strict=True) if is_lists]
        if fault is not None and lists:
            others = [text for text, is_lists in zip(watcher.pipe.unread, kinds, strict=True) if not is_lists]
            disturb(lists, fault, at)
            watcher.pipe.unread = others + lists
            watcher.is_disturbed = True

    def lose_request(self, number):
        watcher = self.watchers[number]
        if watcher.said and json.loads(watcher.said[0])["action"] == "resync":
            del watcher.said[0]

    def stick(self, number, *, is_stuck):
        self.watchers[number].pipe.is_stuck = is_stuck
        self.gateway.sweep(self.now)

    # What must be true

    def check(self):
        """At any moment: what a client holds was true, whole, and is of the session that the client is in."""
        for watcher in self.watchers:
            follower = watcher.follower
            for name, state in follower.held.items():
                assert state == self.scanner.history[name, state.session, state.epoch, state.sequence]
                assert state.session == follower.session
                assert {row["of"] for row in state.rows} <= {f"{follower.session}"}
                assert [row["rank"] for row in state.rows] == list(range(state.count))

    def calm(self):
        """Let everything heal; then every client holds what the scanner holds."""
        self._settle()
        self._agree([watcher for watcher in self.watchers if not watcher.is_disturbed])
        # Who lost the last message of a list, as no TCP loses it, learns of it with the next.
        self.wait(6.0)
        for name in self.scanner.columns:
            self.change(name, {"LAST": self.now, "A": None})
        self._settle()
        self._agree(self.watchers)
        for watcher in self.watchers:
            watcher.is_disturbed = False

    @contextmanager
    def quiet(self):
        """Once all is calm, changes come through by themselves: nobody asks for anything, all agree at once."""
        self.calm()
        asked = [watcher.asked for watcher in self.watchers]
        yield
        self.carry_bus(None)
        for watcher in self.watchers:
            watcher.read(self.now)
        self._agree(self.watchers)
        assert [watcher.asked for watcher in self.watchers] == asked

    def _settle(self):
        self.wait(6.0)
        self.carry_bus(None)
        for watcher in self.watchers:
            watcher.pipe.is_stuck = False
            if watcher.pipe.is_cut:  # it was too slow for too long
                watcher.break_off()
        for _ in range(3):  # a look that finds, one that is sure, and one for who came meanwhile
            self.gateway.look(self.now)
            self.gateway.sweep(self.now)
            self.gateway.go_on()
            for watcher in self.watchers:
                while watcher.pipe.unread or watcher.said:
                    watcher.read(self.now)
                    watcher.speak(self.now)
        self.check()

    def _agree(self, watchers):
        for watcher in watchers:
            follower = watcher.follower
            wanted = set(follower.wanted) & self.scanner.columns.keys()
            assert follower.session == self.session
            assert follower.held == {name: self.scanner.state[name] for name in wanted}
            assert follower.current == wanted or watcher.is_disturbed


def take(messages, count):
    taken = messages[:count]
    del messages[: len(taken)]
    return taken


FAULTS = ("lost", "doubled", "swapped", "late", "doubled late")


def disturb(messages, fault, at):
    if not messages:
        return
    at %= len(messages)
    match fault:
        case "lost":
            del messages[at]
        case "doubled":
            messages.insert(at, messages[at])
        case "swapped":
            messages[at : at + 2] = reversed(messages[at : at + 2])
        case "late":
            messages.append(messages.pop(at))
        case "doubled late":
            messages.append(messages[at])
