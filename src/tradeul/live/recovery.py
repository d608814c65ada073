"""What a start inside a session, a lost connection, or a lost message left out, and in which order to ask for it. Pure; `service.py` asks.

    subscribe -> snapshot -> which rows differ -> their minutes by REST, candidates first -> whole
    every few minutes: snapshot -> which rows differ a minute later -> their minutes by REST -> counted as healed, or as the vendor's own

The stream is heard before the snapshot is asked for, and a minute's bar replaces
whatever was counted for its start; so the two sources merge in any order.
"""

from collections.abc import Sequence

import msgspec
import numpy as np

from tradeul.analytics.windows import ROW_SECONDS
from tradeul.live.arrivals import BoolArray, IntArray
from tradeul.live.today_table import OPEN_OF_SNAPSHOT, TodayTable
from tradeul.market_calendar import SessionHours
from tradeul.records.bars import TickerSnapshot
from tradeul.records.frame import FloatArray

CANDIDATE_DOLLARS = 50_000.0  # the lowest dollar floor of any list: who is below cannot be on one
SAME_SHARES = 0.5
MINUTES_LEFT_OPEN = 3  # by a start with a tape: longer ago the seconds were not asked for either
UNTIL_CLEARED_MS = 23.5 * 3600 * 1000  # the vendor clears the snapshot at 03:30
NUMBERS = (
    *("accumulated_volume", "minute_start_ms", "minute_close", "minute_volume", "minute_vwap"),
    *("day_open", "day_low", "day_close", "day_vwap", "last_price", "last_ms", "updated_ms", "previous_close"),
)


class Told(msgspec.Struct, frozen=True):
    """A snapshot's rows of this session as columns; NaN where the vendor said nothing."""

    symbols: list[str]
    columns: dict[str, FloatArray]
    refused: int  # rows of another session


def read_snapshot(snapshots: Sequence[TickerSnapshot], hours: SessionHours) -> Told:
    """Turn rows into columns: some 40 ms at 12,400 rows, so not in the event loop.

    Rows whose times lie outside the session are refused, whatever else they
    say: until 03:30 the vendor still shows the session before.
    """
    first_ms = hours.pre_open_at.timestamp() * 1000
    ours = [row for row in snapshots if is_of_session(row, first_ms)]
    fields = zip(*map(msgspec.structs.astuple, ours), strict=True) if ours else [()] * len(TickerSnapshot.__struct_fields__)
    told = dict(zip(TickerSnapshot.__struct_fields__, fields, strict=True))
    columns = {name: np.array(told[name], np.float64) for name in NUMBERS}
    return Told([row.symbol for row in ours], columns, len(snapshots) - len(ours))


def seed_from_snapshot(table: TodayTable, told: Told) -> list[str]:
    """Take what the snapshot knows; return the symbols whose minutes are missing here, in the order to ask for them."""
    table.counts["snapshots_refused"] += told.refused
    table.add_symbols(told.symbols)
    table.seeded = True
    c, say, first_ms = table.columns, told.columns, table.pre_open_s * 1000
    c["partial"][:], c["filled"][:] = 0.0, 0.0
    who = _places(table, told)
    minute_end = (say["minute_start_ms"] - first_ms) / 1000 + 60
    c["snap_volume"][who] = say["accumulated_volume"]
    c["snap_vwap"][who] = np.where(say["day_vwap"] > 0, say["day_vwap"], say["minute_vwap"])
    c["snap_price"][who] = np.where(np.isnan(say["minute_close"]), say["last_price"], say["minute_close"])
    c["snap_end"][who] = np.fmin(minute_end, (np.fmax(say["last_ms"], say["updated_ms"]) - first_ms) / 1000)
    c["snap_regular_low"][who] = say["day_low"]
    c["snap_close"][who] = say["day_close"]
    c["prev_close"][who] = np.where(np.isnan(c["prev_close"][who]), say["previous_close"], c["prev_close"][who])
    take_opens(table, official_opens(table, told))
    missing = _is_missing(_missing_shares(table, told, table.subscribed_s or 0.0))
    c["partial"][who[missing]] = 1.0
    dollars = np.nan_to_num(say["accumulated_volume"] * c["snap_price"][who])
    order = np.argsort(-dollars, kind="stable")
    return [told.symbols[place] for place in order if missing[place]]


class OpensTold(msgspec.Struct, frozen=True, tag=True):
    """A snapshot told official opens."""

    symbols: list[str]
    opens: FloatArray  # dollars


def official_opens(table: TodayTable, told: Told) -> OpensTold:
    """Those that the table does not have from the stream, or from an earlier snapshot."""
    c, who, opens = table.columns, _places(table, told), told.columns["day_open"]
    rank = c["open_rank"][who]
    better = np.flatnonzero((opens > 0) & ((rank < OPEN_OF_SNAPSHOT) | ((rank == OPEN_OF_SNAPSHOT) & (c["open"][who] != opens))))
    return OpensTold([told.symbols[place] for place in better], opens[better])


def take_opens(table: TodayTable, told: OpensTold) -> None:
    c, who = table.columns, np.array([table.index[symbol] for symbol in told.symbols], np.int64)
    c["open"][who], c["open_rank"][who] = told.opens, OPEN_OF_SNAPSHOT


def is_of_session(row: TickerSnapshot, first_ms: float) -> bool:
    """The row tells when it is from, and each such time lies between this session's 04:00 (``first_ms``) and the next clearing."""
    told = [instant for instant in (row.minute_start_ms, row.last_ms, row.updated_ms) if instant]
    return bool(told) and all(first_ms <= instant < first_ms + UNTIL_CLEARED_MS for instant in told)


def traded_since(table: TodayTable, told: Told, since_s: float) -> list[str]:
    """The symbols of the table that have traded since then (seconds since 04:00), as the snapshot says; those with most dollars first."""
    say = told.columns
    known = np.array([symbol in table.index for symbol in told.symbols], np.bool_)
    traded = known & (np.fmax(say["last_ms"], say["updated_ms"]) >= (table.pre_open_s + since_s) * 1000)
    dollars = np.nan_to_num(say["accumulated_volume"] * say["minute_close"])
    return [told.symbols[place] for place in np.argsort(-dollars, kind="stable") if traded[place]]


def without_minute_bar(table: TodayTable) -> list[str]:
    """Symbols whose last minutes before this connection ended without their bar: it was said to nobody."""
    last = int(table.subscribed_s or 0) // 60
    found = {int(row) for minute in range(max(last - MINUTES_LEFT_OPEN, 0), last) for row in table.minutes.not_closed(minute)}
    return [table.symbols[row] for row in sorted(found)]


def differing(table: TodayTable, told: Told, settled_s: float) -> list[str]:
    """The symbols that the snapshot says otherwise, the biggest first. All that ended by ``settled_s`` has had its time to come.

    A difference that stayed after its minutes were asked again (`accept`) is the
    vendor's own and not named again; rows under recovery are left to it.
    """
    table.add_symbols(told.symbols)
    c = table.columns
    who = _places(table, told)
    shares = _missing_shares(table, told, settled_s)
    known = np.abs(shares - c["unexplained"][who]) <= SAME_SHARES
    differs = _is_missing(shares) & ~known & (c["partial"][who] == 0)
    dollars = np.nan_to_num(np.abs(shares) * told.columns["minute_close"])
    return [told.symbols[place] for place in np.argsort(-dollars, kind="stable") if differs[place]]


def accept(table: TodayTable, told: Told, settled_s: float, asked: Sequence[str]) -> list[str]:
    """After the minutes of ``asked`` are in: the symbols that still differ. What remains of them is the vendor's, and kept in mind."""
    left = [symbol for symbol in differing(table, told, settled_s) if symbol in set(asked)]
    places = {symbol: place for place, symbol in enumerate(told.symbols)}
    shares = _missing_shares(table, told, settled_s)
    for symbol in left:
        table.columns["unexplained"][table.index[symbol]] = shares[places[symbol]]
    return left


def _places(table: TodayTable, told: Told) -> IntArray:
    return np.array([table.index[symbol] for symbol in told.symbols], np.int64)


def _missing_shares(table: TodayTable, told: Told, settled_s: float) -> FloatArray:
    """Shares that the snapshot knows of and the table does not (negative: the other way), of minutes that ended by ``settled_s``.

    NaN: it did not trade.
    The snapshot's running minute is left out on both sides: it is ahead of the
    stream by the vendor's delay, and its AM bar is still to come.
    """
    say = told.columns
    minute_end = (say["minute_start_ms"] - table.pre_open_s * 1000) / 1000 + 60
    accumulated = np.nan_to_num(say["accumulated_volume"])
    ended = minute_end <= settled_s
    expected = np.where(ended, accumulated, accumulated - np.nan_to_num(say["minute_volume"]))
    until = np.nan_to_num(np.where(ended, minute_end, minute_end - 60))
    have = table.windows.volume_by(_places(table, told), (until // ROW_SECONDS).astype(np.int64))
    return np.where(accumulated > 0, expected - have, np.nan)


def _is_missing(shares: FloatArray) -> BoolArray:
    missing: BoolArray = np.abs(shares) > SAME_SHARES
    return missing


def candidates(table: TodayTable, missing: Sequence[str]) -> int:
    """How many of ``missing``, from its front, pass the dollar floor of a list."""
    c, rows = table.columns, [table.index[symbol] for symbol in missing]
    return int(np.count_nonzero(c["snap_volume"][rows] * c["snap_price"][rows] >= CANDIDATE_DOLLARS))
