"""A small market that answers the provider's ports: deterministic, counted, and made to fail on demand."""

import gzip
from collections import Counter
from contextlib import AsyncExitStack
from datetime import date, time
from functools import cache

import msgspec
import numpy as np
import pytest

from tradeul.bus.embedded import EmbeddedServer
from tradeul.bus.redis import Bus
from tradeul.clock import SteppedClock, SystemClock
from tradeul.maintenance.service import MaintenanceService, Windows
from tradeul.market_calendar import at, nyse
from tradeul.providers.ports import FlatFile
from tradeul.records.bars import DailyBar, IntradayBar
from tradeul.records.tickers import FreeFloat, ShortInterest, Ticker, TickerDetails
from tradeul.store.catalog import Catalog
from tradeul.store.lake import Lake
from tradeul.store.lake_objects import Bucket, Objects
from tradeul.store.timescale import Mirror

CALENDAR = nyse()
SESSION = date(2026, 3, 9)
LISTED = date(2020, 1, 2)
START = at(SESSION, time(9, 28, 40))
WINDOWS = Windows(24, 8, 5)


@cache
def minutes_of(number, session):
    """(minute since 04:00, open, high, low, close, volume, trades), sparse; the same in every test."""
    random = np.random.default_rng([number, session.toordinal()])
    hours = CALENDAR.hours(session)
    count = int((hours.post_close_at - hours.pre_open_at).total_seconds()) // 60
    regular = int((hours.open_at - hours.pre_open_at).total_seconds()) // 60
    places = sorted({regular, *random.choice(count, 12, replace=False).tolist()})
    prices = (20 + number + random.random((len(places), 4))).tolist()
    sizes = random.integers(1, 5_000, len(places)).tolist()
    bars = zip(places, prices, sizes, strict=True)
    return [(place, price[0], max(price), min(price), price[3], float(size), size % 9 + 1) for place, price, size in bars]


class SmallMarket:
    """Every endpoint is made from the same minute bars. ``faults``: name of a call -> error, raised each time."""

    def __init__(self, clock, tickers=40, volume_factor=1.0):
        self.clock = clock
        self.symbols = [f"T{number:03d}" for number in range(tickers)]
        self.calls = Counter()
        self.faults = {}
        self.delisted_list = []
        self.split_list = []
        self.silent = {}  # session -> symbols without a trade
        self.not_in_file = set()
        self.extra_bars = []
        self.etags = {}  # session -> of a file that was replaced: each bar a share larger
        self.heads = Counter()
        self.volume_factor = volume_factor

    def _call(self, *name):
        self.calls[name] += 1
        for key in (name, name[0]):
            if key in self.faults:
                raise self.faults[key]

    def minutes(self, symbol, session):
        return [] if symbol in self.silent.get(session, ()) else minutes_of(int(symbol[1:]), session)

    async def tickers(self):
        self._call("tickers")
        return [Ticker(symbol, f"{symbol} Inc", "CS", "XNAS") for symbol in self.symbols]

    async def delisted(self, since):
        self._call("delisted")
        return [tenure for tenure in self.delisted_list if tenure.until >= since]

    async def splits(self, since, until):
        self._call("splits")
        return [split for split in self.split_list if since <= split.session <= until]

    async def grouped_daily(self, session):
        self._call("grouped_daily", session)
        bars = [self._day(symbol, session) for symbol in self.symbols]
        return [bar for bar in bars if bar is not None] + [bar for bar in self.extra_bars if bar.session == session]

    def _day(self, symbol, session):
        bars = self.minutes(symbol, session)
        if not bars:
            return None
        volume = sum(bar[5] for bar in bars) * self.volume_factor
        return DailyBar(symbol, session, bars[0][1], max(b[2] for b in bars), min(b[3] for b in bars), bars[-1][4], volume, None, 7)

    async def intraday_bars(self, symbol, minutes, start, end):
        self._call("intraday_bars", symbol)
        result = []
        for session in CALENDAR.between(start, end):
            pre_open_ms = int(CALENDAR.hours(session).pre_open_at.timestamp() * 1000)
            by_slot = {}
            for place, open_, high, low, close, volume, trades in self.minutes(symbol, session):
                _, v, n = by_slot.get(place // minutes, (None, 0, 0))
                by_slot[place // minutes] = ((open_, high, low, close), v + volume, n + trades)
            for slot, (ohlc, volume, trades) in by_slot.items():
                result.append(IntradayBar(symbol, pre_open_ms + slot * minutes * 60_000, *ohlc, volume, None, trades))
        return result

    async def ticker_details(self, symbol):
        self._call("ticker_details", symbol)
        return TickerDetails(symbol, 1e6 + int(symbol[1:]), "3571", "ELECTRONIC COMPUTERS", LISTED)

    async def free_floats(self):
        self._call("free_floats")
        return [FreeFloat(symbol, 8e5, date(2026, 3, 1)) for symbol in self.symbols]

    async def short_interest(self, since):
        self._call("short_interest")
        return [ShortInterest(symbol, 4e4, since) for symbol in self.symbols]

    async def minute_file(self, session):
        self._call("minute_file", session)
        if self.clock.now() < at(CALENDAR.next(session), time(11)):
            return None
        lines = ["ticker,volume,open,close,high,low,window_start,transactions"]
        pre_open_ns = int(CALENDAR.hours(session).pre_open_at.timestamp()) * 10**9
        for symbol in self.symbols:
            if symbol in self.not_in_file:
                continue
            for place, open_, high, low, close, volume, trades in self.minutes(symbol, session):
                volume += session in self.etags
                lines.append(f"{symbol},{volume:.0f},{open_},{close},{high},{low},{pre_open_ns + place * 60 * 10**9},{trades}")
        return FlatFile(session, self.etags.get(session, "etag"), gzip.compress("\n".join([*lines, ""]).encode(), 1))

    async def is_replaced(self, session, etag):
        self.heads[session] += 1
        if "is_replaced" in self.faults:
            raise self.faults["is_replaced"]
        return self.etags.get(session, "etag") != etag


def catalog_of(root):
    """A server's address stands in the folder, for other processes too."""
    told = root / "catalog.url"
    return told.read_text() if told.exists() else f"sqlite:///{root / 'catalog.db'}"


def lake_of(root):
    """Likewise a bucket's."""
    told = root / "bucket.json"
    bucket = msgspec.json.decode(told.read_bytes(), type=Bucket) if told.exists() else None
    return Lake(root / "lake", "test", simulated=True, partitions=None if bucket is None else Objects(bucket, root / "lake-copies"))


class House:
    """Maintenance on its borders, in one folder; `restart` is a new process on the same state."""

    def __init__(self, root, bus, clock, market, windows):
        self.root, self.bus, self.clock, self.market, self.windows = root, bus, clock, market, windows
        self.catalog = None
        self.engine = None
        self.restart()

    def restart(self):
        if self.catalog is not None:
            self.catalog.close()
        self.catalog_url = catalog_of(self.root)
        self.catalog = Catalog(self.catalog_url)
        self.lake = lake_of(self.root).guarded(self.catalog.check_term)
        self.mirror = Mirror(self.catalog_url, self.catalog) if self.windows.mirror else None
        parts = self.market, self.market, self.lake, self.catalog, self.bus, self.clock, CALENDAR, self.windows
        self.service = MaintenanceService(*parts, mirror=self.mirror, engine=self.engine)
        self.market.calls.clear()

    def states(self, dataset):
        return {row.session: row.state for row in self.catalog.ledger() if row.dataset == dataset}

    def row(self, dataset, session):
        return next(row for row in self.catalog.ledger() if (row.dataset, row.session) == (dataset, session))

    def checksums(self):
        return {(row.dataset, row.session): (row.state, row.checksum) for row in self.catalog.ledger()}


@pytest.fixture
async def make_house(tmp_path):
    """House on its own folder and an emptied bus."""
    async with AsyncExitStack() as stack:
        server = EmbeddedServer(tmp_path, SystemClock())
        await server.start()
        stack.push_async_callback(server.stop)
        houses = []

        async def make(now=START, windows=WINDOWS, catalog_url=None, bucket=None, **market):
            clock = SteppedClock(now)
            bus = Bus(server.url, clock)
            stack.push_async_callback(bus.close)
            await bus.redis.flushall()
            root = tmp_path / f"house{len(houses)}"
            root.mkdir()
            if catalog_url is not None:
                (root / "catalog.url").write_text(catalog_url)
            if bucket is not None:
                (root / "bucket.json").write_bytes(msgspec.json.encode(bucket))
            houses.append(House(root, bus, clock, SmallMarket(clock, **market), windows))
            houses[-1].bus_url = server.url  # for other processes
            return houses[-1]

        yield make
        for house in houses:
            house.catalog.close()


@pytest.fixture
async def house(make_house):
    return await make_house()
