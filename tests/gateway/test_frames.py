import asyncio
import zlib
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientSession, WSMsgType, web
from hypothesis import given
from hypothesis import strategies as st

from tradeul.gateway.frames import Framed, close_frame, text_frame


@pytest.mark.parametrize(
    ("size", "head"),
    [(0, "8100"), (125, "817d"), (126, "817e007e"), (65535, "817effff"), (65536, "817f0000000000010000")],
)
def test_the_head_is_what_rfc_6455_says(size, head):
    frame = text_frame(b"x" * size)
    assert frame[: -size or None].hex() == head
    assert len(frame) == len(head) // 2 + size


def test_a_close_carries_its_code_and_reason():
    assert close_frame(1001).hex() == "880203e9"
    assert close_frame(1001, "soon") == b"\x88\x06\x03\xe9soon"


def inflated(frame, decompressor):
    assert frame[0] == 0xC1  # FIN, RSV1, text
    payload = frame[{126: 4, 127: 10}.get(frame[1], 2) :]
    return decompressor.decompress(payload + b"\x00\x00\xff\xff")


@given(st.lists(st.text(min_size=300), max_size=4))
def test_a_compressed_message_is_read_alike_with_and_without_context_takeover(texts):
    keeping = zlib.decompressobj(-15)
    for text in texts:
        frame = Framed(text.encode()).deflated
        assert inflated(frame, keeping) == inflated(frame, zlib.decompressobj(-15)) == text.encode()


def test_short_messages_stay_plain_and_each_form_is_built_once():
    short, long = Framed(b"{}"), Framed(b"x" * 1000)
    assert short.deflated is short.plain
    assert long.deflated is long.deflated and len(long.deflated) < 100


@pytest.mark.parametrize(
    ("offer", "answer"),
    [
        ("permessage-deflate; client_max_window_bits", "permessage-deflate"),  # browsers
        ("permessage-deflate; server_no_context_takeover", "permessage-deflate; server_no_context_takeover"),
        ("permessage-deflate; server_max_window_bits=10", "permessage-deflate; server_max_window_bits=10"),
        ("x-unknown", None),
    ],
)
async def test_what_aiohttp_negotiates_is_what_the_gateway_reads_of_it(offer, answer):
    seen = []

    async def serve(request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        seen.append(socket.compress)
        return socket

    async with serving(serve) as url, ClientSession() as client:
        key = {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "A" * 22 + "=="}
        headers = key | {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Extensions": offer}
        async with client.get(url, headers=headers) as response:
            assert response.headers.get("Sec-WebSocket-Extensions") == answer
    assert seen == [0 if answer is None else 10 if "=10" in answer else 15]


@asynccontextmanager
async def serving(serve):
    application = web.Application()
    application.add_routes([web.get("/ws", serve)])
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with asyncio.timeout(10):
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/ws"
    finally:
        await runner.cleanup()


async def test_a_real_client_reads_frames_of_every_length_beside_pings():
    sizes = [0, 1, 125, 126, 127, 65535, 65536, 200_000]

    async def serve(request):
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        for size in sizes:
            request.transport.write(text_frame(("é" * (size // 2)).encode().ljust(size, b"x")))
            await socket.ping()
        await socket.receive()
        return socket

    async with serving(serve) as url, ClientSession() as client, client.ws_connect(url) as socket:
        for size in sizes:
            message = await socket.receive()
            assert message.type is WSMsgType.TEXT
            assert len(message.data.encode()) == size


async def test_a_real_client_that_keeps_its_window_reads_shared_compressed_frames_beside_plain_ones_and_pings():
    texts = [f"{number:04d}" * size for number, size in enumerate([100, 1, 5000, 64, 100])]

    async def serve(request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        for text in texts:
            request.transport.write(Framed(text.encode()).deflated)
            await socket.ping(b"x")
            request.transport.write(Framed(text.encode()).plain)
        assert await socket.receive_str() == "done"
        return socket

    async with serving(serve) as url, ClientSession() as client, client.ws_connect(url, compress=15) as socket:
        assert socket.compress == 15
        for text in texts:
            assert (await socket.receive_str(), await socket.receive_str()) == (text, text)
        await socket.send_str("done")
