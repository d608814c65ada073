"""The lake beside PostgreSQL, or TimescaleDB where `TRADEUL_TEST_TIMESCALE_URL` names a server, with the same rows, in turn.

    python benchmarks/stores.py [--tickers 2000] [--turns 5]

load a session of slots, replace it, 20-day means of cumulative volume (what
relative volume stands on), and one ticker's slots of 20 sessions: of the lake's
files, and as history has them, decoded once. Each turn asks one store after the
other, the first one changing, and what counts is the ratio of the medians: a
machine that drifts does so for both. PostgreSQL is Debian's, with fsync and 512 MB
of shared buffers, on this machine; tables and loading are the mirror's own. Only the
sum of what it computed crosses to us, which favours it, and is held against the
lake's: both did the same work.
"""

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import psycopg

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.lifeline import started
from tests.postgres import PostgresServer, binaries
from tradeul.maintenance.datasets import Schedule, Windows
from tradeul.maintenance.tasks.timescale_mirror import TimescaleMirrorTask
from tradeul.market_calendar import nyse
from tradeul.store.by_ticker import ByTicker
from tradeul.store.catalog import Catalog
from tradeul.store.lake import Lake
from tradeul.store.timescale import SLOTS, Mirror

CALENDAR = nyse()
SESSIONS = CALENDAR.before(date(2026, 3, 9), 20)
TRADED, SLOT_COUNT = 62, 192  # slots of a ticker that traded, of a session
READS = 50  # point reads of a turn
DURABLE = ("listen_addresses=", "max_connections=20", "shared_buffers=512MB", "max_wal_size=4GB", "log_min_messages=fatal")
MEANS = """
    SELECT sum(whole) FROM (
        SELECT max(mean) AS whole FROM (
            SELECT symbol, sum(sum(volume)) OVER (PARTITION BY symbol ORDER BY slot_number) / %s AS mean
            FROM volume_slots WHERE date BETWEEN %s AND %s GROUP BY symbol, slot_number
        ) AS means GROUP BY symbol
    ) AS wholes
"""
TICKER = "SELECT date, slot_number, volume FROM volume_slots WHERE symbol = %s AND date BETWEEN %s AND %s"


def rows_of(session: date, symbols: pl.Series) -> pl.DataFrame:
    """As the task `volume_slots` lands them."""
    draw = np.random.default_rng(session.toordinal())
    places = np.sort(draw.random((len(symbols), SLOT_COUNT)).argsort(axis=1)[:, :TRADED], axis=1).ravel()
    volume = draw.integers(1, 100_000, len(places)).astype(float)
    columns = {"slot": pl.Series(places, dtype=pl.Int16), "volume": volume, "trades": pl.Series(places, dtype=pl.Int32)}
    frame = pl.DataFrame({"symbol": symbols.gather(np.repeat(np.arange(len(symbols)), TRADED))})
    return frame.with_columns(**columns, vwap=pl.Series(volume / 1000))


class InLake:
    name = "lake"

    def __init__(self, folder: Path, symbols: pl.Series) -> None:
        self.lake, self.symbols = Lake(folder, "benchmark", simulated=True), symbols
        self.decoded = ByTicker(self.lake, folder)

    def put(self, session: date, rows: pl.DataFrame) -> None:
        self.lake.write("volume_slots", session, rows, "benchmark")

    def means(self) -> float:
        """Sums per slot first, then along the day: as `tasks/baselines.py`, on numpy."""
        index = pl.DataFrame({"symbol": self.symbols, "row": np.arange(len(self.symbols))})
        total = np.zeros((len(self.symbols), SLOT_COUNT))
        for session in SESSIONS:
            slots = self.lake.read("volume_slots", session, ["symbol", "slot", "volume"]).join(index, on="symbol", maintain_order="left")
            np.add.at(total, (slots["row"].to_numpy(), slots["slot"].to_numpy()), slots["volume"].to_numpy())
        return float((total.cumsum(axis=1) / len(SESSIONS))[:, -1].sum())

    def ticker(self, symbol: str) -> float:
        return sum(float(self.lake.read_ticker("volume_slots", session, symbol)["volume"].sum()) for session in SESSIONS)

    def decoded_ticker(self, symbol: str) -> float:
        found = (self.decoded.rows("volume_slots", session, symbol, ("slot", "volume")) for session in SESSIONS)
        return sum(float(columns["volume"].sum()) for columns in found if columns is not None)


class InSql:
    def __init__(self, url: str, lake: Lake) -> None:
        self.catalog = Catalog(url)
        self.mirror = Mirror(url, self.catalog)
        self.mirror.forget()
        self.name = {"connected": "timescaledb"}.get(self.mirror.kind(), "postgresql")
        self._task = TimescaleMirrorTask(self.mirror, lake, Schedule(CALENDAR, Windows()), in_thread=None)  # type: ignore[arg-type]
        self.connection = psycopg.connect(url, autocommit=True)

    def mirrored(self, session: date) -> pl.DataFrame:
        return self._task._slots(session)

    def put(self, session: date, rows: pl.DataFrame) -> None:
        self.mirror.replace((SLOTS, session), rows, "checksum")

    def settle(self) -> None:
        """What the server does by itself in time; else the first turn pays for it."""
        self.connection.execute("VACUUM ANALYZE volume_slots")

    def means(self) -> float:
        found = self.connection.execute(MEANS, (len(SESSIONS), SESSIONS[0], SESSIONS[-1])).fetchone()
        return float(found[0]) if found else 0.0

    def ticker(self, symbol: str) -> float:
        with self.connection.cursor() as cursor:
            return sum(row[2] for row in cursor.execute(TICKER, (symbol, SESSIONS[0], SESSIONS[-1])))


class Server(PostgresServer):
    """The tests', but as an operator has it: what is committed is on the disk."""

    def start(self) -> None:
        options = [part for setting in (*DURABLE, f"unix_socket_directories={self.folder}") for part in ("-c", setting)]
        with (self.folder / "log").open("ab") as log:
            command = [binaries() / "postgres", "-D", self.folder / "data", *options]
            self._process = started(command, 3, stdout=log, stderr=log, cwd=self.folder, **self._as_user)
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "log").read_text()


@contextmanager
def server_url() -> Iterator[str]:
    given = os.environ.get("TRADEUL_TEST_TIMESCALE_URL")
    if given:
        name = f"tradeul_benchmark_{os.getpid()}"
        head, _, query = given.partition("?")
        with psycopg.connect(given, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
            url = f"{head.rpartition('/')[0]}/{name}" + (f"?{query}" if query else "")
            try:
                with psycopg.connect(url, autocommit=True) as inside:
                    inside.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
                yield url
            finally:
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        return
    with tempfile.TemporaryDirectory(prefix="tradeul-pg-") as folder:
        server = Server(Path(folder))
        server.start()
        try:
            yield server.new_database()
        finally:
            server.stop()


def took(work: Callable[[], float | None]) -> tuple[float, float | None]:
    begun = time.perf_counter()
    result = work()
    return time.perf_counter() - begun, result


def compared(what: str, of: dict[str, Callable[[], float | None]], turns: int, each: int = 1) -> None:
    """In turn, each as often the first; the same answer of all. ``each``: how many one call does."""
    seconds: dict[str, list[float]] = {name: [] for name in of}
    for turn in range(turns):
        answers = {}
        for name in list(of)[:: 1 if turn % 2 else -1]:
            spent, answers[name] = took(of[name])
            seconds[name].append(spent / each)
        known = [answer for answer in answers.values() if answer is not None]
        assert all(abs(answer - known[0]) <= 1e-9 * known[0] for answer in known), (what, answers)
    show(what, seconds)


def show(what: str, seconds: dict[str, list[float]]) -> None:
    base = statistics.median(next(iter(seconds.values())))
    for name, found in seconds.items():
        median = statistics.median(found)
        spread = f"{min(found) * 1000:,.2f}-{max(found) * 1000:,.2f}"
        print(f"{what:36} {name:16} {median * 1000:10,.2f} ms  ({spread})  {median / base:.3g} of the lake", flush=True)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--tickers", type=int, default=2_000)
    arguments.add_argument("--turns", type=int, default=5)
    asked = arguments.parse_args()
    symbols = pl.Series("symbol", [f"T{number:05d}" for number in range(asked.tickers)])
    print(f"{asked.tickers:,} tickers, {len(SESSIONS)} sessions of {asked.tickers * TRADED:,} slots; load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(prefix="tradeul-stores-") as folder, server_url() as url:
        lake = InLake(Path(folder), symbols)
        sql = InSql(url, lake.lake)
        version = sql.connection.execute("SHOW server_version").fetchone()
        print(f"{sql.name} on PostgreSQL {version[0] if version else ''}")
        loads: dict[str, list[float]] = {lake.name: [], sql.name: []}
        for session in SESSIONS:  # what the mirror takes is read from the lake, so the lake is first here
            rows = rows_of(session, symbols)
            loads[lake.name].append(took(partial(lake.put, session, rows))[0])
            loads[sql.name].append(took(partial(sql.put, session, sql.mirrored(session)))[0])
        show("load a session", loads)
        sql.settle()
        middle = SESSIONS[len(SESSIONS) // 2]
        rows, mirrored = rows_of(middle, symbols), sql.mirrored(middle)
        compared(
            "replace a session", {lake.name: partial(lake.put, middle, rows), sql.name: partial(sql.put, middle, mirrored)}, asked.turns
        )
        sql.settle()
        compared("20-day means, all tickers and slots", {lake.name: lake.means, sql.name: sql.means}, asked.turns)
        draw = random.Random(1)
        some = [symbols[draw.randrange(len(symbols))] for _ in range(READS)]
        lake.decoded_ticker(some[0])
        reads = {"lake": lake.ticker, "lake, decoded": lake.decoded_ticker, sql.name: sql.ticker}
        points = {name: partial(lambda read: sum(map(read, some)), read) for name, read in reads.items()}
        compared("one ticker, 20 sessions", points, asked.turns, READS)
        sql.connection.close()
        sql.catalog.close()


if __name__ == "__main__":
    main()
