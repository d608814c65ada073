"""The only HTTP client of the providers: the one retry policy and the one rate limit per key.

    fetch -> retrying -> rate limit -> one of `concurrency` places -> aiohttp -> decode
               ^                                                           |
               +------- jittered, doubling wait (or Retry-After) <---------+  while the error says `retryable`

Every error becomes one of ours. It does not know what a body means: `decode`
is handed in, so that a cut body is asked for again like a broken connection.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Self, TypeVar, cast

import aiohttp
import msgspec
from pyrate_limiter import Duration, InMemoryBucket, Rate, RateItem
from yarl import URL

from tradeul.clock import Clock
from tradeul.errors import NotEntitled, ProviderError, RateLimited, SettingsError, Unauthorized, VendorUnavailable

T = TypeVar("T")
ATTEMPTS = 6  # in all: some 15 s of patience
FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 60.0  # also of a Retry-After: a longer one is an error for today's caller to tell
TIMEOUT = aiohttp.ClientTimeout(total=120, connect=15, sock_connect=10, sock_read=30)
PACE_MS = 100  # a window this short, so that delays on the way cannot bunch up more than a few requests
LEAST_PACE = 9  # requests per window that no plan minds; at 6000 a minute it keeps below the 100 a second that the vendor asks for
LOOPBACK = ("127.0.0.1", "localhost", "::1")
DECODE_ASIDE = 256 << 10  # bytes; larger bodies are decoded in a thread, the event loop goes on


def check_address(url: str) -> None:
    """Raises SettingsError: an address that would carry the key in the open, or is none."""
    address = URL(url)
    if address.scheme not in ("http", "https", "ws", "wss") or not address.host:
        raise SettingsError(f"{url!r} is no address: it should look like https://api.massive.com")
    if address.scheme in ("http", "ws") and address.host not in LOOPBACK:
        raise SettingsError(f"{url!r} would send the vendor key unencrypted: use {address.scheme}s:// (plain only to 127.0.0.1)")


def waits(longest: float = LONGEST_WAIT_SECONDS) -> Iterator[float]:
    """Seconds to wait before each next try: doubling, jittered downwards to a half, so that clients spread."""
    ceiling = FIRST_WAIT_SECONDS
    while True:
        yield random.uniform(ceiling / 2, ceiling)  # noqa: S311
        ceiling = min(ceiling * 2, longest)


async def retrying(clock: Clock, attempt: Callable[[], Awaitable[T]]) -> T:
    """The one retry policy. Never inside `clock.busy()`: the stepped clock must be free to pass the wait."""
    for number, wait in enumerate(waits(), 1):
        try:
            with clock.busy():
                return await attempt()
        except ProviderError as error:
            asked = error.retry_after_seconds if isinstance(error, RateLimited) else None
            if not error.retryable or number == ATTEMPTS or (asked or 0) > LONGEST_WAIT_SECONDS:
                raise
        await clock.back_off(wait if asked is None else asked + wait / 4)
    raise AssertionError("waits() never ends")


class RateLimit:
    """At most ``per_minute`` in any 60 s and ``pace`` in any tenth of a second. First come, first served.

    pyrate-limiter's log is exact: no window ever holds more. Its own waiting is
    not used: it wants a thread and rounds up by 50 ms.
    """

    def __init__(
        self,
        per_minute: int,
        pace: int,
        now_ms: Callable[[], int] = lambda: time.monotonic_ns() // 1_000_000,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        *,
        asked: int = 0,
    ) -> None:
        """``asked``: requests that count as made now."""
        rates = []
        # Only the rates that can bind: the library refuses others.
        if pace < per_minute:
            rates.append(Rate(pace, PACE_MS))
        if per_minute < pace * (60_000 // PACE_MS):
            rates.append(Rate(per_minute, Duration.MINUTE))
        self._bucket = InMemoryBucket(rates)
        self._now_ms = now_ms
        self._sleep = sleep
        self._turn = asyncio.Lock()
        for _ in range(asked):
            self._bucket.put(RateItem("", self._now_ms()))

    async def pass_through(self) -> None:
        async with self._turn:
            while not self._bucket.put(item := RateItem("", self._now_ms())):
                left_ms = cast(int, self._bucket.waiting(item))  # awaitable only for buckets on servers
                await self._sleep((left_ms + 1) / 1000)
            self._bucket.leak(item.timestamp)


class HttpClient:
    """GET with one key. ``bulk`` work shares nine tenths of the limit; what live asks may use all of it.

    ``agent``: who we say that we are; ``pace``: requests per tenth of a second, where the limit's own is not strict enough.

    Counters for metrics: ``statuses`` (HTTP status, or "timeout" and "connection"),
    ``rate_wait_seconds``, ``retries``. ``clock_ahead_seconds``: our clock against the
    last answer's, whose date is in whole seconds.
    """

    def __init__(
        self,
        clock: Clock,
        requests_per_minute: int,
        concurrency: int,
        key: str | None = None,
        *,
        agent: str | None = None,
        pace: int | None = None,
    ) -> None:
        self.statuses: Counter[int | str] = Counter()
        self.rate_wait_seconds = 0.0
        self.retries = 0
        self.clock_ahead_seconds: float | None = None
        self._clock = clock
        self._key = key
        self._agent = agent
        self._pace = pace
        self.requests_per_minute = 0
        self.limit_to(requests_per_minute)
        self._places = asyncio.Semaphore(concurrency)
        self._session: aiohttp.ClientSession | None = None

    def limit_to(self, requests_per_minute: int) -> None:
        """From now on; what was asked up to now counts as just asked."""
        if requests_per_minute == self.requests_per_minute:
            return
        self.requests_per_minute = requests_per_minute
        asked = min(self.statuses.total(), requests_per_minute)
        pace = self._pace or max(LEAST_PACE, requests_per_minute * 95 // 100 * PACE_MS // 60_000)
        self._limit = RateLimit(requests_per_minute, pace, asked=asked)
        # Strictly slower than the whole, so that bulk work never stands in line before live.
        self._bulk_limit = RateLimit(requests_per_minute - requests_per_minute // 10, max(1, pace - max(1, pace // 10)), asked=asked)

    async def __aenter__(self) -> Self:
        headers = {"Accept-Encoding": "gzip"} | ({"Authorization": f"Bearer {self._key}"} if self._key else {})
        headers |= {"User-Agent": self._agent} if self._agent else {}
        # `_places` bounds it: waiting in the connector would count as the vendor's time.
        connector = aiohttp.TCPConnector(limit=0)
        self._session = aiohttp.ClientSession(connector=connector, timeout=TIMEOUT, headers=headers)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def get(self, url: str, params: Mapping[str, str] | None = None, endpoint: str = "", *, bulk: bool = True) -> bytes:
        return await self.fetch(url, bytes, params, endpoint, bulk=bulk)

    async def fetch(
        self, url: str, decode: Callable[[bytes], T], params: Mapping[str, str] | None = None, endpoint: str = "", *, bulk: bool = True
    ) -> T:
        """The decoded body. A body that ``decode`` calls malformed is asked for again, within the same few attempts.

        Raises:
            ProviderError: final, or still so after `ATTEMPTS`.
        """
        check_address(url)
        # `encoded`: a vendor's cursor goes back letter by letter.
        address = URL(url, encoded=True)
        tries = 0

        async def attempt() -> T:
            nonlocal tries
            self.retries += tries > 0
            tries += 1
            begun = time.monotonic()
            if bulk:
                await self._bulk_limit.pass_through()
            await self._limit.pass_through()
            self.rate_wait_seconds += time.monotonic() - begun
            async with self._places:
                body = await self._ask(address, params, endpoint or address.path)
            return await asyncio.to_thread(decode, body) if len(body) > DECODE_ASIDE else decode(body)

        return await retrying(self._clock, attempt)

    async def _ask(self, address: URL, params: Mapping[str, str] | None, endpoint: str) -> bytes:
        if self._session is None:
            raise RuntimeError("HttpClient is used outside its `async with`")
        try:
            # Not redirected: the key belongs to one host.
            async with self._session.get(address, params=params, allow_redirects=False) as response:
                body = await response.read()
        except TimeoutError as error:
            self.statuses["timeout"] += 1
            raise VendorUnavailable(f"{endpoint}: no answer from {address.host} in time ({type(error).__name__})") from error
        except (aiohttp.ClientError, OSError) as error:
            self.statuses["connection"] += 1
            raise VendorUnavailable(f"{endpoint}: the connection to {address.host} failed: {self._masked(str(error))}") from error
        self.statuses[response.status] += 1
        self.clock_ahead_seconds = self._ahead_of(response.headers.get("Date", ""))
        if response.status != 200:
            raise self._error(response.status, response.headers, body, endpoint)
        return body

    def _ahead_of(self, date: str) -> float | None:
        try:
            return (self._clock.now() - parsedate_to_datetime(date)).total_seconds()
        except (ValueError, TypeError):
            return None

    def _error(self, status: int, headers: Mapping[str, str], body: bytes, endpoint: str) -> ProviderError:
        said = self._masked(_reason(body))
        match status:
            case 401:
                return Unauthorized(f"{endpoint}: the vendor does not know this key ({said}): check MASSIVE_API_KEY")
            case 403:
                return NotEntitled(f"{endpoint}: the plan of this key does not include it ({said}): a larger plan does")
            case 429:
                message = f"{endpoint}: too many requests ({said}): lower TRADEUL_REQUESTS_PER_MINUTE to the plan's limit"
                return RateLimited(message, _retry_after_seconds(headers))
            case 408 | 425 | 499:
                return VendorUnavailable(f"{endpoint}: status {status} ({said})")
            case _ if status >= 500:
                return VendorUnavailable(f"{endpoint}: the vendor failed with status {status} ({said}): try later")
        return ProviderError(f"{endpoint}: refused with status {status} ({said})")

    def _masked(self, text: str) -> str:
        return text.replace(self._key, "KEY") if self._key else text


class _Said(msgspec.Struct):
    error: str | None = None
    message: str | None = None


def _reason(body: bytes) -> str:
    """What an error's body says for people: `error` or `message`; of HTML and the like, its beginning."""
    try:
        said = msgspec.json.decode(body, type=_Said)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return " ".join(body[:120].decode("utf-8", "replace").split()) or "no reason given"
    return (said.error or said.message or "no reason given")[:300]


def _retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """Retry-After: seconds, or a date that is held against the answer's own Date."""
    text = headers.get("Retry-After", "").strip()
    if text.isdigit():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - parsedate_to_datetime(headers.get("Date", ""))).total_seconds())
    except (ValueError, TypeError):
        return None
