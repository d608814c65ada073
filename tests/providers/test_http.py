import asyncio
import gzip
import json
from collections import deque
from datetime import date, timedelta
from itertools import islice

import pytest
from aiohttp import ClientTimeout, web
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.providers.conftest import finish, serving
from tradeul.errors import MalformedResponse, NotEntitled, ProviderError, RateLimited, SettingsError, Unauthorized, VendorUnavailable
from tradeul.providers import http
from tradeul.providers.http import ATTEMPTS, HttpClient, RateLimit, check_address, waits
from tradeul.providers.polygon.wire import decode_grouped_daily


class Script:
    """A server's answers in order; the last one for ever. Notes when each request came, by the stepped clock."""

    def __init__(self, clock, *answers):
        self.clock, self.answers, self.at, self.headers = clock, list(answers), [], []

    async def __call__(self, request):
        self.at.append(self.clock.now())
        self.headers.append(request.headers)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return await answer(request) if callable(answer) else web.Response(**answer)

    def gaps(self):
        return [(later - earlier).total_seconds() for earlier, later in zip(self.at, self.at[1:], strict=False)]


OK = {"body": b"[1]"}


async def ask(clock, script, key=None, **options):
    async with serving(script) as base, HttpClient(clock, 60_000, 4, key=key) as client:
        try:
            return await finish(clock, client.get(base + "/v1/x", endpoint="the endpoint", **options)), client
        except ProviderError as error:
            return error, client


async def test_a_body_comes_with_the_key_in_a_header_and_gzip_undone(clock):
    async def packed(request):
        assert request.headers["Accept-Encoding"] == "gzip"
        return web.Response(body=gzip.compress(b'{"a":1}'), headers={"Content-Encoding": "gzip"})

    script = Script(clock, packed)
    body, client = await ask(clock, script, key="SECRET")
    assert (body, client.statuses[200]) == (b'{"a":1}', 1)
    assert script.headers[0]["Authorization"] == "Bearer SECRET"


async def test_a_server_error_is_asked_again_with_growing_waits(clock):
    html = {"status": 500, "body": b"<html>oops</html>", "content_type": "text/html"}
    script = Script(clock, html, html, html, OK)
    body, client = await ask(clock, script)
    assert (body, client.statuses, client.retries) == (b"[1]", {500: 3, 200: 1}, 3)
    assert all(low <= gap <= 2 * low for gap, low in zip(script.gaps(), (0.25, 0.5, 1.0), strict=True))


async def test_attempts_end(clock):
    script = Script(clock, {"status": 503, "body": b"<html>\n down </html>"})
    error, client = await ask(clock, script)
    assert isinstance(error, VendorUnavailable)
    assert str(error) == "the endpoint: the vendor failed with status 503 (<html> down </html>): try later"
    assert client.statuses[503] == ATTEMPTS


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (401, Unauthorized, '{"status":"ERROR","error":"Unknown API Key"}'),
        (403, NotEntitled, '{"status":"NOT_AUTHORIZED","message":"You are not entitled to this data."}'),
        (400, ProviderError, '{"status":"ERROR","error":"bad date"}'),
        (404, ProviderError, ""),
        (302, ProviderError, ""),
    ],
)
async def test_what_asking_again_cannot_heal_is_asked_once(clock, status, kind, said):
    script = Script(clock, {"status": status, "text": said, "headers": {"Location": "/elsewhere"}})
    error, _ = await ask(clock, script)
    assert type(error) is kind
    assert len(script.at) == 1
    assert "the endpoint" in str(error)
    assert said.split('"')[-2:-1] == [] or said.split('"')[-2] in str(error)


async def test_retry_after_seconds_are_waited(clock):
    script = Script(clock, {"status": 429, "headers": {"Retry-After": "17"}}, OK)
    body, _ = await ask(clock, script)
    assert body == b"[1]"
    assert 17 <= script.gaps()[0] <= 18


async def test_retry_after_may_be_a_date(clock):
    headers = {"Retry-After": "Mon, 09 Mar 2026 14:00:31 GMT", "Date": "Mon, 09 Mar 2026 14:00:01 GMT"}
    script = Script(clock, {"status": 429, "headers": headers}, OK)
    await ask(clock, script)
    assert 30 <= script.gaps()[0] <= 31


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "soon"}, {"Retry-After": "-5"}])
async def test_too_many_requests_without_a_usable_hint_backs_off(clock, headers):
    script = Script(clock, {"status": 429, "headers": headers}, OK)
    body, _ = await ask(clock, script)
    assert body == b"[1]"
    assert 0.25 <= script.gaps()[0] <= 0.5


async def test_a_retry_after_beyond_patience_is_told_at_once(clock):
    script = Script(clock, {"status": 429, "headers": {"Retry-After": "86400"}})
    error, _ = await ask(clock, script)
    assert isinstance(error, RateLimited)
    assert (error.retry_after_seconds, len(script.at)) == (86400, 1)
    assert "TRADEUL_REQUESTS_PER_MINUTE" in str(error)


async def test_a_hanging_server_is_a_timeout(clock, monkeypatch):
    monkeypatch.setattr(http, "TIMEOUT", ClientTimeout(total=0.02))

    async def hang(request):
        await asyncio.sleep(5)

    script = Script(clock, hang)
    error, client = await ask(clock, script)
    assert isinstance(error, VendorUnavailable)
    assert client.statuses == {"timeout": ATTEMPTS}


async def test_a_connection_cut_in_the_body_is_asked_again(clock):
    async def cut(request):
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"[1,2")
        request.transport.abort()
        return response

    body, client = await ask(clock, Script(clock, cut, cut, OK))
    assert (body, client.statuses) == (b"[1]", {"connection": 2, 200: 1})


async def test_a_damaged_gzip_is_asked_again(clock):
    packed = bytearray(gzip.compress(bytes(range(256)) * 40))
    packed[20:40] = b"\xff" * 20
    damaged = {"body": bytes(packed), "headers": {"Content-Encoding": "gzip"}}
    body, client = await ask(clock, Script(clock, damaged, OK))
    assert (body, client.statuses) == (b"[1]", {"connection": 1, 200: 1})


async def test_a_gzip_that_ends_early_is_asked_again(clock):
    """aiohttp takes it for whole: only the decoder can tell."""
    cut = {"body": gzip.compress(json.dumps(["x"] * 1000).encode())[:30], "headers": {"Content-Encoding": "gzip"}}
    script = Script(clock, cut, OK)
    async with serving(script) as base, HttpClient(clock, 60_000, 1) as client:
        session = date(2024, 6, 20)
        with pytest.raises(MalformedResponse):
            await finish(clock, client.fetch(base, lambda body: decode_grouped_daily(body, session)))
    assert client.statuses[200] == ATTEMPTS


async def test_nobody_at_the_address_is_unavailable(clock):
    async with HttpClient(clock, 60_000, 1) as client:
        with pytest.raises(VendorUnavailable, match=r"127\.0\.0\.1"):
            await finish(clock, client.get("http://127.0.0.1:9/x"))


async def test_a_body_that_cannot_be_decoded_is_asked_again(clock):
    def decode(body):
        if body != b"[1]":
            raise MalformedResponse("the endpoint", "cut")
        return 1

    script = Script(clock, {"body": b"[1,"}, OK)
    async with serving(script) as base, HttpClient(clock, 60_000, 1) as client:
        assert await finish(clock, client.fetch(base, decode)) == 1
    script = Script(clock, {"body": b"[1,"})
    async with serving(script) as base, HttpClient(clock, 60_000, 1) as client:
        with pytest.raises(MalformedResponse):
            await finish(clock, client.fetch(base, decode))
    assert len(script.at) == ATTEMPTS


async def test_the_key_is_in_no_message(clock):
    script = Script(clock, {"status": 401, "text": '{"error":"Unknown API Key SECRET"}'})
    error, _ = await ask(clock, script, key="SECRET")
    assert "SECRET" not in str(error)
    assert "Unknown API Key KEY" in str(error)


@pytest.mark.parametrize(
    "url",
    ["http://api.massive.com", "ws://socket.massive.com/stocks", "ftp://127.0.0.1", "api.massive.com", "", "http://127.0.0.1.evil.com"],
)
def test_a_key_is_never_sent_in_the_open(url):
    with pytest.raises(SettingsError):
        check_address(url)


@pytest.mark.parametrize(
    "url", ["https://api.massive.com", "wss://a.b/stocks", "http://127.0.0.1:8090", "ws://localhost:1/stocks", "http://[::1]:80"]
)
def test_loopback_may_be_plain(url):
    check_address(url)


async def test_no_more_requests_at_once_than_asked(clock):
    now = most = 0

    async def slow(request):
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.002)
        now -= 1
        return web.Response(body=b"[1]")

    async with serving(slow) as base, HttpClient(clock, 60_000, 3) as client:
        await finish(clock, asyncio.gather(*(client.get(base) for _ in range(30))))
    assert most == 3


async def test_the_stepped_clock_waits_for_an_answer(clock):
    async def slow(request):
        await asyncio.sleep(0.02)
        return web.Response(body=b"[1]")

    async with serving(slow) as base, HttpClient(clock, 60_000, 3) as client:
        began = clock.now()

        async def asks():
            await clock.sleep(1)
            await client.get(base)
            return clock.now()

        asking, other = asyncio.ensure_future(asks()), asyncio.ensure_future(clock.sleep(2))
        await clock.settle()
        await clock.advance_to(began + timedelta(seconds=10))
        assert asking.result() == began + timedelta(seconds=1)
        await other


def test_waits_double_to_a_ceiling_and_are_jittered():
    many = [list(islice(waits(), 12)) for _ in range(200)]
    for place, ceiling in enumerate([0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60]):
        column = [row[place] for row in many]
        assert ceiling / 2 <= min(column) < max(column) <= ceiling
        assert len(set(column)) > 100


class Wall:
    """Milliseconds that pass only by sleeping."""

    def __init__(self):
        self.ms = 10_000.0

    def now_ms(self):
        return int(self.ms)

    async def sleep(self, seconds):
        self.ms += seconds * 1000


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 400), st.integers(1, 90), st.lists(st.sampled_from([0, 0, 0, 1, 7, 400, 20_000]), min_size=1, max_size=400))
async def test_no_window_ever_holds_more_than_the_limit(per_minute, pace, pauses_ms):
    wall = Wall()
    limit = RateLimit(per_minute, pace, wall.now_ms, wall.sleep)
    passed = {100: (pace, deque()), 60_000: (per_minute, deque())}
    for pause in pauses_ms:
        wall.ms += pause
        await limit.pass_through()
        for length, (most, inside) in passed.items():
            inside.append(wall.now_ms())
            while inside[0] <= wall.now_ms() - length:
                inside.popleft()
            assert len(inside) <= most


async def test_bulk_work_leaves_a_tenth_for_live(clock):
    async def handler(request):
        return web.Response(body=b"[1]")

    async with serving(handler) as base, HttpClient(clock, 20, 4) as client:
        await finish(clock, asyncio.gather(*(client.get(base) for _ in range(18))))
        waiting = asyncio.ensure_future(client.get(base))
        # The nineteenth of bulk waits for the minute; live's does not.
        assert await client.get(base, bulk=False) == b"[1]"
        assert await client.get(base, bulk=False) == b"[1]"
        assert not waiting.done()
        waiting.cancel()
        await asyncio.wait([waiting])
    assert client.statuses[200] == 20


async def test_a_lower_limit_counts_what_was_asked_before(clock):
    client = HttpClient(clock, 6000, 10)
    client.statuses[200] = 4
    client.limit_to(5)
    passed = []

    async def ask():
        for number in range(2):
            await client._limit.pass_through()
            passed.append(number)

    asking = asyncio.create_task(ask())
    for _ in range(20):
        await asyncio.sleep(0)
    assert passed == [0]
    asking.cancel()
