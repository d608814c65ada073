"""Alarms for a person: each told once, and once when it is healed; and the dead man's switch.

    what stands now (name -> sentence) --changes--> raised, healed --> the addresses of TRADEUL_NOTIFY (apprise)

What was told is kept in a file, so that a restart repeats nothing. What could
not be sent counts as not told: the next look sends it. It does not know what
is worth an alarm: its caller does. Addresses hold secrets and are never logged.
"""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import msgspec
import structlog

from tradeul.errors import SettingsError

if TYPE_CHECKING:
    from apprise import Apprise

SEND_SECONDS = 30.0
HEARTBEAT_TIMEOUT = aiohttp.ClientTimeout(total=10)
TITLE = "Tradeul"

log = structlog.get_logger()


class Changes(msgspec.Struct, frozen=True):
    raised: tuple[str, ...] = ()
    healed: tuple[str, ...] = ()


def changes(told: Mapping[str, str], standing: Mapping[str, str]) -> Changes:
    """Names that stand and were not told, and that were told and stand no more; another wording is no news."""
    return Changes(tuple(sorted(standing.keys() - told.keys())), tuple(sorted(told.keys() - standing.keys())))


class Alarms:
    def __init__(self, path: Path, notify: str | None = None, heartbeat_url: str | None = None) -> None:
        """Without ``notify`` alarms are logged only.

        Raises:
            SettingsError: apprise does not know the address.
        """
        self._path, self._heartbeat_url = path, heartbeat_url
        self._sender = _sender(notify) if notify else None
        self._turn = asyncio.Lock()

    async def hold(self, standing: Mapping[str, str]) -> Changes:
        """Tell what is new and what is over; what was told."""
        async with self._turn:
            told = await asyncio.to_thread(self._read)
            found = changes(told, standing)
            done = Changes(
                tuple([name for name in found.raised if await self._send("alarm_raised", name, standing[name])]),
                tuple([name for name in found.healed if await self._send("alarm_healed", name, f"Healed: {told[name]}")]),
            )
            told = {name: text for name, text in told.items() if name not in done.healed}
            told |= {name: standing[name] for name in done.raised}
            if done != Changes():
                await asyncio.to_thread(self._write, told)
            return done

    async def beat(self) -> bool:
        """Ask the heartbeat's address, which raises the alarm when nobody asks it any more."""
        if self._heartbeat_url is None:
            return False
        try:
            async with aiohttp.ClientSession(timeout=HEARTBEAT_TIMEOUT) as session, session.get(self._heartbeat_url) as response:
                if response.status >= 400:
                    log.warning("heartbeat_not_heard", status=response.status)
                return response.status < 400
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            log.warning("heartbeat_not_heard", reason=type(error).__name__)
            return False

    async def _send(self, event: str, name: str, text: str) -> bool:
        (log.error if event == "alarm_raised" else log.info)(event, alarm=name, text=text)
        if self._sender is None:
            return True
        kind = "failure" if event == "alarm_raised" else "success"
        try:
            async with asyncio.timeout(SEND_SECONDS):
                sent = bool(await self._sender.async_notify(body=text, title=TITLE, notify_type=kind))
        except TimeoutError:
            sent = False
        if not sent:
            log.warning("alarm_not_sent", alarm=name)
        return sent

    def _read(self) -> dict[str, str]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=dict[str, str])
        except (FileNotFoundError, msgspec.DecodeError):
            return {}  # told again, rather than never

    def _write(self, told: Mapping[str, str]) -> None:
        draft = self._path.with_suffix(".tmp")
        try:
            draft.write_bytes(msgspec.json.encode(told))
            os.replace(draft, self._path)
        except OSError as error:
            log.warning("alarms_not_kept", reason=str(error))  # a full disk is itself an alarm


def _sender(notify: str) -> "Apprise":
    import apprise  # it knows a hundred services: loaded by those who want one

    sender = apprise.Apprise()
    if not sender.add(notify):
        raise SettingsError("TRADEUL_NOTIFY is no address that apprise knows: it should look like json://host:port/path or mailto://...")
    return sender
