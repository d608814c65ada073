"""The newest filing and headline of each ticker since the previous close."""

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradeul.bus.embedded import EmbeddedServer
from tradeul.bus.redis import Bus
from tradeul.bus.topics import FILINGS, NEWS
from tradeul.clock import SystemClock
from tradeul.market_calendar import nyse
from tradeul.records.filings import Article, Filing
from tradeul.scanner.columns import Join, Market
from tradeul.scanner.told import Listener

CLOSE = datetime(2026, 3, 6, 21, tzinfo=UTC)


def filing(minutes, form, *tickers):
    at = CLOSE + timedelta(minutes=minutes)
    return Filing(f"{minutes}-{form}", form, None, False, False, at.date(), at, at, tickers, (), (), None)


def article(minutes, headline, *tickers):
    return Article(f"{minutes}", CLOSE + timedelta(minutes=minutes), headline, tickers)


def told_of(*records):
    listener = Listener(None)
    for record in records:
        listener.take(record)
    return listener.since(CLOSE)


def seconds(minutes):
    return (CLOSE + timedelta(minutes=minutes)).timestamp()


def test_rows_say_the_newest_filing_and_headline_of_their_ticker(make):
    told = told_of(filing(10, "8-K", "A", "A.WS"), filing(5, "4", "A"), article(7, "up", "A", "C"), article(9, "down", "C"))
    frame = make.frame("10:00", **{symbol: {"price": 1} for symbol in ("A", "A.WS", "B", "C")})
    market = Market(frame, Join(frame.symbols, None), nyse().hours(make.session), told)
    table = market.table(["symbol", "filing_at", "filing_form", "news_at", "headline"])
    assert table.rows() == [
        ("A", seconds(10), "8-K", seconds(7), "up"),
        ("A.WS", seconds(10), "8-K", None, None),
        ("B", None, None, None, None),
        ("C", None, None, seconds(9), "down"),
    ]
    assert market.texts("headline", [3, 1]) == ["down", None]
    assert market.series("filing_form", [1, 2]).to_list() == ["8-K", None]


def test_what_was_told_before_the_previous_close_is_not_in_rows():
    assert told_of(filing(0, "8-K", "A"), article(-1, "old", "A"), article(1, "new", "B")).news == {"B": (seconds(1), "new")}
    assert told_of(filing(0, "8-K", "A")).filings == {}


@given(st.lists(st.tuples(st.integers(-50, 50), st.sampled_from("ABC")), unique=True), st.randoms())
def test_the_newest_counts_in_whatever_order_they_come(records, dice):
    shuffled = list(records)
    dice.shuffle(shuffled)
    found = told_of(*(filing(minutes, f"{minutes}", ticker) for minutes, ticker in shuffled)).filings
    newest = {ticker: max(minutes for minutes, other in records if other == ticker) for _, ticker in records}
    assert found == {ticker: (seconds(minutes), f"{minutes}") for ticker, minutes in newest.items() if minutes > 0}


def test_what_a_cycle_was_given_stands_while_more_is_told():
    listener = Listener(None)
    listener.take(filing(1, "4", "A"))
    given = listener.since(CLOSE)
    listener.take(filing(2, "8-K", "A"))
    assert (given.filings["A"][1], listener.since(CLOSE).filings["A"][1]) == ("4", "8-K")


@pytest.fixture
async def bus(tmp_path):
    server = EmbeddedServer(tmp_path, SystemClock())
    await server.start()
    bus = Bus(server.url, SystemClock())
    yield bus
    await bus.close()
    await server.stop()


async def test_a_start_hears_what_was_told_before_it_and_then_what_comes(bus):
    await bus.append(FILINGS, [(1, msgspec.json.encode(filing(1, "4", "A")))])
    listener = Listener(bus)
    following = asyncio.create_task(listener.follow())
    async with asyncio.timeout(20):
        while not listener.since(CLOSE).filings:
            await asyncio.sleep(0.005)
        await bus.append(FILINGS, [(2, msgspec.json.encode(filing(2, "8-K", "A")))])
        await bus.append(NEWS, [(1, msgspec.json.encode(article(3, "up", "A")))])
        while listener.since(CLOSE).filings["A"][1] != "8-K" or not listener.since(CLOSE).news:
            await asyncio.sleep(0.005)
    following.cancel()
    await asyncio.wait([following])
