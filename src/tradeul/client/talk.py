"""Sockets to a gateway for whoever tries it out (`conformance.py`): say anything, take what comes, and tell what was due instead."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

import aiohttp
import msgspec
from yarl import URL

from tradeul.client.follower import apply, read, whole
from tradeul.errors import SequenceGap, TradeulError
from tradeul.records.messages import Connected, Delta, ErrorMessage, ServerMessage, Snapshot

ANSWER_SECONDS = 5.0
LOOK_SECONDS = 10.0  # how long lists are watched for a change

M = TypeVar("M")


class Failed(TradeulError):
    """The rule does not hold; the message says what came."""


class Skipped(TradeulError):
    """What the rule is about did not happen; the message says what."""


class Talk:
    """One socket to the gateway."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self.close_code: int | None = None

    async def say(self, action: str, **fields: object) -> None:
        await self.say_raw(msgspec.json.encode({"action": action, **fields}).decode())

    async def say_raw(self, text: str | bytes) -> None:
        await (self._socket.send_bytes(text) if isinstance(text, bytes) else self._socket.send_str(text))

    async def messages(self, seconds: float) -> AsyncIterator[ServerMessage]:
        """What comes within so long; ends early when the socket is closed."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while (left := end - loop.time()) > 0:
            try:
                frame = await self._socket.receive(timeout=left)
            except TimeoutError:
                return
            if frame.type is not aiohttp.WSMsgType.TEXT:
                self.close_code = self._socket.close_code
                if frame.type is aiohttp.WSMsgType.BINARY:
                    raise Failed("a binary frame came")
                return
            try:
                message = read(frame.data)
            except msgspec.DecodeError as error:
                raise Failed(f"{error}, in {frame.data[:200]}") from error
            if message is not None:
                yield message

    async def next(self, kind: type[M], seconds: float | None = None, name: str | None = None) -> M:
        """The next message of ``kind`` (of the list ``name``); others may come before it."""
        seconds = ANSWER_SECONDS if seconds is None else seconds
        async for message in self.messages(seconds):
            if isinstance(message, kind) and name in (None, getattr(message, "list", None)):
                return message
        closed = "" if self.close_code is None else f"; the socket was closed with {self.close_code}"
        raise Failed(f"no `{kind.__name__.lower()}` came within {seconds:.0f} s{closed}")

    async def error(self, code: str) -> None:
        error = await self.next(ErrorMessage)
        if error.code != code:
            raise Failed(f"`{code}` was due, `{error.code}` came: {error.message}")

    async def closed(self, code: int) -> None:
        async for _ in self.messages(ANSWER_SECONDS):
            pass
        if self.close_code != code:
            raise Failed(
                f"the socket was to be closed with {code}; " + ("it is open" if self.close_code is None else f"it was {self.close_code}")
            )


class Gateway:
    def __init__(self, http: aiohttp.ClientSession, address: str, token: str | None = None) -> None:
        self._http = http
        self.address = address
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    @asynccontextmanager
    async def talk(self, *, compress: int = 0, path: str | None = None) -> AsyncIterator[tuple[Talk, Connected]]:
        url = URL(self.address) if path is None else URL(self.address).with_path(path)
        async with self._http.ws_connect(url, headers=self._headers, compress=compress) as socket:
            talk = Talk(socket)
            yield talk, await self._greeted(talk)

    async def _greeted(self, talk: Talk) -> Connected:
        async for message in talk.messages(ANSWER_SECONDS):
            if isinstance(message, Connected):
                return message
            raise Failed(f"`{type(message).__name__.lower()}` came before `connected`")
        raise Failed("`connected` did not come")

    async def status_of(self, headers: dict[str, str]) -> int:
        """Of a handshake with these headers beside ours."""
        try:
            async with self._http.ws_connect(self.address, headers=self._headers | headers):
                return 101
        except aiohttp.WSServerHandshakeError as error:
            return error.status


async def subscribed(talk: Talk, connected: Connected) -> dict[str, Snapshot]:
    """Subscribe to every list; those that have a state.

    Raises:
        Skipped: none has.
    """
    for head in connected.lists:
        await talk.say("subscribe", list=head.name)
    held: dict[str, Snapshot] = {}
    async for message in talk.messages(ANSWER_SECONDS):
        if isinstance(message, Snapshot):
            held[message.list] = message
        if held and len(held) == len(connected.lists):
            break
    if not held:
        raise Skipped("no list has a state yet")
    return held


async def a_change(talk: Talk, held: dict[str, Snapshot]) -> Delta:
    """Follow until a list changes.

    Raises:
        Skipped: none does.
    """
    async for message in talk.messages(LOOK_SECONDS):
        follow(held, message)
        if isinstance(message, Delta):
            return message
    raise Skipped(f"no list changed within {LOOK_SECONDS:.0f} s")


async def a_snapshot(talk: Talk, held: dict[str, Snapshot], name: str) -> Snapshot:
    """Follow until one of the list ``name`` comes."""
    async for message in talk.messages(LOOK_SECONDS):
        follow(held, message)
        if isinstance(message, Snapshot) and message.list == name:
            return message
    raise Failed(f"{name}: no snapshot came within {LOOK_SECONDS:.0f} s")


def follow(held: dict[str, Snapshot], message: ServerMessage) -> None:
    """Raises Failed: it does not follow what came before it."""
    try:
        if isinstance(message, Snapshot):
            held[message.list] = whole(message)
        elif isinstance(message, Delta):
            held[message.list] = apply(held.get(message.list), message)
    except SequenceGap as error:
        raise Failed(str(error)) from error
