"""The splits since the daily window's start, up to the session served. Factors are applied by readers, never here."""

from collections.abc import Iterable
from datetime import date

import polars as pl

from tradeul.maintenance.datasets import OHLC_DAILY, SPLITS, Schedule
from tradeul.maintenance.ledger import Landed, Ledger
from tradeul.maintenance.plan import Step
from tradeul.maintenance.tasks import Landing, Report, some
from tradeul.providers.ports import MarketData
from tradeul.records.tickers import Split
from tradeul.store.lake import Lake

SCHEMA = {"symbol": pl.String, "effective": pl.Date, "split_from": pl.Float64, "split_to": pl.Float64}


class SplitsTask:
    def __init__(self, market: MarketData, lake: Lake, schedule: Schedule) -> None:
        self._market = market
        self._lake = lake
        self._schedule = schedule

    async def prepare(self, step: Step, _ledger: Ledger, _report: Report) -> Landing:
        since = self._schedule.before(OHLC_DAILY, step.session)[0]
        splits = await self._market.splits(since, step.session)
        return lambda: [self._land(step.session, splits)]

    def _land(self, session: date, splits: list[Split]) -> Landed:
        # One split listed twice would be applied twice.
        by_key = {(split.symbol, split.session): split for split in splits}
        kept = list(by_key.values())
        twice = sorted({split.symbol for split in splits if by_key[split.symbol, split.session] is not split})
        checksum = self._lake.write(SPLITS, session, frame_of(kept), "REST")
        remark = f"listed twice for a session, the last taken: {some(twice)}" if twice else None
        return Landed(session=session, expected=len(kept), got=len(kept), checksum=checksum, remark=remark)


def frame_of(splits: Iterable[Split]) -> pl.DataFrame:
    rows = [(split.symbol, split.session, split.split_from, split.split_to) for split in splits]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def splits_of(frame: pl.DataFrame) -> list[Split]:
    return [Split(*row) for row in frame.select(*SCHEMA).iter_rows()]
