"""Asks others on their own ports, for somebody who asked us. No retry: a person or program asks again.

MaintenanceClient   for a run, or what is to be passed on: waits for the answer, not for the run, and judges only its own questions'
SimulatorClient     the stand-in for the vendor, to be worse than it is
"""

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from urllib.parse import quote

import aiohttp
import msgspec
from yarl import URL

from tradeul.errors import NoAnswer
from tradeul.records.runs import Run, RunOptions

TIMEOUT = aiohttp.ClientTimeout(total=10, connect=2)
REFUSALS = (HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY)


class Begun(msgspec.Struct, frozen=True):
    """What maintenance answers; of a refusal only ``detail``."""

    joined: bool = False
    run: Run | None = None
    detail: str = ""


class Passed(msgspec.Struct, frozen=True):
    """An answer as it came; ``location``: the path that its header named."""

    status: HTTPStatus
    content_type: str
    body: bytes
    location: str


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
        passed = await self.ask("POST", ("trigger",), options)
        try:
            begun = msgspec.json.decode(passed.body, type=Begun)
        except ValueError as error:  # a DecodeError is one
            raise NoAnswer(_not_taken(self._address(), error)) from error
        if begun.run is None and passed.status not in REFUSALS:
            raise NoAnswer(f"Maintenance at {self._address()} answered with status {passed.status}: {begun.detail}")
        return passed.status, begun, f"{self._address()}/runs/{begun.run.id}" if begun.run else ""

    async def ask(self, method: str, path: Sequence[str], options: RunOptions | None = None) -> Passed:
        """Raises NoAnswer: maintenance does not run, or not in time."""
        address = self._address()
        if address is None:
            raise NoAnswer("Maintenance does not answer yet: ask again in a few seconds.")
        url = URL("/".join((address, *(quote(part, safe="") for part in path))), encoded=True)
        body = None if options is None else msgspec.json.encode(options)
        try:
            async with (
                aiohttp.ClientSession(timeout=TIMEOUT) as http,
                http.request(method, url, data=body, headers=self._credentials, allow_redirects=False) as answer,
            ):
                content = await answer.read()
                return Passed(HTTPStatus(answer.status), answer.content_type, content, answer.headers.get("Location", ""))
        except (aiohttp.ClientError, OSError, ValueError) as error:  # a TimeoutError is an OSError
            raise NoAnswer(_not_taken(address, error)) from error


class Cut(msgspec.Struct, frozen=True):
    seconds: float  # of the market's clock, until the stream lets anybody in again


class SimulatorClient:
    """``address``: where the stand-in answers; ``key``: one that it takes."""

    def __init__(self, address: str, key: str) -> None:
        self._address, self._key = address, key

    async def cut(self) -> Cut:
        """End the streams, and let nobody in for some seconds.

        Raises:
            NoAnswer: it does not answer, or otherwise than it should.
        """
        headers = {"Authorization": f"Bearer {self._key}"}
        try:
            async with (
                aiohttp.ClientSession(timeout=TIMEOUT, raise_for_status=True) as http,
                http.post(f"{self._address}/simulator/cut", headers=headers) as answer,
            ):
                return msgspec.json.decode(await answer.read(), type=Cut)
        except (aiohttp.ClientError, OSError, ValueError) as error:  # as above
            raise NoAnswer(f"The simulated market did not take it ({str(error) or type(error).__name__}): see the log.") from error


def _not_taken(address: str | None, error: Exception) -> str:
    return f"Maintenance at {address} did not take it ({str(error) or type(error).__name__}): see `tradeul doctor`."
