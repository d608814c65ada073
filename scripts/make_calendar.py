"""Write src/tradeul/market_calendar/nyse.csv from exchange_calendars (a development dependency).

Run by hand when the exchange announces something: python scripts/make_calendar.py
"""

from pathlib import Path

import exchange_calendars

CSV = Path(__file__).parent.parent / "src" / "tradeul" / "market_calendar" / "nyse.csv"


def rows() -> list[str]:
    """``session,close`` with the wall time of the close, for each session 1990-2030."""
    schedule = exchange_calendars.get_calendar("XNYS", start="1990-01-01", end="2030-12-31").schedule
    closes = schedule["close"].dt.tz_convert("America/New_York")
    return [f"{session:%Y-%m-%d},{close:%H:%M}" for session, close in closes.items()]


if __name__ == "__main__":
    CSV.write_text("session,close\n" + "\n".join(rows()) + "\n")
