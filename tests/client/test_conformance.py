"""The conformance runner: our gateway passes every rule; behind a proxy that breaks one at a time, that one fails."""

import asyncio
import json
import re
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from tests.client.test_client import stand  # noqa: F401 a fixture
from tests.gateway.fake_scanner import Flow, publish
from tradeul.client import conformance, talk
from tradeul.client.conformance import RULES, try_rules
from tradeul.gateway import server

PAGE = (Path(__file__).parent.parent.parent / "docs" / "protocol.md").read_text()


def test_the_rules_are_those_of_the_page():
    rules = re.findall(r"^- \*\*(R\d+)\*\* (.*(?:\n  .*)*)$", PAGE, re.MULTILINE)
    assert rules == [(f"R{number}", rule.__doc__) for number, rule in enumerate(RULES, 1)]


@pytest.fixture
async def moving(stand, monkeypatch):  # noqa: F811
    """A gateway whose lists move as long as the test lasts; its address."""
    monkeypatch.setattr(server, "LOOK_SECONDS", 0.2)
    for module, name, value in ((talk, "ANSWER_SECONDS", 1.0), (talk, "LOOK_SECONDS", 1.0), (conformance, "ANSWER_SECONDS", 0.3)):
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(conformance, "LOOK_SECONDS", 1.0)
    monkeypatch.setattr(conformance, "QUIET_SECONDS", 0.2)
    monkeypatch.setattr(conformance, "ENOUGH", 10)
    flows = Flow("winners", 1), Flow("gappers_up", 2)

    async def move():
        while True:
            await publish(stand.bus, *flows, messages=[flow.step() for flow in flows])
            await asyncio.sleep(0.01)

    async with stand.gateway():
        await publish(stand.bus, *flows)
        task = asyncio.create_task(move())
        yield stand.address
        task.cancel()
        await asyncio.wait([task])


async def test_our_gateway_keeps_every_rule(moving, capsys):
    outcomes = await try_rules(moving)
    assert set(outcomes.values()) == {"passed"}, outcomes
    said = [line for line in capsys.readouterr().out.splitlines() if re.match(r"R\d+ ", line)]
    assert said[1] == "R2  passed   `ping` is answered by `pong`; a field that the gateway does not know is ignored."
    assert len(said) == len(RULES)


@asynccontextmanager
async def proxy(address, spoil, answer=lambda said: None):
    """Every message of the gateway goes through ``spoil``: what comes instead. ``answer``: what the proxy itself says to a client's."""

    async def pass_on(request):
        async with aiohttp.ClientSession() as http, http.ws_connect(address + request.path.removeprefix("/ws")) as above:
            below = web.WebSocketResponse()
            await below.prepare(request)

            async def down():
                async for message in above:
                    for spoilt in spoil(json.loads(message.data)):
                        await below.send_str(json.dumps(spoilt))
                await below.close(code=above.close_code)

            downwards = asyncio.create_task(down())
            async for message in below:
                if message.type is aiohttp.WSMsgType.BINARY:
                    await above.send_bytes(message.data)
                elif (said := answer(message.data)) is not None:
                    await below.send_str(json.dumps(said))
                else:
                    await above.send_str(message.data)
            downwards.cancel()
            await asyncio.gather(downwards, return_exceptions=True)
        return below

    runner = web.AppRunner(web.Application(), shutdown_timeout=0.1)
    runner.app.add_routes([web.get("/ws", pass_on), web.get("/ws/scanner", pass_on)])
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"ws://127.0.0.1:{runner.addresses[0][1]}/ws"
    finally:
        await runner.cleanup()


def only(kind, change):
    """Spoils messages of one kind; ``change`` returns what comes instead."""
    return lambda message: change(message) if message["type"] == kind else [message]


def every_third(message, seen=iter(range(10**9))):  # noqa: B008 one count for all
    return [] if next(seen) % 3 == 2 else [message]


def reranked(message):
    rows = [row | {"rank": row["rank"] + 1} for row in message["rows"]] or [{"symbol": "X", "rank": 1}]  # a list may be empty
    return [message | {"rows": rows, "count": len(rows)}]


def backwards(message):
    return [message | {"deltas": message["deltas"][::-1]}]


def spoilt_row(message, seen=iter(range(10**9))):  # noqa: B008 one count for all
    rows = [row | {"price": -next(seen)} for row in message["rows"]]
    return [message | {"rows": rows}]


def held_back_unsubscription(said):
    message = json.loads(said) if said.startswith('{"action') else {}
    is_one = message.get("action", "").startswith("unsubscribe") and message.get("list") in ("winners", "gappers_up")
    return {"type": "unsubscribed", "list": message["list"]} if is_one else None


STATUS = {"type": "status", "feed_age_ms": None, "feed_lag_p99_ms": None, "stale": True, "phase": "CLOSED", "mode": "LIVE"}
BROKEN = {
    "R1": only("connected", lambda message: [STATUS, message]),
    "R2": only("pong", lambda message: []),
    "R3": only("status", lambda message: []),
    "R4": only("snapshot", lambda message: [message | {"session": "2026-03-06"}]),
    "R5": only("snapshot", reranked),
    "R6": only("delta", every_third),
    "R7": only("delta", lambda message: [message, message]),
    "R8": only("snapshot", spoilt_row),
    "R9": only("delta", lambda message: [message, message]),
    "R11": only("subscribed", lambda message: [message | {"list": message["list"].partition("~")[0]}]),
    "R12": only("error", lambda message: [message | {"code": "too_many"}]),
    "R13": only("error", lambda message: []),
    "R14": only("error", lambda message: [message, STATUS | {"feed_age_ms": "young"}]),
}


ALSO_BROKEN = {"R5": only("snapshot", lambda message: [message | {"count": 99}]), "R6": only("delta", backwards)}


async def outcome(moving, name, spoil, answer=lambda said: None):
    async with proxy(moving, spoil, answer) as address:
        return (await try_rules(address, only=[name]))[name]


async def test_a_broken_rule_is_told(moving, monkeypatch):
    monkeypatch.setattr(talk, "ANSWER_SECONDS", 0.3)
    for name in ("R2", "R5", "R6", "R8"):
        assert (await outcome(moving, name, BROKEN[name])).startswith("failed")
    assert (await outcome(moving, "R10", lambda message: [message], held_back_unsubscription)).endswith("came after `unsubscribed`")


@pytest.mark.long
@pytest.mark.parametrize(("name", "spoil"), [*BROKEN.items(), *ALSO_BROKEN.items()])
async def test_each_broken_rule_is_told(moving, name, spoil, monkeypatch):
    monkeypatch.setattr(conformance, "STATUS_SECONDS", 0.5)
    assert (await outcome(moving, name, lambda message: [message])) == "passed"
    assert (await outcome(moving, name, spoil)).startswith("failed")


async def test_what_cannot_be_seen_is_skipped_and_what_does_not_answer_fails(stand, monkeypatch):  # noqa: F811
    for module, name in ((talk, "ANSWER_SECONDS"), (talk, "LOOK_SECONDS"), (conformance, "LOOK_SECONDS")):
        monkeypatch.setattr(module, name, 0.1)
    async with stand.gateway():
        assert (await try_rules(stand.address, only=["R6"])) == {"R6": "skipped: no list has a state yet"}
        await publish(stand.bus, Flow("winners", 1))
        assert (await try_rules(stand.address, only=["R7"])) == {"R7": "skipped: no list changed within 0 s"}
    assert (await try_rules(stand.address, only=["R2"]))["R2"].startswith("failed: Cannot connect")
