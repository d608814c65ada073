"""The settings: environment variables (and the arguments that stand for them), checked once at the start.

Every name is in the table of `docs/settings.md`; `tests/test_settings.py` holds the two together.
Services get what they need as arguments, never this object.
"""

from datetime import datetime, time
from pathlib import Path
from typing import Annotated, Self, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from tradeul.errors import SettingsError

CLOSE, SESSION_END, TURN = time(16), time(20), time(3)  # of a session, Eastern


def _default_state() -> Path:
    import os
    import sys

    home = Path.home()
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "tradeul"
    return Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share") / "tradeul"


def _wall_time(value: object) -> time:
    """Pydantic alone takes "2030" for seconds since midnight."""
    if isinstance(value, time):
        return value
    try:
        return datetime.strptime(str(value), "%H:%M").time()  # noqa: DTZ007
    except ValueError as error:
        raise PydanticCustomError("wall_time", "an Eastern wall time is expected, as 17:00, without a zone") from error


WallTime: TypeAlias = Annotated[time, BeforeValidator(_wall_time)]


def _names(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


Names: TypeAlias = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names)]


def _database_url(value: str) -> str:
    parts = urlsplit(value)
    try:
        is_one = parts.scheme in ("postgresql", "postgres") and bool(parts.path.strip("/")) and parts.port != 0
    except ValueError:  # the port
        is_one = False
    if not is_one:
        raise PydanticCustomError("database_url", "an address as postgresql://user:password@host/database is expected")
    return value


def _redis_url(value: str) -> str:
    parts = urlsplit(value)
    try:
        is_one = parts.scheme == "unix" or (bool(parts.hostname) and parts.port != 0 and (parts.path.strip("/") or "0").isdecimal())
    except ValueError:  # the port
        is_one = False
    if not is_one or parts.scheme not in ("redis", "rediss", "unix") or not (parts.netloc or parts.path):
        raise PydanticCustomError("redis_url", "an address as redis://:password@host:6379 or redis://:password@host:6379/0 is expected")
    return value


def _lake_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme != "s3" or not parts.netloc or "@" in parts.netloc or parts.query or parts.fragment:
        raise PydanticCustomError("lake_url", "an address as s3://bucket/prefix is expected, without keys")
    return value.rstrip("/")


def _ray_address(value: str) -> str:
    parts = urlsplit(f"//{value}")
    try:
        is_one = bool(parts.hostname and parts.port) and parts.netloc == value and "@" not in value
    except ValueError:  # the port
        is_one = False
    if not is_one:
        raise PydanticCustomError("ray_address", "an address as 10.0.0.5:6379 is expected")
    return value


def _http_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
        raise PydanticCustomError("http_url", "an address as http://host:port is expected")
    return value.rstrip("/")


HttpUrl: TypeAlias = Annotated[str, AfterValidator(_http_url)]
SECRET = ("database_url", "redis_url", "lake_url", "lake_secret")  # they may hold a password


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="TRADEUL_", extra="ignore", frozen=True, env_ignore_empty=True)

    vendor_key: str | None = Field(None, validation_alias=AliasChoices("MASSIVE_API_KEY", "POLYGON_API_KEY"))
    state: Annotated[Path, AfterValidator(Path.absolute)] = Field(default_factory=_default_state)

    host: str = "127.0.0.1"
    token: str | None = None
    allowed_hosts: Names = ()
    allowed_origins: Names = ()
    public_socket: str | None = None
    api_port: int = Field(8000, ge=0, le=65535)
    historical_port: int = Field(8004, ge=0, le=65535)
    scanner_port: int = Field(8005, ge=0, le=65535)
    maintenance_port: int = Field(8008, ge=0, le=65535)
    filings_port: int = Field(8012, ge=0, le=65535)
    gateway_port: int = Field(9000, ge=0, le=65535)
    simulator_port: int = Field(8090, ge=0, le=65535)

    maintenance_url: HttpUrl | None = None
    gateway_url: HttpUrl | None = None
    redis_url: Annotated[str, AfterValidator(_redis_url)] | None = None
    database_url: Annotated[str, AfterValidator(_database_url)] | None = None
    ray_address: Annotated[str, AfterValidator(_ray_address)] | None = None
    lake_url: Annotated[str, AfterValidator(_lake_url)] | None = None
    lake_endpoint: HttpUrl | None = None
    lake_region: str = "us-east-1"
    lake_key: str | None = None
    lake_secret: str | None = None
    vendor_rest: str | None = None
    vendor_stream: str | None = None
    vendor_files: str | None = None
    vendor_files_key: str | None = None
    vendor_files_secret: str | None = None
    edgar_url: str | None = None
    sec_contact: str | None = Field(None, pattern=r"^[^\r\n]+$")

    requests_per_minute: int = Field(6000, gt=0)
    concurrency: int = Field(10, gt=0)
    daily_sessions: int = Field(260, ge=1)
    slot_sessions: int = Field(30, ge=1)
    rvol_sessions: int = Field(20, ge=1)
    reference_tickers: Names = _names("SPY QQQ IWM DIA AAPL MSFT NVDA AMZN GOOGL TSLA AMD INTC BAC JPM XOM")
    maintenance_at: WallTime = time(17, 0)
    final_at: WallTime = time(20, 15)
    new_day_at: WallTime = time(3, 0)
    cycle_seconds: float = Field(1.0, ge=0.25, le=60)
    keep_membership: int = Field(60, ge=1)
    keep_history: int = Field(1260, ge=1)
    keep_minute_bars: int = Field(5, ge=0)
    keep_tape: int = Field(20, ge=0)

    notify: str | None = None
    heartbeat_url: str | None = None

    simulator_seed: int = 7
    simulator_tickers: int = Field(12_400, ge=50, le=100_000)
    simulator_start: datetime = datetime(2026, 3, 9, 9, 28, 40)  # Eastern wall time  # noqa: DTZ001
    simulator_speed: float = Field(1.0, gt=0, le=3600)
    simulator_recording: Path | None = None
    simulator_edgar: Path | None = None
    simulator_skip_closed: bool = True
    simulator_faults: str = ""

    @model_validator(mode="after")
    def _lake_has_keys(self) -> Self:
        for name in ("lake_key", "lake_secret"):
            if self.lake_url is not None and getattr(self, name) is None:
                raise ValueError(f"TRADEUL_{name.upper()} is not set, and TRADEUL_LAKE_URL={self.lake_url} is asked with it")
        return self

    @model_validator(mode="after")
    def _wakes_in_order(self) -> Self:
        rules = (
            ("new_day_at", self.new_day_at < TURN, f"is before {TURN:%H:%M} ET, when the session turns"),
            ("new_day_at", self.new_day_at >= self.maintenance_at, f"is not before TRADEUL_MAINTENANCE_AT={self.maintenance_at:%H:%M}"),
            ("maintenance_at", self.maintenance_at < CLOSE, f"is before the close at {CLOSE:%H:%M} ET"),
            ("maintenance_at", self.maintenance_at >= self.final_at, f"is not before TRADEUL_FINAL_AT={self.final_at:%H:%M}"),
            ("final_at", self.final_at < SESSION_END, f"is before the session's end at {SESSION_END:%H:%M} ET"),
        )
        for name, is_wrong, why in rules:
            if is_wrong:
                raise ValueError(f"TRADEUL_{name.upper()}={getattr(self, name):%H:%M} {why}")
        return self


def load_settings(**overrides: object) -> Settings:
    """Read the environment; arguments of the command line win.

    Raises:
        SettingsError: names the setting, its value and what is expected.
    """
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        if not first["loc"]:  # settings that do not go together
            raise SettingsError(f"{first['ctx']['error']}. Correct it, or unset it to use the default.") from error
        place = str(first["loc"][0])
        name = place if place.isupper() else f"TRADEUL_{place.upper()}"
        given = "…" if place in SECRET else first["input"]
        raise SettingsError(f"{name}={given!r}: {first['msg']}. Correct it, or unset it to use the default.") from error
