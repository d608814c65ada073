"""The product's own code, fed with raw messages and held against the reference.

A difference names moment, symbol, column and both values.
"""

import json
from datetime import UTC, date, datetime

import numpy as np
import polars as pl

from tests.reference.hours import EASTERN
from tradeul.analytics.baselines import Baselines
from tradeul.analytics.tenures import tenures
from tradeul.live.frames import market_frame
from tradeul.live.last_close import Closes
from tradeul.live.polling import SnapshotBars
from tradeul.live.recovery import read_snapshot, seed_from_snapshot
from tradeul.live.today_table import TodayTable
from tradeul.maintenance.datasets import BASELINES, METADATA_ENRICH, OHLC_DAILY, SPLITS, TICKERS, VOLUME_SLOTS, Schedule, Windows
from tradeul.maintenance.plan import Step
from tradeul.maintenance.tasks import metadata_enrich, ohlc_daily, splits
from tradeul.maintenance.tasks.baselines import BaselinesTask
from tradeul.maintenance.tasks.volume_slots import SCHEMA as SLOT_COLUMNS
from tradeul.market_calendar import Phase, nyse
from tradeul.providers.polygon.wire import decode_grouped_daily, decode_intraday, decode_splits, decode_tickers
from tradeul.providers.polygon.wire_snapshot import decode_snapshot
from tradeul.providers.polygon.wire_stream import decode_frame
from tradeul.records.partitions import LedgerRow, State
from tradeul.scanner.columns import COLUMNS, KINDS, Form, Join, Market
from tradeul.scanner.definitions import built_in_lists
from tradeul.scanner.scan import scan_rows
from tradeul.scanner.sql import Kind
from tradeul.store.lake import Lake
from tradeul.store.tenures import frame_of

# Their sources (names of funds, quotes, news, filings) are no part of a day of bars.
ELSEWHERE = {"leverage", "ipo", "sector", "spread_pct", "news_at", "headline", "filing_at", "filing_form"}
COMPARED = [name for name in COLUMNS if name not in ELSEWHERE]
NUMBERS = [name for name in COMPARED if KINDS[name] is Kind.NUMBER]
TEXTS = [name for name in COMPARED if KINDS[name] is Kind.TEXT and name != "phase"]
FLAGS = [name for name in COMPARED if KINDS[name] is Kind.CONDITION]
# Differences of large sums: a part in 10^9 of what was summed.
SUMS = {"dvol_5m": "dollar_volume", **dict.fromkeys(("vol_1m", "vol_5m", "vol_15m", "vol_30m"), "volume")}


class Product:
    def __init__(self, baselines):
        self.hours = nyse().hours(baselines.session)
        self.baselines = baselines
        self.last_open = {}
        self.join = None
        self.table = self.empty_table()
        self.polls = self.no_polls()

    def empty_table(self, since=0):
        table = TodayTable(self.hours, 64)
        table.begin_live(since)
        levels = self.baselines.table
        table.set_levels(levels["symbol"].to_list(), levels["atr"].to_numpy(), levels["prev_close"].to_numpy())
        return table

    def no_polls(self):
        return SnapshotBars(int(self.hours.pre_open_at.timestamp() * 1000))

    def hear(self, frames):
        """Frames of messages, in order; a frame may tell of a new connection."""
        self.table.apply(*(decode_frame(json.dumps(frame).encode(), 0).batch for frame in frames))

    def poll(self, rows):
        """A snapshot in place of a stream."""
        self.table.apply(self.polls.take(decode_snapshot(json.dumps({"count": len(rows), "tickers": rows}).encode()), 0))

    def restart(self, t):
        self.table, self.polls = self.empty_table(t), self.no_polls()

    def reconnect(self, t):
        self.table.reconnected(t)

    def seed(self, snapshot):
        """Take the vendor's snapshot; return whose minutes are missing."""
        body = json.dumps({"status": "OK", "count": len(snapshot), "tickers": snapshot}).encode()
        return seed_from_snapshot(self.table, read_snapshot(decode_snapshot(body), self.hours))

    def fill(self, symbol, rows):
        bars, _ = decode_intraday(json.dumps({"ticker": symbol, "resultsCount": len(rows), "results": rows}).encode(), symbol)
        self.table.apply_minutes(symbol, bars)

    def look(self, t):
        as_of = datetime.fromtimestamp(self.hours.pre_open_at.timestamp() + t, UTC)
        return self.see(market_frame(self.table, as_of))

    def look_back(self, grouped, lake):
        """The session by its daily bars, as they land in ``lake``."""
        lake.write(OHLC_DAILY, self.hours.session, daily_bars(grouped, self.hours.session), "test")
        closes = Closes(lake, nyse())
        closes.look(self.hours.session)
        return self.see(closes.newest)

    def see(self, frame):
        if self.join is None or not self.join.fits(frame.symbols, self.baselines):
            self.join = Join(frame.symbols, self.baselines)
        market = Market(frame, self.join, self.hours)
        rows = scan_rows(market, built_in_lists(), {Phase.MARKET_OPEN: self.last_open} if self.last_open else {})
        lists = {name: [row["symbol"] for row in found] for name, found in rows.items()}
        if market.phase is Phase.MARKET_OPEN:
            self.last_open = lists
        return market, lists


def differences(market, lists, look, t):
    """Each a sentence; none when product and reference agree."""
    wall = datetime.fromtimestamp(market.hours.pre_open_at.timestamp() + t, EASTERN).strftime("%H:%M:%S")
    symbols = list(look.rows)
    if market.join.symbols != symbols:
        return [f"{wall}: the product's symbols differ by {sorted(set(market.join.symbols) ^ set(symbols))}"]
    found = []
    for name in [*NUMBERS, *FLAGS]:
        wanted = np.array([look.rows[symbol][name] for symbol in symbols], np.float64)
        got = market[name]
        slack = 1e-9 + 1e-9 * np.abs(wanted)
        if name in SUMS:
            slack += 1e-9 * np.nan_to_num(market[SUMS[name]])
        elif COLUMNS[name].form is Form.TIME:
            slack = 1e-6  # seconds
        off = ~((np.isnan(wanted) & np.isnan(got)) | (np.abs(wanted - got) <= slack))
        found += [f"{wall} {symbols[place]} {name}: product {got[place]!r}, reference {wanted[place]!r}" for place in np.flatnonzero(off)]
    for name in TEXTS:
        for symbol, got in zip(symbols, market.texts(name, range(len(symbols))), strict=True):
            if got != look.rows[symbol][name]:
                found.append(f"{wall} {symbol} {name}: product {got!r}, reference {look.rows[symbol][name]!r}")
    if str(market.phase) != next(iter(look.rows.values()))["phase"]:
        found.append(f"{wall}: phase {market.phase}")
    for name, members in look.lists.items():
        if lists[name] != members:
            found.append(f"{wall} list {name}: product {lists[name]}, reference {members}")
    return found


def body(rows, **more):
    return json.dumps({"status": "OK", "count": len(rows), "results": rows} | more).encode()


def daily_bars(grouped, session):
    bars = decode_grouped_daily(body([row | {"t": 0} for row in grouped], resultsCount=len(grouped)), session)
    return pl.DataFrame([{name: getattr(bar, name) for name in ohlc_daily.SCHEMA} for bar in bars], schema=ohlc_daily.SCHEMA)


async def baselines_of(past, folder) -> Baselines:
    """What maintenance makes of the vendor's raw rows."""
    lake, calendar = Lake(folder, "test", simulated=True), nyse()
    schedule = Schedule(calendar, Windows(len(past.sessions), len(past.slots), 20))
    ledger = {}

    def note(dataset, session, frame):
        checksum = lake.write(dataset, session, frame, "test")
        ledger[dataset, session] = LedgerRow(dataset=dataset, session=session, state=State.COMPLETED, checksum=checksum)

    note(TICKERS, past.served, frame_of(tenures((), None, decode_tickers(body(past.tickers))[0], (), past.served)))
    note(SPLITS, past.served, splits.frame_of(decode_splits(body(past.splits))[0]))
    for session in past.sessions:
        note(OHLC_DAILY, session, daily_bars(past.daily[session], session))
    for session, traded in past.slots.items():
        rows = [(symbol, slot, volume, None, None) for symbol, slots in traded.items() for slot, volume in slots.items()]
        note(VOLUME_SLOTS, session, pl.DataFrame(rows, schema=SLOT_COLUMNS, orient="row"))
    note(METADATA_ENRICH, past.served, metadata_of(past))
    landing = await BaselinesTask(lake, schedule).prepare(Step(BASELINES, (past.served,)), ledger, None)
    landing()
    return Baselines.from_frame(lake.read(BASELINES, past.served))


def metadata_of(past):
    """As `metadata_enrich` leaves it: details asked in the last session."""
    asked = past.sessions[-1]
    rows = []
    for row in past.tickers:
        symbol = row["ticker"]
        details, free_float, short = (source.get(symbol, {}) for source in (past.details, past.floats, past.shorts))
        shares = details.get("weighted_shares_outstanding")
        listed = details.get("list_date")
        told = (symbol, shares, None, details.get("sic_description"), listed and date.fromisoformat(listed), asked)
        rows.append((*told, free_float.get("free_float"), asked, short.get("short_interest"), asked))
    return pl.DataFrame(rows, schema=metadata_enrich.SCHEMA, orient="row")


class Play:
    """A raw day through product and reference, step by step, looked at together."""

    def __init__(self, day, product, reference):
        self.day, self.product, self.reference = day, product, reference
        self.sent, self.place = sorted(day.frames), 0
        self.members = {}  # list -> how many rows stood there, over all looks
        self.found = []

    def hear(self, t, *, lost=False):
        """Everything that arrives by ``t``; ``lost``: while nobody listens."""
        frames = []
        while self.place < len(self.sent) and self.sent[self.place] <= t:
            frames.append(self.day.frames[self.sent[self.place]])
            self.place += 1
        if not lost and frames:
            self.product.hear(frames)
            for frame in frames:
                self.reference.hear(frame)

    def look(self, t):
        self.hear(t)
        market, lists = self.product.look(t)
        look = self.reference.look(t)
        for name, members in look.lists.items():
            self.members[name] = self.members.get(name, 0) + len(members)
        self.found += differences(market, lists, look, t)
        return look

    def recover(self, t):
        """The stream stands again since ``t``: the snapshot, and the minutes of those that miss some."""
        self.hear(t + 2)
        snapshot = {row["ticker"]: row for row in self.day.snapshot(t + 2)}
        missing = self.product.seed(list(snapshot.values()))
        self.reference.seed(t, snapshot, missing)
        self.look(t + 3)
        for symbol in missing:
            rows = self.day.minutes(symbol, t + 4)
            self.product.fill(symbol, rows)
            self.reference.fill(symbol, rows)
        return missing

    def unheard(self, begin, end):
        """The minutes that began in a span and of which shares are still missing: (symbol, start)."""
        missing = []
        for symbol, minutes in self.day.truth.items():
            today = self.reference.today.get(symbol)
            if today is None:
                missing += [(symbol, start) for start in minutes if begin <= start <= end]
                continue
            for start in (start for start in minutes if begin <= start <= end):
                seconds = sum(bar.volume for bar in today.seconds.get(start, {}).values())
                have = today.minutes[start].volume if start in today.minutes else seconds
                missing += [(symbol, start)] if abs(have - minutes[start]["v"]) > 0.5 else []
        return missing

    def check(self):
        assert not self.found, f"{len(self.found)} differences, the first:\n" + "\n".join(self.found[:20])
