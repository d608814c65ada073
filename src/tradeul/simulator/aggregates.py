"""Daily bars of the whole market and bars of one ticker, as the vendor answers them; `adjusted` for splits by default. No HTTP."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tradeul.market_calendar import at
from tradeul.simulator.bars import Bars, widen
from tradeul.simulator.hashing import Floats
from tradeul.simulator.market import Market, symbols
from tradeul.simulator.source import DailyColumns
from tradeul.simulator.universe import Issue
from tradeul.simulator.wire_out import Answer, BadRequest, envelope, rows

CLOSING = time(16, 0)
SECONDS_OF = {"second": 1, "minute": 60, "hour": 3600}
MOST_BARS, USUAL_BARS = 50_000, 5_000
Columns = dict[str, NDArray[Any]]


def parse_day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise BadRequest(f"Could not parse the date {text!r}: it must be YYYY-MM-DD.") from error


def grouped(market: Market, session: date, query: Mapping[str, str], now: datetime) -> Answer:
    adjusted = query.get("adjusted", "true") != "false"
    head: dict[str, Any] = {"queryCount": 0, "resultsCount": 0, "adjusted": adjusted}
    if not (market.calendar.is_session(session) and market.begun(session, now)):
        return Answer(envelope(head), 0)
    daily = market.daily(session, now)
    if not len(daily.key):
        return Answer(envelope(head), 0)
    factor = np.ones(len(daily.key))
    if adjusted:
        factors = market.price_factors(session, now)
        factor = np.array([factors.get(number, 1.0) for number in daily.key.tolist()])
    t = int(at(session, CLOSING).timestamp() * 1000)
    frame = pl.DataFrame({"T": symbols(market.source, daily.key, session), **_priced(daily, factor), "t": np.full(len(factor), t)})
    # The vendor's order is arbitrary; ours is the same at every question.
    frame = frame[np.argsort((daily.key * 7_919 + session.toordinal()) % 104_729, kind="stable")]
    frame = frame.with_columns(pl.col("n").fill_nan(None).cast(pl.Int64))
    count = frame.height
    return Answer(envelope({**head, "queryCount": count, "resultsCount": count, "count": count}, "results", rows(frame)), count)


def _priced(daily: DailyColumns, factor: Floats) -> Columns:
    """Adjusted columns in the vendor's names; shares of an adjusted bar need not be whole."""
    prices = {"o": daily.open, "c": daily.close, "h": daily.high, "l": daily.low}
    exact = bool((factor == 1.0).all())
    scaled = {name: values if exact else np.where(factor == 1.0, values, np.round(values * factor, 6)) for name, values in prices.items()}
    return {"v": daily.volume / factor, "vw": np.round(daily.vwap * factor, 4), **scaled, "n": daily.trades}


def one_ticker(market: Market, url: str, match: Mapping[str, str], query: Mapping[str, str], now: datetime) -> Answer:
    """``/v2/aggs/ticker/{ticker}/range/{multiplier}/{timespan}/{from}/{to}``."""
    symbol, timespan = match["ticker"], match["timespan"]
    adjusted, descending = query.get("adjusted", "true") != "false", query.get("sort") == "desc"
    try:
        multiplier, limit = int(match["multiplier"]), min(max(int(query.get("limit", USUAL_BARS)), 1), MOST_BARS)
    except ValueError as error:
        raise BadRequest("multiplier and limit must be whole numbers.") from error
    first_ms, last_ms = _instant_ms(match["from"], end=False), _instant_ms(match["to"], end=True)
    if multiplier < 1 or timespan not in (*SECONDS_OF, "day"):
        raise BadRequest(f"{multiplier} {timespan}: ask for a positive number of second, minute, hour or day.")
    columns: Columns = {"t": np.zeros(0, np.int64)}
    made, width = _days if timespan == "day" else _intraday, multiplier * SECONDS_OF.get(timespan, 1)
    # Of each issue that ever had the symbol, as long as it had it: they are never listed at once.
    for number in market.bearers(symbol):
        here = made(market, number, width, _borne(market.source.issues[number], symbol, first_ms, last_ms), adjusted, now)
        if len(here["t"]):
            columns = {name: np.concatenate([columns[name], here[name]]) for name in here} if len(columns["t"]) else here
    columns = {name: values[np.argsort(columns["t"], kind="stable")] for name, values in columns.items()}
    order = np.arange(len(columns["t"]))[:: -1 if descending else 1]
    page, rest = order[:limit], order[limit:]
    head: dict[str, Any] = {"ticker": symbol, "queryCount": len(page), "resultsCount": len(page), "adjusted": adjusted}
    if not len(page):
        return Answer(envelope(head), 0)
    following = None
    if len(rest):
        edge = int(columns["t"][rest[0]])
        start, end = (first_ms, edge) if descending else (edge, last_ms)
        base = url[: url.index("/range/")] + f"/range/{multiplier}/{timespan}/{start}/{end}"
        following = f"{base}?{urlencode({name: value for name, value in query.items() if name != 'apiKey'})}"
        head["next_url"] = following
    frame = pl.DataFrame({name: values[page] for name, values in columns.items()})
    if "n" in columns:
        frame = frame.with_columns(pl.col("n").cast(pl.Float64).fill_nan(None).cast(pl.Int64))
    return Answer(envelope({**head, "count": len(page)}, "results", rows(frame)), len(page), following)


def _borne(issue: Issue, symbol: str, first_ms: int, last_ms: int) -> tuple[int, int]:
    """The part of the span in which the issue has the symbol."""
    if issue.former is None:
        return first_ms, last_ms
    changed_ms = int(at(issue.former[1], time(0)).timestamp() * 1000)
    return (first_ms, min(last_ms, changed_ms - 1)) if symbol == issue.former[0] else (max(first_ms, changed_ms), last_ms)


def _instant_ms(text: str, *, end: bool) -> int:
    if text.lstrip("-").isdigit():
        return int(text)
    day = parse_day(text)
    return int(at(day + timedelta(days=end), time(0)).timestamp() * 1000) - end


def _sessions(market: Market, first_ms: int, last_ms: int, now: datetime) -> list[date]:
    first, last = (datetime.fromtimestamp(ms / 1000, UTC) for ms in (max(first_ms, 0), max(min(last_ms, int(now.timestamp() * 1000)), 0)))
    days = market.calendar.between(first.date() - timedelta(days=1), last.date())
    return [session for session in days if market.begun(session, now)]


def _days(market: Market, number: int, multiplier: int, span: tuple[int, int], adjusted: bool, now: datetime) -> Columns:
    """Stamped with midnight in New York. Bars of several days are grouped on a fixed grid of calendar days."""
    sessions = _sessions(market, *span, now)
    daily = market.daily_of(number, sessions, now) if sessions else None
    if daily is None:
        return {"t": np.zeros(0, np.int64)}
    stamps = np.array([int(at(session, time(0)).timestamp() * 1000) for session in sessions])
    factor = np.array([market.price_factor(number, session, now) if adjusted else 1.0 for session in sessions])
    chosen = (stamps[daily.key] >= span[0]) & (stamps[daily.key] <= span[1])
    daily = daily.take(chosen)
    columns = _priced(daily, factor[daily.key]) | {"t": stamps[daily.key]}
    if multiplier > 1 and len(daily.key):
        groups = np.array([session.toordinal() // multiplier for session in sessions])[daily.key]
        frame = pl.DataFrame(columns).with_columns(pl.Series("g", groups)).group_by("g", maintain_order=True)
        total = (pl.col("vw") * pl.col("v")).sum() / pl.col("v").sum()
        merged = frame.agg(
            pl.col("v").sum(), total.round(4).alias("vw"), pl.col("o").first(), pl.col("c").last(), pl.col("h").max(), pl.col("l").min(),
            pl.col("n").sum(), pl.col("t").first(),
        )  # fmt: skip
        columns = {name: merged[name].to_numpy() for name in columns}
    return columns


def _intraday(market: Market, number: int, width: int, span: tuple[int, int], adjusted: bool, now: datetime) -> Columns:
    sessions = _sessions(market, *span, now)
    pieces: list[Columns] = []
    for session, minutes in zip(sessions, market.minutes_of(number, sessions, now), strict=True):
        start_ms = int(market.hours(session).pre_open_at.timestamp() * 1000)
        bars = minutes
        if width % 60:
            bars = market.seconds_of(number, session, ((span[0] - start_ms) / 1000, (span[1] - start_ms) / 1000), now)
        if len(bars):
            factor = market.price_factor(number, session, now) if adjusted else 1.0
            pieces.append(_columns(widen(bars, width) if width != bars.width else bars, bars, start_ms, factor))
    if not pieces:
        return {"t": np.zeros(0, np.int64)}
    columns = {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}
    chosen = (columns["t"] >= span[0]) & (columns["t"] <= span[1])
    return {name: values[chosen] for name, values in columns.items()}


def _columns(wide: Bars, fine: Bars, start_ms: int, factor: float) -> Columns:
    """In the vendor's names. A wide bar's vwap is that of the bars it is made of."""
    columns: Columns = {"v": wide.volume / factor if factor != 1.0 else wide.volume.astype(np.float64)}
    if fine.trades is not None and wide.trades is not None:
        heads = np.searchsorted(fine.start, wide.start)
        vwap = np.round(np.add.reduceat(fine.vwap() * fine.volume, heads) / wide.volume, 4)
        columns["vw"], columns["n"] = np.round(vwap * factor, 4), wide.trades.astype(np.float64)
    for name, column in zip("ochl", ("open", "close", "high", "low"), strict=True):
        values = wide.dollars(column)
        columns[name] = values if factor == 1.0 else np.round(values * factor, 6)
    columns["t"] = start_ms + wide.start.astype(np.int64) * 1000
    return columns
