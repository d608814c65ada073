"""Massive's daily files (an S3 store), as `ports.MinuteFiles`. Only moves bytes: `wire_files.py` reads them."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import BaseError, NotFoundError, NotModifiedError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store
from yarl import URL

from tradeul.clock import Clock
from tradeul.errors import NotEntitled, Unauthorized, VendorUnavailable
from tradeul.providers.http import LOOPBACK, check_address, retrying
from tradeul.providers.ports import FlatFile

if TYPE_CHECKING:
    from obstore.store import S3Credential


class PolygonFlatFiles:
    """``statuses``, for metrics: requests by HTTP status, or "failed": the library does not tell more."""

    def __init__(self, clock: Clock, endpoint: str, bucket: str, key: str, secret: str) -> None:
        self.statuses: Counter[int | str] = Counter()
        check_address(endpoint)
        self._clock = clock
        self._key = key
        self._host = URL(endpoint).host

        def credentials() -> "S3Credential":
            return {"access_key_id": key, "secret_access_key": secret, "expires_at": None}

        self._store = S3Store(
            bucket,
            endpoint=endpoint.rstrip("/"),
            region="us-east-1",
            # Not as settings: then an AWS session token of the environment would be sent along.
            credential_provider=credentials,
            virtual_hosted_style_request=False,
            client_options={
                "allow_http": self._host in LOOPBACK,
                "connect_timeout": timedelta(seconds=10),
                "read_timeout": timedelta(seconds=30),
                "timeout": timedelta(seconds=300),  # 25 MB over a slow line
            },
            # `retrying` is the one retry policy.
            retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=300)},
        )

    async def minute_file(self, session: date) -> FlatFile | None:
        path = path_of(session)

        async def attempt() -> FlatFile | None:
            try:
                with self._errors(session):
                    result = await obstore.get_async(self._store, path)
                    data = memoryview(await result.bytes_async())  # not copied: 14 MB would hold up the loop
            except (NotFoundError, FileNotFoundError):
                return None
            return FlatFile(session, (result.meta.get("e_tag") or "").strip('"'), data)

        return await retrying(self._clock, attempt)

    async def is_replaced(self, session: date, etag: str) -> bool:
        async def attempt() -> bool:
            try:
                with self._errors(session):
                    answer = await obstore.get_async(self._store, path_of(session), options={"head": True, "if_none_match": f'"{etag}"'})
            except (NotFoundError, FileNotFoundError, NotModifiedError):
                return False
            # A store may not know the question; and one that gives no mark says nothing.
            return (answer.meta.get("e_tag") or "").strip('"') not in ("", etag)

        return await retrying(self._clock, attempt)

    async def includes(self, session: date) -> bool:
        """Whether the key may read a session's file, without reading it; a file that does not exist is not refused."""
        if not self._key:
            return False
        try:
            await self.is_replaced(session, "")
        except (NotEntitled, Unauthorized):
            return False
        return True

    @contextmanager
    def _errors(self, session: date) -> Iterator[None]:
        """The store's errors as ours; but that there is no file, or still the same one."""
        try:
            yield
            self.statuses[200] += 1
        except (NotFoundError, FileNotFoundError, NotModifiedError) as error:
            self.statuses[304 if isinstance(error, NotModifiedError) else 404] += 1
            raise
        except UnauthenticatedError as error:
            self.statuses[401] += 1
            raise Unauthorized(
                f"flat file {session}: {self._host} does not know this pair of keys: check TRADEUL_VENDOR_FILES_KEY"
            ) from error
        except PermissionDeniedError as error:
            self.statuses[403] += 1
            raise NotEntitled(
                f"flat file {session}: refused by {self._host}: the plan does not include it, or the keys are wrong"
            ) from error
        except (BaseError, OSError) as error:
            self.statuses["failed"] += 1
            raise VendorUnavailable(f"flat file {session}: {self._host} did not deliver it: {str(error).splitlines()[0][:300]}") from error


def path_of(session: date) -> str:
    return f"us_stocks_sip/minute_aggs_v1/{session:%Y/%m}/{session}.csv.gz"
