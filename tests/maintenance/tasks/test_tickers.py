from datetime import date, time

from tradeul.errors import NotEntitled, VendorUnavailable
from tradeul.market_calendar import at
from tradeul.records.partitions import State
from tradeul.records.tickers import Tenure, Ticker

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


def tenures(house, session, symbol):
    rows = house.lake.read("tickers", session).filter(symbol=symbol).select("name", "since", "until").rows()
    return sorted(rows, key=lambda row: str(row[2]))


async def test_who_is_gone_and_who_follows_is_known_from_list_to_list(house, monkeypatch):
    listed = [Ticker(each.symbol, each.name, "CS", "XNAS", figi=each.symbol) for each in await house.market.tickers()]
    told = [listed]

    async def tickers():
        return told[0]

    monkeypatch.setattr(house.market, "tickers", tickers)
    house.market.delisted_list = [Tenure(symbol="T001", name="Earlier Inc", figi="E", until=date(2026, 2, 20))]
    assert (await house.service.reconcile()).success
    assert tenures(house, SESSION, "T001") == [("Earlier Inc", None, date(2026, 2, 20)), ("T001 Inc", date(2026, 2, 21), None)]
    assert house.row("tickers", SESSION).got == 40, "who is gone is not listed"
    house.clock._now = at(NEXT, time(3))
    told[0] = [*listed[:2], Ticker("T002", "Successor", "CS", "XNAS", figi="S"), *listed[4:]]
    assert (await house.service.reconcile()).success
    assert tenures(house, NEXT, "T001") == tenures(house, SESSION, "T001")
    assert tenures(house, NEXT, "T002") == [("T002 Inc", None, SESSION), ("Successor", NEXT, None)]
    assert tenures(house, NEXT, "T003") == [("T003 Inc", None, SESSION)]


async def test_a_vendor_that_does_not_tell_who_is_delisted_holds_nothing_up(house):
    house.market.faults["delisted"] = NotEntitled("403: not in your plan")
    assert (await house.service.reconcile()).success
    assert "who was delisted is not known: 403" in house.row("tickers", SESSION).error


async def test_a_vendor_that_is_down_is_asked_again_who_is_delisted(house):
    house.market.faults["delisted"] = VendorUnavailable("503")
    assert not (await house.service.reconcile()).success
    house.market.faults.clear()
    assert (await house.service.reconcile()).success
