"""What services apart need that one process does not: settings that can work, servers that are there, the mode as live tells it.

A setting that cannot work is refused in one sentence. A server that is not there
yet is waited for, and said to be; one that is lost later is waited for by
whoever needs it (`Bus.patient`, `Leadership`), and told of here.
"""

import asyncio
from collections.abc import Callable, Collection

import structlog

from tradeul.assemble.parts import API, GATEWAY, SERVICES
from tradeul.bus.redis import Bus
from tradeul.bus.topics import FEED_STATUS, MODE_CHANGED
from tradeul.clock import Clock
from tradeul.errors import SettingsError, Unauthorized
from tradeul.maintenance.access import Access
from tradeul.maintenance.datasets import Schedule
from tradeul.ops.standing import Answers
from tradeul.settings import Settings
from tradeul.store.databases import SETTING, is_there, shown

LOOK_SECONDS, SAY_TURNS = 1.0, 10
SERVER_LOOK_SECONDS = 2.0

log = structlog.get_logger()


def refuse_what_cannot_work(settings: Settings, chosen: Collection[str], *, simulated: bool, fresh: bool) -> None:
    """Raises SettingsError."""
    names = " ".join(name for name in SERVICES if name in chosen)
    alone = f"`tradeul up {names}`"
    if settings.redis_url is None:
        raise SettingsError(
            f"TRADEUL_REDIS_URL is not set: {alone} meets the other services on a Redis server, the embedded one is for one process. "
            "Set it to that server, or start everything in one process by `tradeul up`."
        )
    if fresh:
        raise SettingsError(f"--fresh with {alone}: the others may run on what it forgets. End them all, and give it to `tradeul up`.")
    asks = API in chosen or any(SERVICES[name].asks for name in chosen)
    if simulated and asks and not settings.simulator_port:
        raise SettingsError(f"TRADEUL_SIMULATOR_PORT=0: {alone} and the others need to know the port; set the same one for all.")
    if GATEWAY in chosen and API not in chosen and not settings.api_port and not settings.allowed_origins:
        raise SettingsError(
            f"TRADEUL_API_PORT=0: {alone} lets in the page by its port; set it, or TRADEUL_ALLOWED_ORIGINS to the page's address."
        )
    if API in chosen and GATEWAY not in chosen and settings.public_socket is None and not settings.gateway_port:
        raise SettingsError(
            f"TRADEUL_GATEWAY_PORT=0: {alone} tells the page where the gateway answers; set its port, or TRADEUL_PUBLIC_SOCKET."
        )


async def servers_there(settings: Settings, chosen: Collection[str]) -> None:
    """Return once the database's server takes connections; what it says of us is heard when it is opened."""
    url = settings.database_url
    if url is None or not any(SERVICES[name].stores for name in chosen):
        return
    turn = 0
    while not await asyncio.to_thread(is_there, url):
        if turn % SAY_TURNS == 0:
            log.warning("database_waited_for", server=f"{SETTING}={shown(url)}", reason="it does not take connections")
        turn += 1
        await asyncio.sleep(LOOK_SECONDS)
    if turn:
        log.warning("database_answers", server=f"{SETTING}={shown(url)}")


async def follow_mode(bus: Bus, show: Callable[[str], None]) -> None:
    """Who does not ask the vendor takes the mode from live, which tells it every few seconds."""
    async for status in bus.subscribe(FEED_STATUS):
        show(status.mode)


async def look_daily(access: Access, clock: Clock, schedule: Schedule) -> None:
    """What the key may ask, as each session is announced: for who asks the vendor in a process without maintenance."""
    while True:
        await clock.sleep_until(schedule.new_day_after(clock.now())[1])
        await _look(access)


async def follow_changes(access: Access, bus: Bus) -> None:
    """Look at once when another process found another mode, as maintenance does after a 403. Two that differ for good ask once each."""
    async for change in bus.subscribe(MODE_CHANGED):
        if change.mode != access.mode:
            await _look(access)


async def _look(access: Access) -> None:
    try:
        await access.look()
    except Unauthorized as error:
        log.error("key_refused", reason=str(error))  # maintenance ends its runs by it; what is known stays


async def tell_of(name: str, answers: Answers) -> None:
    """Log when it is lost and found: services wait for it without a word."""
    answered = True
    while True:
        await asyncio.sleep(SERVER_LOOK_SECONDS)
        if await answers() != answered:
            answered = not answered
            (log.warning if answered else log.error)(f"{name}_answers" if answered else f"{name}_lost")
