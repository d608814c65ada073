"""The running session's minutes as they are told: each the vendor's own bar, the running one what its seconds make."""

import math
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.live.simulated import standing
from tests.live.test_today_table import HOURS, PRE, at, batch, minute, second, table
from tradeul.live.session_minutes import session_minutes
from tradeul.market_calendar import nyse

NOON = HOURS.open_at + timedelta(hours=2, seconds=17)
seconds = st.lists(st.tuples(st.integers(0, 119), st.integers(1, 50), st.integers(1, 50), st.integers(1, 9)), max_size=40)


def told(made, symbol="AAA"):
    return session_minutes(made, symbol, at(600))


@settings(max_examples=50)
@given(bars=seconds, closed=st.sets(st.integers(0, 1)))
def test_a_minute_is_its_seconds_in_any_order_until_its_own_bar_comes(bars, closed):
    made, kept = table(), {}
    for start, opens, close, volume in bars:  # a later one of the same second replaces; low and high are the minute's bar's to correct
        made.apply(batch([second("AAA", start, float(close), float(volume), opens=float(opens), vwap=(opens + close) / 2)]))
        kept[start] = opens, close, volume
    for number in closed:
        made.apply(batch(minutes=[minute("AAA", 60 * number, 7.0, 1234.0, opens=6.0, high=9.0, low=5.0, vwap=6.5)]))
    expected = []
    for number in (0, 1):
        own = [kept[start] for start in sorted(kept) if start // 60 == number]
        if number in closed:
            expected.append((60 * number, 6.0, 7.0, 1234.0, 6.5))
        elif own:
            volume = sum(each[2] for each in own)
            vwap = sum((each[0] + each[1]) / 2 * each[2] for each in own) / volume
            expected.append((60 * number, own[0][0], own[-1][1], volume, vwap))
    found = told(made).bars
    assert [(bar.start_ms / 1000 - PRE, bar.open, bar.close, bar.volume) for bar in found] == [each[:4] for each in expected]
    assert all(math.isclose(bar.vwap, each[4]) for bar, each in zip(found, expected, strict=True))
    own_bars = [bar for bar in found if (bar.start_ms // 1000 - PRE) // 60 in closed]
    assert all((bar.high, bar.low) == (9.0, 5.0) for bar in own_bars)


def test_a_symbol_that_nobody_spoke_of_has_no_minutes_and_is_partial_if_we_came_late():
    made = table()
    assert (told(made, "NONE").bars, told(made, "NONE").partial) == ((), False)
    late = table()
    late.begin_live(300.0)
    assert told(late, "NONE").partial and told(late).partial


async def test_asked_over_the_bus_live_tells_what_the_vendors_rest_does(tmp_path):
    """After a start at noon: the minutes before it are recovered, those after it heard."""
    async with standing(tmp_path, NOON, tickers=20) as stand:
        await stand.clock.advance_to(NOON + timedelta(minutes=3))
        table, session = stand.live.table, nyse().current_session(NOON)
        busy = sorted(table.symbols, key=lambda symbol: -table.columns["volume"][table.index[symbol]])[0]
        stand.live.frame()  # as the scanner has it made: rows that became whole are known so
        answer = await stand.bus.ask_for_minutes(busy)
        rest = await stand.market.intraday_bars(busy, 1, session, session)
    assert (answer.symbol, answer.session, answer.as_of, answer.partial) == (busy, session, stand.clock.now(), False)
    whole = [bar for bar in rest if bar.start_ms + 65_000 <= stand.clock.now().timestamp() * 1000]
    got = [bar for bar in answer.bars if bar.start_ms <= whole[-1].start_ms]
    assert len(whole) > 100 and whole[0].start_ms < HOURS.open_at.timestamp() * 1000
    names = ("start_ms", "open", "high", "low", "close", "volume", "trades")
    assert [[getattr(bar, name) for name in names] for bar in got] == [[getattr(bar, name) for name in names] for bar in whole]
    assert all(math.isclose(bar.vwap, other.vwap, rel_tol=1e-9) for bar, other in zip(got, whole, strict=True) if other.vwap)
