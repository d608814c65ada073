"""Who came onto a list and who left it: one event each, with the row."""

from datetime import datetime
from typing import Any

import msgspec

ENTER, LEAVE = "enter", "leave"


class MembershipEvent(msgspec.Struct, frozen=True):
    """``row``: as first shown, of a leave as last shown; ``rank`` is its place there."""

    time: datetime  # market time of the frame, UTC
    list: str
    symbol: str
    event: str
    rank: int
    row: dict[str, Any]
