"""What live last said of the feed, as metrics of the gateway's port: nothing that the gateway knows itself."""

from collections.abc import Iterator

from prometheus_client import Metric

from tradeul.ops.metrics import counter, counters, gauge, gauges
from tradeul.records.events import FeedStatus


def feed_metrics(feed: FeedStatus | None) -> Iterator[Metric]:
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
