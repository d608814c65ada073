import asyncio
import base64
import gzip
import hashlib
import re
import signal
import socket
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime

import aiohttp
import msgspec
import pytest

from tests.schema_fuzz import found_nothing
from tradeul import __version__
from tradeul.api.page import page_folder
from tradeul.api.server import ApiServer
from tradeul.bus import redis
from tradeul.bus.embedded import EmbeddedServer
from tradeul.bus.redis import Bus
from tradeul.bus.topics import EXPLAIN
from tradeul.clock import SteppedClock, SystemClock
from tradeul.errors import StartError
from tradeul.market_calendar import nyse
from tradeul.ops.callers import Callers
from tradeul.records.breadth import Breadth, Proxy
from tradeul.records.explanations import Condition, ExplainAnswer, Explanation, Input
from tradeul.records.lists import ListDefinition, ListFrame

NOON = datetime(2026, 3, 9, 16, 0, tzinfo=UTC)
WINNERS = ListDefinition("winners", "Winners", "change_pct >= 5", (("change_pct", "desc"),), ("price", "name"), built_in=True)
ROWS = [{"symbol": "A", "rank": 0, "price": 1.5, "name": "Alpha"}, {"symbol": "B", "rank": 1, "price": None, "name": "=Beta"}]


@pytest.fixture
async def bus(tmp_path):
    server = EmbeddedServer(tmp_path, SystemClock())
    await server.start()
    bus = Bus(server.url, SystemClock())
    yield bus
    await bus.close()
    await server.stop()


class Stand:
    def __init__(self, bus, api, client):
        self.bus, self.api, self.client = bus, api, client
        self.url = f"http://127.0.0.1:{api.port}"

    async def get(self, path, status=200, **headers):
        async with self.client.get(self.url + path, headers=headers) as response:
            assert response.status == status, await response.text()
            return response, await response.read()

    async def json(self, path, status=200, **headers):
        response, _ = await self.get(path, status, **headers)
        assert response.content_type == ("application/json" if status == 200 else "application/problem+json")
        return await response.json()

    async def frame(self, session=date(2026, 3, 9)):
        await self.bus.publish_frames([("winners", ListFrame(session, 3, 7, ROWS, "SIMULATED", 1), b"{}", True)])


@pytest.fixture
async def stand(bus):
    await bus.put_lists([WINNERS])
    api = ApiServer(bus, SteppedClock(NOON), nyse(), "SIMULATED", Callers(), 0, 9000)
    running = asyncio.create_task(api.run())
    async with asyncio.timeout(60):
        await api.started.wait()
        async with aiohttp.ClientSession() as client:
            yield Stand(bus, api, client)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


async def test_the_page_is_told_the_gateway_under_the_name_it_used(stand):
    expected = {"socket": "ws://127.0.0.1:9000/ws", "mode": "SIMULATED", "simulated": True, "version": __version__}
    assert await stand.json("/api/config") == expected
    assert (await stand.json("/api/config", Host="localhost:8000"))["socket"] == "ws://localhost:9000/ws"
    assert (await stand.json("/api/config", Host="[::1]:8000"))["socket"] == "ws://[::1]:9000/ws"


async def test_lists_and_their_rows_are_served_as_json_and_csv(stand):
    await stand.frame()
    lists = await stand.json("/api/lists")
    assert lists == {
        "session": "2026-03-09",
        "lists": [
            {
                "name": "winners",
                "title": "Winners",
                "where": "change_pct >= 5",
                "order": [["change_pct", "desc"]],
                "columns": ["price", "name"],
                "class": "stocks",
            }
        ],
    }
    rows = await stand.json("/api/lists/winners")
    assert (rows["session"], rows["epoch"], rows["sequence"], rows["count"], rows["rows"]) == ("2026-03-09", 3, 7, 2, ROWS)
    response, body = await stand.get("/api/lists/winners?format=csv")
    assert response.content_type == "text/csv"
    assert response.headers["Content-Disposition"] == 'attachment; filename="winners-2026-03-09.csv"'
    assert body == b"rank,symbol,price,name\r\n0,A,1.5,Alpha\r\n1,B,,'=Beta\r\n"


async def test_another_sessions_rows_are_not_served(stand):
    assert "has no frame for the session of 2026-03-09" in (await stand.json("/api/lists/winners", 503))["detail"]
    await stand.frame(date(2026, 3, 6))
    await stand.json("/api/lists/winners", 503)


async def test_another_sessions_breadth_is_not_served(stand):
    found = Breadth(date(2026, 3, 9), 0, 3, 2, 1, 0, (Proxy("SPY", 500.0, None),))
    await stand.get("/api/breadth", 204)
    await stand.bus.put_breadth(msgspec.structs.replace(found, session=date(2026, 3, 6)))
    await stand.get("/api/breadth", 204)
    await stand.bus.put_breadth(found)
    answer = await stand.json("/api/breadth")
    assert (answer["up"], answer["down"], answer["proxies"]) == (3, 2, [{"symbol": "SPY", "price": 500.0, "change_pct": None}])


async def test_every_error_is_a_problem_that_says_what_to_do(stand):
    assert (await stand.json("/api/lists/nothing", 404))["detail"] == "No list 'nothing'. The lists: winners."
    assert "'json' or 'csv'" in (await stand.json("/api/lists/winners?format=xml", 422))["detail"]
    await stand.json("/nowhere", 404)
    await stand.json("/api/nowhere", 404)
    async with stand.client.post(stand.url + "/api/lists") as response:
        assert (response.status, response.content_type) == (405, "application/problem+json")


async def test_who_prefers_it_gets_a_problem_as_200_with_its_true_status_inside_and_nobody_else_does(stand, guarded):
    quiet = {"Prefer": "problem=ok"}
    for path, status in (("/api/lists/nothing", 404), ("/api/nowhere", 404), ("/api/lists/winners", 503)):
        _, body = await stand.get(path, status)
        response, told = await stand.get(path, 200, **quiet)
        assert (told, response.content_type, response.headers["Preference-Applied"]) == (body, "application/problem+json", "problem=ok")
        assert msgspec.json.decode(told)["status"] == status
    assert (await stand.get("/api/lists", 200, **quiet))[0].headers.get("Preference-Applied") is None
    _, refused = await guarded.get("/api/config", 200, **quiet)  # what stands before all calls says it so, too
    assert msgspec.json.decode(refused)["status"] == 401


CHANGE = Input("change_pct", 9.5, "computed", 1.0, ("price", "prev_close"))
EXPLANATION = Explanation(
    list="winners",
    symbol="A",
    session=date(2026, 3, 9),
    phase="MARKET_OPEN",
    epoch=3,
    sequence=7,
    as_of=NOON,
    on_list=True,
    fulfils=True,
    rank=0,
    limit=100,
    summary="A is on Winners: place 1 of 1.",
    conditions=(Condition("where", "change_pct >= 5", holds=True, inputs=(CHANGE,)),),
    order=(),
    columns={"price": 1.5},
)
NOTHING = ExplainAnswer(unknown_list="No list")


@asynccontextmanager
async def explaining(stand, answers):
    """A scanner that answers for these lists, and that there are no others; None: it stays silent."""

    async def scanner():
        async for request in stand.bus.subscribe(EXPLAIN):
            if answers is not None:
                await stand.bus.answer(request.reply_to, answers.get(request.list, NOTHING))

    running = asyncio.create_task(scanner())
    try:
        while (await stand.bus.redis.execute_command("PUBSUB", "NUMSUB", "explain:ask"))[1] == 0:
            await asyncio.sleep(0.01)
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_why_is_asked_of_the_scanner(stand):
    said = await stand.json("/api/explain/winners/A", 503)
    assert said["detail"] == "No scanner listens: `tradeul up` starts one."
    async with explaining(stand, {"winners": ExplainAnswer(EXPLANATION), "new": ExplainAnswer(not_now="ask again")}):
        told = await stand.json("/api/explain/winners/A")
        assert (told["epoch"], told["sequence"], told["as_of"], told["rank"]) == (3, 7, "2026-03-09T16:00:00Z", 0)
        assert told["conditions"][0]["inputs"][0]["made_from"] == ["price", "prev_close"]
        assert (await stand.json("/api/explain/nothing/A", 404))["detail"] == "No list"
        assert (await stand.json("/api/explain/new/A", 503))["detail"] == "ask again"
        assert await stand.bus.redis.keys("explain:*") == []  # taken by who asked


async def test_a_scanner_that_does_not_answer_in_time_is_said(stand, monkeypatch):
    monkeypatch.setattr(redis, "ANSWER_SECONDS", 0.05)
    async with explaining(stand, None):
        assert "did not answer within" in (await stand.json("/api/explain/winners/A", 503))["detail"]


async def test_ready_means_that_the_lists_are_known(stand):
    assert await stand.json("/ready") == {"status": "ready"}
    await stand.bus.redis.flushall()
    await stand.json("/ready", 503)
    assert (await stand.json("/health"))["status"] == "ok"


async def test_a_bus_that_is_gone_is_a_problem_that_passes(stand, bus):
    await bus.redis.shutdown(nosave=True)
    health = await stand.json("/health")
    assert (health["status"], health["redis"]) == ("degraded", "does not answer")
    assert "The bus does not answer" in (await stand.json("/api/lists", 503))["detail"]


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Host": "evil.example"}])
async def test_a_foreign_page_and_a_foreign_name_are_refused(stand, headers):
    await stand.json("/api/config", 403, **headers)
    await stand.json("/", 403, **headers)


async def test_modules_have_a_type_that_browsers_run_and_are_revalidated(stand):
    for path in ["/main.mjs", "/vendor/ag-grid-community/main.esm.min.mjs", "/vendor/ag-stack/main.esm.min.mjs"]:
        response, _ = await stand.get(path)
        assert (response.content_type, response.headers["Cache-Control"]) == ("text/javascript", "no-cache")
        _, body = await stand.get(path, 304, **{"If-None-Match": response.headers["ETag"]})
        assert body == b""


async def test_the_pages_files_are_packed_for_who_takes_it_and_the_whole_first_load_is_small(stand):
    folder = page_folder()
    read = [path for path in folder.rglob("*") if path.suffix in (".html", ".mjs", ".css", ".svg")]
    size = 0
    for path in read:
        address = f"{stand.url}/{path.relative_to(folder)}"
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.get(address, headers={"Accept-Encoding": "gzip"}) as answer,
        ):
            packed = await answer.read()
            assert answer.headers["Content-Encoding"] == "gzip"
            assert gzip.decompress(packed) == path.read_bytes()
            etag = answer.headers["ETag"]
        size += len(packed)
        await stand.get(f"/{path.relative_to(folder)}", 304, **{"If-None-Match": etag, "Accept-Encoding": "gzip"})
        response, body = await stand.get(f"/{path.relative_to(folder)}", **{"Accept-Encoding": "identity"})
        assert "Content-Encoding" not in response.headers
        assert body == path.read_bytes()
    assert size < 1_500_000


@pytest.mark.parametrize("path", ["/../server.py", "/%2e%2e/api/server.py", "/..%2fapi%2fserver.py", "/vendor/../../api/server.py"])
async def test_nothing_beside_the_page_is_served(stand, path):
    reader, writer = await asyncio.open_connection("127.0.0.1", stand.api.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    assert (await reader.read()).startswith(b"HTTP/1.1 404")
    writer.close()


async def test_the_page_may_load_only_itself_and_open_only_its_socket(stand):
    response, body = await stand.get("/")
    policy = dict(part.split(" ", 1) for part in response.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["connect-src"] == "'self' ws://127.0.0.1:9000"
    (inline,) = re.findall(rb"<script(?! [^>]*src)[^>]*>(.*?)</script>", body, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(inline).digest()).decode()
    assert policy["script-src"] == f"'self' 'sha256-{digest}'"
    assert not re.search(rb"(src|href)=\"(https?:)?//", body)


async def test_the_documentation_names_every_call_and_loads_nothing(stand):
    _, body = await stand.get("/docs")
    for path in (await stand.json("/openapi.json"))["paths"]:
        assert path.encode() in body
    assert b"<script" not in body


async def test_a_taken_port_is_one_sentence(stand):
    second = ApiServer(stand.bus, SystemClock(), nyse(), "LIVE", Callers(), stand.api.port, 9000)
    with pytest.raises(StartError, match=f"Port {stand.api.port} on 127.0.0.1 cannot be opened .* TRADEUL_API_PORT"):
        await second.run()


async def test_small_answers_are_sent_at_once(bus):
    with ApiServer(bus, SystemClock(), nyse(), "LIVE", Callers(), 0, 9000)._open() as listener:
        assert listener.proto == socket.IPPROTO_TCP  # what asyncio looks at before it switches Nagle's algorithm off


async def test_the_programs_own_signal_handling_stays(bus):
    def ours(*_):
        pass

    before = signal.signal(signal.SIGINT, ours)
    try:
        api = ApiServer(bus, SystemClock(), nyse(), "LIVE", Callers(), 0, 9000)
        running = asyncio.create_task(api.run())
        await api.started.wait()
        assert signal.getsignal(signal.SIGINT) is ours
        running.cancel()
        await asyncio.wait([running], timeout=5)
        assert running.done()
        assert not api.started.is_set()
    finally:
        signal.signal(signal.SIGINT, before)


async def test_an_idle_connection_does_not_hold_up_the_end(stand):
    reader, writer = await asyncio.open_connection("127.0.0.1", stand.api.port)
    writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await reader.readuntil(b"ok")
    running = next(task for task in asyncio.all_tasks() if task.get_coro().__qualname__ == "HttpService.run")
    running.cancel()
    await asyncio.wait([running], timeout=5)
    assert running.done()
    writer.close()


@pytest.fixture
async def guarded(bus):
    api = ApiServer(bus, SteppedClock(NOON), nyse(), "SIMULATED", Callers(token="secret"), 0, 9000, None, "wss://scan.example.com/feed")
    running = asyncio.create_task(api.run())
    async with asyncio.timeout(20), aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as client:
        await api.started.wait()
        yield Stand(bus, api, client)
    running.cancel()
    await asyncio.wait([running], timeout=5)


@pytest.mark.parametrize("path", ["/", "/main.mjs", "/health", "/metrics"])
async def test_with_a_token_the_pages_files_and_its_health_stay_open(guarded, path):
    await guarded.get(path)


@pytest.mark.parametrize("path", ["/api/config", "/api/lists", "/api/lists/winners", "/docs", "/openapi.json", "/api/nothing"])
async def test_with_a_token_whatever_the_page_asks_needs_it(guarded, path):
    response, _ = await guarded.get(path, 401)
    assert (response.content_type, response.headers["WWW-Authenticate"]) == ("application/problem+json", "Bearer")
    await guarded.get(path, 401, Authorization="Bearer wrong")


async def test_a_login_is_a_cookie_that_scripts_and_other_sites_cannot_use_and_a_logout_ends_it(guarded):
    url = guarded.url + "/api/login"
    for wrong in ({"token": "wrong"}, {}):
        async with guarded.client.post(url, json=wrong) as refused:
            assert (refused.status, refused.content_type) == (401, "application/problem+json")
    await guarded.get("/api/config", 200, Authorization="Bearer secret")
    async with guarded.client.post(url, json={"token": "secret"}) as taken:
        assert taken.status == 204
        said = taken.headers["Set-Cookie"]
    assert "secret" not in said and "HttpOnly" in said and "samesite=strict" in said.lower() and "Path=/" in said
    assert (await guarded.json("/api/config"))["socket"] == "wss://scan.example.com/feed"
    async with guarded.client.post(guarded.url + "/api/logout") as answer:
        assert answer.status == 204
    await guarded.get("/api/config", 401)


async def test_the_page_may_open_the_public_socket(guarded):
    response, _ = await guarded.get("/")
    assert "connect-src 'self' wss://scan.example.com;" in response.headers["Content-Security-Policy"]


async def test_schemathesis_finds_nothing(stand):
    await stand.frame()
    async with explaining(stand, {"winners": ExplainAnswer(EXPLANATION)}):
        await found_nothing(stand.url)
