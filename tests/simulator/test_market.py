import json
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.simulator.conftest import SESSION, instant
from tradeul.market_calendar import nyse
from tradeul.simulator.aggregates import grouped, one_ticker
from tradeul.simulator.snapshot import snapshot

within = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
any_second = st.integers(0, 57_600)


def bars_of(market, symbol, width, first, last, now, **query):
    match = {"ticker": symbol, "multiplier": str(width[0]), "timespan": width[1], "from": str(first), "to": str(last)}
    answer = one_ticker(market, "http://x/v2/aggs/ticker/S/range/1/minute/a/b", match, {"limit": "50000", **query}, now)
    return json.loads(answer.body).get("results", [])


def snapshots(market, now):
    return {row["ticker"]: row for row in json.loads(snapshot(market, now, None)[0])}


@within
@given(any_second)
def test_snapshot_aggregates_and_daily_bars_agree(market, second):
    now = instant(4, 0) + timedelta(seconds=second)
    rows = snapshots(market, now)
    daily = {row["T"]: row for row in json.loads(grouped(market, SESSION, {}, now).body).get("results", [])}
    for symbol in list(rows)[::17]:
        row, minutes = rows[symbol], bars_of(market, symbol, (1, "minute"), SESSION, SESSION, now)
        assert row["min"]["av"] == sum(bar["v"] for bar in minutes)
        assert all(bar["t"] + 60_000 <= now.timestamp() * 1000 for bar in minutes)
        if minutes:
            assert {name: row["min"][name] for name in "tohlcvn"} == {name: minutes[-1][name] for name in "tohlcvn"}
        regular = [bar for bar in minutes if instant(9, 30).timestamp() * 1000 <= bar["t"] < instant(16, 0).timestamp() * 1000]
        if regular:
            assert daily[symbol]["o"] == regular[0]["o"] == row["day"]["o"]
            assert daily[symbol]["h"] == max(bar["h"] for bar in regular) <= row["day"]["h"]
            assert daily[symbol]["v"] == sum(bar["v"] for bar in minutes) <= row["day"]["v"]
        else:
            assert symbol not in daily


@within
@given(st.integers(0, 960))
def test_on_a_whole_minute_the_snapshot_is_the_sum_of_its_minutes(market, minute):
    now = instant(4, 0) + timedelta(minutes=minute)
    for symbol, row in list(snapshots(market, now).items())[::23]:
        minutes = bars_of(market, symbol, (1, "minute"), SESSION, SESSION, now)
        if row["day"]["v"]:
            assert row["day"]["v"] == row["min"]["av"]
            assert row["day"]["vw"] == pytest.approx(sum(b["vw"] * b["v"] for b in minutes) / row["day"]["v"], abs=1e-3)
        if minutes:
            assert row["lastTrade"]["p"] == minutes[-1]["c"]


@within
@given(any_second, st.integers(0, 299))
def test_wider_bars_are_sums_of_narrower_ones(market, second, number):
    now, symbol = instant(4, 0) + timedelta(seconds=second), market.source.issues[number].symbol
    fives = bars_of(market, symbol, (5, "minute"), SESSION, SESSION, now)
    ones = bars_of(market, symbol, (1, "minute"), SESSION, SESSION, now)
    assert sum(bar["v"] for bar in fives) == sum(bar["v"] for bar in ones)
    for five in fives:
        inside = [bar for bar in ones if five["t"] <= bar["t"] < five["t"] + 300_000]
        assert (five["o"], five["c"], five["n"]) == (inside[0]["o"], inside[-1]["c"], sum(bar["n"] for bar in inside))
        assert (five["h"], five["l"]) == (max(bar["h"] for bar in inside), min(bar["l"] for bar in inside))


@within
@given(st.integers(0, 299), st.integers(0, 400))
def test_one_tickers_days_are_the_markets_days(market, number, back):
    session = nyse().before(SESSION, 401)[back]
    now, symbol = instant(9, 0), market.source.issues[number].symbol
    rows = {row["T"]: row for row in json.loads(grouped(market, session, {}, now).body)["results"]}
    mine = bars_of(market, symbol, (1, "day"), session, session, now)
    if symbol in rows:
        row = rows[symbol]
        assert {name: mine[0].get(name) for name in ("o", "h", "l", "c", "v", "vw", "n")} == {
            name: row.get(name) for name in ("o", "h", "l", "c", "v", "vw", "n")
        }
    else:
        assert mine == []


def test_adjusted_history_has_no_jump_at_a_split(market):
    now = instant(9, 0, session=nyse().next(SESSION))
    [number] = [n for n, split in market.source.story.splits[SESSION] if split.split_from == 8]
    symbol, before = market.source.issues[number].symbol, nyse().previous(SESSION)
    raw = bars_of(market, symbol, (1, "day"), before, SESSION, now, adjusted="false")
    adjusted = bars_of(market, symbol, (1, "day"), before, SESSION, now)
    assert raw[1]["o"] / raw[0]["c"] == pytest.approx(8, rel=0.03)
    assert adjusted[1]["o"] / adjusted[0]["c"] == pytest.approx(1, rel=0.03)
    assert adjusted[0]["v"] == raw[0]["v"] / 8
    minutes = bars_of(market, symbol, (5, "minute"), before, before, now)
    assert sum(bar["v"] for bar in minutes) == pytest.approx(adjusted[0]["v"])
    # Before the split is effective nobody adjusts for it.
    early = bars_of(market, symbol, (1, "day"), before, before, instant(21, 0, session=before))
    assert early[0]["c"] == raw[0]["c"]


def test_the_snapshot_is_cleared_at_half_past_three(market):
    before = nyse().previous(SESSION)
    late, yesterday = snapshots(market, instant(3, 29, 59)), snapshots(market, instant(20, 30, session=before))
    assert late == yesterday
    cleared = snapshots(market, instant(3, 30))
    assert all(row["min"]["av"] == row["day"]["v"] == 0 and "lastTrade" not in row for row in cleared.values())
    traded = [symbol for symbol, row in yesterday.items() if row["day"]["v"]]
    assert all(cleared[symbol]["prevDay"]["c"] == yesterday[symbol]["day"]["c"] for symbol in traded)


def test_before_the_opening_day_is_zero_and_min_counts(market):
    rows = snapshots(market, instant(9, 29)).values()
    assert all(row["day"] == dict.fromkeys(("o", "h", "l", "c", "v", "vw"), 0) for row in rows)
    assert any(row["min"]["av"] > 10_000 for row in rows)


def test_on_a_closed_day_the_snapshot_stays(market):
    friday = nyse().previous(SESSION)
    evening = snapshots(market, instant(21, 0, session=friday))
    sunday = snapshots(market, instant(12, 0, session=friday) + timedelta(days=2))
    assert evening == sunday


def test_some_daily_rows_lack_vwap_and_trades(market):
    now, missing, rows = instant(9, 0), 0, 0
    for session in nyse().before(SESSION, 20):
        for row in json.loads(grouped(market, session, {}, now).body)["results"]:
            rows += 1
            missing += "vw" not in row
            assert ("vw" in row) == ("n" in row)
    assert 0 < missing / rows < 0.02


def test_minutes_are_kept_within_bounds(market):
    for session in nyse().before(SESSION, 5):
        market.minutes(session)
    assert len(market._minutes) == 2
    assert np.array_equal(market.minutes(session).volume, market.source.minutes(session).volume)


def test_seconds_are_told_once_they_have_ended_those_of_the_running_minute_too(market):
    now = instant(10, 30, 17)
    found = 0
    for issue in market.source.issues[::10]:
        until = bars_of(market, issue.symbol, (1, "second"), SESSION, SESSION, now)
        whole = bars_of(market, issue.symbol, (1, "second"), SESSION, SESSION, instant(10, 31))
        now_ms = now.timestamp() * 1000
        assert until == [bar for bar in whole if bar["t"] + 1000 <= now_ms]
        first = int(now_ms) - 30_000
        span = bars_of(market, issue.symbol, (1, "second"), first, int(now_ms), now)
        assert span == [bar for bar in until if bar["t"] >= first]
        found += any(bar["t"] >= instant(10, 30).timestamp() * 1000 for bar in span)
    assert found
