"""Follow lists of a gateway, over one socket after the other.

    connect -> `Follower.hear` each message -> events to the consumer
       ^                                           |
       +-- jittered, doubling wait <-- `Lost` -----+   broken, silent for 15 s, or the gateway ends

Nothing is queued: the socket is read when the next event is asked for, so a
slow consumer makes the gateway skip states for it, not this process grow. It
does not know what a row means.
"""

import asyncio
import re
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import AsyncExitStack, aclosing
from datetime import date
from typing import TypeAlias

import aiohttp
import msgspec
from yarl import URL

from tradeul.client.follower import Event, Follower, read
from tradeul.clock import Clock, SystemClock
from tradeul.errors import GatewayRefused, SettingsError
from tradeul.providers.http import waits
from tradeul.records.messages import UNAUTHORIZED, Connected, ErrorMessage, ListHead, Snapshot, encode

SILENCE_SECONDS = 15.0  # the gateway says `status` every 5 s
HANDSHAKE_SECONDS = 10.0
CLOSE_SECONDS = 1.0  # for the gateway's answer to our close
LONGEST_WAIT_SECONDS = 15.0
WINDOW_BITS = 15  # offer compression
HEALS = (408, 425, 429)  # of the statuses below 500, those that another try may not get
_COME_BACK = re.compile(r"come back in (\d+) ms")


class Lost(msgspec.Struct, frozen=True, tag_field="type", tag="lost"):
    """The connection is gone: what is held is not current any more. After ``wait_seconds`` another is tried."""

    reason: str
    wait_seconds: float


ClientEvent: TypeAlias = Event | Lost


class Client:
    """Lists of one gateway, kept by themselves.

    Each event is a message of docs/protocol.md with every delta applied: a
    `Snapshot` is a list as it is now, whole and by rank; `NewDay` means that
    everything held was dropped; `Lost` that it is not current until the next
    snapshots; `Status` how fresh the feed is. Gaps, doubles and other
    sessions' rows are dealt with and are no events.

        async with aclosing(Client("ws://127.0.0.1:9000/ws", ["winners"]).events()) as events:
            async for event in events:
                if isinstance(event, Snapshot):
                    print([row["symbol"] for row in event.rows])
    """

    def __init__(self, address: str, lists: Iterable[str], *, token: str | None = None, clock: Clock | None = None) -> None:
        """
        Args:
            address: as ``ws://127.0.0.1:9000/ws``.
            lists: names; ``winners~etf`` is a list in another class than its own. One that does not exist yet is followed once it does.
            token: what the gateway asks for off its own machine.
            clock: who waits between two tries.

        Raises:
            SettingsError: ``address`` is none.
        """
        self.address = checked(address)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._clock = clock or SystemClock()
        self._follower = Follower(lists)
        self._come_back_seconds: float | None = None

    @property
    def session(self) -> date | None:
        """The session that the gateway is in; None before it was heard."""
        return self._follower.session

    @property
    def lists(self) -> Mapping[str, ListHead]:
        """What there is to follow, as the gateway said last."""
        return self._follower.lists

    def held(self, name: str) -> Snapshot | None:
        """The list as it was heard last, all of this session; None before its first snapshot."""
        return self._follower.held.get(self._follower.name_of(name))

    def is_current(self, name: str) -> bool:
        """False while there is no connection, a gap, or no snapshot yet. Whether the feed itself is fresh, `Status` says."""
        return self._follower.name_of(name) in self._follower.current

    async def events(self) -> AsyncGenerator[ClientEvent, None]:
        """For ever; one consumer at a time. One that does not ask for 20 s may be cut off by the gateway, and is connected anew.

        Raises:
            GatewayRefused: it does not take this client, now or later.
        """
        delays = waits(LONGEST_WAIT_SECONDS)
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None, connect=HANDSHAKE_SECONDS)) as http:
            while True:
                reason = "the gateway closed the connection"
                self._come_back_seconds = None
                try:
                    async with aclosing(self._connection(http)) as heard:
                        async for event in heard:
                            if isinstance(event, Connected):
                                delays = waits(LONGEST_WAIT_SECONDS)  # it works: patience begins anew
                            yield event
                except TimeoutError:
                    reason = f"nothing was heard for {SILENCE_SECONDS:.0f} s"
                except msgspec.DecodeError as error:
                    reason = f"a message could not be read: {error}"
                except (aiohttp.ClientError, OSError) as error:
                    reason = str(error) or type(error).__name__
                self._follower.begin()
                wait = next(delays) if self._come_back_seconds is None else self._come_back_seconds
                yield Lost(reason, wait)
                await self._clock.back_off(wait)

    async def _connection(self, http: aiohttp.ClientSession) -> AsyncGenerator[Event, None]:
        """The events of one socket, until it closes."""
        async with AsyncExitStack() as stack:
            socket = await self._open(http)
            stack.push_async_callback(socket.close)
            while True:
                message = await socket.receive(timeout=SILENCE_SECONDS)
                if message.type is not aiohttp.WSMsgType.TEXT:
                    self._heed(message)
                    return
                understood = read(message.data)
                if understood is None:
                    continue
                if isinstance(understood, ErrorMessage) and understood.code == UNAUTHORIZED:
                    raise GatewayRefused(f"{self.address} refuses: {understood.message}")
                heard = self._follower.hear(understood, _seconds())
                for said in heard.to_say:
                    await socket.send_str(encode(said).decode())
                for event in heard.events:
                    yield event

    async def _open(self, http: aiohttp.ClientSession) -> aiohttp.ClientWebSocketResponse:
        """Raises GatewayRefused: a status that another try would get again."""
        timeout = aiohttp.ClientWSTimeout(ws_close=CLOSE_SECONDS)
        try:
            return await http.ws_connect(self.address, headers=self._headers, compress=WINDOW_BITS, timeout=timeout)
        except aiohttp.WSServerHandshakeError as error:
            if error.status >= 500 or error.status in HEALS:
                raise
            match error.status:
                case 401:
                    why = "it asks for its token (TRADEUL_TOKEN)"
                case 403:
                    why = "it does not take calls under this name"
                case _:
                    why = "there is no gateway at this address"
            raise GatewayRefused(f"{self.address} refuses with status {error.status}: {why}.") from error

    def _heed(self, closing: aiohttp.WSMessage) -> None:
        """A gateway that ends tells each client when to come back, so that not all come at once."""
        told = _COME_BACK.fullmatch(closing.extra or "") if closing.type is aiohttp.WSMsgType.CLOSE else None
        self._come_back_seconds = None if told is None else int(told[1]) / 1000


def checked(address: str) -> str:
    """Raises SettingsError: no address of a socket."""
    try:
        url = URL(address)
        if url.scheme in ("ws", "wss") and url.host:
            return address
    except ValueError:
        pass
    raise SettingsError(f"{address!r} is no address of a gateway: one looks like ws://127.0.0.1:9000/ws")


def _seconds() -> float:
    return asyncio.get_running_loop().time()
