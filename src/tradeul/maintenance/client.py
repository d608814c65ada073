"""The HTTP call that tells the gateway of a new trading day. A hint: the gateway rolls over by itself. No retry."""

from collections.abc import Callable, Mapping
from datetime import date

import aiohttp

from tradeul.clock import Clock

TIMEOUT = aiohttp.ClientTimeout(total=5, connect=2)
REASON = "new_trading_day"


class GatewayClient:
    """``address``: where the gateway answers now, as ``http://127.0.0.1:9000``; None while there is none to tell."""

    def __init__(self, address: Callable[[], str | None], clock: Clock, credentials: Mapping[str, str] | None = None) -> None:
        self._address = address
        self._credentials = credentials
        self._clock = clock

    async def clear_cache(self, session: date) -> tuple[int, str | None]:
        """How many were told (0 or 1), and why it was not taken."""
        address = self._address()
        if address is None:
            return 0, None
        body = {"reason": REASON, "date": session.isoformat()}
        try:
            with self._clock.busy():
                async with (
                    aiohttp.ClientSession(timeout=TIMEOUT) as http,
                    http.post(f"{address}/api/clear-cache", json=body, headers=self._credentials, allow_redirects=False) as answer,
                ):
                    return (1, None) if answer.status == 200 else (0, f"{address} answered with status {answer.status}")
        except (aiohttp.ClientError, OSError, ValueError) as error:  # a TimeoutError is an OSError
            return 0, f"{address} did not take it: {error or type(error).__name__}"
