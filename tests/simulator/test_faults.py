"""The vendor's faults: which, when, and what a client sees of each."""

import asyncio
import gzip

import aiohttp
import orjson
import pytest

from tests.simulator.conftest import SESSION, instant, serving
from tests.simulator.test_stream_server import listened
from tradeul.errors import SettingsError
from tradeul.market_calendar import nyse
from tradeul.simulator.faults import ALL, BODIES, CONNECTIONS, ENDPOINTS, FILES, KINDS, REFUSALS, STREAM, Faults, Rule, can, fault_of, parse
from tradeul.simulator.files import BUCKET, key_of

TICKERS = "/v3/reference/tickers?market=stocks&active=true&limit=100"
FILE = f"/{BUCKET}/{key_of(nyse().previous(nyse().previous(SESSION)))}"


def test_rules_are_read_in_their_order():
    assert parse(" grouped:500:10, files:reset:0.5 ,all:429:1") == (
        Rule("grouped", "500", 10.0),
        Rule("files", "reset", 0.5),
        Rule(ALL, "429", 1.0),
    )
    assert parse("") == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("grouped:500", "'grouped:500' is not endpoint:kind:percent"),
        ("minute:500:1", "'minute:500:1' names no endpoint: one of grouped, range"),
        ("grouped:504:1", "'grouped:504:1' names no kind of fault: one of 401, 403"),
        ("stream:429:1", "stream cannot have the fault 429"),
        ("edgar:twice:1", "edgar cannot have the fault twice"),
        ("files:circle:1", "files cannot have the fault circle"),
        ("grouped:500:ten", "'ten' is no number of percent"),
        ("grouped:500:101", "between 0 and 100"),
        ("grouped:500:nan", "between 0 and 100"),
    ],
)
def test_a_wrong_rule_is_named(text, says):
    with pytest.raises(SettingsError, match="TRADEUL_SIMULATOR_FAULTS") as caught:
        parse(f"all:500:1,{text}")
    assert says in str(caught.value)


@pytest.mark.parametrize("percent", [0, 1, 10, 100])
def test_so_many_of_a_hundred_and_the_same_each_time(percent):
    rules = (Rule("grouped", "500", percent),)
    drawn = [fault_of(rules, 7, "grouped", number) for number in range(10_000)]
    assert drawn.count("500") == pytest.approx(100 * percent, abs=0 if percent in (0, 100) else 12 * percent)
    assert drawn == [fault_of(rules, 7, "grouped", number) for number in range(10_000)]
    assert not any(fault_of(rules, 7, "splits", number) for number in range(100))


def test_all_means_every_endpoint_that_can_have_it():
    for kind in KINDS:
        found = [endpoint for endpoint in ENDPOINTS if fault_of((Rule(ALL, kind, 100),), 7, endpoint, 1)]
        assert found == [endpoint for endpoint in ENDPOINTS if can(endpoint, kind)]


async def seen(http, path, kind=None):
    """Status, body; or the name of what ended it. Only what hangs is not waited for."""
    try:
        async with http.get(path, timeout=aiohttp.ClientTimeout(sock_read=0.2 if kind in CONNECTIONS else 30)) as answer:
            return answer.status, await answer.read()
    except (aiohttp.ClientError, TimeoutError) as error:
        return type(error).__name__, b""


def client(server):
    return aiohttp.ClientSession(f"http://127.0.0.1:{server.port}", headers={"Authorization": "Bearer k"})


async def test_each_kind_is_what_it_says():
    async with serving(instant(9, 35)) as (server, _), client(server) as http:
        right = orjson.loads((await seen(http, TICKERS))[1])
        met = {}
        for kind in KINDS:
            server.faults = Faults(parse(f"tickers:{kind}:100"))
            met[kind] = await seen(http, TICKERS, kind)
            async with http.get(TICKERS.replace("reference/tickers", "reference/splits")) as other:
                assert other.status == 200
        assert {kind: met[kind][0] for kind in REFUSALS} == REFUSALS
        assert met["html"][1].startswith(b"<html>")
        assert [met[kind][0] for kind in CONNECTIONS] == ["SocketTimeoutError", "ServerDisconnectedError", "ClientPayloadError"]
        assert {met[kind][0] for kind in BODIES} == {200}
        for kind in ("truncated", "malformed"):
            with pytest.raises(orjson.JSONDecodeError):
                orjson.loads(met[kind][1])
        body = {kind: orjson.loads(met[kind][1]) for kind in ("empty", "fewer", "twice", "circle")}
        assert body["empty"]["results"] == [] and "next_url" not in body["empty"]
        assert body["fewer"]["results"] == right["results"][::2] and body["fewer"]["count"] == 50
        assert len(body["twice"]["results"]) == 200
        assert body["circle"]["next_url"].endswith(TICKERS) and body["circle"]["results"] == right["results"]


async def test_retry_after_is_named_by_one_kind_of_429():
    async with serving(instant(9, 35)) as (server, _), client(server) as http:
        for kind, wait in (("429", None), ("429-later", "2")):
            server.faults = Faults(parse(f"all:{kind}:100"))
            async with http.get(TICKERS) as answer:
                assert (answer.status, answer.headers.get("Retry-After")) == (429, wait)


async def test_files_suffer_too():
    async with serving(instant(11, 35)) as (server, _), client(server) as http:
        await asyncio.to_thread(server.market.minutes, nyse().previous(SESSION))
        whole = (await seen(http, FILE))[1]
        lines = gzip.decompress(whole).splitlines()
        for kind in (*REFUSALS, *CONNECTIONS, *BODIES):
            if not can(FILES, kind):
                continue
            server.faults = Faults(parse(f"files:{kind}:100"))
            status, data = await seen(http, FILE, kind)
            if kind in REFUSALS:
                assert status == REFUSALS[kind]
            elif kind in CONNECTIONS:
                assert not data
            elif kind == "truncated":
                assert data == whole[: len(whole) // 2]
            else:
                wanted = {"malformed": [b"<html><body>not a file</body></html>"], "empty": lines[:1], "fewer": lines[:1] + lines[1::2]}
                assert gzip.decompress(data).splitlines() == wanted[kind]


async def test_the_stream_can_be_silent_doubled_or_cut():
    counts = {}
    for faults in ("", "stream:hang:100", "stream:twice:100"):
        async with serving(instant(9, 31), faults=parse(faults)) as (server, clock):
            counts[faults] = len(await listened(server, clock, instant(9, 31, 20), "A.*"))
    assert counts["stream:hang:100"] == 0 < counts[""]
    assert counts["stream:twice:100"] == 2 * counts[""]
    async with (
        serving(instant(9, 31), faults=parse("stream:cut:100")) as (server, clock),
        client(server) as http,
        http.ws_connect("/stocks") as socket,
    ):
        await socket.send_json({"action": "auth", "params": "k"})
        await socket.send_json({"action": "subscribe", "params": "A.*"})
        await server.subscribed(1)
        moving = asyncio.create_task(clock.advance_to(instant(9, 31, 10)))
        kinds = [message.type async for message in socket]
        await moving
        assert aiohttp.WSMsgType.TEXT in kinds and socket.closed
    assert STREAM in server.faults.asked
