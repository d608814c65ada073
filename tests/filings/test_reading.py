"""Where a reading of the feed ends, and what it gives; the whole path under random timings is `test_timings.py`'s."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.filings.house import entry_of
from tradeul.filings import reading
from tradeul.filings.reading import LATE, Reading

NEW = datetime(2026, 3, 9, 15, tzinfo=UTC)


@pytest.fixture(autouse=True)
def small_pages(monkeypatch):
    monkeypatch.setattr(reading, "PAGE", 3)


def feed(*minutes, filers=1):
    """Entries so many minutes before NEW, in the given order."""
    return [entry for number, ago in enumerate(minutes) for entry in entry_of(int(ago * 60), NEW - timedelta(minutes=ago), filers)]


def numbers(filings):
    return [int(filing.accession[-6:]) for filing in filings]


def test_it_reads_on_until_what_was_seen_before_and_a_little_further():
    found = Reading(NEW - timedelta(minutes=3))
    pages = feed(0, 1, 2), feed(2, 3, 4), feed(4, 5, 9)
    assert numbers(found.take(pages[0])) == [60, 0]  # the last may go on on the next page
    assert not found.ended and found.start == 2
    assert numbers(found.take(pages[1])) == [180, 120] and not found.ended
    assert timedelta(minutes=9) > LATE + timedelta(minutes=3)
    assert numbers(found.take(pages[2])) == [540, 300, 240]
    assert found.ended and not found.gap and found.seen_to == NEW


def test_entries_pushed_down_by_newer_ones_come_once():
    found = Reading(NEW - timedelta(minutes=1))
    first, second = found.take(feed(0, 1, 2)), found.take(feed(1, 2, 30))
    assert numbers(first) + numbers(second) == [60, 0, 1800, 120] and found.ended


def test_a_filing_over_two_pages_is_one_with_all_its_filers():
    found = Reading(NEW)
    entries = feed(0, 1, filers=2)
    assert found.take([*entries[:2], entries[2]]) != []
    (filing,) = found.take([*entries[2:], *feed(20)])[1:]
    assert [filer.cik for filer in filing.filers] == ["0000000001", "0000000002"]


def test_what_is_put_in_across_two_pages_is_left_for_the_next_reading():
    found, put_in = Reading(NEW - timedelta(minutes=1)), entry_of(7, NEW - timedelta(minutes=2), 3)
    found.take(feed(0, 1, 3))
    assert numbers(found.take([put_in[2], *feed(3, 30)])) == [1800, 180] and found.ended
    found = Reading(found.seen_to)
    found.take([*feed(0, 1), put_in[0]])
    assert [len(filing.filers) for filing in found.take([*put_in, *feed(3, 30)]) if filing.accession == put_in[0].accession] == [3]


def test_a_filing_that_is_pushed_beyond_the_next_page_waits_there():
    found, split = Reading(NEW - timedelta(minutes=1)), entry_of(7, NEW - timedelta(minutes=2), 2)
    assert len(found.take([*feed(0, 1), split[0]])) == 2
    assert split[0].accession not in {filing.accession for filing in found.take([*feed(1, 1.5), *feed(1.8)])}
    assert [len(filing.filers) for filing in found.take([*split, *feed(30)]) if filing.accession == split[0].accession] == [2]


def test_what_the_next_reading_would_not_reach_is_not_left():
    found = Reading(NEW - timedelta(hours=1))
    found.take(feed(0, 1, 2))
    found.take(feed(2, 3, 4))
    assert numbers(found.take(feed(40, 41, 70))) == [4200, 2460, 2400, 240], "entries before it were taken away"


def test_a_feed_that_ends_before_what_was_seen_has_a_gap():
    found = Reading(NEW - timedelta(hours=5))
    found.take(feed(0, 1, 2))
    assert numbers(found.take([])) == [120], "what was kept is not lost"
    assert found.ended and found.gap


def test_an_empty_feed_is_no_gap():
    found = Reading(NEW)
    assert found.take([]) == [] and found.ended and not found.gap and found.seen_to == NEW


def test_a_feed_that_never_ends_is_read_so_far_and_no_further():
    found = Reading(NEW - timedelta(days=9))
    while not found.ended:
        found.take(feed(*range(found.start, found.start + 3)))
    assert found.pages == reading.MOST_PAGES and found.gap
