import asyncio
import io
import json

import aiohttp
import pytest
from structlog.testing import capture_logs

from tests.gateway.stand import PAGE, Raw, standing, until
from tradeul.gateway import http
from tradeul.ops.callers import HOLDER, OURSELVES


async def test_a_handshake_that_takes_too_long_is_cut_off_however_it_dribbles(valkey, scanner, monkeypatch):
    monkeypatch.setattr(http, "HANDSHAKE_SECONDS", 0.3)
    async with standing(valkey, scanner) as stand, Raw.opened(stand.gateway.port) as silent, Raw.opened(stand.gateway.port) as dribbling:

        async def dribble():
            for byte in Raw.handshake():
                dribbling.write(bytes((byte,)))
                await asyncio.sleep(0.05)

        task = asyncio.create_task(dribble())
        assert await silent.reader.read() == b""
        assert await dribbling.next() == (None, b"")
        task.cancel()
        async with stand.browser() as browser:
            await browser.say(action="ping")
            await browser.next("pong")


async def test_sockets_are_limited_in_all_and_a_free_place_is_given_again(valkey, scanner, monkeypatch):
    monkeypatch.setattr(http, "MAX_SOCKETS", 2)
    monkeypatch.setattr(http, "UNHEARD_SHARE", 1.6)
    async with standing(valkey, scanner) as stand:
        port = stand.gateway.port
        async with stand.browser(), stand.browser(), Raw.opened(port) as third, Raw.opened(port) as fourth:
            assert await fourth.next() == (None, b"")
            third.write(Raw.handshake())
            head, body = (await third.reader.read()).split(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 503") and b"Retry-After: 5" in head and b"application/problem+json" in head
            assert json.loads(body)["detail"] == "2 sockets are open: try again later."
        await until(lambda: asyncio.sleep(0, not stand.gateway._viewers))
        async with stand.browser():
            pass
        async with stand.client.get(stand.url + "/metrics") as response:
            assert "\ntradeul_gateway_refused_sockets_total 2.0\n" in await response.text()


async def test_sockets_of_one_address_are_limited_and_those_from_this_machine_itself_are_not(stand, monkeypatch):
    monkeypatch.setattr(http, "MAX_SOCKETS_OF_ONE_ADDRESS", 1)
    elsewhere = {"local_addr": ("127.0.0.2", 0)}
    async with Raw.connected(stand.gateway.port, **elsewhere), Raw.opened(stand.gateway.port, **elsewhere) as second:
        assert await second.reader.read() == b""  # twice the limit: unheard
        monkeypatch.setattr(http, "UNHEARD_SHARE", 2.0)
        async with Raw.opened(stand.gateway.port, **elsewhere) as third:
            third.write(Raw.handshake())
            assert (await third.reader.read()).startswith(b"HTTP/1.1 429")
        async with stand.browser(), stand.browser():
            pass


@pytest.mark.parametrize("shown", [{}, {"Authorization": "Bearer wrong"}, {"Cookie": "tradeul=secret"}])
async def test_a_socket_without_the_token_is_told_so_and_closed(guarded, shown):
    for query in ("", "?token=wrong", "?token="):
        async with guarded.client.ws_connect(guarded.url + "/ws" + query, origin=PAGE, headers=shown) as socket:
            assert (await socket.receive_json())["code"] == "unauthorized"
            assert (await socket.receive()).data == 1008
    async with guarded.client.post(guarded.url + "/api/clear-cache", json={"reason": "x"}, headers=shown) as response:
        assert (response.status, response.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert not guarded.gateway._viewers


async def test_the_token_opens_by_header_query_and_login_cookie_and_health_needs_none(guarded):
    code = guarded.gateway._callers.login_code(HOLDER)
    for query, headers in (("?token=secret", {}), ("", {"Authorization": "Bearer secret"}), ("", {"Cookie": f"tradeul={code}"})):
        async with guarded.client.ws_connect(guarded.url + "/ws" + query, origin=PAGE, headers=headers) as socket:
            assert (await socket.receive_json())["type"] == "connected"
    for path in ("/health", "/ready", "/metrics"):
        async with guarded.client.get(guarded.url + path) as response:
            assert response.status == 200
    body = {"json": {"reason": "new_trading_day"}, "headers": guarded.gateway._callers.credentials()}
    with capture_logs() as logs:
        async with guarded.client.post(guarded.url + "/api/clear-cache", **body) as response:
            assert response.status == 200
    assert [line["caller"] for line in logs if line["event"] == "write_called"] == [OURSELVES]


async def test_a_foreign_page_is_refused_before_its_token_is_looked_at(guarded):
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await guarded.client.ws_connect(guarded.url + "/ws?token=secret", origin="https://evil.example")
    assert refused.value.status == 403


async def test_what_is_no_call_is_told_so(stand):
    for method, path, status in (("GET", "/nowhere", 404), ("GET", "/ws/", 404), ("DELETE", "/health", 405), ("GET", "/ws", 400)):
        async with stand.client.request(method, stand.url + path) as response:
            assert (response.status, response.content_type) == (status, "application/problem+json")
            assert response.headers.get("Allow") == ("GET" if status == 405 else None)
    async with stand.client.head(stand.url + "/health") as response:
        assert response.status == 200


async def test_a_body_that_is_late_too_long_or_wrong_is_refused(stand, monkeypatch):
    monkeypatch.setattr(http, "BODY_SECONDS", 0.2)
    url = stand.url + "/api/clear-cache"
    for body in (b"{", b'{"reason":"\xff"}', b'{"reason":"x","pad":' + b"[" * 5000, b"[]"):
        async with stand.client.post(url, data=body) as response:
            assert (response.status, response.content_type) == (400, "application/problem+json")
    async with stand.client.post(url, data=io.BytesIO(b" " * (2 << 20))) as response:
        assert response.status == 413
    async with Raw.opened(stand.gateway.port) as late:
        late.write(b"POST /api/clear-cache HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        assert (await late.reader.readline()).startswith(b"HTTP/1.1 408")


async def test_what_is_not_http_is_refused(stand):
    for garbage in (b"\x00\x01\x02\r\n\r\n", b"GET /ws HTTP/1.1\r\nHost: " + b"x" * 20_000 + b"\r\n\r\n"):
        async with Raw.opened(stand.gateway.port) as raw:
            raw.write(garbage)
            assert (await raw.reader.readline()).startswith(b"HTTP/1.0 400")
