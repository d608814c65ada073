"""The simulated market's delisted, renamed and reused tickers, by maintenance into the lake, and what history says of them."""

from tests.maintenance.conftest import CALENDAR
from tests.maintenance.simulated import supplied
from tradeul.analytics.baselines import Baselines
from tradeul.api.history.past import Kept, Past
from tradeul.maintenance.service import Windows
from tradeul.simulator.universe import DELISTED_AFTER, FATES_FROM_SIZE, RENAMED_FROM, REUSED_AFTER, REUSED_FROM, make_universe
from tradeul.store.by_ticker import ByTicker

WINDOWS = Windows(34, 2, 2)  # back to before the first of them


async def test_simulated_tickers_that_change_hands_are_told_apart(make_house, tmp_path):
    house = await make_house(windows=WINDOWS)
    async with supplied(house, tickers=FATES_FROM_SIZE, seed=7):
        assert (await house.service.reconcile()).success
    issues = make_universe(7, FATES_FROM_SIZE).issues
    reused, gone = (next(issue for issue in issues if issue.last_date == day) for day in (REUSED_AFTER, DELISTED_AFTER))
    renamed = next(issue for issue in issues if issue.former)
    ledger = house.catalog.ledger()
    session = CALENDAR.current_session(house.clock.now())
    past = Past(house.lake, ByTicker(house.lake, tmp_path), lambda: ledger, CALENDAR, house.clock, Kept(34, 2, 2))

    def days(symbol, asked):
        tenure = past.bearers.tenure(symbol, asked)
        bars = past.days(symbol, past.range("ohlc_daily", None, None, None, asked, tenure))
        return past.bearers.told(tenure), [bar.session for bar in bars]

    bearer, sessions = days(reused.symbol, session)
    assert (bearer.figi != reused.figi, bearer.until, min(sessions) >= REUSED_FROM) == (True, None, True)
    bearer, sessions = days(reused.symbol, REUSED_AFTER)
    assert (bearer.figi, bearer.until, max(sessions)) == (reused.figi, REUSED_AFTER, REUSED_AFTER)
    bearer, sessions = days(gone.symbol, session)
    assert (bearer.name, bearer.until, max(sessions)) == (gone.name, DELISTED_AFTER, DELISTED_AFTER)
    bearer, sessions = days(renamed.symbol, session)
    assert (bearer.renamed_from, min(sessions)) == (renamed.former[0], RENAMED_FROM)
    bearer, sessions = days(renamed.former[0], session)
    assert (bearer.renamed_to, bearer.figi, max(sessions) < RENAMED_FROM) == (renamed.symbol, renamed.figi, True)

    table = Baselines.from_arrow(await house.bus.get_baselines(session)).table
    assert gone.symbol not in table["symbol"] and renamed.former[0] not in table["symbol"]
    now = past.atr(reused.symbol, session)
    assert now.bars == len(days(reused.symbol, session)[1])
    assert table.filter(symbol=reused.symbol)["atr"].to_list() == [now.atr]
