"""What a process stands on, for `/health`: each server by name, and whether it answers now. It knows none of them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

CONNECTED, GONE, UNUSED = "connected", "does not answer", "not configured"
PATIENCE_SECONDS = 2.0  # whoever watches over us does not wait longer

Answers: TypeAlias = Callable[[], Awaitable[bool]]


class Blocking:
    """A question that blocks, put in a thread: one at a time, however many ask; who is not answered in time takes it for a no."""

    def __init__(self, ask: Callable[[], bool]) -> None:
        self._ask = ask
        self._asked: asyncio.Task[bool] | None = None

    async def __call__(self) -> bool:
        if self._asked is None or self._asked.done():
            self._asked = asyncio.create_task(asyncio.to_thread(self._ask))
        asked = self._asked
        done, _ = await asyncio.wait([asked], timeout=PATIENCE_SECONDS)
        return bool(done) and asked.result()


async def standing(**asked: Answers | None) -> dict[str, str]:
    """In words, by name; None: not used here."""

    async def word(answers: Answers | None) -> str:
        if answers is None:
            return UNUSED
        return CONNECTED if await answers() else GONE

    return dict(zip(asked, await asyncio.gather(*map(word, asked.values())), strict=True))


def role_of(*, leads: bool) -> str:
    return "leads" if leads else "stands by"


def status_of(*words: str) -> str:
    return "degraded" if GONE in words else "ok"
