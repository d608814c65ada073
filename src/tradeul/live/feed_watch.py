"""Whether the feed is well: what was heard of it and when, as one `FeedStatus`. Pure: instants and what others count come in."""

from collections import Counter, deque
from collections.abc import Mapping
from datetime import datetime, timedelta

from tradeul.live.today_table import TodayTable
from tradeul.market_calendar import Phase
from tradeul.records.bars import StreamBatch
from tradeul.records.entitlements import Mode
from tradeul.records.events import FeedStatus, StreamHealth

# Silence beyond this is stale: with second bars the whole market is never silent, minute bars alone come once a minute.
# A second less than what is promised, which is the telling's.
STALE, STALE_MINUTES_ONLY = timedelta(seconds=4), timedelta(seconds=75)
GAPS_KEPT = 100  # a thin market is silent now and then: thrice its longest silence but one (which may be a lost connection's)
REFUSED = ("other_session", "malformed", "too_many_symbols", "snapshots_refused")


class FeedWatch:
    def __init__(self, began_at: datetime) -> None:
        self._began_at = began_at
        self._heard_at: datetime | None = None
        self._hears_seconds = False
        self._gaps: deque[timedelta] = deque(maxlen=GAPS_KEPT)
        self._messages = 0
        self.patience: timedelta | None = None  # of a feed that comes at its own pace; None: by the kind of bars heard

    def hear(self, batch: StreamBatch, now: datetime) -> bool:
        """Whether it is the first."""
        first, before, self._heard_at = self._heard_at is None, self._heard_at or now, now
        self._gaps.append(now - before)
        self._hears_seconds |= bool(batch.seconds)
        self._messages += len(batch.seconds) + len(batch.minutes) + len(batch.halts)
        return first

    def is_stale(self, now: datetime, table: TodayTable, mode: str, trouble: str | None) -> bool:
        if mode == Mode.END_OF_DAY or table.hours.phase(now) is Phase.CLOSED:
            return False
        # Nobody can be heard before the session's first second.
        since = max(self._heard_at or self._began_at, table.hours.pre_open_at)
        return trouble is not None or now - since > (self.patience or self._usual())

    def _usual(self) -> timedelta:
        if not self._hears_seconds:
            return STALE_MINUTES_ONLY
        longest = sorted(self._gaps)[-2:]
        return min(max(STALE, 3 * longest[0]), STALE_MINUTES_ONLY)

    def status(self, now: datetime, table: TodayTable, mode: str, stream: StreamHealth) -> FeedStatus:
        newest_ms = (table.pre_open_s + table.newest_end_s) * 1000 if table.newest_end_s else None
        trouble = None if mode == Mode.END_OF_DAY else stream.trouble
        return FeedStatus(
            session=table.session,
            phase=str(table.hours.phase(now)),
            mode=mode,
            feed_age_ms=None if newest_ms is None else max(int(now.timestamp() * 1000 - newest_ms), 0),
            feed_lag_p50_ms=stream.lag_p50_ms,
            feed_lag_p99_ms=stream.lag_p99_ms,
            stale=self.is_stale(now, table, mode, trouble),
            messages=self._messages,
            symbols=len(table.symbols),
            trouble=trouble,
            dropped=stream.dropped,
            problems=problems(table.counts, stream.problems),
            differences=table.counts["differences"],
            healed=table.counts["healed"],
        )


def problems(counts: Mapping[str, int], of_stream: Mapping[str, int]) -> dict[str, int]:
    """Kind -> messages that could not be used (since the start), and bars and rows that the table refused (this session)."""
    refused = {name.replace("_", " "): counts[name] for name in REFUSED if counts[name]}
    return dict(Counter(of_stream) + Counter(refused))


def is_news(one: FeedStatus, other: FeedStatus) -> bool:
    """Whether people should hear of the difference at once."""
    return any(getattr(one, name) != getattr(other, name) for name in ("session", "phase", "mode", "stale", "trouble"))
