"""Several gateways behind one address, as a proxy shows them: each new connection to the next one that is up."""

import asyncio
from contextlib import asynccontextmanager, suppress


class OneAddress:
    def __init__(self, ports):
        self.ports, self.taken = list(ports), 0
        self._open = set()

    @property
    def address(self):
        return f"ws://127.0.0.1:{self.port}/ws"

    async def _connected(self, reader, writer):
        self._open.add(asyncio.current_task())
        writers = [writer]
        try:
            for _ in self.ports:
                self.taken += 1
                with suppress(OSError):
                    inward, outward = await asyncio.open_connection("127.0.0.1", self.ports[self.taken % len(self.ports)])
                    writers.append(outward)
                    await asyncio.gather(_pass_on(reader, outward), _pass_on(inward, writer))
                    return
        except asyncio.CancelledError:
            pass  # the test is over
        finally:
            for each in writers:
                each.close()
                with suppress(OSError):
                    await each.wait_closed()


async def _pass_on(reader, writer):
    """Until either side ends; its end is the other's."""
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def one_address(*ports):
    front = OneAddress(ports)
    server = await asyncio.start_server(front._connected, "127.0.0.1", 0)
    front.port = server.sockets[0].getsockname()[1]
    try:
        yield front
    finally:
        server.close()
        for task in front._open:
            task.cancel()
        await asyncio.gather(*front._open, return_exceptions=True)
