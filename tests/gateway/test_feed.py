from datetime import UTC, date, datetime, timedelta

from tradeul.gateway.feed import SILENT_SECONDS, Feed
from tradeul.records.events import FeedStatus
from tradeul.records.messages import Status

NOON = datetime(2026, 3, 9, 16, 0, tzinfo=UTC)
SAID = FeedStatus(date(2026, 3, 9), "MARKET_OPEN", "DELAYED", 1200, 2300, stale=False, messages=5, symbols=12)


def test_before_it_spoke_all_is_stale_and_the_phase_is_the_calendars():
    feed = Feed()
    assert feed.phase("CLOSED", 5.0) == "CLOSED"
    assert feed.status("CLOSED", "LIVE", NOON, 5.0) == Status(None, None, stale=True, phase="CLOSED", mode="LIVE")
    assert list(feed.metrics()) == []


def test_what_it_said_grows_older_and_is_stale_once_it_is_silent():
    feed = Feed()
    feed.hear(SAID, NOON, 100.0)
    assert feed.phase("POST_MARKET", 101.0) == "MARKET_OPEN"  # a delayed market's phase is later than the clock's
    later = NOON + timedelta(seconds=1)
    assert feed.status("MARKET_OPEN", "DELAYED", later, 101.0) == Status(2200, 2300, stale=False, phase="MARKET_OPEN", mode="DELAYED")
    assert feed.status("MARKET_OPEN", "DELAYED", later, 100.0 + SILENT_SECONDS).stale
    assert feed.phase("POST_MARKET", 100.0 + SILENT_SECONDS) == "POST_MARKET"
