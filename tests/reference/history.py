"""What a ticker's past says about today: CONTRACT.md "Rows", from the vendor's raw REST rows. Imports nothing of the product.

Plain lists, one ticker at a time, unknown is None. Prices before a split are
multiplied by split_from / split_to, volumes divided by it.
"""

import math
from datetime import date
from typing import Any, NamedTuple

Row = dict[str, Any]
SLOTS = 192


class Past(NamedTuple):
    """The vendor's raw rows. Sessions oldest first, all before the one served."""

    served: date
    sessions: list[date]
    full_length: set[date]
    tickers: list[Row]  # /v3/reference/tickers
    splits: list[Row]  # /stocks/v1/splits
    daily: dict[date, list[Row]]  # grouped, unadjusted
    slots: dict[date, dict[str, dict[int, float]]]  # symbol -> slot -> shares, unadjusted; no slot: no trade
    details: dict[str, Row]  # /v3/reference/tickers/{t}, asked in the last session
    floats: dict[str, Row]
    shorts: dict[str, Row]


class Base(NamedTuple):
    """One ticker's baselines for the session served."""

    name: str | None = None
    kind: str | None = None
    exchange: str | None = None
    industry: str | None = None
    split: str | None = None
    prev_close: float | None = None
    prev_close_raw: float | None = None
    restricted_before: bool | None = None  # a regular-hours price of the last session was 10 % below its previous close
    atr: float | None = None
    avg_volume_20d: float | None = None
    avg_dollar_volume_20d: float | None = None
    high_52w: float | None = None
    low_52w: float | None = None
    sma20: float | None = None
    sma50: float | None = None
    sma200: float | None = None
    shares: float | None = None
    free_float: float | None = None
    short_interest: float | None = None
    sessions: int = 0
    cumulative: list[float] | None = None  # C(s)
    log_mean: list[float] | None = None
    log_sd: list[float] | None = None


def bases(past: Past) -> dict[str, Base]:
    """Every listed ticker, and who traded in the last session though the list lacks it."""
    listed = {row["ticker"]: row for row in past.tickers}
    last = past.daily[past.sessions[-1]] if past.sessions else []
    symbols = sorted(listed.keys() | {row["T"] for row in last})
    bars: dict[str, dict[date, Row]] = {symbol: {} for symbol in symbols}
    for session in past.sessions:
        for row in past.daily[session]:
            if row["T"] in bars:
                bars[row["T"]][session] = row
    return {symbol: base(past, symbol, listed.get(symbol, {}), bars[symbol]) for symbol in symbols}


def factor(past: Past, symbol: str, day: date) -> float:
    """Of that day's prices, to be those of the session served."""
    result = 1.0
    for split in past.splits:
        if split["ticker"] == symbol and day < date.fromisoformat(split["execution_date"]) <= past.served:
            result *= split["split_from"] / split["split_to"]
    return result


def base(past: Past, symbol: str, listed: Row, bars: dict[date, Row]) -> Base:
    adjust = {session: factor(past, symbol, session) for session in past.sessions}
    highs = [bars[s]["h"] * adjust[s] for s in past.sessions if s in bars]
    lows = [bars[s]["l"] * adjust[s] for s in past.sessions if s in bars]
    closes = [bars[s]["c"] * adjust[s] for s in past.sessions if s in bars]
    last = past.sessions[-1]
    raw = bars[last]["c"] if last in bars else None
    a_year = len(past.sessions) >= 250 and bool(closes)
    last_20 = past.sessions[-20:]
    details, counts = past.details.get(symbol, {}), factor(past, symbol, last)
    return Base(
        name=listed.get("name"),
        kind=listed.get("type"),
        exchange=listed.get("primary_exchange"),
        industry=details.get("sic_description"),
        split=split_today(past, symbol),
        prev_close=None if raw is None else closes[-1],
        prev_close_raw=raw,
        restricted_before=restricted(lows, closes, traded_last=last in bars),
        atr=average_true_range(highs, lows, closes),
        avg_volume_20d=mean_since_first([bars[s]["v"] / adjust[s] if s in bars else None for s in last_20]),
        avg_dollar_volume_20d=mean_since_first(
            [(bars[s].get("vw") or bars[s]["c"]) * bars[s]["v"] if s in bars else None for s in last_20]
        ),
        high_52w=max(highs) if a_year else None,
        low_52w=min(lows) if a_year else None,
        sma20=mean_of_last(closes, 20),
        sma50=mean_of_last(closes, 50),
        sma200=mean_of_last(closes, 200),
        shares=shares_now(details.get("weighted_shares_outstanding") or details.get("share_class_shares_outstanding"), counts),
        free_float=shares_now(past.floats.get(symbol, {}).get("free_float"), counts),
        short_interest=shares_now(past.shorts.get(symbol, {}).get("short_interest"), counts),
        **slot_profile(past, symbol, adjust),
    )


def split_today(past: Past, symbol: str) -> str | None:
    for split in past.splits:
        if split["ticker"] == symbol and past.sessions[-1] < date.fromisoformat(split["execution_date"]) <= past.served:
            return f"{split['split_to']:g}:{split['split_from']:g} split"
    return None


def shares_now(count: float | None, price_factor: float) -> float | None:
    return None if count is None else count / price_factor


def restricted(lows: list[float], closes: list[float], *, traded_last: bool) -> bool | None:
    if not traded_last:
        return False if closes else None
    return None if len(closes) < 2 else lows[-1] <= 0.9 * closes[-2]


def average_true_range(highs: list[float], lows: list[float], closes: list[float]) -> float | None:
    """Wilder's ATR(14) on the last 100 bars: the first value, at index 14, is the mean of the true ranges 1..14."""
    highs, lows, closes = highs[-100:], lows[-100:], closes[-100:]
    if len(closes) < 15:
        return None
    ranges = [
        max(high - low, abs(high - before), abs(low - before)) for high, low, before in zip(highs[1:], lows[1:], closes[:-1], strict=True)
    ]
    average = sum(ranges[:14]) / 14
    for true_range in ranges[14:]:
        average = (13 * average + true_range) / 14
    return average


def mean_since_first(values: list[float | None]) -> float | None:
    """A session without a trade counts 0, from the ticker's first in the window on."""
    while values and values[0] is None:
        values = values[1:]
    return sum(value or 0.0 for value in values) / len(values) if values else None


def mean_of_last(values: list[float], count: int) -> float | None:
    return sum(values[-count:]) / count if len(values) >= count else None


def slot_profile(past: Past, symbol: str, adjust: dict[date, float]) -> Row:
    """C(s), and mean and sample deviation of ln(1 + shares of slot s), over the last 20 sessions of full length."""
    window = [session for session in past.sessions if session in past.full_length][-20:]
    while window and not past.slots[window[0]].get(symbol):
        window = window[1:]
    n = len(window)
    if n == 0:
        return {"sessions": 0}
    days = []
    for session in window:
        traded = past.slots[session].get(symbol, {})
        days.append([traded.get(slot, 0.0) / adjust[session] for slot in range(SLOTS)])
    cumulative, mean, sd, total = [], [], [], 0.0
    for slot in range(SLOTS):
        volumes = [day[slot] for day in days]
        total += sum(volumes) / n
        cumulative.append(total)
        logs = [math.log1p(volume) for volume in volumes]
        mean.append(sum(logs) / n)
        sd.append(math.sqrt(sum((log - mean[-1]) ** 2 for log in logs) / (n - 1)) if n > 1 else math.nan)
    return {"sessions": n, "cumulative": cumulative, "log_mean": mean, "log_sd": sd}
