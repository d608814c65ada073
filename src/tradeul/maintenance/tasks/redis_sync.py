"""From the lake onto the bus: the baselines for our own services, then what other programs look tickers up by.

    baselines:{session} -> baselines:changed                         at once: the lists wait for it
    metadata:ticker:*, rvol:hist:avg:*, ticker:universe (renamed)    of the newest session, once history is whole or the run ends
    baselines:current                                                moved last

Both sides are counted. The bus is disposable, so this is also what heals it
after it was emptied. No key expires: each stands until its replacement does.
"""

from collections.abc import Iterator
from datetime import date
from typing import TypeVar

import msgspec
import numpy as np
import polars as pl

from tradeul.analytics.baselines import Baselines
from tradeul.bus.redis import Bus
from tradeul.bus.slot_averages import restores
from tradeul.bus.topics import BASELINES_CHANGED
from tradeul.errors import IncompleteData
from tradeul.maintenance.datasets import BASELINES, REDIS_SYNC, Schedule
from tradeul.maintenance.ledger import USABLE, Landed, Ledger, inputs_of, row_of
from tradeul.maintenance.plan import Step
from tradeul.maintenance.tasks import InThread, Landing, Report, some
from tradeul.records.events import BaselinesChanged
from tradeul.store.lake import Lake
from tradeul.store.tenures import listed_on

T = TypeVar("T")
# The session before is still served until 03:00; what is older is dropped.
DROPPED_SESSIONS = 5
BATCH_TICKERS = 500  # of their averages the server takes some 9 ms
METADATA = (
    *("name", "class", "exchange", "cik", "list_date", "sector", "industry", "shares", "market_cap", "free_float", "short_interest"),
    *("avg_volume_20d", "avg_dollar_volume_20d", "atr", "prev_close"),
)


class RedisSyncTask:
    def __init__(self, lake: Lake, bus: Bus, schedule: Schedule, in_thread: InThread) -> None:
        self._in_thread = in_thread
        self._lake = lake
        self._bus = bus
        self._schedule = schedule

    async def prepare(self, step: Step, ledger: Ledger, report: Report) -> Landing:
        session = step.session
        baselines, blob = await self._in_thread(lambda: self._blob(session))
        rows = baselines.table.height
        await self._bus.put_baselines(session, blob)
        there = await self._bus.baselines_bytes(session)
        if there != len(blob):
            raise IncompleteData(
                f"The bus holds {there:,} of {len(blob):,} bytes of {session}'s baselines: see its memory and its eviction policy.",
                expected=rows,
                got=0,
            )
        await self._bus.publish(BASELINES_CHANGED, BaselinesChanged(session))
        newer = row_of(ledger, REDIS_SYNC, self._schedule.calendar.next(session)).state in USABLE
        # A run publishes after each stage; these keys, seconds of the server's time, follow when history is whole or the run ends.
        put_off = not newer and not (baselines.complete or step.last)
        if not newer and not put_off:
            await self._put_lookups(session, baselines, report)
            await self._bus.point_to_baselines(session)
        await self._bus.drop_baselines(self._schedule.calendar.before(session, DROPPED_SESSIONS)[:-1])
        inputs = None if put_off else inputs_of(ledger, self._schedule, REDIS_SYNC, session)
        return lambda: [Landed(session=session, expected=rows, got=rows, inputs=inputs, final=not put_off)]

    async def _put_lookups(self, session: date, baselines: Baselines, report: Report) -> None:
        symbols = baselines.table["symbol"].to_list()
        documents = await self._in_thread(lambda: documents_of(baselines, listed_on(self._lake, session)))
        await self._bus.drop_universe_draft()  # of a run that was killed
        for batch in batches(symbols, BATCH_TICKERS):
            await self._bus.put_metadata({symbol: documents[symbol] for symbol in batch})
            await self._bus.draft_universe(batch)
        averaged = np.flatnonzero(np.isfinite(baselines.cumulative).all(axis=1)).tolist()
        for number, rows in enumerate(batches(averaged, BATCH_TICKERS)):
            await report(number * BATCH_TICKERS, len(averaged), "slot averages")
            await self._bus.put_averages(await self._in_thread(lambda rows=rows: commands_of(symbols, baselines, rows)))  # type: ignore[misc]
        with_averages = {symbols[row] for row in averaged}
        for batch in batches([symbol for symbol in symbols if symbol not in with_averages], BATCH_TICKERS):
            await self._bus.drop_averages(batch)
        await self._bus.put_universe()
        await self._count(symbols, with_averages)

    async def _count(self, symbols: list[str], averaged: set[str]) -> None:
        lacking: list[str] = []
        for batch in batches(symbols, BATCH_TICKERS):
            lacking += await self._bus.without_keys(batch, [symbol for symbol in batch if symbol in averaged])
        members = await self._bus.count_universe()
        if lacking or members != len(symbols):
            raise IncompleteData(
                f"The bus has {members:,} of {len(symbols):,} symbols, and no key of {some(lacking) or 'none'}: see its memory "
                "and its eviction policy.",
                expected=len(symbols),
                got=min(members, len(symbols) - len(lacking)),
                missing=lacking,
            )

    def _blob(self, session: date) -> tuple[Baselines, bytes]:
        baselines = Baselines.from_frame(self._lake.read(BASELINES, session))
        return baselines, baselines.to_arrow()


def batches(items: list[T], size: int) -> Iterator[list[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def commands_of(symbols: list[str], baselines: Baselines, rows: list[int]) -> list[bytes]:
    return restores([symbols[row] for row in rows], np.rint(baselines.cumulative[rows]).astype(np.int64))


def documents_of(baselines: Baselines, tickers: pl.DataFrame) -> dict[str, bytes]:
    """One JSON document per ticker; its market cap is of the close before. Unknown is null."""
    listed = tickers.select("symbol", "cik")
    table = baselines.table.rename({"kind": "class"}).join(listed, on="symbol", how="left")
    table = table.with_columns(market_cap=pl.col("shares") * pl.col("prev_close"))
    rows = table.select("symbol", *METADATA).iter_rows(named=True)
    return {row["symbol"]: msgspec.json.encode(row | {"session": baselines.session}) for row in rows}
