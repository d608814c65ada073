"""Whatever one client does, it gets the documented answer, costs bounded memory, and the others notice nothing."""

import asyncio
import json
import socket
import zlib
from contextlib import asynccontextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.gateway.stand import Raw, until
from tradeul.gateway import server as gateway_server
from tradeul.gateway.client_session import BURST_MESSAGES, MAX_ERRORS_IN_A_ROW, MAX_MESSAGE_BYTES, MAX_SUBSCRIPTIONS, ClientSession, Reply
from tradeul.records.messages import encode

PING = b'{"action":"ping"}'
WATCH = b'{"action":"subscribe","list":"winners"}'
TEN_MB = 10 << 20


@asynccontextmanager
async def witness(stand):
    """Another browser, which follows a list meanwhile: no gap, no wait, no wrong row."""
    flow, ended = stand.scanner.Flow("winners", 9), asyncio.Event()
    await stand.scanner.publish(stand.bus, flow)

    async def move():
        while not ended.is_set():
            await stand.scanner.publish(stand.bus, flow, messages=[flow.step()])

    async with stand.browser() as browser:
        await browser.say(action="subscribe", list="winners")
        await browser.next("snapshot")
        moving = asyncio.create_task(move())
        yield
        before = flow.sequence
        while browser.held["winners"]["sequence"] < before + 3:
            await browser.next("delta", "snapshot")
        ended.set()
        await moving
        while browser.held["winners"]["sequence"] < flow.sequence:
            await browser.next("delta", "snapshot")
        assert browser.held["winners"]["rows"] == flow.frame.rows
    await until(lambda: asyncio.sleep(0, not stand.gateway._viewers))


def kinds(said):
    return [json.loads(payload)["type"].encode() if opcode == 1 else opcode for opcode, payload in said if b'"status"' not in payload]


def codes(said):
    return [json.loads(payload)["code"] for opcode, payload in said if payload.startswith(b'{"type":"error"')]


async def test_a_flood_of_messages_is_answered_in_bounds_and_ended(stand):
    async with witness(stand), Raw.connected(stand.gateway.port) as raw:
        for _ in range(5000):
            raw.say(PING)
        code, said = await raw.end()
        assert code == 1008
        # A few more may be allowed while the flood lasts.
        assert BURST_MESSAGES <= kinds(said).count(b"pong") < BURST_MESSAGES + 50
        assert codes(said)[-MAX_ERRORS_IN_A_ROW:] == ["too_many"] * MAX_ERRORS_IN_A_ROW


@pytest.mark.parametrize("opcode", [0x89, 0x8A])
async def test_a_flood_of_control_frames_is_ended_too(stand, opcode):
    async with witness(stand), Raw.connected(stand.gateway.port) as raw:
        for _ in range(5000):
            raw.say(b"x" * 125, opcode)
        code, said = await raw.end()
        assert code == 1008
        assert codes(said)[-MAX_ERRORS_IN_A_ROW:] == ["too_many"] * MAX_ERRORS_IN_A_ROW


async def test_a_ping_is_answered_with_its_own_bytes(stand):
    async with Raw.connected(stand.gateway.port) as raw:
        raw.say(b"are you there", 0x89)
        while (frame := await raw.next())[0] == 1:
            pass
        assert frame == (10, b"are you there")


async def test_a_long_message_is_an_error_and_a_huge_one_ends_the_socket_unread(stand):
    async with witness(stand), Raw.connected(stand.gateway.port) as raw:
        raw.say(b" " * MAX_MESSAGE_BYTES + PING)
        while not (answer := codes([await raw.next()])):
            pass
        assert answer == ["too_large"]
        raw.write(b"\x81\xff" + TEN_MB.to_bytes(8, "big") + bytes(4))  # the head is enough
        assert (await raw.end())[0] == 1009


async def test_ten_megabytes_are_not_gathered_in_pieces_either(stand):
    async with witness(stand), Raw.connected(stand.gateway.port) as raw:
        raw.say(b"x" * 1000, 0x01)

        async def pour():
            for _ in range(TEN_MB // 1000):
                raw.say(b"x" * 1000, 0x00)
                await raw.writer.drain()

        pouring = asyncio.create_task(pour())
        code, _ = await raw.end()
        assert code in (1009, None)  # whoever still writes may see the connection's end first
        pouring.cancel()
        await asyncio.wait([pouring])
        assert pouring.cancelled() or isinstance(pouring.exception(), ConnectionError)


async def test_ten_megabytes_are_not_unpacked(stand):
    async with witness(stand), Raw.connected(stand.gateway.port, extensions="permessage-deflate") as raw:
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        raw.say((packer.compress(bytes(TEN_MB)) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4], 0xC1)
        assert (await raw.end())[0] == 1009


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([(0x81, b"\xff\xfe")], 1007),  # no UTF-8
        ([(0x83, b"")], 1002),  # no opcode
        ([(0xC1, b"x")], 1002),  # compressed, which was not negotiated
        ([(0x80, b"x")], 1002),  # goes on with nothing
        ([(0x01, b"x"), (0x81, b"y")], 1002),  # begins anew within a message
        ([(0x09, b"x")], 1002),  # a control frame in pieces
        ([(0x88, b"\x00\x01")], 1002),  # no close code
    ],
)
async def test_what_breaks_the_rules_of_websockets_is_closed_with_its_code(stand, frames, code):
    async with Raw.connected(stand.gateway.port) as raw:
        for first, payload in frames:
            raw.say(payload, first)
        assert (await raw.end())[0] == code


async def test_a_close_is_answered_once(stand):
    async with Raw.connected(stand.gateway.port) as raw:
        raw.say(b"\x03\xe8", 0x88)
        assert (await raw.end())[0] == 1000
        assert await raw.next() == (None, b"")


@pytest.mark.parametrize(
    "said",
    [
        b"{",
        b'"' + b"\\u0000" * 600 + b'"',
        b'{"action":"ping","pad":' + b"[" * 2000 + b"]" * 2000 + b"}",  # nested too deeply
        b'{"action":"ping","pad":' + b'{"a":' * 700 + b"1" + b"}" * 700 + b"}",
        b'{"action":"\\ud800"}',
    ],
)
async def test_nonsense_is_bad_json_and_the_socket_goes_on(stand, said):
    async with witness(stand), Raw.connected(stand.gateway.port) as raw:
        raw.say(said)
        raw.say(PING)
        answers = []
        while len(answers) < 2:
            answers += [kind for kind in kinds([await raw.next()]) if kind in (b"error", b"pong")]
        assert answers == [b"error", b"pong"]


async def test_more_subscriptions_than_are_allowed_are_refused(stand):
    async with Raw.connected(stand.gateway.port) as raw:
        for number in range(MAX_SUBSCRIPTIONS + 1):
            raw.say(json.dumps({"action": "subscribe", "list": "winners", "class": "etf" if number % 2 else "all"}).encode())
        raw.say(PING)
        said = []
        while b"pong" not in kinds(said):
            said.append(await raw.next())
        assert not codes(said)  # the same two again and again are two


@pytest.mark.parametrize("reads", [True, False])
async def test_a_half_closed_socket_is_let_go(stand, monkeypatch, reads):
    """Its side of the conversation is over. One that does not read what is still on its way is not waited for."""
    monkeypatch.setattr(gateway_server, "HEARTBEAT_SECONDS", 0.4)
    async with witness(stand), Raw.connected(stand.gateway.port, limit=1024) as raw:
        if not reads:
            raw.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            for _ in range(50):
                raw.say(WATCH)
            (viewer,) = (viewer for viewer in stand.gateway._viewers if viewer.session.subscriptions == set())
            big = bytes(1 << 20)
            viewer.transport.write(big)
            assert viewer.transport.get_write_buffer_size()
        raw.writer.write_eof()
        await until(lambda: asyncio.sleep(0, len(stand.gateway._viewers) == 1))


async def test_a_socket_that_vanished_is_noticed_by_its_silence(stand, monkeypatch):
    monkeypatch.setattr(gateway_server, "HEARTBEAT_SECONDS", 0.4)
    async with Raw.connected(stand.gateway.port) as raw:
        while (frame := await raw.next())[0] != 9:
            assert frame[0] == 1
        await until(lambda: asyncio.sleep(0, not stand.gateway._viewers))  # it never says pong


def _json():
    leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    return st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


ACTIONS = st.sampled_from(["subscribe", "subscribe_list", "unsubscribe", "resync", "ping", "", "Subscribe"]) | st.text(max_size=12)
NAMES = st.sampled_from(["winners", "losers", "winners~etf", "~", "winners~", "~etf", "funds~all"]) | st.text(max_size=12)
LIKELY = st.fixed_dictionaries({"action": ACTIONS}, optional={"list": NAMES | _json(), "class": NAMES | _json(), "x": _json()})


def _damaged(text, place, byte):
    raw = bytearray(text.encode("utf-8", "surrogatepass"))
    raw[place % (len(raw) or 1) : place % (len(raw) or 1) + 1] = bytes((byte,))
    return raw.decode("utf-8", "replace")


MESSAGES = st.one_of(
    LIKELY.map(json.dumps),
    LIKELY.map(lambda message: json.dumps(message, ensure_ascii=False)),
    st.builds(_damaged, LIKELY.map(json.dumps), st.integers(0, 200), st.integers(0, 255)),
    _json().map(json.dumps),
    st.text(),
    st.binary(),
    st.integers(1, 3000).map(lambda depth: '{"action":"ping","x":' + "[" * depth),
)


CONVERSATIONS = st.lists(st.tuples(MESSAGES, st.sampled_from([0.0, 0.01, 5.0])), max_size=8)


def answered(said):
    session, now = ClientSession(), 0.0
    known = {"winners": "stocks", "losers": "stocks", "funds": "etf"}
    for message, pause in said:
        now += pause
        actions = session.receive(message, known, now_seconds=now, clock_ms=1)
        assert 1 <= len(actions) <= 2
        for action in actions:
            if isinstance(action, Reply):
                assert len(encode(action.message)) < 1000
    assert {name.partition("~")[0] for name in session.subscriptions} <= known.keys()


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(CONVERSATIONS)
def test_whatever_is_said_the_parser_answers_in_bounds_and_its_answers_can_be_sent(said):
    answered(said)


@pytest.mark.long
@settings(max_examples=5000, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(CONVERSATIONS)
def test_whatever_is_said_for_a_long_time_the_parser_answers(said):
    answered(said)
