"""Companies whose tickers do not stay theirs."""

from datetime import date

import pytest

from tradeul.market_calendar import nyse
from tradeul.simulator.market import Market
from tradeul.simulator.synthetic import SyntheticMarket
from tradeul.simulator.universe import DELISTED_AFTER, FATES_FROM_SIZE, RENAMED_FROM, REUSED_AFTER, REUSED_FROM, make_universe


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
