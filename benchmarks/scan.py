"""The scan cycle: all lists over the whole market, deltas and encoding, as the scanner's thread does it.

    python benchmarks/scan.py [tickers] [cycles] [scans]      (12400 50 11; scans beyond the eleven: theirs, each with a price of its own)

The market is random but shaped like a real one (most tickers silent, a few
runners), and a twentieth of it trades between two cycles. Beside it, in turn
with it: the documented simple forms of the same eleven lists, row by row in
plain Python, as a scanner without columns does them. Ratios are told by the
clock and by the processor: on a machine that others use, too, what takes 3 ms
is either interrupted or not, what takes 60 ms always is. Beyond 100,000 tickers
the row objects alone would take gigabytes: they are left out then. 1.5 million take 7 GB.
"""

import resource
import sys
import time
from datetime import UTC, date, datetime, timedelta

import msgspec
import numpy as np
import polars as pl

from tradeul.analytics.baselines import COLUMNS, SLOTS, Baselines
from tradeul.market_calendar import nyse
from tradeul.records.frame import MarketFrame
from tradeul.records.messages import Snapshot, encode
from tradeul.scanner.columns import Join, Market
from tradeul.scanner.definitions import ScanList, built_in_lists, parse
from tradeul.scanner.deltas import after, follow
from tradeul.scanner.ranking import wire_rows
from tradeul.scanner.scan import lacking, scan_places

SESSION = date(2026, 3, 9)
AS_OF = datetime(2026, 3, 9, 14, 30, tzinfo=UTC)  # 10:30 Eastern


def a_market(tickers: int, seed: int = 1) -> tuple[dict[str, np.ndarray], Baselines, list[str]]:
    draw = np.random.default_rng(seed)
    letters = draw.choice(list("ABCDEFGHIJKLMNOPQRST"), (tickers, 4)).tolist()
    symbols = sorted("".join(four) + str(n) for n, four in enumerate(letters))
    adv = np.exp(draw.normal(12, 2, tickers))
    close = np.exp(draw.normal(3, 1, tickers))
    move = draw.standard_t(2, tickers)
    price = close * (1 + np.clip(move, -40, 60) / 100)
    spread = close * draw.gamma(2, 0.02, tickers)
    volume = np.floor(adv * draw.lognormal(-1.2, 1, tickers))
    t = AS_OF.timestamp()
    columns = {
        "price": price,
        "open": close * (1 + np.clip(move, -40, 60) / 150),
        "high": price + spread * draw.random(tickers) * 0.6,
        "low": price - spread * draw.random(tickers),
        "vwap": price * (1 + draw.normal(0, 0.01, tickers)),
        "volume": volume,
        "dollar_volume": volume * price,
        "trades": np.ceil(volume / 120),
        "high_at": t - draw.exponential(1500, tickers),
        "low_at": t - draw.exponential(1500, tickers),
        "high_count": draw.integers(0, 9, tickers).astype(float),
        "low_count": draw.integers(0, 9, tickers).astype(float),
        "vwap_cross_at": t - draw.exponential(1500, tickers),
        "updated_at": t - draw.exponential(20, tickers),
        "first_seen_at": np.full(tickers, t - 20_000),
        "halted": np.zeros(tickers),
        "partial": np.zeros(tickers),
        "pm_high": price,
        "pm_low": price,
        "vol_5m": np.floor(volume * draw.exponential(0.04, tickers)),
    }
    columns |= {f"chg_{n}m": draw.standard_t(2, tickers) * n**0.5 / 2 for n in (1, 5, 15, 30)}
    columns |= {"dvol_5m": columns["vol_5m"] * price, "trades_5m": np.ceil(columns["vol_5m"] / 120)}
    shape = np.cumsum(draw.random(SLOTS))
    shape /= shape[-1]
    slots = adv[:, None] * np.diff(shape, prepend=0)  # in place from here on: of 1.5 million tickers 2.3 GB each
    known = {
        "symbol": symbols,
        "name": [f"{symbol} Holdings Inc." for symbol in symbols],
        "kind": draw.choice(["CS", "ETF", "WARRANT", "ADRC"], tickers, p=[0.5, 0.35, 0.1, 0.05]).tolist(),
        "exchange": ["XNAS"] * tickers,
        "corp_action": [None] * tickers,
        "prev_close": close,
        "prev_close_raw": close,
        "sessions": [20] * tickers,
        "atr": spread,
        "avg_volume_20d": adv,
        "avg_dollar_volume_20d": adv * close,
    }
    table = pl.DataFrame({name: known.get(name, [None] * tickers) for name in COLUMNS}, schema=COLUMNS)
    return (
        columns,
        Baselines(
            SESSION,
            complete=True,
            rvol_sessions=20,
            table=table,
            cumulative=adv[:, None] * shape,
            log_mean=np.log1p(slots, out=slots),
            log_sd=np.broadcast_to(0.6, slots.shape),
        ),
        symbols,
    )


MOST_TICKERS_BESIDE = 100_000
ROW = (
    "symbol",
    "price",
    "high",
    "low",
    "change_pct",
    "gap_pct",
    "from_open_pct",
    "chg_5m",
    "rvol",
    "rvol_5m",
    "dollar_volume",
    "high_age_s",
    "low_age_s",
)


def categorise(rows: list[dict[str, object]]) -> dict[str, list[dict[str, object]]]:
    """The eleven lists in their simple forms: one look at each row, then each list's first 100."""
    lists: dict[str, list[dict[str, object]]] = {found.name: [] for found in built_in_lists()}
    for row in rows:
        change, gap, five, high, low = (row[name] or 0.0 for name in ("change_pct", "gap_pct", "chg_5m", "high", "low"))
        if (row["dollar_volume"] or 0) < 1e6 or (row["price"] or 0) < 1:
            continue
        if change >= 5:
            lists["winners"].append(row)
        elif change <= -5:
            lists["losers"].append(row)
        if gap >= 2:
            lists["gappers_up"].append(row)
            if (row["from_open_pct"] or 0) <= -1:
                lists["reversals"].append(row)
        elif gap <= -2:
            lists["gappers_down"].append(row)
            if (row["from_open_pct"] or 0) >= 1:
                lists["reversals"].append(row)
        if five >= 3:
            lists["momentum_up"].append(row)
        elif five <= -3:
            lists["momentum_down"].append(row)
        if row["price"] >= 0.999 * high:
            lists["new_highs"].append(row)
        if row["price"] <= 1.001 * low:
            lists["new_lows"].append(row)
        if (row["rvol"] or 0) >= 2:
            lists["high_volume"].append(row)
        if (row["rvol_5m"] or 0) >= 3:
            lists["anomalies"].append(row)
    keys = dict.fromkeys(lists, "change_pct") | {"high_volume": "dollar_volume", "anomalies": "rvol_5m", "gappers_up": "gap_pct"}
    return {name: sorted(found, key=lambda row: -(row[keys[name]] or 0))[:100] for name, found in lists.items()}


def some_lists(scans: int) -> list[ScanList]:
    """The eleven, and more that ask as much."""
    built_in = list(built_in_lists())
    text = ""
    for number in range(scans - len(built_in)):
        model = built_in[number % len(built_in)].definition
        order, columns = [list(key) for key in model.order], list(model.columns)
        text += f"[lists.more_{number}]\ntitle = 'More'\nwhere = \"({model.where}) AND price >= {1 + number / 10}\"\n"
        text += f"order = {order}\ncolumns = {columns}\n"
    return [*built_in, *(parse(text, source="more", floors=built_in[0].floors) if text else [])][:scans]


def now() -> np.ndarray:
    """Milliseconds of the clock, and of the processor (all threads)."""
    return np.array([time.perf_counter(), time.process_time()]) * 1000


def row_by_row(market: Market) -> tuple[np.ndarray, np.ndarray]:
    """From columns to row objects, and from ready rows to lists."""
    table = market.table(ROW)
    began = now()
    rows = table.to_dicts()
    built = now()
    categorise(rows)
    return built - began, now() - built


def main(tickers: int, cycles: int, scans: int) -> None:
    begun = time.perf_counter()
    columns, baselines, symbols = a_market(tickers)
    lists, hours, draw = some_lists(scans), nyse().hours(SESSION), np.random.default_rng(2)
    made = time.perf_counter()
    join = Join(symbols, baselines)
    joined = time.perf_counter()
    sent = {found.name: Snapshot(found.name, SESSION, "SIMULATED", 1, 0, 0, [], 0) for found in lists}
    ours, theirs = ("columns and scans", "rows", "deltas and encoding", "cycle", "scans alone"), ("rows to build", "rows to lists")
    took: dict[str, list[np.ndarray]] = {name: [] for name in (*ours, *theirs)}
    beside_it = scans == len(built_in_lists()) and tickers <= MOST_TICKERS_BESIDE
    size = 0
    for turn in range(cycles + 5):
        as_of = AS_OF + timedelta(seconds=turn)
        moved = draw.random(tickers) < 0.05
        columns = dict(columns)
        columns["price"] = columns["price"] * np.where(moved, 1 + draw.normal(0, 0.001, tickers), 1)
        columns["volume"] = columns["volume"] + moved * 500
        columns["updated_at"] = np.where(moved, as_of.timestamp(), columns["updated_at"])
        began = now()
        market = Market(MarketFrame(SESSION, as_of, symbols, columns), join, hours)
        assert join.fits(symbols, baselines)
        places = scan_places(market, lists, {})
        scanned = now()
        rows = {found.name: wire_rows(market, places[found.name], found.cells) for found in lists}
        rowed = now()
        size = 0
        for found in lists:
            delta = follow(sent[found.name], rows[found.name], 0, "SIMULATED", lacking(market, found))
            if delta is not None:
                sent[found.name] = after(sent[found.name], delta, rows[found.name])
                # as the bus will: the message, the frame, and the people's key
                size += len(encode(delta)) + len(msgspec.json.encode(sent[found.name])) + len(msgspec.json.encode(rows[found.name]))
        ended = now()
        scan_places(market, lists, {})  # again, its columns ready
        alone = now() - ended
        beside = row_by_row(market) if beside_it else (np.zeros(2), np.zeros(2))
        if turn >= 5:
            for name, each in zip(took, (scanned - began, rowed - scanned, ended - rowed, ended - began, alone, *beside), strict=True):
                took[name].append(each)
    print(f"{tickers} tickers, {len(lists)} lists, {sum(map(len, rows.values()))} rows, {size / 1000:.0f} kB a cycle")
    middle = {name: np.median(each, axis=0) for name, each in took.items()}
    for name in ours:
        clock, processor = middle[name]
        print(f"{name:>20}: median {clock:6.2f} ms ({processor:.2f} of the processor), worst {np.max(took[name], axis=0)[0]:6.2f} ms")
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"peak memory {peak_mb:,.0f} MB; market made in {made - begun:.1f} s, joined in {joined - made:.1f} s")
    if not beside_it:
        return
    building, deciding = (middle[name] for name in theirs)
    print(f"row by row in Python, simple forms: {deciding[0]:.1f} ms on ready rows, {building[0]:.1f} ms to build them")
    for name in ("scans alone", "columns and scans"):
        clock, processor = (building + deciding) / middle[name]
        print(f"{name}: {clock:.1f} times as fast by the clock, {processor:.1f} by the processor")


if __name__ == "__main__":
    arguments = [int(text) for text in sys.argv[1:]]
    main(*arguments, *(12_400, 50, 11)[len(arguments) :])
