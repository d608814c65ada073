"""EDGAR over HTTP, as `ports.Register`, by the SEC's rules: who we are is said, and at most ten requests a second are made.

Only moves bytes: `wire.py` reads them, `http.py` asks for them. The SEC's 403
means that it has had too much of us; it is not asked again at once, its 503 is.
"""

from collections.abc import Mapping
from functools import partial

from tradeul import __version__
from tradeul.clock import Clock
from tradeul.errors import Blocked, ProviderError
from tradeul.providers.edgar import wire
from tradeul.providers.http import HttpClient, check_address
from tradeul.records.filings import Company, FilingEntry

SEC, SEC_DATA = "https://www.sec.gov", "https://data.sec.gov"
# The SEC's limit is ten a second, over all that a caller asks: never two within a tenth of a second, and less on average.
REQUESTS_PER_MINUTE, PACE, CONCURRENCY = 540, 1, 2
CURRENT = {"action": "getcurrent", "type": "", "company": "", "dateb": "", "owner": "include", "output": "atom"}


class EdgarHttp(HttpClient):
    """The SEC wants a name and an address to write to in every request (https://www.sec.gov/os/accessing-edgar-data)."""

    def __init__(self, clock: Clock, contact: str) -> None:
        super().__init__(clock, REQUESTS_PER_MINUTE, CONCURRENCY, agent=f"Tradeul/{__version__} {contact}", pace=PACE)

    def _error(self, status: int, headers: Mapping[str, str], body: bytes, endpoint: str) -> ProviderError:
        if status == 403:
            return Blocked(
                f"{endpoint}: the SEC answers us nothing for now (403): it wants a contact, which TRADEUL_SEC_CONTACT gives it, "
                "and at most ten requests a second from this address, whoever makes them."
            )
        return super()._error(status, headers, body, endpoint)


class EdgarClient:
    def __init__(self, http: HttpClient, base_url: str | None = None) -> None:
        """``base_url``: one address in place of the SEC's two."""
        self._http = http
        self._site, self._data = (base_url.rstrip("/"),) * 2 if base_url else (SEC, SEC_DATA)
        check_address(self._site)

    async def current(self, start: int, count: int) -> list[FilingEntry]:
        params = CURRENT | {"start": str(start), "count": str(count)}
        return await self._http.fetch(f"{self._site}/cgi-bin/browse-edgar", wire.decode_current, params, wire.FEED, bulk=False)

    async def submissions(self, cik: str) -> list[FilingEntry]:
        decode = partial(wire.decode_submissions, cik=cik)
        return await self._http.fetch(f"{self._data}/submissions/CIK{cik}.json", decode, None, wire.SUBMISSIONS)

    async def companies(self) -> list[Company]:
        return await self._http.fetch(f"{self._site}/files/company_tickers.json", wire.decode_companies, None, wire.COMPANIES)
