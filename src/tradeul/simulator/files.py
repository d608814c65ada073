"""Flat files: a session's minute bars as gzipped CSV, and the S3 answers around them. No HTTP.

    flatfiles/us_stocks_sip/minute_aggs_v1/YYYY/MM/YYYY-MM-DD.csv.gz

A file appears at 11:00 ET of the next day. Unadjusted, no volume-weighted price. The bytes of a session stay the
same until it is replaced, as a vendor does for late corrections; the other endpoints do not follow.
"""

import hashlib
import io
import re
from collections import OrderedDict
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from html import escape

import msgspec
import numpy as np
import polars as pl
from polars.io.plugins import register_io_source

from tradeul.market_calendar import at
from tradeul.simulator.bars import Bars
from tradeul.simulator.market import Market
from tradeul.simulator.memory import give_back

BUCKET = "flatfiles"
FOLDER = "us_stocks_sip/minute_aggs_v1"
READY = time(11, 0)
KEPT_FILES = 1  # some 40 MB at 12,400 tickers; for a client that asks HEAD, then GET
SLICE_ROWS = 200_000
_KEY = re.compile(rf"{FOLDER}/(\d{{4}})/(\d{{2}})/(\d{{4}}-\d{{2}}-\d{{2}})\.csv\.gz")


class StoredFile(msgspec.Struct, frozen=True):
    data: bytes
    etag: str
    modified_at: datetime


class FlatFiles:
    def __init__(self, market: Market, mark: str) -> None:
        """``mark`` tells this market from every other one."""
        self._market, self._mark = market, mark
        self._replaced_at: dict[date, tuple[datetime, ...]] = {}
        self._kept: OrderedDict[tuple[date, int], StoredFile] = OrderedDict()  # by session and how often it was replaced

    def session_of(self, key: str, now: datetime) -> date | None:
        """The session whose file ``key`` names, if that file exists by now."""
        found = _KEY.fullmatch(key)
        try:
            session = date.fromisoformat(found[3]) if found else None
        except ValueError:
            return None
        if session is None or not self._market.calendar.is_session(session) or not self._market.source.covers(session):
            return None
        return session if now >= _ready_at(session) else None

    def etag(self, session: date) -> str:
        """Known without making the file, as a store knows it without reading: the content follows from what is hashed."""
        return self._etag(session, len(self._replaced_at.get(session, ())))

    def _etag(self, session: date, replaced: int) -> str:
        return hashlib.md5(f"{self._mark} {session} {replaced}".encode(), usedforsecurity=False).hexdigest()

    def file(self, session: date) -> StoredFile:
        """Some 1.5 s at 12,400 tickers; from one thread only."""
        replaced_at = self._replaced_at.get(session, ())
        name = session, len(replaced_at)
        if name not in self._kept:
            while len(self._kept) >= KEPT_FILES:
                self._kept.popitem(last=False)
            data = self._compressed(*name)
            give_back()
            self._kept[name] = StoredFile(data, self._etag(*name), max((_ready_at(session), *replaced_at)))
        self._kept.move_to_end(name)
        return self._kept[name]

    def replace(self, session: date, now: datetime) -> None:
        """From now on another file stands there, each of its bars a share larger."""
        self._replaced_at[session] = (*self._replaced_at.get(session, ()), now)

    def _compressed(self, session: date, added: int) -> bytes:
        # Not through the market's cache: history is asked for once, today's table is needed all the time.
        bars = self._market.source.minutes(session)
        start_s = int(self._market.hours(session).pre_open_at.timestamp())
        names = pl.Series("ticker", [issue.symbol_on(session) for issue in self._market.source.issues])

        def slices(*_: object) -> Iterator[pl.DataFrame]:
            for first in range(0, len(bars), SLICE_ROWS):
                yield _frame(bars.take(slice(first, first + SLICE_ROWS)), names, start_s, added)

        # Streamed, because the whole table as text and as columns would take ten times its size.
        out = io.BytesIO()
        schema = _frame(bars.take(slice(0, 0)), names, start_s, added).schema
        rows = register_io_source(slices, schema=schema, is_pure=True)
        rows.sink_csv(out, compression="gzip", compression_level=1, maintain_order=True)
        return out.getvalue()


def _frame(bars: Bars, names: pl.Series, start_s: int, added: int) -> pl.DataFrame:
    # A recording does not count trades; the column is the vendor's, so it stays, empty.
    trades = pl.Series([None], dtype=pl.Int32).new_from_index(0, len(bars)) if bars.trades is None else bars.trades
    return pl.DataFrame(
        {
            "ticker": names.gather(bars.issue),
            "volume": bars.volume + added,
            "open": bars.dollars("open"),
            "close": bars.dollars("close"),
            "high": bars.dollars("high"),
            "low": bars.dollars("low"),
            "window_start": (start_s + bars.start.astype(np.int64)) * 1_000_000_000,
            "transactions": trades,
        }
    )


def key_of(session: date) -> str:
    return f"{FOLDER}/{session:%Y/%m}/{session.isoformat()}.csv.gz"


def _ready_at(session: date) -> datetime:
    return at(session + timedelta(days=1), READY)


def no_such_key(key: str) -> bytes:
    message = f"<Code>NoSuchKey</Code><Message>The specified key does not exist.</Message><Key>{escape(key)}</Key>"
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{message}</Error>'.encode()
