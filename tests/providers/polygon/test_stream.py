import asyncio
import json
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta

import pytest
from aiohttp import WSMsgType, web
from structlog.testing import capture_logs

from tests.providers.conftest import finish, serving
from tradeul.errors import NotEntitled, SettingsError, Unauthorized
from tradeul.providers.polygon import stream as stream_module
from tradeul.providers.polygon.stream import PolygonStream
from tradeul.records.bars import StreamBar


def status(kind, message=""):
    return {"ev": "status", "status": kind, "message": message}


def second(symbol="A", end_ms=1610144869000, ev="A"):
    prices = dict.fromkeys("ohlc", 1.5)
    return {"ev": ev, "sym": symbol, "v": 200, "av": 300, "vw": 1.5, "z": 50, "s": end_ms - 1000, "e": end_ms, **prices}


class Vendor:
    """A scripted vendor: each connection plays the next script, after the handshake where the script says so."""

    def __init__(self, clock, *scripts):
        self.clock, self.scripts, self.said, self.at = clock, list(scripts), [], []

    async def __call__(self, request):
        self.at.append(self.clock.now())
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        if isinstance(script, int):
            return web.Response(status=script)
        socket = web.WebSocketResponse(autoping=False)
        await socket.prepare(request)
        await script(self, socket)
        await socket.close()
        return socket

    async def handshake(self, socket, *answers):
        await self.send(socket, status("connected", "Connected Successfully"))
        self.said.append(await socket.receive_json())
        await self.send(socket, *(answers or [status("auth_success", "authenticated")]))
        self.said.append(await socket.receive_json())
        await self.send(socket, *(status("success", f"subscribed to: {name}") for name in ("A.*", "AM.*", "LULD.*")))

    async def send(self, socket, *messages):
        await socket.send_str(json.dumps(messages))

    async def barrier(self, socket):
        """Returns when the client has taken everything sent before."""
        await socket.ping()
        while (await socket.receive()).type is not WSMsgType.PONG:
            pass


def plays(*frames, handshake=(), then=None):
    async def script(vendor, socket):
        await vendor.handshake(socket, *handshake)
        for frame in frames:
            if isinstance(frame, str | bytes):
                await (socket.send_str if isinstance(frame, str) else socket.send_bytes)(frame)
            else:
                await vendor.send(socket, *frame)
        await vendor.barrier(socket)
        if then:
            await then(socket)

    return script


async def stays(socket):
    await socket.receive()


async def cut(socket):
    socket._req.transport.abort()


@asynccontextmanager
async def streaming(clock, *scripts, **options):
    vendor = Vendor(clock, *scripts)
    async with serving(vendor) as base:
        stream = PolygonStream(clock, base.replace("http", "ws") + "/stocks", "SECRET", **options)
        async with aclosing(stream.batches()) as batches:
            yield vendor, stream, batches


async def take(clock, batches, number):
    return [await finish(clock, anext(batches)) for _ in range(number)]


async def test_the_handshake_is_spoken_exactly(clock):
    async with streaming(clock, plays([second()], then=stays)) as (vendor, _, batches):
        (batch,) = await take(clock, batches, 1)
    assert vendor.said == [{"action": "auth", "params": "SECRET"}, {"action": "subscribe", "params": "A.*,AM.*,LULD.*"}]
    assert batch.seconds == [StreamBar("A", 1610144868000, 1610144869000, 1.5, 1.5, 1.5, 1.5, 200, 1.5, 50, 300, None)]
    assert not batch.resubscribed
    assert batch.received_ms == clock.now().timestamp() * 1000


@pytest.mark.parametrize("end", [None, cut])
async def test_a_lost_connection_is_made_again_and_the_gap_is_told(clock, end):
    first, again = plays([second("A")], then=end), plays([second("B")], then=stays)
    async with streaming(clock, first, again) as (vendor, stream, batches):
        batch, gap, later = await take(clock, batches, 3)
    assert [bar.symbol for bar in batch.seconds + later.seconds] == ["A", "B"]
    assert [item.resubscribed for item in (batch, gap, later)] == [False, True, False]
    assert vendor.said[2:] == vendor.said[:2]
    assert 0.25 <= (vendor.at[1] - vendor.at[0]).total_seconds() <= 0.5
    assert stream.reconnects == 1


async def test_waits_grow_while_nothing_works_and_begin_anew_when_it_does(clock):
    async with streaming(clock, 503, 503, 503, plays([second()]), plays([second()], then=stays)) as (vendor, _, batches):
        await take(clock, batches, 3)
    gaps = [(later - earlier).total_seconds() for earlier, later in zip(vendor.at, vendor.at[1:], strict=False)]
    assert all(low <= gap <= 2 * low for gap, low in zip(gaps, (0.25, 0.5, 1.0, 0.25), strict=True))


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (plays(handshake=[status("auth_failed", "authentication failed SECRET")]), Unauthorized),
        (plays(handshake=[status("auth_failed", "Your plan doesn't include websocket access.")]), NotEntitled),
        (401, Unauthorized),
        (403, NotEntitled),
    ],
)
async def test_a_refused_key_ends_the_stream(clock, script, error):
    async with streaming(clock, script) as (vendor, _, batches):
        with pytest.raises(error) as caught:
            await take(clock, batches, 1)
    assert len(vendor.at) == 1
    assert "SECRET" not in str(caught.value)


TAKEN = [status("max_connections", "Maximum number of websocket connections exceeded.")]


async def test_another_program_on_the_same_key_is_left_alone_for_longer_and_longer(clock):
    taken = plays([second()], TAKEN)
    with capture_logs() as logs:
        async with streaming(clock, *[taken] * 7, plays([second()], then=stays)) as (vendor, stream, batches):
            (_, resubscribed, _) = await take(clock, batches, 3)
            said = stream.health().trouble
            await take(clock, batches, 12)
            assert stream.health().trouble is None
    gaps = [(later - earlier).total_seconds() for earlier, later in zip(vendor.at, vendor.at[1:], strict=False)]
    assert all(low <= gap <= low + 60 for gap, low in zip(gaps, (60, 120, 240, 480, 960, 1800, 1800), strict=True))
    assert resubscribed.resubscribed and "another program" in said
    assert [line["event"] for line in logs if line["log_level"] == "warning"] == ["stream_disconnected"]


async def test_a_connection_that_was_held_begins_the_waits_anew(clock):
    async def late(vendor, socket):
        await plays([second()])(vendor, socket)
        clock._now += timedelta(minutes=11)
        await vendor.send(socket, *TAKEN)
        await vendor.barrier(socket)

    async with streaming(clock, *[plays([second()], TAKEN)] * 3, late, plays([second()], then=stays)) as (vendor, _, batches):
        await take(clock, batches, 9)
    assert 660 + 60 <= (vendor.at[4] - vendor.at[3]).total_seconds() <= 660 + 120


async def test_bad_frames_are_counted_and_nothing_else_is_lost(clock):
    bad = ["<html>", b"\xff\xfe", [{"ev": "A", "sym": "BAD"}, second("A")], [{"ev": "T"}], [status("error", "LULD is not in your plan")]]
    async with streaming(clock, plays(*bad, [second("B")], then=stays)) as (vendor, stream, batches):
        found = await take(clock, batches, 2)
    assert [bar.symbol for batch in found for bar in batch.seconds] == ["A", "B"]
    assert stream.problems == {"no JSON array": 2, "invalid A": 1, "unknown T": 1, "status error": 1}
    assert (stream.messages, len(vendor.at)) == (2, 1)


async def test_kinds_of_problems_are_bounded(clock):
    frames = [[{"ev": f"X{number}"}] for number in range(200)]
    async with streaming(clock, plays(*frames, [second()], then=stays)) as (_, stream, batches):
        await take(clock, batches, 1)
    assert len(stream.problems) <= 51
    assert stream.problems.total() == 200


async def test_a_silent_vendor_in_the_handshake_is_left(clock, monkeypatch):
    monkeypatch.setattr(stream_module, "HANDSHAKE_SECONDS", 0.02)

    async def silent(vendor, socket):
        await socket.receive()

    async with streaming(clock, silent, plays([second()], then=stays)) as (vendor, _, batches):
        await take(clock, batches, 1)
    assert len(vendor.at) == 2


async def test_a_full_queue_merges_by_symbol_and_says_so(clock):
    frames = [
        [second("S", 1610144869000 + n * 1000), second(f"M{n}", ev="AM"), {"ev": "LULD", "T": "H", "t": n + 1, "i": [17]}] for n in range(9)
    ]
    taken, arrived = asyncio.Event(), asyncio.Event()

    async def script(vendor, socket):
        await plays([second("FIRST")], then=lambda _: taken.wait())(vendor, socket)
        for frame in frames:
            await vendor.send(socket, *frame)
        await vendor.barrier(socket)
        arrived.set()
        await plays_on(vendor, socket)

    async def plays_on(vendor, socket):
        await taken_all.wait()
        await vendor.send(socket, second("LAST"))
        await stays(socket)

    taken_all = asyncio.Event()
    async with streaming(clock, script, queue_batches=4) as (_, stream, batches):
        await take(clock, batches, 1)
        taken.set()
        await arrived.wait()
        *waited, merged = await take(clock, batches, 5)
        taken_all.set()
        (last,) = await take(clock, batches, 1)
    assert [batch.minutes[0].symbol for batch in waited] == ["M0", "M1", "M2", "M3"]
    assert [bar.symbol for bar in merged.minutes] == ["M4", "M5", "M6", "M7", "M8"]
    (bar,) = merged.seconds
    assert (bar.symbol, bar.volume, bar.end_ms - bar.start_ms) == ("S", 5 * 200, 5000)
    assert [halt.at_ms for halt in merged.halts] == [9] and not merged.resubscribed
    assert (stream.dropped, stream.problems) == (0, {"queue full, merged": 8})
    assert [bar.symbol for bar in last.seconds] == ["LAST"]
    assert clock._busy == 0


def asks(said):
    return [(message["action"], message["params"].split(",")) for message in said if message["params"].startswith("Q.")]


def listens(messages, *answers):
    """Takes so many of the client's messages, answers, and waits for the end."""

    async def script(vendor, socket):
        await vendor.handshake(socket)
        await vendor.send(socket, second())
        for _ in range(messages):
            vendor.said.append(await socket.receive_json())
        await vendor.send(socket, *answers, second("HEARD"))
        await stays(socket)

    return script


async def test_quotes_are_asked_of_who_is_wanted_by_differences_and_again_on_a_new_connection(clock):
    async with streaming(clock, plays([second()]), listens(3)) as (vendor, stream, batches):
        await stream.want_quotes(["A", "B"])
        await take(clock, batches, 3)  # lost at once; the second connection
        await stream.want_quotes(["B", "C"])
        await stream.want_quotes(["B", "C"])  # nothing to say
        await take(clock, batches, 1)
        assert asks(vendor.said)[-3:] == [("subscribe", ["Q.A", "Q.B"]), ("unsubscribe", ["Q.A"]), ("subscribe", ["Q.C"])]


async def test_quotes_asked_for_are_bounded_and_those_asked_already_stay(clock, monkeypatch):
    monkeypatch.setattr(stream_module, "MOST_QUOTED", 3)
    async with streaming(clock, listens(2)) as (vendor, stream, batches):
        await take(clock, batches, 1)
        await stream.want_quotes(["X", "Y"])
        await stream.want_quotes(["A", "B", "X", "Y"])
        await take(clock, batches, 1)
    assert asks(vendor.said) == [("subscribe", ["Q.X", "Q.Y"]), ("subscribe", ["Q.A"])]


async def test_a_plan_without_quotes_is_asked_once(clock):
    refused = status("error", "not authorized to subscribe to Q. channels")
    async with streaming(clock, listens(1, refused)) as (vendor, stream, batches):
        await take(clock, batches, 1)
        await stream.want_quotes(["A"])
        await take(clock, batches, 1)
        await stream.want_quotes(["B"])
        assert stream._quoted == {"A"}
        assert asks(vendor.said) == [("subscribe", ["Q.A"])]


async def test_the_stepped_clock_waits_for_the_consumer(clock):
    """From a frame's arrival until the next batch is asked for, nobody's time passes."""
    async with streaming(clock, plays([second("A")], [second("B")], then=stays)) as (_, _, batches):
        await take(clock, batches, 1)
        assert clock._busy >= 1
        await take(clock, batches, 1)
        assert clock._busy == 1
        asking = asyncio.ensure_future(anext(batches))
        await clock.settle()
        assert clock._busy == 0
        asking.cancel()
        await asyncio.wait([asking])


async def test_leaving_early_leaves_nothing_behind(clock):
    arrived = asyncio.Event()

    async def tell(socket):
        arrived.set()
        await stays(socket)

    async with streaming(clock, plays(*([second()] for _ in range(5)), then=tell)) as (_, stream, batches):
        await take(clock, batches, 1)
        await arrived.wait()
        assert len(stream._queue) >= 3
    assert clock._busy == 0
    assert not stream._queue
    assert len(asyncio.all_tasks()) == 1


async def test_lag_is_measured(clock):
    now_ms = int(clock.now().timestamp() * 1000)
    async with streaming(clock, plays([second("A", now_ms - 2_010)] * 1, then=stays)) as (_, stream, batches):
        assert stream.health().lag_p50_ms is None
        await take(clock, batches, 1)
        assert stream.health().lag_p50_ms == stream.health().lag_p99_ms == 2_050


async def test_what_a_delayed_plan_holds_back_is_no_lag(clock):
    end_ms = int(clock.now().timestamp() * 1000) - 902_010
    async with streaming(clock, plays([second("A", end_ms)], then=stays), feed_delay_seconds=900) as (_, stream, batches):
        await take(clock, batches, 1)
        assert stream.health().lag_p99_ms == 2_050


def test_a_key_is_never_sent_in_the_open(clock):
    with pytest.raises(SettingsError):
        PolygonStream(clock, "ws://socket.massive.com/stocks", "SECRET")
