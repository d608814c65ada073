from datetime import date, time

from tradeul.market_calendar import at
from tradeul.records.partitions import State
from tradeul.records.tickers import Ticker

SESSION, NEXT = date(2026, 3, 9), date(2026, 3, 10)


async def the_next_day(house):
    assert (await house.service.reconcile()).success
    house.clock._now = at(NEXT, time(3))
    return house.market.symbols


async def test_a_list_below_95_percent_of_the_last_is_never_completed(house):
    symbols = await the_next_day(house)
    house.market.symbols = symbols[:37]
    result = await house.service.reconcile()
    assert not result.success
    row = house.row("tickers", NEXT)
    assert (row.state, row.expected, row.got) == (State.FAILED, 40, 37)
    assert "37 tickers; 40 were before" in row.error
    assert not house.lake.has("tickers", NEXT)

    house.market.symbols = symbols[:38]
    assert (await house.service.reconcile()).success
    assert house.row("tickers", NEXT).got == 38


async def test_an_empty_list_is_no_universe(house):
    house.market.symbols = []
    assert not (await house.service.reconcile()).success
    assert house.row("tickers", SESSION).state is State.FAILED


async def test_a_ticker_listed_twice_counts_once_and_is_named(house, monkeypatch):
    listed = await house.market.tickers()

    async def twice():
        return [*listed, Ticker("T003", "Another name")]

    monkeypatch.setattr(house.market, "tickers", twice)
    assert (await house.service.reconcile()).success
    row = house.row("tickers", SESSION)
    assert (row.got, row.error) == (40, "listed twice, the last taken: T003")
    assert house.lake.read("tickers", SESSION)["symbol"].n_unique() == 40
