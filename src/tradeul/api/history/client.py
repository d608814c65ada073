"""Asks maintenance, on its own port, for a run. It waits for the answer, not for the run; no retry: a person or program asks again."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import aiohttp
import msgspec

from tradeul.errors import NoAnswer
from tradeul.records.runs import Run, RunOptions

TIMEOUT = aiohttp.ClientTimeout(total=10, connect=2)
REFUSALS = (HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY)


class Begun(msgspec.Struct, frozen=True):
    """What maintenance answers; of a refusal only ``detail``."""

    joined: bool = False
    run: Run | None = None
    detail: str = ""


class MaintenanceClient:
    """``address``: where maintenance answers now, as ``http://127.0.0.1:8008``; None while it does not."""

    def __init__(self, address: Callable[[], str | None], credentials: Mapping[str, str] | None = None) -> None:
        self._address = address
        self._credentials = credentials

    async def begin(self, options: RunOptions) -> tuple[HTTPStatus, Begun, str]:
        """The answer's status and body, and the address of the run.

        Raises:
            NoAnswer: maintenance does not run, or answers otherwise than it should.
        """
        address = self._address()
        if address is None:
            raise NoAnswer("Maintenance does not answer yet: ask again in a few seconds.")
        try:
            body: Any = msgspec.json.encode(options)
            async with (
                aiohttp.ClientSession(timeout=TIMEOUT) as http,
                http.post(f"{address}/trigger", data=body, headers=self._credentials) as answer,
            ):
                begun = msgspec.json.decode(await answer.read(), type=Begun)
                status = HTTPStatus(answer.status)
        except (aiohttp.ClientError, OSError, ValueError) as error:  # a TimeoutError is an OSError, a DecodeError a ValueError
            raise NoAnswer(f"Maintenance at {address} did not take it ({error or type(error).__name__}): see `tradeul doctor`.") from error
        if begun.run is None and status not in REFUSALS:
            raise NoAnswer(f"Maintenance at {address} answered with status {status}: {begun.detail}")
        return status, begun, f"{address}/runs/{begun.run.id}" if begun.run else ""
