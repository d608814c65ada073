"""The log of who entered and left each list: what to write, and what it says after a restart.

    rows of a cycle, against what the log says -> events -> log -> published
    begin: the log of the session, replayed -> who is on each list; who was at the end of each phase

What is compared is the log, not what was sent: killed between the two, the
next start finds in the log exactly what was written, and goes on from there;
no event is lost, none is written twice. How it lies on disk and comes to the
lake: `store/membership_log.py`. Calls block: use a thread.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Protocol, TypeAlias

import structlog

from tradeul.errors import StoreError
from tradeul.market_calendar import Phase, SessionHours
from tradeul.records.membership import ENTER, LEAVE, MembershipEvent
from tradeul.records.messages import Row, Rows

Held: TypeAlias = dict[str, dict[str, Row]]  # list -> symbol -> its row
# A scanner that wrote nothing so long before a phase ended may not have seen its end.
SAW_THE_END = timedelta(minutes=5)

log = structlog.get_logger()


class Log(Protocol):
    def read(self, session: date) -> Iterator[MembershipEvent]: ...

    def append(self, session: date, events: list[MembershipEvent]) -> None: ...

    def settle(self, session: date, *, is_closed: bool) -> None: ...


def events_between(held: Mapping[str, Mapping[str, Row]], rows: Mapping[str, Rows], time: datetime) -> list[MembershipEvent]:
    """Leaves first, list by list; a list that is no more loses its members."""
    events = []
    for name in [*held, *(name for name in rows if name not in held)]:
        before, now = held.get(name, {}), {row["symbol"]: row for row in rows.get(name, ())}
        if before.keys() == now.keys():
            continue
        events += [MembershipEvent(time, name, symbol, LEAVE, row["rank"], row) for symbol, row in before.items() if symbol not in now]
        events += [MembershipEvent(time, name, symbol, ENTER, row["rank"], row) for symbol, row in now.items() if symbol not in before]
    return events


def held_by(rows: Mapping[str, Rows]) -> Held:
    return {name: {row["symbol"]: row for row in found} for name, found in rows.items()}


def replay(events: Iterable[MembershipEvent], ends: Mapping[Phase, datetime]) -> tuple[Held, dict[Phase, dict[str, list[str]]]]:
    """Who is on each list after ``events``, and who was just before each of ``ends``, as far as the log reaches so close to it."""
    held: Held = {}
    last: dict[Phase, datetime] = {}
    then: dict[Phase, dict[str, list[str]]] = {}
    waiting = dict(ends)
    newest: datetime | None = None
    for event in events:
        for phase in [phase for phase, end in waiting.items() if event.time >= end]:
            then[phase], last[phase] = _symbols(held), newest or event.time
            del waiting[phase]
        members = held.setdefault(event.list, {})
        if event.event == ENTER:
            members[event.symbol] = event.row
        else:
            members.pop(event.symbol, None)
        newest = event.time
    for phase in waiting:
        if newest is not None:
            then[phase], last[phase] = _symbols(held), newest
    return held, {phase: found for phase, found in then.items() if ends[phase] - SAW_THE_END <= last[phase] < ends[phase]}


def _symbols(held: Held) -> dict[str, list[str]]:
    return {name: list(members) for name, members in held.items()}


class Membership:
    """What is held against each cycle's rows; one session at a time."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._session: date | None = None
        self._held: Held = {}
        self._failures = 0

    def begin(self, hours: SessionHours) -> dict[Phase, dict[str, list[str]]]:
        """Go on with the session's log; who stood on each list at the end of each phase of it."""
        self._session = hours.session
        ends = {Phase.PRE_MARKET: hours.open_at, Phase.MARKET_OPEN: hours.close_at}
        self._held, then = replay(self._log.read(hours.session), ends)
        return then

    def note(self, rows: Mapping[str, Rows], time: datetime) -> None:
        """Write what changed. What the disk does not take is found, and tried again, in the next cycle."""
        assert self._session is not None  # noqa: S101 begun
        events = events_between(self._held, rows, time)
        try:
            if events:
                self._log.append(self._session, events)
        except StoreError as error:
            self._failures += 1
            if self._failures & (self._failures - 1) == 0:  # 1, 2, 4, 8 ...
                log.error("membership_not_written", reason=str(error), count=self._failures)
            return
        self._held = held_by(rows)

    def settle(self, session: date, *, is_closed: bool) -> None:
        """Bring what is over to the lake."""
        try:
            self._log.settle(session, is_closed=is_closed)
        except StoreError as error:
            log.error("membership_not_in_the_lake", reason=str(error), kept="its log; the next start tries again")
