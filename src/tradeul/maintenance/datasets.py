"""The table of datasets: which sessions each wants, when a session's partition is due, and when it is final.

A dataset is a task of the same name (`tasks/`). Those *of a served session*
(the universe, splits, baselines, what the bus holds) are wanted for the
current session, and from the evening on for the next; metadata and the
announcement of a session from its own morning on (`Windows.new_day_at`); those
*of a traded session* for a window of past ones. What is loaded before its final instant is
`provisional` and due again after it. To add a task: a row here, a file there.
"""

from datetime import date, datetime, time

import msgspec

from tradeul.market_calendar import Calendar, at

TICKERS, SPLITS, OHLC_DAILY, VOLUME_SLOTS, BASELINES, METADATA_ENRICH, REDIS_SYNC, NEW_TRADING_DAY, MINUTE_BARS, TIMESCALE_MIRROR = (
    "tickers",
    "splits",
    "ohlc_daily",
    "volume_slots",
    "baselines",
    "metadata_enrich",
    "redis_sync",
    "new_trading_day",
    "minute_bars",
    "timescale_mirror",
)
# The vendor's files of a day are complete about then, on the next session.
FILES_AT = time(11, 0)


class Windows(msgspec.Struct, frozen=True):
    """How far back, when, and by which tickers a day is judged: what a person may set."""

    daily_sessions: int = 260
    slot_sessions: int = 30  # 0: no slots, the plan does not include them
    rvol_sessions: int = 20
    maintenance_at: time = time(17, 0)  # Eastern wall times
    final_at: time = time(20, 15)
    new_day_at: time = time(3, 0)
    reference_tickers: tuple[str, ...] = ()  # trade in every session that they are listed in
    minute_sessions: int = 0  # of minute bars; 0: none are kept
    history_sessions: int = 1260  # kept of the rest, the windows in any case
    mirror: bool = False  # the lake is copied to PostgreSQL
    end_of_day: bool = False  # lists show the last close: until the next one is there, its own baselines are wanted


class Dataset(msgspec.Struct, frozen=True):
    name: str
    served: bool  # of a served session, else of traded sessions
    needs: tuple[str, ...] = ()  # of the same session, in the lake
    evening: bool = False  # a traded session's: already due at 17:00, else at 20:15
    morning: bool = False  # a served session's: due once it has begun, not the evening before
    filed: bool = False  # a traded session's: due when the next one's 17:00 has come, since it is made of the vendor's file alone


DATASETS = {
    dataset.name: dataset
    for dataset in (
        Dataset(TICKERS, served=True),
        Dataset(SPLITS, served=True),
        Dataset(OHLC_DAILY, served=False, evening=True),
        Dataset(VOLUME_SLOTS, served=False, needs=(OHLC_DAILY,)),
        Dataset(BASELINES, served=True, needs=(TICKERS, SPLITS)),
        Dataset(METADATA_ENRICH, served=True, needs=(TICKERS,), morning=True),
        Dataset(REDIS_SYNC, served=True, needs=(BASELINES,)),
        Dataset(NEW_TRADING_DAY, served=True, morning=True),
        Dataset(MINUTE_BARS, served=False, filed=True),
        Dataset(TIMESCALE_MIRROR, served=True, needs=(BASELINES,), morning=True),
    )
}


class Schedule(msgspec.Struct, frozen=True):
    """Instants of partitions: pure, from calendar and windows."""

    calendar: Calendar
    windows: Windows

    def due_at(self, dataset: str, session: date) -> datetime:
        kind = DATASETS[dataset]
        if kind.morning:
            return at(session, self.windows.new_day_at)
        if kind.served:
            return at(self.calendar.previous(session), self.windows.final_at)
        if kind.filed:
            return at(self.calendar.next(session), self.windows.maintenance_at)
        return at(session, self.windows.maintenance_at if kind.evening else self.windows.final_at)

    def final_at(self, dataset: str, session: date) -> datetime:
        return at(session, self.windows.new_day_at if DATASETS[dataset].served else self.windows.final_at)

    def served(self, now: datetime) -> list[date]:
        """The sessions that baselines are wanted for: the current one, from the evening on the next, and that of a close still shown."""
        current = self.calendar.current_session(now)
        return [*self.closed(now), current, *self.following(now)]

    def following(self, now: datetime) -> list[date]:
        """The session after the current one, once it is prepared."""
        following = self.calendar.next(self.calendar.current_session(now))
        return [following] if self.due_at(BASELINES, following) <= now else []

    def closed(self, now: datetime) -> list[date]:
        """The session whose close an end-of-day product shows until the current one's is there."""
        return [self.calendar.previous(self.calendar.current_session(now))] if self.windows.end_of_day else []

    def sessions(self, dataset: str, now: datetime) -> list[date]:
        """The sessions whose partitions of ``dataset`` are wanted, oldest first."""
        if not DATASETS[dataset].served:
            return self.window(dataset, now)
        if dataset == TIMESCALE_MIRROR and not self.windows.mirror:
            return []
        past = self.closed(now) if DATASETS[dataset].morning else ()
        return [session for session in self.served(now) if self.due_at(dataset, session) <= now and session not in past]

    def before(self, dataset: str, served: date) -> list[date]:
        """The traded sessions whose partitions go into the baselines of ``served``, oldest first."""
        slots = self.windows.slot_sessions
        # Slots are judged by their day's bars, so the daily window is never the shorter one.
        return self.calendar.before(served, slots if dataset == VOLUME_SLOTS else max(self.windows.daily_sessions, slots))

    def mirrored(self, dataset: str, current: date) -> list[date]:
        """The traded sessions of ``dataset`` that people ask by SQL while ``current`` is the session, oldest first."""
        if dataset == VOLUME_SLOTS and not self.windows.slot_sessions:
            return []
        return [*self.before(dataset, current), current]

    def window(self, dataset: str, now: datetime) -> list[date]:
        """The traded sessions wanted, oldest first."""
        if dataset == MINUTE_BARS:
            filed = [each for each in self.calendar.before(self.calendar.current_session(now), 2) if self.due_at(dataset, each) <= now]
            following = [self.calendar.next(each) for each in filed[-1:]]
            return [each for last in following for each in self.calendar.before(last, self.windows.minute_sessions)]
        if dataset == VOLUME_SLOTS and not self.windows.slot_sessions:
            return []
        current = self.calendar.current_session(now)
        today = [current] if self.due_at(dataset, current) <= now else []
        return self.before(dataset, current) + today

    def wake_after(self, instant: datetime) -> datetime:
        """The next wake-up after ``instant``: one of the three wall times of a session."""
        session = self.calendar.current_session(instant)
        walls = self.windows.new_day_at, self.windows.maintenance_at, self.windows.final_at
        wakes = [at(day, wall) for day in (session, self.calendar.next(session)) for wall in walls]
        return min(wake for wake in wakes if wake > instant)

    def new_day_after(self, instant: datetime) -> tuple[date, datetime]:
        """The next session to be announced after ``instant``, and when: it may have turned before."""
        current = self.calendar.current_session(instant)
        days = [(session, self.due_at(NEW_TRADING_DAY, session)) for session in (current, self.calendar.next(current))]
        return next((session, due_at) for session, due_at in days if due_at > instant)
