"""The reference's own hours of a session. Written from CONTRACT.md and DESIGN.md ("Time"); imports nothing of the product.

Everything inside a session is said in seconds since its 04:00 Eastern.
"""

from datetime import date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

EASTERN = ZoneInfo("America/New_York")
OPEN = 5 * 3600 + 30 * 60  # 09:30


class Hours(NamedTuple):
    session: date
    pre_open: int  # 04:00 as epoch seconds
    close: int  # 16:00, or 13:00: seconds since 04:00
    end: int  # four hours later

    def phase(self, t: float) -> str:
        if t < 0 or t >= self.end:
            return "CLOSED"
        if t < OPEN:
            return "PRE_MARKET"
        return "MARKET_OPEN" if t < self.close else "POST_MARKET"

    def slot(self, t: float) -> int:
        return int(t // 300)

    def instant(self, t: float) -> float:
        return self.pre_open + t


def hours_of(session: date, close: str = "16:00") -> Hours:
    hour, minute = (int(part) for part in close.split(":"))
    midnight = datetime(session.year, session.month, session.day, tzinfo=EASTERN)
    pre_open = midnight.replace(hour=4).timestamp()
    closes = midnight.replace(hour=hour, minute=minute).timestamp() - pre_open
    return Hours(session, int(pre_open), int(closes), int(closes + timedelta(hours=4).total_seconds()))
