"""Half days and changes of daylight time: slots and phases as written by hand, of the reference, and of the recorded five-minute file."""

import csv
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from tests.reference.hours import OPEN, hours_of
from tradeul.analytics.slots import sum_slots
from tradeul.market_calendar import nyse

FIVE_MINUTES = "bars/us_5min_rth_2025-11-03_2026-03-12_100tickers.parquet"
# By hand: 04:00, open, close, end of the post-market in UTC, and the number of slots.
BY_HAND = {
    date(2025, 10, 31): ("08:00", "13:30", "20:00", "24:00", 192),  # the Friday before clocks go back
    date(2025, 11, 3): ("09:00", "14:30", "21:00", "25:00", 192),
    date(2025, 11, 28): ("09:00", "14:30", "18:00", "22:00", 156),  # a half day
    date(2026, 3, 6): ("09:00", "14:30", "21:00", "25:00", 192),  # the Friday before they go forward
    date(2026, 3, 9): ("08:00", "13:30", "20:00", "24:00", 192),
    date(2026, 10, 30): ("08:00", "13:30", "20:00", "24:00", 192),
    date(2026, 11, 2): ("09:00", "14:30", "21:00", "25:00", 192),
}


@pytest.mark.parametrize("session", BY_HAND, ids=str)
def test_the_instants_slots_and_phases_of_odd_sessions_are_those_written_by_hand(session):
    *walls, slots = BY_HAND[session]
    midnight = datetime(session.year, session.month, session.day, tzinfo=UTC)
    instants = [midnight + timedelta(hours=int(wall[:2]), minutes=int(wall[3:])) for wall in walls]
    hours = nyse().hours(session)
    assert [hours.pre_open_at, hours.open_at, hours.close_at, hours.post_close_at] == instants
    assert hours.slots == slots
    phases = ["PRE_MARKET", "MARKET_OPEN", "POST_MARKET", "CLOSED"]
    for instant, before, phase in zip(instants, ["CLOSED", *phases], phases, strict=False):
        assert (str(hours.phase(instant - timedelta(seconds=1))), str(hours.phase(instant))) == (before, phase)


def test_every_session_of_the_published_list_has_the_references_hours(shared_data):
    with (shared_data / "reference" / "nyse_sessions_2015_2026.csv").open() as lines:
        listed = [(date.fromisoformat(row["date"]), row["close_et"]) for row in csv.DictReader(lines)]
    assert len(listed) > 3_000 and sum(close == "13:00" for _, close in listed) > 20
    for session, close in listed:
        want, got = hours_of(session, close), nyse().hours(session)
        instants = [want.instant(t) for t in (0, OPEN, want.close, want.end)]
        assert [got.pre_open_at.timestamp(), got.open_at.timestamp(), got.close_at.timestamp(), got.post_close_at.timestamp()] == instants
        assert got.is_full_length == (close == "16:00")


@pytest.mark.parametrize(("session", "close", "last_slot"), [
    (date(2025, 11, 3), "16:00", 143), (date(2025, 11, 28), "13:00", 107), (date(2025, 12, 24), "13:00", 107),
    (date(2026, 3, 6), "16:00", 143), (date(2026, 3, 9), "16:00", 143),
], ids=str)  # fmt: skip
def test_recorded_bars_of_regular_hours_fall_into_the_slots_from_the_open_to_the_close(shared_data, session, close, last_slot):
    bars = pl.read_parquet(shared_data / FIVE_MINUTES).filter(pl.col("ts").dt.convert_time_zone("America/New_York").dt.date() == session)
    tickers = bars["ticker"].unique().sort()
    hours = nyse().hours(session)
    codes = tickers.search_sorted(bars["ticker"]).to_numpy().astype(np.int64)
    start_ms = bars["ts"].dt.epoch("ms").to_numpy()
    sums = sum_slots(codes, start_ms, bars["volume"].to_numpy(), np.ones(len(bars)), int(hours.pre_open_at.timestamp() * 1000), hours.slots)
    assert sums.outside == 0
    most = np.bincount(sums.slots) > 0.9 * len(tickers)
    assert np.flatnonzero(most).tolist() == list(range(66, last_slot + 1))  # after an early close few trade
    reference, numbers, expected = hours_of(session, close), {ticker: number for number, ticker in enumerate(tickers)}, {}
    for ticker, ts, volume in bars.select("ticker", "ts", "volume").iter_rows():
        key = numbers[ticker], reference.slot(ts.timestamp() - reference.pre_open)
        expected[key] = expected.get(key, 0) + volume
    assert dict(zip(zip(sums.codes.tolist(), sums.slots.tolist(), strict=True), sums.volume.tolist(), strict=True)) == expected
