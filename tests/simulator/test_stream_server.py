import asyncio
import collections

import aiohttp
import massive
import pytest
from massive.exceptions import AuthError

from tests.simulator.conftest import instant, serving


def official(server, *subscriptions, key="k"):
    return massive.WebSocketClient(key, feed=f"127.0.0.1:{server.port}", market="stocks", subscriptions=list(subscriptions), secure=False)


async def listened(server, clock, until, *subscriptions):
    """What the official client takes until an instant."""
    got = []

    async def take(messages):
        got.extend(messages)

    client = official(server, *subscriptions)
    task = asyncio.create_task(client.connect(take))
    await server.subscribed(len(subscriptions))
    await clock.advance_to(until)
    task.cancel()
    await client.close()
    return got


async def test_the_official_client_receives_bars_and_halts():
    async with serving(instant(9, 28, 40)) as (server, clock):
        got = await listened(server, clock, instant(9, 31, 30), "A.*", "AM.*", "LULD.*")
        count = collections.Counter(message.event_type for message in got)
        assert count["A"] > count["AM"] > 100
        assert [message.indicators for message in got if message.event_type == "LULD"] == [[17], [18]]
        bar = next(message for message in got if message.event_type == "AM")
        assert bar.fractional_volume == str(bar.volume)
        assert bar.average_size >= 1
        # On the stepped clock nothing is told before what came earlier was taken.
        ends = [message.end_timestamp for message in got if message.event_type == "A"]
        assert max(ends) == instant(9, 31, 28).timestamp() * 1000


async def test_one_symbol_is_all_that_its_subscriber_gets():
    async with serving(instant(9, 31, 0)) as (server, clock):
        lead = server.market.source.issues[server.market.source.story.cast(instant(9, 31).date()).lead].symbol
        got = await listened(server, clock, instant(9, 32, 30), f"A.{lead}", f"AM.{lead}")
        assert {message.symbol for message in got} == {lead}
        assert {message.event_type for message in got} == {"A", "AM"}


async def test_the_official_client_receives_quotes_of_who_trades_around_its_price():
    async with serving(instant(9, 31, 0)) as (server, clock):
        lead = server.market.source.issues[server.market.source.story.cast(instant(9, 31).date()).lead].symbol
        got = await listened(server, clock, instant(9, 32, 30), f"Q.{lead}", f"A.{lead}")
        quotes = [message for message in got if message.event_type == "Q"]
        closes = {message.end_timestamp: message.close for message in got if message.event_type == "A"}
        assert len(quotes) > 10 and {quote.symbol for quote in quotes} == {lead}
        assert all(quote.bid_price < quote.ask_price for quote in quotes)
        told = [(quote, closes[quote.timestamp]) for quote in quotes if quote.timestamp in closes]
        assert len(told) > 10 and all(quote.bid_price <= close <= quote.ask_price for quote, close in told)


async def test_a_wrong_key_is_refused():
    async with serving(instant(9, 31)) as (server, _):
        with pytest.raises(AuthError):
            await official(server, "A.*", key="wrong-key").connect(lambda _: None)


async def spoken(socket):
    """The next frame, as (status, message)."""
    async with asyncio.timeout(5):
        [message] = await socket.receive_json()
    return message["status"], message["message"]


async def test_the_handshake_is_the_vendors():
    async with serving(instant(9, 31)) as (server, _), aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as http:
        async with http.ws_connect("/stocks") as socket:
            assert await spoken(socket) == ("connected", "Connected Successfully")
            await socket.send_json({"action": "subscribe", "params": "A.*"})
            assert (await spoken(socket))[0] == "auth_failed"
        async with http.ws_connect("/stocks") as socket:
            await spoken(socket)
            await socket.send_json({"action": "auth", "params": "k"})
            assert (await spoken(socket))[0] == "auth_success"
            await socket.send_json({"action": "subscribe", "params": "AM.*,T.AAPL"})
            assert await spoken(socket) == ("success", "subscribed to: AM.*")
            assert (await spoken(socket))[0] == "error"
            await socket.send_str("{")
            assert (await spoken(socket))[0] == "error"
            await socket.send_json({"action": "unsubscribe", "params": "AM.*"})
            assert await spoken(socket) == ("success", "unsubscribed to: AM.*")


async def test_a_second_connection_closes_the_first():
    async with serving(instant(9, 31)) as (server, _), aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as http:

        async def connected(key):
            socket = await http.ws_connect("/stocks")
            await spoken(socket)
            await socket.send_json({"action": "auth", "params": key})
            assert (await spoken(socket))[0] == "auth_success"
            return socket

        first, other = await connected("k"), await connected("another")
        second = await connected("k")
        assert (await spoken(first))[0] == "max_connections"
        assert (await first.receive()).type is aiohttp.WSMsgType.CLOSE
        for socket in (second, other):
            await socket.send_json({"action": "subscribe", "params": "AM.*"})
            assert (await spoken(socket))[0] == "success"
            await socket.close()


async def test_one_that_does_not_read_is_dropped(monkeypatch):
    monkeypatch.setattr("tradeul.simulator.stream_server.QUEUE_BYTES", 2_000)
    async with serving(instant(9, 31)) as (server, clock), aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as http:
        async with http.ws_connect("/stocks") as socket:
            await spoken(socket)
            await socket.send_json({"action": "auth", "params": "k"})
            await socket.send_json({"action": "subscribe", "params": "A.*"})
            assert [(await spoken(socket))[0] for _ in range(2)] == ["auth_success", "success"]
            await clock.advance_to(instant(9, 31, 10))
            frames = [message async for message in socket]
            assert "slow_consumer" in frames[-1].data
        assert server.connections == 0


async def test_whoever_has_a_key_cuts_the_streams_for_ten_seconds():
    async with serving(instant(9, 31, 0)) as (server, clock), aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as http:
        socket = await http.ws_connect("/stocks")
        async with http.post("/simulator/cut") as refused:
            assert refused.status == 401
        async with http.post("/simulator/cut", headers={"Authorization": "Bearer k"}) as answer:
            assert await answer.json() == {"seconds": 10.0}
        await clock.advance_to(instant(9, 31, 9))
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await http.ws_connect("/stocks")
        await clock.advance_to(instant(9, 31, 10))
        await (await http.ws_connect("/stocks")).close()
        await socket.close()
