from datetime import timedelta

import aiohttp
import pytest
from obstore.exceptions import PermissionDeniedError
from obstore.store import S3Store

from tests.simulator.conftest import SESSION, instant, serving
from tradeul.clock import LateClock, SteppedClock
from tradeul.market_calendar import nyse
from tradeul.simulator.files import key_of
from tradeul.simulator.plans import signing_key

BEFORE = nyse().previous(SESSION)
GROUPED = f"/v2/aggs/grouped/locale/us/market/stocks/{BEFORE}"
SNAPSHOT = "/v2/snapshot/locale/us/markets/stocks/tickers"


async def ask(server, key, path):
    headers = {"Authorization": f"Bearer {key}"}
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{server.port}{path}", headers=headers) as response:
        return response.status, await response.json()


async def greeted(server, key, path):
    """What the stream says to a key."""
    async with aiohttp.ClientSession() as session, session.ws_connect(f"ws://127.0.0.1:{server.port}{path}") as socket:
        await socket.receive_json(timeout=5)
        await socket.send_json({"action": "auth", "params": key})
        return (await socket.receive_json(timeout=5))[0]["status"]


def files(server, key):
    credentials = {"aws_access_key_id": key, "aws_secret_access_key": "s", "aws_region": "us-east-1"}
    endpoint = f"http://127.0.0.1:{server.port}"
    return S3Store("flatfiles", endpoint=endpoint, client_options={"allow_http": True}, retry_config={"max_retries": 0}, **credentials)


async def test_the_free_plan_has_days_and_neither_snapshot_nor_stream_nor_files():
    async with serving(instant(9, 35)) as (server, _):
        status, said = await ask(server, "free-plan", GROUPED)
        assert (status, said["status"]) == (200, "DELAYED") and said["resultsCount"] > 100
        status, said = await ask(server, "free-plan", SNAPSHOT)
        assert (status, said["status"]) == (403, "NOT_AUTHORIZED") and "not entitled" in said["message"]
        assert await greeted(server, "free-plan", "/stocks") == "auth_failed"
        assert await greeted(server, "free-plan", "/delayed/stocks") == "auth_failed"
        old = key_of(nyse().previous(BEFORE))
        with pytest.raises(PermissionDeniedError):
            await files(server, "free-plan").get_async(old)
        assert len(await (await files(server, "starter-plan").get_async(old)).bytes_async()) > 1000


async def test_the_free_plan_has_five_requests_a_minute():
    async with serving(instant(9, 35)) as (server, clock):
        assert [(await ask(server, "free-plan", GROUPED))[0] for _ in range(6)] == [200] * 5 + [429]
        assert (await ask(server, "k", GROUPED))[0] == 200
        await clock.advance_to(instant(9, 36))
        assert (await ask(server, "free-plan", GROUPED))[0] == 200


@pytest.mark.parametrize("key", ["starter-plan", "developer-plan"])
async def test_a_delayed_plan_sees_the_market_of_a_quarter_of_an_hour_ago(key):
    async with serving(instant(9, 40)) as (server, _):
        (_, late), (_, now) = [await ask(server, each, SNAPSHOT) for each in (key, "advanced-plan")]
        assert (late["status"], now["status"]) == ("DELAYED", "OK")
        newest_ns = {said["status"]: max(row["updated"] for row in said["tickers"]) for said in (late, now)}
        assert timedelta(microseconds=(newest_ns["OK"] - newest_ns["DELAYED"]) / 1000) > timedelta(minutes=14)
        assert await greeted(server, key, "/stocks") == "auth_failed"
        assert await greeted(server, key, "/delayed/stocks") == "auth_success"
        assert await greeted(server, "advanced-plan", "/stocks") == "auth_success"


@pytest.mark.parametrize(
    ("key", "hidden"), [("starter-plan", {"lastTrade", "lastQuote"}), ("developer-plan", {"lastQuote"}), ("advanced-plan", set())]
)
async def test_a_plan_without_trades_or_quotes_has_none_in_its_snapshots(key, hidden):
    async with serving(instant(9, 50)) as (server, _):
        _, whole = await ask(server, key, SNAPSHOT)
        shown = {name for row in whole["tickers"] for name in row}
        assert {"lastTrade", "lastQuote"} - shown == hidden and {"day", "min", "prevDay"} <= shown
        _, one = await ask(server, key, f"{SNAPSHOT}/{whole['tickers'][0]['ticker']}")
        assert not hidden & one["ticker"].keys()


async def test_a_late_clock_wakes_when_its_own_time_has_come():
    clock = SteppedClock(instant(9, 40))
    late = LateClock(clock, timedelta(minutes=15))
    assert late.now() == instant(9, 25)
    await late.sleep_until(instant(9, 20))  # long past
    assert clock.now() == instant(9, 40)


def test_who_signed_is_read_from_the_signature():
    assert signing_key("AWS4-HMAC-SHA256 Credential=free-plan/20260309/us-east-1/s3/aws4_request, SignedHeaders=host") == "free-plan"
    assert signing_key("") == ""
