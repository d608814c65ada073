"""What live last said of the feed: for `status`, for the phase, and as metrics of the gateway's port."""

from collections.abc import Iterator
from datetime import datetime

from prometheus_client import Metric

from tradeul.ops.metrics import counter, counters, gauge, gauges
from tradeul.records.events import FeedStatus
from tradeul.records.messages import Status

SILENT_SECONDS = 12.0  # live speaks every five


class Feed:
    """``at`` is the product's clock, ``seconds`` any that only goes forward."""

    def __init__(self) -> None:
        self._said: FeedStatus | None = None
        self._said_at: datetime | None = None
        self._said_seconds = 0.0

    def hear(self, status: FeedStatus, at: datetime, seconds: float) -> None:
        self._said, self._said_at, self._said_seconds = status, at, seconds

    def phase(self, by_calendar: str, seconds: float) -> str:
        """As live says, whose market time may be late; the calendar's while it is silent."""
        return by_calendar if self._said is None or self._is_silent(seconds) else self._said.phase

    def status(self, phase: str, mode: str, at: datetime, seconds: float) -> Status:
        """What was said last, with the time since added to its age."""
        if self._said is None or self._said_at is None:
            return Status(None, None, stale=True, phase=phase, mode=mode)
        since_ms = int((at - self._said_at).total_seconds() * 1000)
        age_ms = None if self._said.feed_age_ms is None else self._said.feed_age_ms + since_ms
        return Status(age_ms, self._said.feed_lag_p99_ms, self._said.stale or self._is_silent(seconds), phase, mode)

    def _is_silent(self, seconds: float) -> bool:
        return seconds - self._said_seconds >= SILENT_SECONDS

    def metrics(self) -> Iterator[Metric]:
        feed = self._said
        if feed is None:
            return
        lags = [(("0.5",), feed.feed_lag_p50_ms), (("0.99",), feed.feed_lag_p99_ms)]
        known = [(share, lag / 1000) for share, lag in lags if lag is not None]
        yield gauges("tradeul_feed_lag_seconds", "Arrival less bar end, over the last minute.", ("quantile",), known)
        yield gauge("tradeul_feed_age_seconds", "Since the newest bar.", None if feed.feed_age_ms is None else feed.feed_age_ms / 1000)
        yield gauge("tradeul_feed_stale", "1 while what is shown may be old.", float(feed.stale))
        yield counter("tradeul_feed_messages", "Bars and halts received.", feed.messages)
        yield counter("tradeul_feed_dropped", "Messages that a full queue cost.", feed.dropped)
        unusable = [((kind,), number) for kind, number in sorted(feed.problems.items())]
        yield counters("tradeul_feed_problems", "Messages and bars that could not be used.", ("kind",), unusable)
        yield gauge("tradeul_feed_differences", "Rows that the vendor's snapshot said otherwise, this session.", feed.differences)
        yield gauge("tradeul_feed_healed", "Of them, those that agree after their minutes were asked again.", feed.healed)
