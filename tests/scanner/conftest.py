"""Hand-made markets: test modules do not import each other, so the makers come as a fixture."""

from datetime import UTC, date, datetime
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from tradeul.analytics.baselines import COLUMNS, SLOTS, Baselines
from tradeul.market_calendar import nyse
from tradeul.records.frame import MarketFrame
from tradeul.scanner.columns import Join, Market

SESSION = date(2026, 3, 9)
HOURS = nyse().hours(SESSION)  # 04:00 ET is 08:00 UTC


def eastern(text):
    """The instant of HH:MM[:SS] Eastern on the session."""
    hour, minute, second = (int(part) for part in f"{text}:00".split(":")[:3])
    return datetime(2026, 3, 9, hour + 4, minute, second, tzinfo=UTC)


def baselines(session=SESSION, **tickers):
    """One row a ticker; ``slots``: what each slot usually trades (shares)."""
    rows = [{"symbol": symbol, "kind": "CS", "sessions": 20, "slots": 1_000.0, "sd": 0.5} | row for symbol, row in sorted(tickers.items())]
    table = pl.DataFrame([{name: row.get(name) for name in COLUMNS} for row in rows], schema=COLUMNS)
    slots = np.array([np.full(SLOTS, row["slots"]) for row in rows], dtype=float)
    sd = np.array([np.full(SLOTS, row["sd"]) for row in rows], dtype=float)
    return Baselines(session, True, 20, table, np.cumsum(slots, axis=1), np.log1p(slots), sd)


def frame(at, session=SESSION, **tickers):
    """One row a ticker; what no ticker names is no column, what one does not name is NaN."""
    as_of = at if isinstance(at, datetime) else eastern(at)
    symbols = sorted(tickers)
    names = sorted({name for row in tickers.values() for name in row})
    columns = {name: np.array([tickers[symbol].get(name, np.nan) for symbol in symbols], dtype=float) for name in names}
    return MarketFrame(session, as_of, symbols, columns)


def market(made, held=None):
    return Market(made, Join(made.symbols, held), HOURS)


@pytest.fixture(scope="session")
def make():
    return SimpleNamespace(session=SESSION, hours=HOURS, eastern=eastern, baselines=baselines, frame=frame, market=market)
