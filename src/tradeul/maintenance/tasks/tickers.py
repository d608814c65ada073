"""The universe of one session: what the vendor lists, compared with the last complete count."""

from datetime import date

import polars as pl

from tradeul.errors import IncompleteData
from tradeul.maintenance.datasets import TICKERS
from tradeul.maintenance.ledger import Landed, Ledger
from tradeul.maintenance.plan import Step
from tradeul.maintenance.tasks import Landing, Report, some
from tradeul.providers.ports import MarketData
from tradeul.records.partitions import State
from tradeul.records.tickers import Ticker
from tradeul.store.lake import Lake

# The answers tell only a page's count, so the yardstick is our own last one.
LEAST_SHARE = 0.95


class TickersTask:
    def __init__(self, market: MarketData, lake: Lake) -> None:
        self._market = market
        self._lake = lake

    async def prepare(self, step: Step, ledger: Ledger, _report: Report) -> Landing:
        tickers = await self._market.tickers()
        expected = last_count(ledger, step.session)
        return lambda: [self._land(step.session, tickers, expected)]

    def _land(self, session: date, tickers: list[Ticker], expected: int | None) -> Landed:
        by_symbol = {ticker.symbol: ticker for ticker in tickers}
        got = len(by_symbol)
        if got == 0 or got < LEAST_SHARE * (expected or 0):
            raise IncompleteData(
                f"The vendor lists {got:,} tickers; {expected or 'some'} were before. Nothing was replaced; the next run asks anew.",
                expected=expected or 1,
                got=got,
            )
        twice = sorted({ticker.symbol for ticker in tickers if by_symbol[ticker.symbol] is not ticker})
        remark = f"listed twice, the last taken: {some(twice)}" if twice else None
        checksum = self._lake.write(TICKERS, session, frame_of(list(by_symbol.values())), "REST")
        return Landed(session=session, expected=expected or got, got=got, checksum=checksum, remark=remark)


def last_count(ledger: Ledger, session: date) -> int | None:
    """How many were listed the last time that the list was complete."""
    rows = [row for row in ledger.values() if row.dataset == TICKERS and row.session < session and row.state is State.COMPLETED]
    return max(rows, key=lambda row: row.session).got if rows else None


def frame_of(tickers: list[Ticker]) -> pl.DataFrame:
    columns = {"symbol": pl.String, "name": pl.String, "kind": pl.String, "exchange": pl.String, "cik": pl.String, "list_date": pl.Date}
    return pl.DataFrame({name: [getattr(ticker, name) for ticker in tickers] for name in columns}, schema=columns)
