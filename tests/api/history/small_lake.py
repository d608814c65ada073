"""A lake of a small market, written once and never by maintenance, and history over it."""

from datetime import UTC, date, datetime, time, timedelta

import numpy as np
import polars as pl

from tradeul.api.history.past import Kept, Past
from tradeul.clock import SteppedClock
from tradeul.market_calendar import at, nyse
from tradeul.records.partitions import LedgerRow, State
from tradeul.store.by_ticker import ByTicker
from tradeul.store.catalog import Catalog
from tradeul.store.lake import Lake

CALENDAR = nyse()
SESSION = date(2025, 12, 2)  # an early close, 11-28, is among the sessions before it
NOW = at(SESSION, time(12))
DAYS, SLOT_DAYS, RVOL_DAYS = 30, 9, 5
SYMBOLS = [f"T{number:03d}" for number in range(12)]
SPLIT = ("T003", date(2025, 11, 25), 8.0, 1.0)  # 1:8: earlier prices times 8, volumes by 8
LATE, SILENT = "T004", ("T005", date(2025, 11, 26))  # from 11-24 on; without a trade in one session
UNFINISHED = date(2025, 11, 21)
HOLE = date(2025, 10, 30)  # no daily bars
TEXT, NUMBER = pl.String, pl.Float64
BARS = {
    "symbol": TEXT,
    "open": NUMBER,
    "high": NUMBER,
    "low": NUMBER,
    "close": NUMBER,
    "volume": NUMBER,
    "vwap": NUMBER,
    "trades": pl.Int64,
}
SLOTS = {"symbol": TEXT, "slot": pl.Int16, "volume": NUMBER, "trades": pl.Int32, "vwap": NUMBER}
TICKERS = {"symbol": TEXT, "name": TEXT, "kind": TEXT, "exchange": TEXT, "cik": TEXT, "list_date": pl.Date}


def traded(symbol, session):
    return not (symbol == LATE and session < date(2025, 11, 24)) and (symbol, session) != SILENT


def bars_of(session):
    random = np.random.default_rng([1, session.toordinal()])
    rows = []
    for number, symbol in enumerate(SYMBOLS):
        low, open_, close, high = sorted((20 + number + random.random(4)).tolist())
        vwap = None if number == 7 else (low + high) / 2
        if traded(symbol, session):
            rows.append((symbol, open_, high, low, close, float(random.integers(1, 10**6)), vwap, None if number == 7 else number + 1))
    return pl.DataFrame(rows, schema=BARS, orient="row")


def slots_of(session):
    random = np.random.default_rng([2, session.toordinal()])
    rows = []
    for symbol in SYMBOLS:
        slots = sorted(random.choice(CALENDAR.hours(session).slots, 40, replace=False).tolist()) if traded(symbol, session) else []
        rows += [(symbol, slot, float(random.integers(1, 5000)), slot + 1, None) for slot in slots]
    return pl.DataFrame(rows, schema=SLOTS, orient="row")


def minutes_of(session):
    random = np.random.default_rng([3, session.toordinal()])
    rows = []
    for symbol in SYMBOLS:
        for minute in sorted(random.choice(600, 30, replace=False).tolist()):
            low, open_, close, high = sorted((20 + random.random(4)).tolist())
            start_at = CALENDAR.hours(session).pre_open_at + timedelta(minutes=minute)
            rows.append((symbol, start_at, open_, high, low, close, float(random.integers(1, 5000)), None, 3))
    schema = {"symbol": TEXT, "start_at": pl.Datetime("ms", "UTC"), **{name: BARS[name] for name in list(BARS)[1:-1]}, "trades": pl.Int32}
    return pl.DataFrame(rows, schema=schema, orient="row")


def tickers_of(session):
    listed = [symbol for symbol in SYMBOLS if symbol != LATE or session >= date(2025, 11, 24)]
    rows = [(symbol, f"{symbol} Inc", "CS", "XNAS", None, None) for symbol in listed]
    return pl.DataFrame([*rows, ("=EVIL", "=cmd()", "WARRANT", None, "0001", date(2020, 1, 2))], schema=TICKERS, orient="row")


def metadata_of(session):
    rows = [(symbol, 1e6, "3571", "ELECTRONIC COMPUTERS", session, 8e5, session, None, None) for symbol in SYMBOLS[:6]]
    names = ("symbol", "shares", "sic_code", "industry", "details_on", "free_float", "float_on", "short_interest", "short_on")
    kinds = (TEXT, NUMBER, TEXT, TEXT, pl.Date, NUMBER, pl.Date, NUMBER, pl.Date)
    return pl.DataFrame(rows, schema=dict(zip(names, kinds, strict=True)), orient="row")


def write(root):
    """The lake and the ledger of ``root``."""
    root.mkdir(exist_ok=True)
    lake, catalog = Lake(root / "lake", "test", simulated=True), Catalog(f"sqlite:///{root / 'catalog.db'}")
    rows = []

    def land(dataset, session, frame, state=State.COMPLETED):
        lake.write(dataset, session, frame, "test")
        rows.append(LedgerRow(dataset=dataset, session=session, state=state, attempts=1, expected=12, got=frame.height))

    for session in CALENDAR.before(SESSION, DAYS):
        state = State.FAILED if session == UNFINISHED else State.COMPLETED
        if session != HOLE:
            land("ohlc_daily", session, bars_of(session), state)
    for session in CALENDAR.before(SESSION, SLOT_DAYS + 4):
        land("volume_slots", session, slots_of(session), State.FAILED if session == UNFINISHED else State.COMPLETED)
        land("minute_bars", session, minutes_of(session))
    for session in (date(2025, 11, 20), SESSION):
        land("tickers", session, tickers_of(session))
        land("metadata_enrich", session, metadata_of(session))
    land(
        "splits",
        SESSION,
        pl.DataFrame([SPLIT], schema={"symbol": TEXT, "effective": pl.Date, "split_from": NUMBER, "split_to": NUMBER}, orient="row"),
    )
    catalog.note(rows)
    catalog.close()


def past_of(root, room_bytes=64 << 20):
    """History over it, and its catalog to be closed."""
    lake, catalog = Lake(root / "lake", "test", simulated=True), Catalog(f"sqlite:///{root / 'catalog.db'}")
    rows = ByTicker(lake, root, room_bytes, look_seconds=0)
    ledger = catalog.ledger()
    return Past(lake, rows, lambda: ledger, CALENDAR, SteppedClock(NOW), Kept(DAYS, SLOT_DAYS, RVOL_DAYS)), catalog


def factor(symbol, session, served=SESSION):
    return 8.0 if symbol == SPLIT[0] and session < SPLIT[1] <= served else 1.0


def instant(text):
    return datetime.fromisoformat(text).astimezone(UTC)
