"""A real session of recorded minute bars as the vendor's raw messages: AM alone, two seconds after each bar's end.

Baselines come from the sessions before in the same file: daily bars of regular hours
with the volume of all, slots of five minutes. No trades, no VWAP, no splits. Imports nothing of the product.
"""

from collections import defaultdict
from datetime import date

import polars as pl

from tests.reference.history import Past
from tests.reference.hours import EASTERN, hours_of

SENT_AFTER = 62  # seconds from a bar's start


def read(path) -> pl.DataFrame:
    eastern = pl.col("ts").dt.convert_time_zone(str(EASTERN))
    second = (eastern.dt.hour().cast(pl.Int64) - 4) * 3600 + eastern.dt.minute().cast(pl.Int64) * 60
    return pl.read_parquet(path).with_columns(session=eastern.dt.date(), second=second).sort("session", "second", "ticker")


class RecordedDay:
    def __init__(self, bars: pl.DataFrame, session: date, regular: tuple[int, int] = (19_800, 43_200)) -> None:
        """``regular``: seconds since 04:00."""
        self.hours = hours_of(session)
        earlier = bars.filter(pl.col("session") < session)
        inside = pl.col("second").is_between(*regular, closed="left")
        first, last = pl.col("open").filter(inside).first(), pl.col("close").filter(inside).last()
        daily = earlier.group_by("session", "ticker", maintain_order=True).agg(
            o=first,
            h=pl.col("high").filter(inside).max(),
            l=pl.col("low").filter(inside).min(),
            c=last,
            v=pl.col("volume").sum(),
        )
        rows = defaultdict(list)
        for row in daily.filter(pl.col("c").is_not_null()).iter_rows(named=True):
            rows[row.pop("session")].append({"T": row.pop("ticker"), **row})
        slots = defaultdict(lambda: defaultdict(dict))
        sums = earlier.group_by("session", "ticker", slot=pl.col("second") // 300).agg(pl.col("volume").sum())
        for day, ticker, slot, volume in sums.iter_rows():
            slots[day][ticker][slot] = float(volume)
        sessions = sorted(rows)
        tickers = [{"ticker": t, "name": t, "type": "CS", "primary_exchange": "XNAS"} for t in bars["ticker"].unique().sort()]
        self.past = Past(session, sessions, set(sessions), tickers, [], rows, slots, {}, {}, {})
        self.frames = defaultdict(list)
        today = bars.filter((pl.col("session") == session) & pl.col("second").is_between(0, self.hours.end, closed="left"))
        for ticker, second, opened, high, low, close, volume in today.select(
            "ticker", "second", "open", "high", "low", "close", "volume"
        ).iter_rows():
            start = (self.hours.pre_open + second) * 1000
            told = {"o": opened, "h": high, "l": low, "c": close, "v": volume}
            self.frames[second + SENT_AFTER].append({"ev": "AM", "sym": ticker, "s": start, "e": start + 60_000, **told})
