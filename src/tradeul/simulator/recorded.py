"""A market of recorded minute bars: a Parquet file (ticker, ts, open, high, low, close, volume) played as if by the vendor.

Nothing is invented: there are no second bars, no trade counts, no volume-weighted
prices, no splits and no halts. Daily bars and snapshots are sums over the file's rows.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from tradeul.errors import StartError
from tradeul.market_calendar import Calendar
from tradeul.records.tickers import Split
from tradeul.simulator.bars import Bars, totals
from tradeul.simulator.source import DailyColumns, News
from tradeul.simulator.story import Halt
from tradeul.simulator.universe import Issue

COLUMNS = ("ticker", "ts", "open", "high", "low", "close", "volume")
NOMINAL_SHARES = 100_000_000  # the file does not say; details need a number


class RecordedMarket:
    def __init__(self, path: Path, calendar: Calendar) -> None:
        """Raises StartError: the file cannot be read, or lacks a column."""
        self._calendar = calendar
        try:
            frame = pl.read_parquet(path, columns=list(COLUMNS)).with_columns(pl.col("ts").dt.convert_time_zone("America/New_York"))
        except (OSError, pl.exceptions.PolarsError) as error:
            raise StartError(
                f"The recording {path} cannot be played ({error}): it needs the columns {', '.join(COLUMNS)}, ts in UTC."
            ) from error
        names = frame["ticker"].unique().sort().to_list()
        oldest = frame["ts"].dt.date().min()
        first = oldest if isinstance(oldest, date) else date.max
        listed = first - timedelta(days=1)
        self._issues = [
            Issue(number, name, name, "CS", "XNAS", None, listed, 1, None, None, NOMINAL_SHARES, 1.0) for number, name in enumerate(names)
        ]
        self._number_of = {name: number for number, name in enumerate(names)}
        self._minutes: dict[date, Bars] = dict(self._by_session(frame))

    def _by_session(self, frame: pl.DataFrame) -> Iterator[tuple[date, Bars]]:
        numbers = frame["ticker"].replace_strict(self._number_of, return_dtype=pl.Int32)
        frame = frame.with_columns(numbers.alias("number"), pl.col("ts").dt.date().alias("session")).sort("session", "number", "ts")
        for (session,), rows in frame.group_by("session", maintain_order=True):
            if not isinstance(session, date) or not self._calendar.is_session(session):
                continue
            hours = self._calendar.hours(session)
            start = (rows["ts"].dt.epoch("s").to_numpy() - int(hours.pre_open_at.timestamp())).astype(np.int32)
            inside = (start >= 0) & (start < (hours.post_close_at - hours.pre_open_at).total_seconds())
            columns = {name: rows[name].to_numpy() for name in ("open", "high", "low", "close", "volume")}
            bars = Bars(issue=rows["number"].to_numpy(), start=start, **columns, trades=None, width=60, unit=1.0)
            yield session, bars.take(inside)

    @property
    def counts_trades(self) -> bool:
        return False

    @property
    def issues(self) -> Sequence[Issue]:
        return self._issues

    @property
    def number_of(self) -> Mapping[str, int]:
        return self._number_of

    @property
    def splits(self) -> Sequence[Split]:
        return ()

    def covers(self, session: date) -> bool:
        return session in self._minutes

    def minutes(self, session: date) -> Bars:
        return self._minutes[session]

    def minutes_of(self, number: int, sessions: Sequence[date]) -> list[Bars]:
        return [self._minutes[session].of(number) for session in sessions]

    def seconds(self, session: date, minutes: Bars) -> Bars:  # noqa: ARG002
        return minutes.take(slice(0, 0))

    def daily(self, session: date) -> DailyColumns:
        return self._daily(self._minutes[session], len(self._issues), self._close(session))

    def daily_of(self, number: int, sessions: Sequence[date]) -> DailyColumns:
        rows = [self._daily(self._alone(number, session), 1, self._close(session)) for session in sessions]
        columns: dict[str, Any] = {
            name: np.concatenate([getattr(row, name) for row in rows] or [np.zeros(0)]) for name in DailyColumns.__struct_fields__
        }
        columns["key"] = np.repeat(np.arange(len(rows)), [len(row.key) for row in rows])
        return DailyColumns(**columns)

    def _alone(self, number: int, session: date) -> Bars:
        bars = self._minutes[session].of(number)
        return msgspec.structs.replace(bars, issue=np.zeros(len(bars), np.int32))

    def halts(self, session: date) -> Sequence[Halt]:  # noqa: ARG002
        return ()

    def late(self, session: date, bars: Bars) -> NDArray[np.int64]:  # noqa: ARG002
        return np.zeros(len(bars), np.int64)

    def news(self, session: date) -> Sequence[News]:  # noqa: ARG002
        return ()

    def _close(self, session: date) -> int:
        hours = self._calendar.hours(session)
        return int((hours.close_at - hours.pre_open_at).total_seconds())

    @staticmethod
    def _daily(bars: Bars, size: int, close_second: int) -> DailyColumns:
        sums = totals(bars, size, close_second)
        key = np.flatnonzero(sums.regular)
        unknown = np.full(len(key), np.nan)
        columns = {name: getattr(sums, name)[key] for name in ("open", "high", "low", "close", "volume")}
        return DailyColumns(key=key, **columns, vwap=unknown, trades=unknown)
