"""The exchange's sessions and phases: pure functions of a date or an instant.

    03:00        04:00         09:30          16:00         20:00 ET
      | CLOSED     | PRE_MARKET  | MARKET_OPEN  | POST_MARKET | CLOSED
      new day      pre_open_at   open_at        close_at      post_close_at

On an early close (13:00) the post-market ends at 17:00. Sessions come from
``nyse.csv`` (`scripts/make_calendar.py`); closures announced later are merged
with `Calendar.with_closures`. The only source of "previous session".
"""

import bisect
import csv
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import cache
from importlib import resources
from zoneinfo import ZoneInfo

import msgspec

from tradeul.errors import CalendarError

NEW_YORK = ZoneInfo("America/New_York")
NEW_DAY = time(3, 0)
PRE_OPEN = time(4, 0)
OPEN = time(9, 30)
CLOSE = time(16, 0)
POST_MARKET = timedelta(hours=4)  # 16:00-20:00, 13:00-17:00
SLOT_SECONDS = 300
OLDEST_CLOSE_SESSIONS = 5


class Phase(StrEnum):
    PRE_MARKET = "PRE_MARKET"
    MARKET_OPEN = "MARKET_OPEN"
    POST_MARKET = "POST_MARKET"
    CLOSED = "CLOSED"


def at(session: date, wall: time) -> datetime:
    """The instant (UTC) of a wall time in New York on ``session``."""
    return datetime.combine(session, wall, NEW_YORK).astimezone(UTC)


class SessionHours(msgspec.Struct, frozen=True):
    """The instants (UTC) of one session."""

    session: date
    new_day_at: datetime
    pre_open_at: datetime
    open_at: datetime
    close_at: datetime
    post_close_at: datetime

    @property
    def is_full_length(self) -> bool:
        return self.close_at - self.open_at == timedelta(hours=6, minutes=30)

    @property
    def slots(self) -> int:
        """How many 5-minute slots the session has: 192, fewer on early closes."""
        return int((self.post_close_at - self.pre_open_at).total_seconds()) // SLOT_SECONDS

    def phase(self, now: datetime) -> Phase:
        if self.pre_open_at <= now < self.open_at:
            return Phase.PRE_MARKET
        if self.open_at <= now < self.close_at:
            return Phase.MARKET_OPEN
        if self.close_at <= now < self.post_close_at:
            return Phase.POST_MARKET
        return Phase.CLOSED


class Calendar:
    """Sessions in order, with the wall time of each close."""

    def __init__(self, closes: Mapping[date, time]) -> None:
        self._closes = dict(closes)
        self._sessions = sorted(self._closes)

    @property
    def sessions(self) -> Sequence[date]:
        return self._sessions

    def with_closures(self, closures: Mapping[date, time | None]) -> "Calendar":
        """This calendar with announced closures (None) and early closes (their wall time)."""
        closes = self._closes | {day: close for day, close in closures.items() if close is not None}
        return Calendar({day: close for day, close in closes.items() if closures.get(day, close) is not None})

    def is_session(self, day: date) -> bool:
        return day in self._closes

    def hours(self, session: date) -> SessionHours:
        """Raises CalendarError: ``session`` is no session, or outside the calendar's years."""
        if session not in self._closes:
            raise CalendarError(f"{session} is no session of the exchange; the one before is {self.latest(session)}.")
        close_at = at(session, self._closes[session])
        instants = at(session, NEW_DAY), at(session, PRE_OPEN), at(session, OPEN), close_at
        return SessionHours(session, *instants, close_at + POST_MARKET)

    def latest(self, day: date) -> date:
        """The last session on or before ``day``."""
        place = bisect.bisect_right(self._sessions, day) - 1
        self._check(place >= 0 and day <= self._sessions[-1] + timedelta(days=4), day)
        return self._sessions[place]

    def previous(self, session: date) -> date:
        """The session before."""
        return self.latest(session - timedelta(days=1))

    def next(self, session: date) -> date:
        """The session after."""
        place = bisect.bisect_right(self._sessions, session)
        self._check(place < len(self._sessions), session)
        return self._sessions[place]

    def between(self, first: date, last: date) -> list[date]:
        """The sessions with first <= session <= last."""
        return self._sessions[bisect.bisect_left(self._sessions, first) : bisect.bisect_right(self._sessions, last)]

    def before(self, session: date, count: int) -> list[date]:
        """The last ``count`` sessions before ``session``, oldest first."""
        place = bisect.bisect_left(self._sessions, session)
        return self._sessions[max(place - count, 0) : place]

    def current_session(self, now: datetime) -> date:
        """The session whose own 03:00 ET has passed and whose successor's has not."""
        wall = now.astimezone(NEW_YORK)
        day = wall.date() if wall.time() >= NEW_DAY else wall.date() - timedelta(days=1)
        return self.latest(day)

    def oldest_close(self, now: datetime) -> date:
        """The oldest session that an end-of-day source may still show: its newest close may be days late."""
        return self.before(self.current_session(now), OLDEST_CLOSE_SESSIONS)[0]

    def phase(self, now: datetime) -> Phase:
        return self.hours(self.current_session(now)).phase(now)

    def _check(self, inside: bool, day: date) -> None:
        if not inside:
            span = f"{self._sessions[0]} to {self._sessions[-1]}"
            raise CalendarError(f"{day} is outside the calendar ({span}); scripts/make_calendar.py extends it.")


@cache
def nyse() -> Calendar:
    """The New York exchanges' calendar, 1990-2030."""
    text = resources.files(__name__).joinpath("nyse.csv").read_text()
    rows = csv.DictReader(text.splitlines())
    return Calendar({date.fromisoformat(row["session"]): time.fromisoformat(row["close"]) for row in rows})
