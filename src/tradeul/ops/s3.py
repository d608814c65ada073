"""How an S3 store is asked: where, as whom, how long it is waited for. It knows no names of objects, and maps no errors."""

from datetime import timedelta
from typing import TYPE_CHECKING

from obstore.store import S3Store

if TYPE_CHECKING:
    from obstore.store import S3Credential

REGION = "us-east-1"
CONNECT_SECONDS, SILENT_SECONDS, WHOLE_SECONDS = 10.0, 30.0, 300.0  # the last: 25 MB over a slow line


def s3_store(
    bucket: str,
    endpoint: str,
    key: str,
    secret: str,
    *,
    region: str = REGION,
    prefix: str | None = None,
    retries: int = 0,
    connect_seconds: float = CONNECT_SECONDS,
    whole_seconds: float = WHOLE_SECONDS,
) -> S3Store:
    """``prefix``: of all names; ``retries``: of what failed on the way or at the store, none once it was silent for long."""

    def credentials() -> "S3Credential":
        return {"access_key_id": key, "secret_access_key": secret, "expires_at": None}

    return S3Store(
        bucket,
        prefix=prefix or None,
        endpoint=endpoint.rstrip("/"),
        region=region,
        # Not as settings: then an AWS session token of the environment would be sent along.
        credential_provider=credentials,
        virtual_hosted_style_request=False,
        client_options={
            "allow_http": endpoint.startswith("http://"),
            "connect_timeout": timedelta(seconds=min(connect_seconds, whole_seconds)),
            "read_timeout": timedelta(seconds=min(SILENT_SECONDS, whole_seconds)),
            "timeout": timedelta(seconds=whole_seconds),
        },
        retry_config={"max_retries": retries, "retry_timeout": timedelta(seconds=min(SILENT_SECONDS, whole_seconds))},
    )
