"""From the lake to the tables that people ask by SQL: what stands there is held against the lake, and what differs is replaced.

    ohlc_daily, volume_slots of the windows   -> market_data_daily, volume_slots   session by session, the newest first
    baselines and tickers of the session      -> tickers_unified
    membership                                -> scan_results
    sessions that the windows have left       -> dropped

Each session is a transaction of its own and notes itself there, so a task that
was killed goes on at the first that is missing; asked for afresh, all is made
anew. Values are the lake's: raw, no split applied.
"""

from collections.abc import Callable
from datetime import date, time
from typing import TypeAlias

import polars as pl
import structlog

from tradeul.errors import CorruptPartition
from tradeul.maintenance.datasets import BASELINES, OHLC_DAILY, TICKERS, TIMESCALE_MIRROR, VOLUME_SLOTS, Schedule
from tradeul.maintenance.ledger import Landed, Ledger, inputs_of, row_of
from tradeul.maintenance.plan import Step
from tradeul.maintenance.tasks import InThread, Landing, Report
from tradeul.store import timescale
from tradeul.store.lake import Lake
from tradeul.store.timescale import WHOLE, Mirror, Part

MEMBERSHIP = "membership"  # the scanner's
SLOT_TIMES = [time(4 + slot // 12, slot % 12 * 5) for slot in range(192)]
Read: TypeAlias = Callable[[], pl.DataFrame]

log = structlog.get_logger()


class TimescaleMirrorTask:
    def __init__(self, mirror: Mirror, lake: Lake, schedule: Schedule, in_thread: InThread) -> None:
        self._mirror, self._lake = mirror, lake
        self._schedule, self._in_thread = schedule, in_thread

    async def prepare(self, step: Step, ledger: Ledger, report: Report) -> Landing:
        mirror, session = self._mirror, step.session
        if step.afresh:
            await self._in_thread(mirror.forget)
        standing = await self._in_thread(mirror.standing)
        wanted = await self._in_thread(lambda: self._wanted(session, ledger))
        for part in sorted(standing.keys() - wanted.keys()):
            await self._in_thread(lambda part=part: mirror.drop(part))  # type: ignore[misc]
        due = [part for part, (checksum, _) in wanted.items() if standing.get(part) != checksum]
        for number, part in enumerate(due):
            await report(number, len(due), f"{part[0]} {'' if part[1] == WHOLE else part[1]}".strip())
            checksum, read = wanted[part]
            await self._in_thread(lambda part=part, read=read, checksum=checksum: mirror.replace(part, read(), checksum))  # type: ignore[misc]
        inputs = inputs_of(ledger, self._schedule, TIMESCALE_MIRROR, session)
        return lambda: [self._land(session, wanted, inputs)]

    def _land(self, session: date, wanted: dict[Part, tuple[str, Read]], inputs: str | None) -> Landed:
        for name in {name for name, day in wanted if day != WHOLE}:
            self._mirror.drop_chunks(name, min(day for each, day in wanted if each == name))
        stands = self._mirror.standing()
        got = sum(stands.get(part) == checksum for part, (checksum, _) in wanted.items())
        return Landed(session=session, expected=len(wanted), got=got, whole=got == len(wanted), inputs=inputs)

    def _wanted(self, session: date, ledger: Ledger) -> dict[Part, tuple[str, Read]]:
        """Each partition with its checksum and how its rows are read; first what one looks at first."""
        found: dict[Part, tuple[str, Read]] = {}
        tickers = "".join(str(row_of(ledger, name, session).checksum)[:32] for name in (TICKERS, BASELINES))
        found[timescale.TICKERS, WHOLE] = tickers, lambda: self._tickers(session)
        for table, dataset, read in ((timescale.DAILY, OHLC_DAILY, self._daily), (timescale.SLOTS, VOLUME_SLOTS, self._slots)):
            for day in self._schedule.mirrored(dataset, session)[::-1]:
                checksum = row_of(ledger, dataset, day).checksum
                if checksum is not None:
                    found[table, day] = checksum, lambda read=read, day=day: read(day)  # type: ignore[misc]
        for day in self._lake.sessions(MEMBERSHIP)[::-1]:
            try:
                checksum = self._lake.footer(MEMBERSHIP, day)["checksum"]
            except CorruptPartition as error:  # not ours to load anew
                log.warning("membership_not_mirrored", reason=str(error))
                continue
            found[timescale.RESULTS, day] = checksum, lambda day=day: self._results(day)  # type: ignore[misc]
        return found

    def _daily(self, session: date) -> pl.DataFrame:
        rows = self._lake.read(OHLC_DAILY, session)
        bars = ("open", "high", "low", "close", "volume", "vwap")
        return rows.select(pl.lit(session).alias("trading_date"), "symbol", *bars, pl.col("trades").cast(pl.Int64).alias("trades_count"))

    def _slots(self, session: date) -> pl.DataFrame:
        rows = self._lake.read(VOLUME_SLOTS, session).sort("symbol", "slot")
        times = pl.Series(SLOT_TIMES, dtype=pl.Time)
        return rows.select(
            pl.lit(session).alias("date"),
            "symbol",
            pl.col("slot").cast(pl.Int16).alias("slot_number"),
            times.gather(rows["slot"]).alias("slot_time"),
            "volume",
            pl.col("volume").cum_sum().over("symbol").alias("volume_accumulated"),
            pl.col("trades").cast(pl.Int32).alias("trades_count"),
            "vwap",
        )

    def _tickers(self, session: date) -> pl.DataFrame:
        listed = self._lake.read(TICKERS, session, ["symbol", "cik"])
        rows = self._lake.read(BASELINES, session).join(listed, on="symbol", how="left")
        return rows.select(
            "symbol",
            pl.col("name").alias("company_name"),
            "exchange",
            pl.col("kind").alias("type"),
            pl.lit(value=True).alias("is_active"),
            (pl.col("shares") * pl.col("prev_close")).alias("market_cap"),
            "free_float",
            pl.col("shares").alias("shares_outstanding"),
            *("sector", "industry", "cik", "list_date", "avg_volume_20d", "atr"),
        )

    def _results(self, session: date) -> pl.DataFrame:
        rows = self._lake.read(MEMBERSHIP, session)
        return rows.select("time", pl.lit(session).alias("session"), "list", "symbol", "event", "rank", "row")
