"""One session's minute bars of the whole market, from its flat file; only the newest ``keep_sessions`` stay.

Expected is every ticker of the session's daily bars with volume, where those
stand. Some have no minute bar for good (minutes of odd lots alone), so nineteen
in twenty are enough; who is missing is named all the same. The current
session's come with its file, on the next one.
"""

from datetime import date
from functools import partial

import polars as pl

from tradeul.errors import CorruptPartition, IncompleteData
from tradeul.maintenance.datasets import MINUTE_BARS, OHLC_DAILY
from tradeul.maintenance.engine import Engine
from tradeul.maintenance.ledger import Landed, Ledger, completed
from tradeul.maintenance.plan import Step
from tradeul.maintenance.tasks import Landing, Report, some
from tradeul.market_calendar import Calendar, SessionHours
from tradeul.providers.polygon.wire_files import PRICES, decode_minute_file
from tradeul.providers.ports import FlatFile, MinuteFiles
from tradeul.store.lake import Lake

LEAST_SHARE = 0.95


class MinuteBarsTask:
    def __init__(self, files: MinuteFiles, lake: Lake, calendar: Calendar, keep_sessions: int, engine: Engine) -> None:
        self._files = files
        self._lake = lake
        self._calendar = calendar
        self._keep_sessions = keep_sessions
        self._engine = engine

    async def prepare(self, step: Step, ledger: Ledger, _report: Report) -> Landing:
        session = step.session
        file = await self._files.minute_file(session)
        if file is None:
            raise IncompleteData(
                f"{session}: the vendor has no minute file. The next run asks again; where its files do not go back so far, "
                "set TRADEUL_KEEP_MINUTE_BARS to less.",
                expected=1,
                got=0,
            )
        is_judged, etag = bool(completed(ledger, OHLC_DAILY, [session])), file.etag
        decoded = self._engine.compute(partial(bars_of_file, file, self._calendar.hours(session)))
        return lambda: [self._land(session, etag, *decoded(), is_judged=is_judged)]

    def _land(self, session: date, etag: str, bars: pl.DataFrame, outside: int, *, is_judged: bool) -> Landed:
        got = set(bars["symbol"].unique())
        missing = self._missing(session, got) if is_judged else []
        expected = len(got) + len(missing)
        if not got or len(got) < LEAST_SHARE * expected:
            raise IncompleteData(
                f"{session}: its minute file has {len(got):,} of {expected:,} tickers that traded; missing: {some(missing) or 'all'}. "
                "Nothing was replaced; the next run asks again.",
                expected=max(expected, 1),
                got=len(got),
                missing=missing,
            )
        checksum = self._lake.write(MINUTE_BARS, session, bars, f"{session} {etag}")
        self._lake.keep_newest(MINUTE_BARS, self._keep_sessions)
        remarks = [f"{len(missing):,} tickers that traded have no minute bar: {some(missing)}"] if missing else []
        remarks += [f"{outside:,} bars outside the session's hours"] if outside else []
        remark = "; ".join(remarks) or None
        return Landed(session=session, expected=expected, got=len(got), missing=tuple(missing), checksum=checksum, remark=remark)

    def _missing(self, session: date, got: set[str]) -> list[str]:
        """Who traded and is not in the file, by dollar volume; nobody, if the daily bars cannot be read."""
        try:
            day = self._lake.read(OHLC_DAILY, session, ["symbol", "close", "volume"])
        except CorruptPartition:
            return []
        lacking = day.filter((pl.col("volume") > 0) & ~pl.col("symbol").is_in(list(got)))
        return lacking.sort(pl.col("close") * pl.col("volume"), descending=True)["symbol"].to_list()


def bars_of_file(file: FlatFile, hours: SessionHours) -> tuple[pl.DataFrame, int]:
    """A session's bars, and how many lay outside its hours."""
    bars = decode_minute_file(file.data, f"minute file of {file.session}")
    rows = bars.height
    start_at = pl.col("start_ms").cast(pl.Datetime("ms", "UTC")).alias("start_at")
    vwap = pl.lit(None, pl.Float64).alias("vwap")  # no file has it
    bars = bars.select("symbol", start_at, *PRICES, "volume", vwap, "trades")
    bars = bars.filter(pl.col("start_at").is_between(hours.pre_open_at, hours.post_close_at, closed="left"))
    return bars.with_columns(pl.col("symbol").cast(pl.String)), rows - bars.height
