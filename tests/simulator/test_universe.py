"""Companies whose tickers do not stay theirs, and funds that stand for indexes."""

from datetime import date

import numpy as np
import pytest

from tradeul.market_calendar import nyse
from tradeul.simulator.market import Market
from tradeul.simulator.synthetic import SyntheticMarket
from tradeul.simulator.universe import DELISTED_AFTER, FATES_FROM_SIZE, INDEX_FUNDS, RENAMED_FROM, REUSED_AFTER, REUSED_FROM, make_universe


@pytest.mark.parametrize("seed", [7, 3, 11])
def test_a_large_universe_has_a_delisted_a_renamed_and_a_reused_ticker(seed):
    issues = make_universe(seed, FATES_FROM_SIZE).issues
    gone = {issue.last_date: issue for issue in issues if issue.last_date}
    assert sorted(gone) == [REUSED_AFTER, DELISTED_AFTER]
    (after,) = [issue for issue in issues if issue.list_date == REUSED_FROM and issue.symbol == gone[REUSED_AFTER].symbol]
    assert after.figi != gone[REUSED_AFTER].figi and after.cik != gone[REUSED_AFTER].cik
    (renamed,) = [issue for issue in issues if issue.former]
    for session in nyse().between(date(2026, 1, 2), date(2026, 3, 31)):
        symbols = [issue.symbol_on(session) for issue in issues if issue.is_listed(session)]
        assert len(symbols) == len(set(symbols))
        assert renamed.symbol_on(session) in symbols
    assert (renamed.symbol_on(RENAMED_FROM), renamed.symbol_on(date(2026, 2, 13))) == (renamed.symbol, renamed.former[0])


def test_a_ticker_is_that_of_its_bearer_alone():
    market = Market(SyntheticMarket(7, FATES_FROM_SIZE, nyse()), nyse())
    issues = market.source.issues
    before = next(issue for issue in issues if issue.last_date == REUSED_AFTER)
    after = next(issue for issue in issues if issue.list_date == REUSED_FROM and issue.symbol == before.symbol)
    assert list(market.bearers(before.symbol)) == sorted([before.number, after.number])
    assert market.number_of(before.symbol, REUSED_AFTER) == before.number
    assert market.number_of(before.symbol, REUSED_FROM) == after.number
    assert market.number_of(before.symbol, date(2026, 2, 2)) is None
    for session, traded, rested in ((REUSED_AFTER, before, after), (REUSED_FROM, after, before), (date(2026, 2, 2), None, before)):
        key = market.source.daily(session).key
        assert rested.number not in key and (traded is None or traded.number in key)


@pytest.mark.parametrize(("seed", "size"), [(7, 300), (3, 300), (7, FATES_FROM_SIZE)])
def test_three_funds_bear_the_indexes_tickers_and_nobody_else_does(seed, size):
    universe = make_universe(seed, size)
    symbols = [issue.symbol for issue in universe.issues]
    assert len(set(symbols)) >= size - 1  # one ticker passes on
    for symbol, name, price, *_ in INDEX_FUNDS:
        fund = universe.issues[universe.number_of[symbol]]
        assert (symbols.count(symbol), fund.kind, fund.leverage, fund.name) == (1, "ETF", 1, name)
        assert universe.start_price[fund.number] == price


def test_the_indexes_funds_move_as_the_market_does():
    """Their own part is small: with the market's move taken out, most of what they do is gone."""
    source = SyntheticMarket(7, 300, nyse())
    sessions = nyse().between(date(2026, 1, 2), date(2026, 3, 31))
    returns = {}
    for symbol in ("SPY", "QQQ", "IWM"):
        closes = source.daily_of(source.number_of[symbol], sessions).close
        returns[symbol] = np.diff(np.log(closes))
        assert 0.002 < returns[symbol].std() < 0.02
    assert np.corrcoef(list(returns.values())).min() > 0.8
    funds = [source.number_of[symbol] for symbol in returns]
    others = [number for number in range(300) if number not in funds and source.universe.stock[number]]
    market = np.median([np.diff(np.log(source.daily_of(number, sessions).close)) for number in others[:60]
                        if len(source.daily_of(number, sessions).close) == len(sessions)], axis=0)  # fmt: skip
    assert np.corrcoef(market, returns["SPY"])[0, 1] > 0.5
