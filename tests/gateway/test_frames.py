import asyncio

import pytest
from aiohttp import ClientSession, WSMsgType, web

from tradeul.gateway.frames import text_frame


@pytest.mark.parametrize(
    ("size", "head"),
    [(0, "8100"), (125, "817d"), (126, "817e007e"), (65535, "817effff"), (65536, "817f0000000000010000")],
)
def test_the_head_is_what_rfc_6455_says(size, head):
    frame = text_frame(b"x" * size)
    assert frame[: -size or None].hex() == head
    assert len(frame) == len(head) // 2 + size


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

    application = web.Application()
    application.add_routes([web.get("/ws", serve)])
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with (
            asyncio.timeout(10),
            ClientSession() as client,
            client.ws_connect(f"http://127.0.0.1:{runner.addresses[0][1]}/ws") as socket,
        ):
            for size in sizes:
                message = await socket.receive()
                assert message.type is WSMsgType.TEXT
                assert len(message.data.encode()) == size
    finally:
        await runner.cleanup()
