"""Of those that would write the same keys of one server one does, whatever ends, freezes or is emptied: on one server and on a cluster."""

import asyncio
import shutil
from contextlib import aclosing, asynccontextmanager
from datetime import date

import msgspec
import pytest
import redis
from structlog.testing import capture_logs

from tests.redis_server import running_redis
from tests.valkey_cluster import eventually
from tradeul.bus import claim as rules
from tradeul.bus.claim import Claim, Holder, holder
from tradeul.bus.cluster import bus_at
from tradeul.bus.redis import Bus
from tradeul.bus.topics import FEED_STATUS, FILINGS
from tradeul.clock import SystemClock
from tradeul.errors import LeadLost, StartError
from tradeul.ops.lead import lead
from tradeul.records.breadth import Breadth
from tradeul.records.events import FeedStatus
from tradeul.records.lists import ListFrame

SOON = 20.0  # a machine may be busy
SESSION = date(2026, 3, 9)
on_servers = pytest.mark.parametrize("bus", ["server", "cluster"], indirect=True)  # nobody else comes to the embedded one


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    for name, seconds in {"KEEP": 0.05, "LOOK": 0.02, "GRACE": 0.1}.items():
        monkeypatch.setattr(rules, f"{name}_SECONDS", seconds)


@pytest.fixture
def folder(tmp_path):
    """State folders, each with its locks."""

    def named(name):
        (tmp_path / name / "locks").mkdir(parents=True, exist_ok=True)
        return tmp_path / name

    return named


class Writer:
    """Holds the claim when it can; ``writes`` is set while it does, ``times`` counts how often it began."""

    def __init__(self, bus, state, market="real"):
        self.bus = bus.patient()
        self.claim = Claim(self.bus, "scanner", market, state)
        self.writes, self.times = asyncio.Event(), 0
        self.task = asyncio.create_task(lead("scanner", self.claim.held, self._work, 0.02))

    async def _work(self):
        self.times += 1
        self.writes.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.writes.clear()

    async def end(self):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@asynccontextmanager
async def writer(bus, state, **options):
    made = Writer(bus, state, **options)
    try:
        yield made
    finally:
        await made.end()
        await made.bus.close()


@asynccontextmanager
async def asleep(bus, state):
    """One that took the claim, and froze: it does not keep it."""
    frozen = bus.patient()
    claim = Claim(frozen, "scanner", "real", state)
    await claim._take()
    try:
        yield frozen
    finally:
        await frozen.close()


def frame(epoch):
    return [("winners", ListFrame(SESSION, epoch, 0, [], "LIVE", 0), b"of epoch %d" % epoch, True)]


async def told(bus):
    return (await bus.get_frame("winners")).epoch


async def until(is_so):
    while not is_so():
        await asyncio.sleep(0)


async def holds(bus, state):
    return (await holder(bus, "scanner")).by.endswith(f":{state}")


@on_servers
async def test_one_writes_and_when_it_ends_the_other_does(bus, folder):
    async with asyncio.timeout(SOON), writer(bus, folder("a")) as first, writer(bus, folder("b")) as second:
        await asyncio.wait([asyncio.create_task(each.writes.wait()) for each in (first, second)], return_when=asyncio.FIRST_COMPLETED)
        one, other = (first, second) if first.writes.is_set() else (second, first)
        await one.bus.publish_frames(frame(1))
        assert not other.writes.is_set()
        assert 0 < await bus.redis.pttl(one.claim.key) <= rules.EXPIRES_MS, "one that is killed would keep it for ever"
        await one.end()
        await other.writes.wait()
        await other.bus.publish_frames(frame(2))
        assert (one.times, other.times, await told(bus)) == (1, 1, 2)
        await other.end()
        assert await holder(bus, "scanner") is None, "it was not let go"


@on_servers
async def test_nothing_is_written_or_told_by_one_that_was_frozen_while_another_took_over(bus, folder):
    heard = asyncio.Queue()

    async def listen():
        async with aclosing(bus.deltas()) as messages:
            async for _, message in messages:
                heard.put_nowait(message)

    async with asyncio.timeout(SOON), asleep(bus, folder("a")) as first, writer(bus, folder("b")) as second:
        await first.publish_frames(frame(1))
        assert not second.writes.is_set()
        await bus.redis.pexpire(first.claim.key, 1)
        await second.writes.wait()
        listening = asyncio.create_task(listen())
        while heard.empty():
            await second.bus.publish_frames(frame(2))
        status = FeedStatus(SESSION, "MARKET_OPEN", "LIVE", None, None, stale=False, messages=0, symbols=0)
        for write in (
            first.publish_frames(frame(1)),
            first.put_lists([]),
            first.put_active(["OLD"]),
            first.put_breadth(Breadth(SESSION, 0, 0, 0, 0, 0, ())),
            first.drop_frame("winners"),
            first.publish(FEED_STATUS, status),
            first.append(FILINGS, [(1, b"{}")]),
        ):
            with pytest.raises(LeadLost, match=r"/b writes since what the scanner writes"):
                await write
        await second.bus.publish_frames(frame(3))
        messages = {await heard.get()}
        while b"of epoch 3" not in messages:
            messages.add(await heard.get())
        listening.cancel()
        assert messages == {b"of epoch 2", b"of epoch 3"}
        assert await told(bus) == 3
        assert not await bus.redis.exists("lists:current", "polygon_ws:active_tickers", "market:breadth", "stream:sec:filings")


async def test_one_that_froze_between_its_look_and_its_write_is_refused_by_the_server(server, folder, monkeypatch):
    """A cluster cannot: there the look is right before the write."""
    server.empty()
    bus = Bus(server.url, SystemClock())
    async with asyncio.timeout(SOON), asleep(bus, folder("a")) as first:
        await first.publish_frames(frame(1))
        look = first.claim.keep

        async def look_and_freeze(*args, **options):
            await look(*args, **options)
            monkeypatch.undo()
            await bus.redis.delete(first.claim.key)
            async with asleep(bus, folder("b")) as second:
                await second.publish_frames(frame(2))

        monkeypatch.setattr(first.claim, "keep", look_and_freeze)
        with pytest.raises(LeadLost):
            await first.publish_frames(frame(1))
        assert await told(bus) == 2
    await bus.close()


@pytest.mark.long
async def test_a_write_that_waited_for_a_master_of_a_cluster_is_looked_at_again(cluster, folder, monkeypatch):
    cluster.empty()
    bus = await bus_at(cluster.url, SystemClock())
    async with asyncio.timeout(3 * SOON), asleep(bus, folder("a")) as first:
        look, master = first.claim.keep, cluster.owner("frames:winners")
        assert master is not cluster.owner(first.claim.key)

        async def look_and_be_cut_off(*args, **options):
            await look(*args, **options)
            monkeypatch.undo()
            await bus.redis.set(first.claim.key, msgspec.json.encode(Holder("another's", "real", "elsewhere")))
            await asyncio.to_thread(master.stop)

        monkeypatch.setattr(first.claim, "keep", look_and_be_cut_off)
        writing = asyncio.create_task(first.publish_frames(frame(1)))
        await asyncio.to_thread(eventually, lambda: not answers(master))
        await asyncio.to_thread(master.start)
        with pytest.raises(LeadLost):
            await writing
        await asyncio.to_thread(cluster.whole)
        assert await bus.get_frame("winners") is None
    await bus.close()


def answers(node):
    try:
        return node.client.ping()
    except redis.RedisError:
        return False


@pytest.mark.parametrize("writes", [False, True])
@on_servers
async def test_a_server_that_was_emptied_stays_with_the_one_who_wrote(bus, folder, writes):
    """By its next write, or its next look."""
    with capture_logs() as logged:
        async with asyncio.timeout(SOON), writer(bus, folder("a")) as first:
            await first.writes.wait()
            async with writer(bus, folder("b")) as second:
                await until(lambda: any(line["event"] == "stands_by" for line in logged))
                await bus.redis.delete(first.claim.key)
                if writes:
                    await first.bus.publish_frames(frame(1))
                while await holder(bus, "scanner") is None:
                    await asyncio.sleep(0)
                assert (first.times, second.times) == (1, 0) and await holds(bus, folder("a"))


@on_servers
async def test_one_who_lost_it_stops_by_itself_and_stands_by(bus, folder):
    """As on a server that came back empty, where another was faster."""
    other = Holder("another's", "real", "elsewhere")
    async with asyncio.timeout(SOON), writer(bus, folder("a")) as first:
        await first.writes.wait()
        await bus.redis.set(first.claim.key, msgspec.json.encode(other), px=150)
        await until(lambda: not first.writes.is_set())
        assert await holder(bus, "scanner") == other
        await first.writes.wait()
        assert first.times == 2 and await holds(bus, folder("a"))


@on_servers
async def test_who_starts_on_the_folder_of_one_that_was_killed_takes_its_claim_at_once(bus, folder, monkeypatch):
    monkeypatch.setattr(rules, "EXPIRES_MS", 3_600_000)
    async with asyncio.timeout(SOON), asleep(bus, folder("a")), writer(bus, folder("a")) as again:
        await again.writes.wait()
        await again.bus.publish_frames(frame(1))


@on_servers
async def test_a_copied_folder_takes_the_claim_once_and_then_stands_by_like_any_other(bus, folder):
    async with asyncio.timeout(SOON), writer(bus, folder("a")) as first:
        await first.writes.wait()
        shutil.copytree(folder("a"), folder("a").parent / "b")
        async with writer(bus, folder("b")) as copy:
            await copy.writes.wait()
            await until(lambda: not first.writes.is_set())
            await copy.bus.publish_frames(frame(1))
            assert (first.times, copy.times) == (1, 1)
            await copy.end()
            await first.writes.wait()


@on_servers
async def test_the_other_market_is_refused_instead_of_waited_for(bus, folder):
    async with asyncio.timeout(SOON), asleep(bus, folder("a")), writer(bus, folder("b"), market="simulated") as other:
        with pytest.raises(StartError, match=r"^TRADEUL_REDIS_URL: the scanner of .*/a writes the real market there"):
            await other.task


async def test_a_server_that_goes_and_comes_back_empty_keeps_its_writer_and_one_that_is_gone_holds_up_no_end(folder):
    with running_redis() as server:
        bus = Bus(server.url, SystemClock())
        async with asyncio.timeout(SOON), writer(bus, folder("a")) as first:
            await first.writes.wait()
            await asyncio.to_thread(server.stop)
            waiting = asyncio.create_task(first.bus.publish_frames(frame(1)))
            await asyncio.to_thread(server.start)
            await waiting
            assert (first.times, await told(bus), await holds(bus, folder("a"))) == (1, 1, True)
            await asyncio.to_thread(server.stop)
            await first.end()
            assert not first.writes.is_set()
            await asyncio.to_thread(server.start)
        await bus.close()
