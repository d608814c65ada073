"""The columns of CONTRACT.md ("Rows") from today's table, as of one instant.

A frame counts everything received. Asked for "now" that is right: a bar comes
after its end (the vendor holds it about 2 s). Only the windows cut at ``as_of``
to the row; an ``as_of`` in the past is not answered from what was known then.
"""

from datetime import datetime

import numpy as np

from tradeul.analytics.extremes import gap_state
from tradeul.analytics.quotes import spread_pct
from tradeul.analytics.windows import ROW_SECONDS, WINDOWS, change_pct, is_seen, ratio, rows_at
from tradeul.live.today_table import TodayTable
from tradeul.records.frame import FloatArray, MarketFrame

OFFICIAL_CLOSE_DELAY_SECONDS = 60
COUNT_SECONDS = 1800
# Times: kept as seconds since 04:00, handed out as epoch seconds.
TIMES = {"high_at": "high_at", "low_at": "low_at", "vwap_cross_at": "cross_at", "first_seen_at": "first_end"}


def market_frame(table: TodayTable, as_of: datetime) -> MarketFrame:
    t = as_of.timestamp() - table.pre_open_s
    table.settle(t)
    row, last = rows_at(t)
    table.windows.advance(last)
    c = table.columns
    values = _totals(table, t)
    values |= {name: c[kept] + table.pre_open_s for name, kept in TIMES.items()}
    values |= _windows(table, row, last, values["price"], values["open"])
    values |= _counts(table, row)
    values["spread_pct"] = spread_pct(c["bid"], c["ask"], c["quote_at"], c["last_end"])
    values["halted"], values["partial"] = c["halted"], c["partial"]
    state = gap_state(values["price"], values["open"], c["prev_close"], c["lowest_since_open"], c["highest_since_open"])
    values["gap_state"] = np.where(c["partial"] > 0, np.nan, state)
    symbols, order = table.in_order()
    return MarketFrame(table.session, as_of, symbols, {name: column[order] for name, column in values.items()}, newcomers=table.newcomers)


def _totals(table: TodayTable, t: float) -> dict[str, FloatArray]:
    c = table.columns
    partial = c["partial"] > 0
    unbarred = np.isnan(c["price"])
    price = np.where(unbarred, c["snap_price"], c["price"])
    by_stream = c["accumulated"] >= np.nan_to_num(c["snap_volume"])  # its last word is the newer one
    volume = np.where(partial, np.where(by_stream, c["accumulated"], c["snap_volume"]), c["volume"])
    told_vwap = np.where(by_stream, c["session_vwap"], np.where(np.isnan(c["snap_vwap"]), price, c["snap_vwap"]))
    dollars = np.where(partial, volume * told_vwap, c["dollars"])
    trades = np.where(partial, np.nan, c["trades"]) if table.tells_trades else np.full_like(price, np.nan)
    is_post, closed_for = t >= table.close_s, t - table.close_s
    post = np.where(partial | (not is_post), np.nan, 0.0)
    heard = np.where(c["close_end"] > table.open_s, c["close"], np.nan)  # else a price of the pre-market
    official = np.where(partial & np.isnan(heard), c["snap_close"], heard)
    return {
        "price": price,
        "open": c["open"],
        "close": official if closed_for >= OFFICIAL_CLOSE_DELAY_SECONDS else np.full_like(price, np.nan),
        "price_at_close": c["close"] if is_post else np.full_like(price, np.nan),
        # The vendor's day knows regular hours only, its minute the last one: neither is the extreme since 04:00.
        "high": np.where(partial, np.nan, c["high"]),
        "low": np.where(partial, np.nan, c["low"]),
        "regular_low": np.where(partial, np.fmin(c["regular_low"], c["snap_regular_low"]), c["regular_low"]),
        "vwap": ratio(dollars, volume),
        "volume": volume,
        "dollar_volume": dollars,
        "trades": trades,
        "pm_high": np.where(partial, np.nan, c["pm_high"]),
        "pm_low": np.where(partial, np.nan, c["pm_low"]),
        "pm_volume": np.where(partial, np.nan, c["pm_volume"]),
        "post_volume": c["post_volume"] + post,
        "post_dollar_volume": c["post_dollars"] + post,
        "post_trades": c["post_trades"] + post + (0.0 if table.tells_trades else np.nan),
        "updated_at": np.where(unbarred, c["snap_end"], c["last_end"]) + table.pre_open_s,
    }


def _windows(table: TodayTable, row: int, last: int, price: FloatArray, open_: FloatArray) -> dict[str, FloatArray]:
    """Windows end with the running row; those not seen live as a whole are unknown."""
    unknown = np.full_like(price, np.nan)
    values: dict[str, FloatArray] = {}
    for name, seconds in WINDOWS.items():
        seen = is_seen(row, seconds, table.live_from_s)
        start = row - seconds // ROW_SECONDS
        # The whole window lies after the open: the open is the price that it began with, not the pre-market's last.
        from_open = table.open_s <= row * ROW_SECONDS <= table.open_s + seconds
        reference = open_ if from_open else table.windows.price_at(start)
        values[f"chg_{name}"] = change_pct(price, reference) if seen or from_open else unknown
        values[f"vol_{name}"] = table.windows.volume_between(start, last) if seen else unknown
    if is_seen(row, WINDOWS["5m"], table.live_from_s):
        dollars, trades = table.windows.short_between(row - WINDOWS["5m"] // ROW_SECONDS, last)
        # A correction's rounding must not make a silent ticker look traded.
        traded = values["vol_5m"] > 0
        values["dvol_5m"] = np.where(traded, dollars, 0.0)
        values["trades_5m"] = np.where(traded, trades, 0.0) if table.tells_trades else unknown
    else:
        values["dvol_5m"] = values["trades_5m"] = unknown
    return values


def _counts(table: TodayTable, row: int) -> dict[str, FloatArray]:
    """Known from the first one seen live; all of them after 30 minutes."""
    c, (highs, lows) = table.columns, table.windows.counts(row)
    hidden = (c["partial"] > 0) | (not is_seen(row, COUNT_SECONDS, table.live_from_s))
    return {
        "high_count": np.where(hidden & np.isnan(c["high_at"]), np.nan, highs),
        "low_count": np.where(hidden & np.isnan(c["low_at"]), np.nan, lows),
    }
