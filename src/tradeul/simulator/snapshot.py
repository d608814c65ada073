"""The full snapshot: `/v2/snapshot/locale/us/markets/stocks/tickers`. Computes nothing itself that another endpoint also says.

03:00-03:30 still shows the session before, 03:30-04:00 nothing. ``day`` is all zeros
until an issue's first regular trade; ``min`` is its newest complete minute; ``prevDay`` is
raw, so that a split shows as a jump. After the close and on weekends everything stays.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tradeul.simulator.hashing import Floats
from tradeul.simulator.intraday import on_grid
from tradeul.simulator.market import Market, Shown, symbols
from tradeul.simulator.wire_out import rows, whole

TAPE_EXCHANGES = np.array([4, 8, 11, 12, 19])


def snapshot(market: Market, now: datetime, numbers: Sequence[int] | None, hidden: Collection[str] = ()) -> tuple[bytes, int]:
    """The JSON array of ``tickers`` and its length; ``numbers``: only these issues; ``hidden``: without these fields."""
    shown = market.shown(now)
    size = len(market.source.issues)
    frame = pl.DataFrame({"ticker": symbols(market.source, np.arange(size), shown.session)})
    previous = market.calendar.previous(shown.session)
    frame = frame.with_columns(_previous_day(market, previous, now, size))
    if market.begun(shown.session, now) and shown.second >= 0:
        frame = frame.with_columns(_today(market, shown, frame))
    else:
        zeros = np.zeros(size)
        change = [pl.lit(0.0).alias("todaysChange"), pl.lit(0.0).alias("todaysChangePerc"), pl.lit(0).alias("updated")]
        frame = frame.with_columns(*change, _struct("day", **dict.fromkeys(("o", "h", "l", "c", "v", "vw"), zeros)), _empty_minute(size))
    listed = np.array([issue.is_listed(shown.session) for issue in market.source.issues])
    chosen = np.flatnonzero(listed) if numbers is None else np.array([n for n in numbers if listed[n]], np.int64)
    frame = frame[chosen].drop(hidden, strict=False)
    return rows(frame), frame.height


def _previous_day(market: Market, session: Any, now: datetime, size: int) -> pl.Series:
    columns = {name: np.zeros(size) for name in ("o", "h", "l", "c", "v", "vw")}
    if market.begun(session, now):
        daily = market.daily(session, now)
        values = (daily.open, daily.high, daily.low, daily.close, daily.volume, np.nan_to_num(daily.vwap))
        for name, column in zip(columns, values, strict=True):
            columns[name][daily.key] = column
    if not market.source.counts_trades:
        del columns["vw"]
    return _struct("prevDay", **columns)


def _today(market: Market, shown: Shown, frame: pl.DataFrame) -> list[pl.Series]:
    state, counted = market.state(shown), market.source.counts_trades
    sums, size = state.totals, frame.height
    regular = sums.regular
    day = {
        name: np.where(regular, getattr(sums, column), 0.0) for name, column in zip("ohlc", ("open", "high", "low", "close"), strict=True)
    }
    day["v"] = np.where(regular, sums.volume, 0.0)
    if counted:
        day["vw"] = np.where(regular, np.round(sums.dollars / np.maximum(sums.volume, 1.0), 4), 0.0)

    start_ms = int(market.hours(shown.session).pre_open_at.timestamp() * 1000)
    minute = state.minute_rows
    columns: dict[str, NDArray[Any]] = {"av": whole(state.minute_volume), "t": np.zeros(size, np.int64)}
    columns["t"][minute.issue] = start_ms + minute.start.astype(np.int64) * 1000
    prices = {"o": minute.dollars("open"), "h": minute.dollars("high"), "l": minute.dollars("low"), "c": minute.dollars("close")}
    prices["v"] = minute.volume.astype(np.float64)
    if counted and minute.trades is not None:
        prices["vw"], columns["n"] = minute.vwap(), np.zeros(size, np.int64)
        columns["n"][minute.issue] = minute.trades
    for name, values in prices.items():
        columns[name] = np.zeros(size)
        columns[name][minute.issue] = values

    previous_close = frame["prevDay"].struct.field("c").to_numpy()
    known = (previous_close > 0) & (sums.last_end > 0)
    change = np.where(known, np.round(sums.last - previous_close, 4), 0.0)
    percent = np.where(known, np.round(100.0 * change / np.where(known, previous_close, 1.0), 4), 0.0)
    at_ns = np.where(sums.last_end > 0, (start_ms + sums.last_end * 1000) * 1_000_000 - 1, 0)
    series = [pl.Series("todaysChange", change), pl.Series("todaysChangePerc", percent), pl.Series("updated", at_ns)]
    series += [_struct("day", **day), _struct("min", **columns), _last_trade(sums.last, at_ns)]
    return [*series, _last_quote(market, sums.last, at_ns)] if counted else series


def _last_trade(last: Floats, at_ns: NDArray[np.int64]) -> pl.Series:
    numbers = np.arange(len(last))
    exchange = TAPE_EXCHANGES[(numbers + at_ns // 1_000_000_000) % len(TAPE_EXCHANGES)]
    size = 1 + (numbers * 37 + at_ns // 1_000_000_000) % 300
    trade = pl.DataFrame({"i": (at_ns // 1000).astype(str), "p": last, "s": size, "t": at_ns, "x": exchange})
    return trade.select(pl.when(pl.Series(at_ns > 0)).then(pl.struct(pl.all())).alias("lastTrade")).to_series()


def quote_of(market: Market, last: Floats, numbers: NDArray[Any]) -> tuple[Floats, Floats]:
    """Bid and ask of issues around their last prices: a spread that widens with illiquidity, 0.02 to 1.5 percent."""
    issues = [market.source.issues[number] for number in numbers]
    share = np.array([2e-4 + 1.5e-2 * (1.0 - issue.float_share) ** 2 / (1.0 + issue.shares / 2e8) for issue in issues])
    bid = on_grid(last * (1.0 - share / 2.0) * 10_000.0)
    step = np.where(bid >= 10_000.0, 100.0, 1.0)
    bid = np.where(bid >= last * 10_000.0, bid - step, bid)
    ask = np.maximum(on_grid(last * (1.0 + share / 2.0) * 10_000.0), bid + step)
    return bid / 10_000.0, ask / 10_000.0


def _last_quote(market: Market, last: Floats, at_ns: NDArray[np.int64]) -> pl.Series:
    bid, ask = quote_of(market, np.where(at_ns > 0, last, 1.0), np.arange(len(last)))
    numbers = np.arange(len(last))
    quote = pl.DataFrame({"P": ask, "S": 1 + numbers % 9, "p": bid, "s": 1 + numbers % 7, "t": at_ns})
    return quote.select(pl.when(pl.Series(at_ns > 0)).then(pl.struct(pl.all())).alias("lastQuote")).to_series()


def _empty_minute(size: int) -> pl.Series:
    zeros, none = np.zeros(size), np.zeros(size, np.int64)
    return _struct("min", av=none, t=none, o=zeros, h=zeros, l=zeros, c=zeros, v=zeros)


def _struct(name: str, **columns: Any) -> pl.Series:
    return pl.DataFrame(columns).to_struct(name)
