"""Shares, free float, short interest and industry of the tickers; once a session, and nothing waits for it.

    free float, short interest    the whole market, by pages
    details                       ticker by ticker: the stalest first, of those the most traded

A session's partition is the one before with what is new put in: details that
were not asked for today stay as they were, dated.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import date, timedelta
from functools import partial
from typing import TypeAlias, TypeVar

import polars as pl

from tradeul.errors import NotEntitled, ProviderError, Unauthorized
from tradeul.maintenance.datasets import METADATA_ENRICH, OHLC_DAILY, Schedule
from tradeul.maintenance.ledger import Landed, Ledger, metadata_session
from tradeul.maintenance.plan import Step
from tradeul.maintenance.tasks import InThread, Landing, Report, some
from tradeul.maintenance.tasks.tickers import of_bearer
from tradeul.providers.ports import MarketData
from tradeul.records.tickers import FreeFloat, ShortInterest, TickerDetails
from tradeul.store.lake import Lake
from tradeul.store.tenures import listed_on, whole_columns

T = TypeVar("T")
# Ten seconds of a paid plan's limit; at the free plan's five a minute over before the 17:00 run. All come round in two weeks.
DETAILS_PER_RUN = 1_000
BATCH_TICKERS = 100
SETTLEMENTS = timedelta(days=45)  # published twice a month, some nine days late
SCHEMA = {
    "symbol": pl.String,
    "shares": pl.Float64,
    "sic_code": pl.String,
    "industry": pl.String,
    "list_date": pl.Date,
    "details_on": pl.Date,  # the session that asked; null: never
    "free_float": pl.Float64,
    "float_on": pl.Date,
    "short_interest": pl.Float64,
    "short_on": pl.Date,
}
Told: TypeAlias = dict[str, TickerDetails]


class MetadataEnrichTask:
    def __init__(self, market: MarketData, lake: Lake, schedule: Schedule, in_thread: InThread) -> None:
        self._market = market
        self._lake = lake
        self._schedule = schedule
        self._in_thread = in_thread

    async def prepare(self, step: Step, ledger: Ledger, report: Report) -> Landing:
        session = step.session
        known = await self._in_thread(lambda: self._known(session, ledger))
        refused: list[str] = []
        floats = await _unless_refused(self._market.free_floats, refused)
        shorts = await _unless_refused(lambda: self._market.short_interest(session - SETTLEMENTS), refused)
        fresh = known.filter(pl.col("details_on") == session).height  # an earlier try's
        stale = known.filter(pl.col("details_on").ne_missing(session))
        chosen = stale.sort("details_on", "dollars", "symbol", descending=[False, True, False], nulls_last=[False, True, True])
        symbols = chosen["symbol"].head(max(DETAILS_PER_RUN - fresh, 0)).to_list()
        told, missing = await self._details(symbols, report)
        remark = f"not in the plan: {'; '.join(refused)}" if refused else None
        return partial(self._land, session, known.select(*SCHEMA), told, missing, fresh, floats, shorts, remark)

    async def _details(self, symbols: list[str], report: Report) -> tuple[Told, list[str]]:
        """What is told of each, and who must be asked again."""
        told: Told = {}
        missing: list[str] = []
        for start in range(0, len(symbols), BATCH_TICKERS):
            await report(start, len(symbols), "tickers' details")
            batch = symbols[start : start + BATCH_TICKERS]
            answers = await asyncio.gather(*map(self._market.ticker_details, batch), return_exceptions=True)
            for symbol, answer in zip(batch, answers, strict=True):
                if isinstance(answer, TickerDetails):
                    told[symbol] = answer
                elif isinstance(answer, Unauthorized | NotEntitled) or not isinstance(answer, ProviderError):
                    raise answer
                elif type(answer) is ProviderError:
                    told[symbol] = TickerDetails(symbol)  # 404: listed, but nothing is told of it
                else:
                    missing.append(symbol)
            if len(missing) == start + len(batch):
                raise next(answer for answer in answers if isinstance(answer, ProviderError))
        return told, missing

    def _known(self, session: date, ledger: Ledger) -> pl.DataFrame:
        """One row per listed ticker: what was known before, and the dollars that it last traded."""
        listed = listed_on(self._lake, session).select("symbol", "since")
        before = metadata_session(ledger, session)
        earlier = (
            pl.DataFrame(schema=SCHEMA)
            if before is None
            else whole_columns(self._lake.read(METADATA_ENRICH, before), SCHEMA).select(*SCHEMA)
        )
        known = of_bearer(listed.join(earlier, on="symbol", how="left")).drop("since")
        last = self._schedule.calendar.previous(session)
        if not self._lake.has(OHLC_DAILY, last):
            return known.with_columns(pl.lit(None, pl.Float64).alias("dollars"))
        bars = self._lake.read(OHLC_DAILY, last, ["symbol", "close", "volume"])
        return known.join(bars.select("symbol", dollars=pl.col("close") * pl.col("volume")), on="symbol", how="left")

    def _land(
        self,
        session: date,
        known: pl.DataFrame,
        told: Told,
        missing: list[str],
        fresh: int,
        floats: Sequence[FreeFloat],
        shorts: Sequence[ShortInterest],
        remark: str | None,
    ) -> list[Landed]:
        details = [(each.symbol, each.shares, each.sic_code, each.industry, each.list_date, session) for each in told.values()]
        # The newest settlement of each ticker.
        newest = {each.symbol: each for each in sorted(shorts, key=lambda each: each.settled)}
        parts = (
            (("shares", "sic_code", "industry", "list_date", "details_on"), details),
            (("free_float", "float_on"), [(each.symbol, each.shares, each.effective) for each in floats]),
            (("short_interest", "short_on"), [(each.symbol, each.shares, each.settled) for each in newest.values()]),
        )
        for names, rows in parts:
            schema = {name: SCHEMA[name] for name in ("symbol", *names)}
            new = pl.DataFrame(rows, schema=schema, orient="row").unique("symbol", keep="last", maintain_order=True)
            kept = known.join(new.select("symbol"), on="symbol", how="anti")
            changed = known.drop(*names).join(new, on="symbol", how="inner")
            known = pl.concat([kept.select(*SCHEMA), changed.select(*SCHEMA)])
        if missing:
            remark = "; ".join([f"{len(missing):,} tickers' details did not come: {some(missing)}", *([remark] if remark else [])])
        checksum = self._lake.write(METADATA_ENRICH, session, known, "REST")
        expected, got = fresh + len(told) + len(missing), fresh + len(told)
        landed = Landed(
            session=session,
            expected=expected,
            got=got,
            missing=tuple(missing),
            checksum=checksum,
            whole=not missing,
            remark=remark,
        )
        return [landed]


async def _unless_refused(ask: Callable[[], Awaitable[list[T]]], refused: list[str]) -> list[T]:
    """Nothing, where the plan does not include it: the rest is worth having alone."""
    try:
        return await ask()
    except NotEntitled as error:
        refused.append(str(error))
        return []
