import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulator.conftest import SESSION, SIZE
from tradeul.market_calendar import nyse
from tradeul.simulator.bars import totals
from tradeul.simulator.story import CORRECTED_MINUTE, HALT_END, HALT_START, SILENT_FROM
from tradeul.simulator.synthetic import SyntheticMarket

SESSIONS = nyse().between(SESSION.replace(year=2024, month=1, day=2), SESSION.replace(month=12, day=31))
any_session = st.sampled_from(SESSIONS)
any_number = st.integers(0, SIZE - 1)
COLUMNS = ("start", "open", "high", "low", "close", "volume", "trades")


def close_second(session):
    hours = nyse().hours(session)
    return int((hours.close_at - hours.pre_open_at).total_seconds())


@settings(max_examples=12, deadline=None)
@given(any_session)
def test_minutes_add_up_to_the_daily_bars(synthetic, session):
    daily = synthetic.daily(session)
    sums = totals(synthetic.minutes(session), SIZE, close_second(session))
    assert (np.flatnonzero(sums.regular) == daily.key).all()
    for name in ("open", "high", "low", "close", "volume"):
        assert (getattr(sums, name)[daily.key] == getattr(daily, name)).all()
    counted = ~np.isnan(daily.trades)
    assert (sums.trades[daily.key][counted] == daily.trades[counted]).all()
    vwap = sums.dollars[daily.key] / sums.volume[daily.key]
    reach = (daily.high - daily.low) + 0.02 * daily.close
    assert (np.abs(vwap - daily.vwap)[counted] < reach[counted]).all()


@settings(max_examples=15, deadline=None)
@given(any_session, st.integers(0, 959))
def test_seconds_add_up_to_their_minute(synthetic, session, minute):
    minutes = synthetic.minutes(session)
    minutes = minutes.take(minutes.start == minute * 60)
    seconds = synthetic.seconds(session, minutes)
    assert ((seconds.start >= minute * 60) & (seconds.start < minute * 60 + 60)).all()
    heads = np.searchsorted(seconds.issue, minutes.issue)
    if len(heads):
        assert (np.add.reduceat(seconds.volume, heads) == minutes.volume).all()
        assert (np.add.reduceat(seconds.trades, heads) == minutes.trades).all()
        assert (np.maximum.reduceat(seconds.high, heads) == minutes.high).all()
        assert (np.minimum.reduceat(seconds.low, heads) == minutes.low).all()
        assert (seconds.open[heads] == minutes.open).all()


@settings(max_examples=15, deadline=None)
@given(any_number, st.lists(any_session, min_size=1, max_size=4, unique=True))
def test_one_issue_over_sessions_is_the_same_as_in_the_whole_market(synthetic, number, sessions):
    sessions = sorted(sessions)
    daily = synthetic.daily_of(number, sessions)
    for place, (session, alone) in enumerate(zip(sessions, synthetic.minutes_of(number, sessions), strict=True)):
        whole = synthetic.minutes(session).of(number)
        for name in COLUMNS:
            assert (getattr(whole, name) == getattr(alone, name)).all()
        market = synthetic.daily(session)
        assert daily.close[daily.key == place].tolist() == market.close[market.key == number].tolist()
        assert daily.volume[daily.key == place].tolist() == market.volume[market.key == number].tolist()


def test_another_process_would_see_the_same_market(synthetic):
    again = SyntheticMarket(7, SIZE, nyse())
    later = nyse().next(SESSION)
    again.daily(nyse().before(later, 1)[0])  # another order of questions
    first, second = synthetic.minutes(later), again.minutes(later)
    for name in ("issue", *COLUMNS):
        assert (getattr(first, name) == getattr(second, name)).all()
    assert [issue.symbol for issue in again.issues] == [issue.symbol for issue in synthetic.issues]
    assert (SyntheticMarket(8, SIZE, nyse()).daily(SESSION).close[:50] != synthetic.daily(SESSION).close[:50]).any()


def test_there_are_three_hundred_sessions_of_history(synthetic):
    before = nyse().before(SESSION, 300)
    assert all(synthetic.covers(session) for session in before)
    number = int(np.argmin(synthetic.universe.liquidity_rank + synthetic.universe.listed * 1000))
    assert len(synthetic.daily_of(number, before).key) == 300


def test_all_classes_and_spellings_are_there():
    issues = SyntheticMarket(7, 2000, nyse()).issues
    kinds = {issue.kind for issue in issues}
    assert {"CS", "ADRC", "ETF", "WARRANT", "UNIT", "RIGHT", "PFD", "FUND"} <= kinds
    symbols = [issue.symbol_on(SESSION) for issue in issues if issue.last_date is None]
    assert len(set(symbols)) == len(symbols) == 1998
    assert any(symbol.endswith(".B") for symbol in symbols)
    assert any(len(symbol) == 5 and symbol.endswith("W") for symbol in symbols)
    assert any("p" in symbol for symbol in symbols)
    assert any("2X" in issue.name for issue in issues)
    assert any("Bear" in issue.name for issue in issues)


def test_the_lead_is_halted_and_resumes(synthetic):
    lead = synthetic.story.cast(SESSION).lead
    minutes = synthetic.minutes(SESSION)
    around = minutes.take((minutes.issue == lead) & (minutes.start >= 19_740) & (minutes.start <= 19_800))
    seconds = synthetic.seconds(SESSION, around)
    assert len(around) == 2
    assert not ((seconds.start >= HALT_START) & (seconds.start < HALT_END)).any()
    assert (seconds.start < HALT_START).any()
    assert (seconds.start >= HALT_END).any()
    before = synthetic.daily(nyse().previous(SESSION))
    today = synthetic.daily(SESSION)
    assert today.open[today.key == lead] / before.close[before.key == lead] - 1 > 0.1


def test_a_later_halt_holds_for_minutes_and_seconds(synthetic):
    halts = [halt for session in SESSIONS[400:420] for halt in synthetic.halts(session)[2:]]
    assert halts
    for session in SESSIONS[400:420]:
        minutes = synthetic.minutes(session)
        for halt in synthetic.halts(session):
            seconds = synthetic.seconds(
                session, minutes.take((minutes.issue == halt.number) & (minutes.start // 60 >= halt.start // 60 - 1))
            )
            assert not ((seconds.start >= halt.start) & (seconds.start < halt.end)).any()


def test_one_goes_silent(synthetic):
    silent = synthetic.minutes(SESSION).of(synthetic.story.cast(SESSION).silent)
    assert len(silent) > 100
    assert silent.start.max() < SILENT_FROM


def test_the_reverse_split_is_no_gain(synthetic):
    [(number, split)] = [(n, s) for n, s in synthetic.story.splits[SESSION] if s.split_from > s.split_to]
    before, today = synthetic.daily(nyse().previous(SESSION)), synthetic.daily(SESSION)
    raw = today.open[today.key == number] / before.close[before.key == number]
    assert raw == pytest.approx(8.0, rel=0.03)
    assert split.split_from == 8.0


def test_a_late_bar_is_corrected(synthetic):
    minutes = synthetic.minutes(SESSION)
    here = minutes.take(minutes.start == CORRECTED_MINUTE)
    late = synthetic.late(SESSION, here)
    delay = late[here.issue == synthetic.story.cast(SESSION).corrected]
    assert 20 <= delay <= 40
    assert (late > 0).mean() < 0.2
