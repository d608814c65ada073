"""One session's daily bars of the whole market, from one call; judged by what neighbouring sessions had.

Expected is the trailing median (before there is one, three quarters of what is
listed at least, since not everything trades every day), and a bar of every
reference ticker: one that trades in every session it is listed in. A row that
cannot be right is set aside and named; it does not stop the others.
"""

import statistics
from collections.abc import Collection, Iterable, Mapping
from datetime import date, timedelta
from math import isfinite

import polars as pl

from tradeul.errors import IncompleteData
from tradeul.maintenance.datasets import OHLC_DAILY, TICKERS
from tradeul.maintenance.ledger import USABLE, Landed, Ledger
from tradeul.maintenance.plan import Step
from tradeul.maintenance.tasks import Landing, Report, some
from tradeul.providers.ports import MarketData
from tradeul.records.bars import DailyBar
from tradeul.records.partitions import State
from tradeul.store.lake import Lake
from tradeul.store.tenures import listed_on

LEAST_SHARE = 0.80
LEAST_SHARE_OF_LISTED = 0.75
TRAILING_SESSIONS = 20
# A ticker without a known list date is taken to have been listed this long before the list that has it.
LISTED_BEFORE = timedelta(days=400)
SCHEMA = {
    "symbol": pl.String,
    "open": pl.Float64,
    "high": pl.Float64,
    "low": pl.Float64,
    "close": pl.Float64,
    "volume": pl.Float64,
    "vwap": pl.Float64,
    "trades": pl.Int64,
}


class OhlcDailyTask:
    def __init__(self, market: MarketData, lake: Lake, reference: tuple[str, ...] = ()) -> None:
        self._market = market
        self._lake = lake
        self._reference = reference

    async def prepare(self, step: Step, ledger: Ledger, _report: Report) -> Landing:
        bars = await self._market.grouped_daily(step.session)
        return lambda: [self._land(step.session, bars, ledger)]

    def _land(self, session: date, bars: list[DailyBar], ledger: Ledger) -> Landed:
        # Asked now, not with the call: the answer may have been asked for long ahead.
        expected, least = expectation(ledger, session)
        if expected == 0:
            raise IncompleteData(
                f"{session}: {len(bars):,} daily bars came, but neither a ticker list nor another session stands to hold them against. "
                "The next run asks again, after the tickers.",
                expected=0,
                got=0,
            )
        good, faults = sift(bars, session)
        remark = f"{len(faults):,} rows set aside: {some(faults)}" if faults else None
        missing, fault = [], None
        if len(good) < max(least, 1):
            missing = self._missing(good, nearest((day for day, _ in _complete(ledger, session)), session))
            fault = f"missing: {some(missing) or 'unknown'}"
        elif missing := self._absent(good, session, ledger):
            fault = f"without {some(missing)} of the reference tickers (TRADEUL_REFERENCE_TICKERS), so others may be missing, too"
        if fault is not None:
            fault += f"; {remark}" if remark else ""
            raise IncompleteData(
                f"{session}: {len(good):,} daily bars of about {expected:,} expected; {fault}. "
                "Nothing was replaced; the next run asks again.",
                expected=expected,
                got=len(good),
                missing=missing,
            )
        checksum = self._lake.write(OHLC_DAILY, session, frame_of(list(good.values())), "REST")
        return Landed(session=session, expected=expected, got=len(good), checksum=checksum, remark=remark)

    def _absent(self, good: Collection[str], session: date, ledger: Ledger) -> list[str]:
        """The reference tickers without a bar, by the list nearest to the session; without any list, nobody is missed."""
        lists = (row.session for row in ledger.values() if row.dataset == TICKERS and row.state in USABLE)
        near = nearest(lists, session)
        if near is None or not self._reference or not self._lake.has(TICKERS, near):
            return []
        rows = listed_on(self._lake, near).select("symbol", "list_date").filter(pl.col("symbol").is_in(self._reference))
        expected = reference_of(self._reference, dict(rows.iter_rows()), near, session)
        return [symbol for symbol in expected if symbol not in good]

    def _missing(self, good: dict[str, DailyBar], neighbour: date | None) -> list[str]:
        """What the nearest complete session had and this one has not, by dollar volume."""
        if neighbour is None:
            return []
        bars = self._lake.read(OHLC_DAILY, neighbour, ["symbol", "close", "volume"])
        gone = bars.filter(~pl.col("symbol").is_in(list(good)))
        return gone.sort(pl.col("close") * pl.col("volume"), descending=True)["symbol"].to_list()


def expectation(ledger: Ledger, session: date) -> tuple[int, float]:
    """How many bars this session should have, and the least that is taken for complete."""
    near = sorted(_complete(ledger, session), key=lambda item: abs(item[0] - session))[:TRAILING_SESSIONS]
    if near:
        median = int(statistics.median(got for _, got in near))
        return median, LEAST_SHARE * median
    listed = max((row.got or 0 for row in ledger.values() if row.dataset == TICKERS), default=0)
    return listed, LEAST_SHARE_OF_LISTED * listed


def reference_of(basket: Collection[str], listed: Mapping[str, date | None], listed_on: date, session: date) -> list[str]:
    """The tickers of the basket that must have traded in ``session``.

    ``listed``: symbol -> list date, null unknown, in the list of ``listed_on``.
    """
    since = {symbol: day or listed_on - LISTED_BEFORE for symbol, day in listed.items()}
    return [symbol for symbol in basket if symbol in since and since[symbol] <= session]


def nearest(days: Iterable[date], session: date) -> date | None:
    return min(days, key=lambda day: abs(day - session), default=None)


def _complete(ledger: Ledger, session: date) -> list[tuple[date, int]]:
    rows = (row for row in ledger.values() if row.dataset == OHLC_DAILY and row.session != session)
    return [(row.session, row.got) for row in rows if row.state is State.COMPLETED and row.got]


def sift(bars: list[DailyBar], session: date) -> tuple[dict[str, DailyBar], list[str]]:
    """The bars that can be right, by symbol, and a word on each that cannot."""
    good: dict[str, DailyBar] = {}
    faults: list[str] = []
    for bar in bars:
        fault = fault_of(bar, session)
        if fault is None and good.get(bar.symbol, bar) != bar:
            fault = "a second, different bar"
        if fault is None:
            good[bar.symbol] = bar
        else:
            faults.append(f"{bar.symbol} ({fault})")
    return good, faults


def fault_of(bar: DailyBar, session: date) -> str | None:
    if bar.session != session:
        return f"of {bar.session}"
    if not all(isfinite(price) and price > 0 for price in (bar.open, bar.high, bar.low, bar.close)):
        return "a price is not positive"
    if not isfinite(bar.volume) or bar.volume < 0:
        return f"volume {bar.volume}"
    if not (bar.low <= bar.open <= bar.high and bar.low <= bar.close <= bar.high):
        return f"open {bar.open} or close {bar.close} outside {bar.low}-{bar.high}"
    return None


def frame_of(bars: list[DailyBar]) -> pl.DataFrame:
    return pl.DataFrame({name: [getattr(bar, name) for bar in bars] for name in SCHEMA}, schema=SCHEMA)
