"""Which entitlements a key has, by one cheap request each, as `ports.Probe`.

The stream is not asked: a second connection would end the first.
"""

from collections.abc import Awaitable, Callable
from datetime import date

import msgspec
import structlog

from tradeul.errors import MalformedResponse, NotEntitled, ProviderError, RateLimited, Unauthorized
from tradeul.providers.http import HttpClient
from tradeul.providers.polygon.flat_files import PolygonFlatFiles
from tradeul.records.entitlements import Entitlements

TICKER = "AAPL"
LATE = "DELAYED"
log = structlog.get_logger()


class _Said(msgspec.Struct):
    status: str


def decode_status(body: bytes) -> str:
    """The status of ``{"status":"DELAYED","tickers":[…]}``."""
    try:
        return msgspec.json.decode(body, type=_Said).status
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedResponse("probe", str(error)) from error


class PolygonProbe:
    def __init__(self, http: HttpClient, base_url: str, files: PolygonFlatFiles) -> None:
        self._http, self._base, self._files = http, base_url.rstrip("/"), files

    async def entitlements(self, session: date) -> Entitlements:
        """What the key has, asked about the past ``session``; None where no answer came.

        Raises:
            Unauthorized: the vendor does not know the key.
        """
        status: list[str] = []
        tired: list[bool] = []

        async def of(path: str, **params: str) -> bool:
            status.append(await self._http.fetch(self._base + path, decode_status, params, f"probe of {path}", bulk=False))
            return True

        async def judged(ask: Callable[[], Awaitable[bool]]) -> bool | None:
            if tired:
                return None  # more requests would only be too many more
            try:
                return await ask()
            except NotEntitled:
                return False
            except Unauthorized:
                raise
            except ProviderError as error:
                if isinstance(error, RateLimited):
                    tired.append(True)
                log.warning("entitlement_not_known", reason=str(error))
                return None

        snapshot = await judged(lambda: of("/v2/snapshot/locale/us/markets/stocks/tickers", tickers=TICKER))
        real_time = status[0] != LATE if snapshot else None
        return Entitlements(
            snapshot=snapshot,
            real_time=real_time,
            minutes=await judged(lambda: of(f"/v2/aggs/ticker/{TICKER}/range/5/minute/{session}/{session}", limit="1")),
            free_float=await judged(lambda: of("/stocks/vX/float", limit="1")),
            short_interest=await judged(lambda: of("/stocks/v1/short-interest", limit="1")),
            files=await judged(lambda: self._files.includes(session)),
            too_many_requests=bool(tired),
        )
