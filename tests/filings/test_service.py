"""The service over the simulator's stand-in, a real bus and a real catalog, on the stepped clock."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import date, timedelta

import aiohttp
import msgspec
import pytest
import sqlalchemy as sa

from tests.filings.house import COMPANIES, SESSION, PlannedFeed, Quiet, entry_of, housed, later, running
from tests.simulator.conftest import SIZE, instant
from tradeul.bus.topics import FILINGS, NEWS
from tradeul.errors import Blocked, LeadLost, NotEntitled, ProviderError, VendorUnavailable
from tradeul.filings import service as service_module
from tradeul.filings.service import BLOCKED_SECONDS, FEED_MARK, GAP_MARK, KEPT, NEWS_SECONDS, POLL_SECONDS
from tradeul.gateway.server import GatewayServer
from tradeul.market_calendar import nyse
from tradeul.ops.callers import Callers
from tradeul.providers.edgar.client import EdgarClient
from tradeul.providers.edgar.wire import decode_current
from tradeul.providers.http import HttpClient
from tradeul.providers.polygon.client import PolygonClient
from tradeul.records.filings import Article
from tradeul.simulator.edgar import InventedEdgar
from tradeul.simulator.server import SimulatorConfig, SimulatorServer


@pytest.fixture
async def house(tmp_path):
    async with housed(tmp_path) as house:
        yield house


@asynccontextmanager
async def simulated(house, **config):
    """The stand-in and the vendor on one port; both sources as the product has them."""
    simulator = SimulatorServer(SimulatorConfig(**{"tickers": SIZE, **config}), house.clock, nyse())
    await simulator.start()
    address = f"http://127.0.0.1:{simulator.port}"
    try:
        async with HttpClient(house.clock, 60_000, 4, "k", agent="a@b.c") as http:  # without the SEC's pace
            yield simulator, EdgarClient(http, address), PolygonClient(http, address)
    finally:
        await simulator.stop()


def next_filing_at(simulator):
    """When the first one after ten o'clock is accepted."""
    day = decode_current(InventedEdgar(simulator.market, 7).current(instant(22, 0), 0, 10_000))
    return min(entry.accepted_at for entry in day if entry.accepted_at > instant(10, 0))


async def passes(house, seconds):
    await house.clock.advance_to(house.clock.now() + timedelta(seconds=seconds))


async def test_a_filing_of_the_stand_in_is_kept_and_told_within_the_poll_interval(house):
    async with simulated(house) as (simulator, register, news):
        close = nyse().hours(nyse().previous(SESSION)).close_at
        invented, next_at = InventedEdgar(simulator.market, 7), next_filing_at(simulator)
        house.clock._now = next_at - timedelta(seconds=17)
        service = house.service(register, news)
        async with running(service):
            await passes(house, 40)
            await house.clock.settle()
        wanted = [entry for entry in decode_current(invented.current(next_at, 0, 10_000)) if entry.accepted_at >= close]
        kept = {filing.accession: filing for filing in house.kept()}
        assert kept.keys() >= {entry.accession for entry in wanted}
        issues = {issue.cik: issue.symbol for issue in simulator.market.source.issues}
        for entry in wanted:
            assert entry.filers[0].role == "Reporting" or kept[entry.accession].tickers == (issues[entry.filers[0].cik],)
        told = await house.told()
        assert len({filing.accession for filing in told}) == len(told)
        assert {filing.accession for filing in told} == {filing.accession for filing in kept.values() if filing.accepted_at >= close}
        fresh = [filing for filing in told if filing.accepted_at >= next_at]
        assert fresh and all(filing.seen_at - filing.accepted_at <= timedelta(seconds=POLL_SECONDS) for filing in fresh)
        assert list(service.latencies) == [(filing.seen_at - filing.accepted_at).total_seconds() for filing in fresh]
        assert house.kept_news() and await house.told(NEWS)


async def test_a_filing_reaches_a_socket_within_the_poll_interval_and_a_second(house):
    """By the market's clock; what the sockets and the bus take of real time is not looked at."""
    async with simulated(house) as (simulator, register, news), AsyncExitStack() as stack:
        next_at = next_filing_at(simulator)
        house.clock._now = next_at - timedelta(seconds=2)
        gateway = GatewayServer(house.bus, house.clock, nyse(), "SIMULATED", Callers("127.0.0.1"), 0)
        await stack.enter_async_context(running(gateway))
        await gateway.started.wait()
        client = await stack.enter_async_context(aiohttp.ClientSession())
        sockets = [await client.ws_connect(f"http://127.0.0.1:{gateway.port}/ws") for _ in range(3)]
        for socket in sockets[:2]:
            await socket.send_json({"action": "subscribe_filings"})
            await heard(socket, "subscribed")
        await sockets[0].send_json({"action": "unsubscribe_filings"})
        await heard(sockets[0], "unsubscribed")
        await stack.enter_async_context(running(house.service(register, news)))
        while not (fresh := [filing for filing in house.kept() if filing.accepted_at >= next_at]):
            await passes(house, 1)
        assert house.clock.now() <= next_at + timedelta(seconds=POLL_SECONDS + 1)
        while True:  # from here on the clock stands; first come those of the morning, which were kept together
            message = FILINGS.decode(msgspec.json.encode(await heard(sockets[1], "filing")))
            if message.accepted_at >= next_at:
                break
        assert [message] == fresh
        for other in (sockets[0], sockets[2]):
            await other.send_json({"action": "ping"})
            assert "filing" not in await heard_until(other, "pong")


async def heard_until(socket, kind):
    """The types of what came, up to the first of this one."""
    kinds = []
    while not kinds or kinds[-1] != kind:
        kinds.append((await socket.receive_json(timeout=20))["type"])
    return kinds


async def heard(socket, kind):
    """The next message of this type."""
    while True:
        message = await socket.receive_json(timeout=20)
        if message["type"] == kind:
            return message


async def test_the_recorded_morning_arrives_whole(tmp_path, shared_data):
    day = date(2026, 1, 12)
    async with housed(tmp_path) as house, simulated(house, edgar=shared_data / "universe" / "sec") as (_, register, _):
        service = house.service(register)
        service._adopt(await register.companies())
        for minutes in (0, 31, 33, 90, 168):
            house.clock._now = instant(8, 41, session=day) + timedelta(minutes=minutes)
            await service.read_feed()
        kept = house.kept()
        assert len(kept) == len(await house.told()) == 424
        assert sum(filing.dilutes for filing in kept) == 9
        biohaven = next(filing for filing in kept if "BHVN" in filing.tickers)
        assert [item.words for item in biohaven.items] == ["Regulation FD disclosure", "Financial statements and exhibits"]


async def test_filings_are_told_again_after_the_bus_was_emptied_and_none_twice(house):
    feed = PlannedFeed(house.clock, [(house.clock.now(), entry_of(number, house.clock.now())) for number in range(3)])
    service = house.service(feed)
    followed, seen = house.bus.follow(FILINGS, from_start=True), []
    await service.read_feed()
    before = await house.told()
    seen += await anext(followed)
    await house.bus.redis.flushall()
    feed.plan.append((house.clock.now(), entry_of(9, house.clock.now())))
    await service.read_feed()
    seen += await anext(followed)
    assert [filing.accession for filing in await house.told()] == [filing.accession for filing in before] + ["0000000009-26-000009"]
    assert len(seen) == len(set(seen)) == 4, "who follows sees each once, the emptied bus or not"


async def test_a_stream_that_another_catalog_wrote_is_begun_anew(house):
    await house.bus.append(FILINGS, [(500, b"{}")])
    await house.service(PlannedFeed(house.clock, [(house.clock.now(), entry_of(1, house.clock.now()))])).read_feed()
    assert [filing.accession for filing in await house.told()] == ["0000000009-26-000001"]


async def test_companies_on_lists_have_their_history_once_and_again_after_a_gap(house):
    now = house.clock.now()
    old = [entry_of(1, now - timedelta(days=30))[0], entry_of(2, now - KEPT - timedelta(days=1))[0]]
    feed, asked = PlannedFeed(house.clock, []), []
    feed.submitted = {"0000000001": old, "0000000002": []}
    submissions, feed.submissions = feed.submissions, lambda cik: (asked.append(cik), submissions(cik))[1]
    service = house.service(feed)
    await house.bus.put_active({"A", "A.WS", "B", "UNKNOWN"})
    for _ in range(2):
        await service.fill_in()
    assert sorted(asked) == ["0000000001", "0000000002"]
    assert [filing.accession for filing in house.kept()] == ["0000000009-26-000001"] and await house.told() == [], "history is no news"
    later(house.clock, 60)
    house.store.set_mark(GAP_MARK, house.clock.now())
    later(house.clock, 60)
    await service.fill_in()
    assert len(asked) == 4 and len(house.kept()) == 1


async def test_a_company_without_submissions_does_not_keep_others_from_theirs(house):
    class Missing(PlannedFeed):
        async def submissions(self, cik):
            if cik == "0000000001":
                raise ProviderError("EDGAR's submissions: refused with status 404")
            return entry_of(1, house.clock.now())

    await house.bus.put_active({"A", "B"})
    await house.service(Missing(house.clock, [])).fill_in()
    assert len(house.kept()) == 1


async def test_a_feed_that_does_not_reach_back_is_a_gap(house):
    now = house.clock.now()
    house.store.set_mark(FEED_MARK, now - timedelta(days=3))
    plan = [(now, entry_of(number, now - timedelta(minutes=number))) for number in range(3)]
    await house.service(PlannedFeed(house.clock, plan)).read_feed()
    assert house.store.mark(GAP_MARK) == now and house.store.mark(FEED_MARK) == now


async def test_a_blocked_reader_stays_away_and_a_failing_one_comes_back(house):
    times, answers = [], [Blocked("403"), VendorUnavailable("503"), None]
    start = house.clock.now()

    def between(_):
        times.append((house.clock.now() - start).total_seconds())
        if answers and (error := answers.pop(0)):
            raise error

    service = house.service(PlannedFeed(house.clock, [], between))
    async with running(service):
        await passes(house, 1)
        assert service.trouble == {"filings": "403"}
        await passes(house, BLOCKED_SECONDS + 2 * POLL_SECONDS)
        await house.clock.settle()
    assert times[:3] == [0, BLOCKED_SECONDS, BLOCKED_SECONDS + POLL_SECONDS]
    assert service.trouble == {}


async def test_without_a_register_there_is_news_and_one_sentence(house):
    async with simulated(house) as (simulator, _, news):
        service = house.service(None, news)
        service.trouble = {"filings": "set TRADEUL_SEC_CONTACT"}
        async with running(service):
            await passes(house, 2 * NEWS_SECONDS)
            await house.clock.settle()
        assert house.kept_news() and house.kept() == []
        assert simulator.faults.asked["edgar"] == 0 and simulator.faults.asked["news"] == 3, "one poll a minute"


async def test_news_is_kept_once_whatever_comes_late_and_whenever_it_dies(house):
    start = house.clock.now()

    class Late:
        """A piece is told up to nine minutes after its instant; asked by the minute."""

        def __init__(self):
            self.pieces = [Article(f"n{n}", start + timedelta(seconds=40 * n), f"h{n}", ("A",)) for n in range(60)]

        async def news(self, since):
            now = house.clock.now()
            shown = [p for n, p in enumerate(self.pieces) if p.published_at + timedelta(minutes=n * 7 % 10) <= now]
            return [piece for piece in shown if piece.published_at >= since]

    source = Late()
    for number in range(60):
        service = house.service(None, source)  # each by a process of its own
        if number % 3 == 1:
            append, house.bus.append = house.bus.append, None
            with pytest.raises(TypeError):
                await service.read_news()
                raise TypeError
            house.bus.append = append
        await service.read_news()
        later(house.clock, 60)
    assert {piece.id for piece in house.kept_news()} == {piece.id for piece in source.pieces}
    assert sorted(piece.id for piece in await house.told(NEWS)) == sorted(piece.id for piece in source.pieces)


async def test_a_plan_without_news_is_asked_again_after_long_only(house, monkeypatch):
    monkeypatch.setattr(service_module, "NOT_ENTITLED_SECONDS", 2 * NEWS_SECONDS)

    class Refused(Quiet):
        asked = 0

        async def news(self, since):
            self.asked += 1
            raise NotEntitled("news: the plan does not include it")

    source = Refused()
    service = house.service(None, source)
    async with running(service):
        await passes(house, 2 * NEWS_SECONDS - 1)
        assert (source.asked, service.trouble["news"]) == (1, "news: the plan does not include it")
        await passes(house, 2)
        await house.clock.settle()
    assert source.asked == 2


async def test_the_tickers_of_a_start_are_those_of_the_last_run_until_the_sec_tells_new_ones(house):
    house.store.put_companies(COMPANIES)
    hold = asyncio.Event()

    class Slow(PlannedFeed):
        async def companies(self):
            await hold.wait()
            return COMPANIES[:1]

    service = house.service(Slow(house.clock, []))
    service._adopt([])
    async with running(service):
        while "B" not in service._cik_of:
            await asyncio.sleep(0)
        hold.set()
        await house.clock.settle()
        assert service._cik_of == {"A": "0000000001"}


async def test_a_catalog_that_takes_nothing_is_told_of_and_ends_nothing(house):
    """A full disk, say: the oldest are not forgotten then, nothing is kept, and all goes on once there is room."""
    engine = house.store._catalog.engine
    service = house.service(None, Quiet())
    house.store.add_news([Article("old", house.clock.now() - KEPT - timedelta(days=1), "old", ())], house.clock.now())
    sa.event.listen(engine, "checkout", refuse)
    async with running(service):
        await passes(house, 2 * service_module.FORGET_SECONDS)
        assert "could not be kept" in service.trouble["forgetting"]
        assert [article.id for article in house.kept_news()] == ["old"]
        sa.event.remove(engine, "checkout", refuse)
        sa.event.listen(engine, "checkout", allow)
        await passes(house, 2 * service_module.FORGET_SECONDS)
        assert "forgetting" not in service.trouble
        assert not house.kept_news()


def refuse(connection, *_):
    connection.execute("PRAGMA query_only = ON")


def allow(connection, *_):
    connection.execute("PRAGMA query_only = OFF")


async def test_another_process_that_writes_since_is_no_trouble_of_ours(house):
    async def refused():
        raise LeadLost("another writes since")

    service = house.service(None)
    with pytest.raises(LeadLost):
        await service._repeat("bus", refused, 1.0)
    assert "bus" not in service.trouble
