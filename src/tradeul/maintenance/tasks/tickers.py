"""The universe of one session: what the vendor lists, compared with the last complete count, and who bore the tickers before.

A partition holds tenures: a row of each listed ticker (``until`` is null), and
one of each that has ended. Both come from the list, from the vendor's delisted,
and from the partition before; where the vendor does not tell who is delisted,
from what is missing on its lists.
"""

from datetime import date

import polars as pl

from tradeul.analytics.tenures import tenures
from tradeul.errors import IncompleteData, NotEntitled, ProviderError
from tradeul.maintenance.datasets import OHLC_DAILY, TICKERS, Schedule
from tradeul.maintenance.ledger import Landed, Ledger
from tradeul.maintenance.plan import Step
from tradeul.maintenance.tasks import Landing, Report, some
from tradeul.providers.ports import MarketData
from tradeul.records.partitions import State
from tradeul.records.tickers import Tenure, Ticker
from tradeul.store.lake import Lake
from tradeul.store.tenures import frame_of, records_of, tenures_on

# The answers tell only a page's count, so the yardstick is our own last one.
LEAST_SHARE = 0.95


class TickersTask:
    def __init__(self, market: MarketData, lake: Lake, schedule: Schedule) -> None:
        self._market = market
        self._lake = lake
        self._schedule = schedule

    async def prepare(self, step: Step, ledger: Ledger, _report: Report) -> Landing:
        tickers = await self._market.tickers()
        delisted, remark = await self._delisted(step.session)
        expected = last_count(ledger, step.session)
        return lambda: [self._land(step.session, tickers, delisted, expected, remark)]

    async def _delisted(self, session: date) -> tuple[list[Tenure], str | None]:
        """Of the sessions whose bars are kept. A refusal blocks nothing: the lists themselves tell later what is gone."""
        try:
            return await self._market.delisted(self._schedule.before(OHLC_DAILY, session)[0]), None
        except ProviderError as error:
            if not isinstance(error, NotEntitled) and type(error) is not ProviderError:
                raise
            return [], f"who was delisted is not known: {error}"

    def _land(self, session: date, tickers: list[Ticker], delisted: list[Tenure], expected: int | None, refused: str | None) -> Landed:
        by_symbol = {ticker.symbol: ticker for ticker in tickers}
        got = len(by_symbol)
        if got == 0 or got < LEAST_SHARE * (expected or 0):
            raise IncompleteData(
                f"The vendor lists {got:,} tickers; {expected or 'some'} were before. Nothing was replaced; the next run asks anew.",
                expected=expected or 1,
                got=got,
            )
        twice = sorted({ticker.symbol for ticker in tickers if by_symbol[ticker.symbol] is not ticker})
        remarks = [f"listed twice, the last taken: {some(twice)}"] if twice else []
        remarks += [refused] if refused else []
        listed_before = max((each for each in self._lake.sessions(TICKERS) if each < session), default=None)
        before = [] if listed_before is None else records_of(tenures_on(self._lake, listed_before))
        found = tenures(before, listed_before, by_symbol.values(), delisted, session)
        checksum = self._lake.write(TICKERS, session, frame_of(found), "REST")
        return Landed(session=session, expected=expected or got, got=got, checksum=checksum, remark="; ".join(remarks) or None)


def last_count(ledger: Ledger, session: date) -> int | None:
    """How many were listed the last time that the list was complete."""
    rows = [row for row in ledger.values() if row.dataset == TICKERS and row.session < session and row.state is State.COMPLETED]
    return max(rows, key=lambda row: row.session).got if rows else None


def of_bearer(known: pl.DataFrame) -> pl.DataFrame:
    """Metadata with a column ``since``: without what was told before it, which is another issuer's."""
    told = {"details_on": ("shares", "sic_code", "industry", "list_date"), "float_on": ("free_float",), "short_on": ("short_interest",)}
    for day, names in told.items():
        is_others = (pl.col(day) < pl.col("since")).fill_null(value=False)
        known = known.with_columns(pl.when(~is_others).then(pl.col(name)).alias(name) for name in (*names, day))
    return known
