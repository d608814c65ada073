"""Massive's daily files (an S3 store), as `ports.MinuteFiles`. Only moves bytes: `wire_files.py` reads them."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date

import obstore
from obstore.exceptions import BaseError, NotFoundError, NotModifiedError, PermissionDeniedError, UnauthenticatedError
from yarl import URL

from tradeul.clock import Clock
from tradeul.errors import NotEntitled, Unauthorized, VendorUnavailable
from tradeul.ops.s3 import s3_store
from tradeul.providers.http import check_address, retrying
from tradeul.providers.polygon.vendor import Vendor
from tradeul.providers.ports import FlatFile

BUCKET = "flatfiles"


class PolygonFlatFiles:
    """``statuses``, for metrics: requests by HTTP status, or "failed": the library does not tell more."""

    def __init__(self, clock: Clock, endpoint: str, bucket: str, key: str, secret: str, prefix: str = "") -> None:
        self.statuses: Counter[int | str] = Counter()
        check_address(endpoint)
        self._clock = clock
        self._key = key
        self._host = URL(endpoint).host
        # `retrying` is the one retry policy: the library has none of its own.
        self._store = s3_store(bucket, endpoint, key, secret, prefix=prefix)

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


def flat_files(clock: Clock, vendor: Vendor) -> PolygonFlatFiles:
    """The vendor's, or those of a bucket that its address names: https://host/bucket/prefix.

    Raises:
        SettingsError: that is no address.
    """
    check_address(vendor.files)
    address = URL(vendor.files)
    bucket, _, prefix = address.path.strip("/").partition("/")
    return PolygonFlatFiles(clock, str(address.origin()), bucket or BUCKET, vendor.files_key, vendor.files_secret, prefix)


def path_of(session: date) -> str:
    return f"us_stocks_sip/minute_aggs_v1/{session:%Y/%m}/{session}.csv.gz"
