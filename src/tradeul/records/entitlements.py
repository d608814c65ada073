"""What a vendor's key may ask, as far as it is known."""

from enum import StrEnum

import msgspec


class Mode(StrEnum):
    LIVE = "LIVE"
    DELAYED = "DELAYED"  # by 15 minutes
    END_OF_DAY = "END_OF_DAY"  # lists over the last close
    SIMULATED = "SIMULATED"


class Entitlements(msgspec.Struct, frozen=True):
    """None: not known. ``real_time``: whether what the snapshot shows is of now. ``stream``: judged only by live's own connection."""

    snapshot: bool | None = None
    real_time: bool | None = None
    minutes: bool | None = None
    files: bool | None = None
    free_float: bool | None = None
    short_interest: bool | None = None
    stream: bool | None = None
    too_many_requests: bool = False  # the vendor found even the few of the probe too many


class ModeChanged(msgspec.Struct, frozen=True):
    """The mode, what set it off, and what is missing, each with its cost. On the bus when it has changed."""

    mode: str
    previous: str | None
    missing: tuple[str, ...]
