"""What a session's live values are held against, made from the lake: one row per listed ticker.

It takes what is complete when its turn comes. Until every session of the
windows is, the result says so (``complete`` is False, the partition
`provisional`) and is made again when more has landed. Where only metadata is
new, the numbers of the partition that stands are taken.
"""

from collections.abc import Iterator, Sequence
from datetime import date

import msgspec
import numpy as np
import polars as pl

from tradeul import __version__
from tradeul.analytics.atr import PERIOD, average_true_range, last_available
from tradeul.analytics.baselines import COLUMNS, Baselines
from tradeul.analytics.extremes import fell_ten_percent
from tradeul.analytics.sectors import sector_of
from tradeul.analytics.slots import IntArray, Profile, profile
from tradeul.analytics.splits import corporate_actions, factors
from tradeul.errors import IncompleteData, StoreError
from tradeul.maintenance.datasets import BASELINES, METADATA_ENRICH, OHLC_DAILY, SPLITS, VOLUME_SLOTS, Schedule
from tradeul.maintenance.ledger import USABLE, Landed, Ledger, completed, inputs_of, metadata_session, numbers_of, row_of
from tradeul.maintenance.plan import Step
from tradeul.maintenance.tasks import Landing, Report, some
from tradeul.maintenance.tasks.metadata_enrich import SCHEMA
from tradeul.maintenance.tasks.splits import splits_of
from tradeul.maintenance.tasks.tickers import of_bearer
from tradeul.records.frame import FloatArray
from tradeul.records.tickers import Split
from tradeul.store.lake import Lake
from tradeul.store.tenures import listed_on, tenures_on, whole_columns

AVERAGE_SESSIONS = 20
SESSIONS_AT_ONCE = 26  # of daily bars: more would not be faster, only larger
YEAR_SESSIONS = 250  # with fewer, nobody knows the 52-week levels
MOVING = {"sma20": 20, "sma50": 50, "sma200": 200}
SHARES = {"shares": "details_on", "free_float": "float_on", "short_interest": "short_on"}  # counts, and the day that each is of
OF_METADATA = ("sector", "industry", "list_date", *SHARES)


class BaselinesTask:
    def __init__(self, lake: Lake, schedule: Schedule) -> None:
        self._lake = lake
        self._schedule = schedule

    async def prepare(self, step: Step, ledger: Ledger, _report: Report) -> Landing:
        served = step.session
        wanted = {name: self._schedule.before(name, served) for name in (OHLC_DAILY, VOLUME_SLOTS)}
        there = {name: completed(ledger, name, sessions) for name, sessions in wanted.items()}
        inputs = inputs_of(ledger, self._schedule, BASELINES, served)
        whole = all(there[name] == wanted[name] for name in wanted)
        metadata = metadata_session(ledger, served)
        source = f"numbers {numbers_of(ledger, self._schedule, served)}, version {__version__}"
        stands = row_of(ledger, BASELINES, served).state in USABLE and not step.afresh

        def land() -> list[Landed]:
            splits = splits_of(self._lake.read(SPLITS, served))
            numbers = self._standing(served, source) if stands else None
            if numbers is None:
                numbers = self._numbers(served, there, splits, whole=whole)
            known = self._metadata(metadata, splits, served)
            table = numbers.table.drop(known.columns[1:]).join(known, on="symbol", how="left", maintain_order="left").select(*COLUMNS)
            made = msgspec.structs.replace(numbers, complete=whole, table=table)
            checksum = self._lake.write(BASELINES, served, made.to_frame(), source)
            return [Landed(session=served, expected=len(table), got=len(table), checksum=checksum, final=whole, inputs=inputs)]

        return land

    def _standing(self, served: date, source: str) -> Baselines | None:
        """What stands in the lake, if it has these numbers."""
        try:
            if self._lake.has(BASELINES, served) and self._lake.footer(BASELINES, served)["source"] == source:
                return Baselines.from_frame(self._lake.read(BASELINES, served))
        except StoreError:  # it cannot be read: it is made anew
            pass
        return None

    def _numbers(self, served: date, there: dict[str, list[date]], splits: Sequence[Split], *, whole: bool) -> Baselines:
        """All that comes from bars and splits; of metadata nothing."""
        daily, slots = there[OHLC_DAILY], there[VOLUME_SLOTS]
        listed = self._universe(served, daily)
        symbols = listed["symbol"].to_list()
        index = listed.select("symbol", "since", row=pl.int_range(pl.len(), dtype=pl.Int64))
        calendar, windows = self._schedule.calendar, self._schedule.windows
        full_length = [session for session in slots if calendar.hours(session).is_full_length][-windows.rvol_sessions :]
        found = profile(len(symbols), self._adjusted_slots(index, full_length, factors(symbols, full_length, splits, served)))
        columns, bars = self._daily_columns(index, daily, splits, served)
        actions = corporate_actions(splits, calendar.previous(served), served)
        table = listed.drop("since").with_columns(
            pl.Series("corp_action", [actions.get(symbol) for symbol in symbols], dtype=pl.String),
            pl.Series("sessions", found.sessions),
            **{name: pl.Series(values, nan_to_null=True) for name, values in columns.items()},
        )
        table = table.with_columns(pl.lit(None).alias(name) for name in COLUMNS if name not in table.columns)
        missing = without_numbers(symbols, found, bars, columns["atr"])
        if missing:
            raise IncompleteData(
                f"{served}: {len(missing):,} tickers have enough sessions but no baseline: {some(missing)}. This is a program fault.",
                expected=len(symbols),
                got=len(symbols) - len(missing),
                missing=missing,
            )
        table = table.select(*COLUMNS).cast(COLUMNS)  # type: ignore[arg-type]
        return Baselines(served, whole, len(full_length), table, found.cumulative, found.log_mean, found.log_sd)

    def _universe(self, served: date, daily: Sequence[date]) -> pl.DataFrame:
        """What is listed, and what traded in the last session though the vendor's list lacks it; ``since``: before it another's bars."""
        known = tenures_on(self._lake, served).select("symbol", "name", "kind", "exchange", "since", "until")
        listed = known.filter(pl.col("until").is_null()).drop("until")
        if daily:
            traded = self._lake.read(OHLC_DAILY, daily[-1], ["symbol"])
            unlisted = traded.join(listed, on="symbol", how="anti")
            # A last session's bar of a ticker that is gone by now is its last bearer's.
            last = known.filter(pl.col("until").is_not_null()).unique("symbol", keep="last", maintain_order=True)
            listed = pl.concat([listed, unlisted.join(last.select("symbol", "since"), on="symbol", how="left")], how="diagonal")
        return listed.sort("symbol")

    def _metadata(self, session: date | None, splits: Sequence[Split], served: date) -> pl.DataFrame:
        """What is known of companies; share counts from before a split are those after it."""
        if session is None:
            return pl.DataFrame(schema={name: COLUMNS[name] for name in ("symbol", *OF_METADATA)})
        known = whole_columns(self._lake.read(METADATA_ENRICH, session), SCHEMA)
        known = of_bearer(known.join(listed_on(self._lake, served).select("symbol", "since"), on="symbol", how="left"))
        codes = known["sic_code"].unique().to_list()
        sectors = pl.DataFrame({"sic_code": codes, "sector": map(sector_of, codes)}, schema={"sic_code": pl.String, "sector": pl.String})
        known = known.join(sectors, on="sic_code", how="left", nulls_equal=True)
        oldest = min((day for name in SHARES.values() if isinstance(day := known[name].min(), date)), default=served)
        for split in splits:
            if oldest < split.session <= served:
                ratio = split.split_to / split.split_from
                for count, day in SHARES.items():
                    before = (pl.col("symbol") == split.symbol) & (pl.col(day) < split.session)
                    known = known.with_columns(pl.when(before).then(pl.col(count) * ratio).otherwise(count).alias(count))
        return known.select("symbol", *OF_METADATA)

    def _adjusted_slots(
        self, index: pl.DataFrame, sessions: Sequence[date], adjust: FloatArray
    ) -> Iterator[tuple[IntArray, IntArray, FloatArray]]:
        for place, session in enumerate(sessions):
            slots = self._lake.read(VOLUME_SLOTS, session, ["symbol", "slot", "volume"])
            rows = rows_of(slots["symbol"], index.filter(pl.col("since").is_null() | (pl.col("since") <= session)))
            if (rows < 0).any():
                slots, rows = slots.filter(rows >= 0), rows[rows >= 0]
            yield rows, slots["slot"].cast(pl.Int64).to_numpy(), slots["volume"].to_numpy() / adjust[rows, place]

    def _daily_bars(self, index: pl.DataFrame, sessions: Sequence[date], *more: str) -> Iterator[tuple[IntArray, IntArray, pl.DataFrame]]:
        """The bars of the tickers: their rows in ``index``, the places of their sessions, prices and ``more``."""
        places = pl.DataFrame({"session": sessions, "place": np.arange(len(sessions))}, schema_overrides={"session": pl.Date})
        for start in range(0, len(sessions), SESSIONS_AT_ONCE):
            some_sessions = sessions[start : start + SESSIONS_AT_ONCE]
            bars = self._lake.read_all(OHLC_DAILY, some_sessions, ["symbol", "high", "low", "close", *more])
            bars = bars.join(index, on="symbol").filter(pl.col("since").is_null() | (pl.col("since") <= pl.col("session")))
            bars = bars.join(places, on="session")
            yield bars["row"].to_numpy(), bars["place"].to_numpy(), bars

    def _daily_columns(
        self, index: pl.DataFrame, sessions: Sequence[date], splits: Sequence[Split], served: date
    ) -> tuple[dict[str, FloatArray], IntArray]:
        """What comes from daily bars, and how many bars each ticker has."""
        shape = (index.height, len(sessions))
        high, low, close = (np.full(shape, np.nan) for _ in range(3))
        recent = sessions[-AVERAGE_SESSIONS:]
        volume, dollars = (np.full((index.height, len(recent)), np.nan) for _ in range(2))
        adjust = factors(index["symbol"].to_list(), sessions, splits, served)
        previous_raw = np.full(index.height, np.nan)
        for rows, places, bars in self._daily_bars(index, sessions):
            flat = rows * len(sessions) + places  # an index of two dimensions takes twice the time
            factor = adjust.ravel()[flat]
            for matrix, name in ((high, "high"), (low, "low"), (close, "close")):
                matrix.ravel()[flat] = bars[name].to_numpy() * factor
        for rows, places, bars in self._daily_bars(index, recent, "volume", "vwap"):
            volume[rows, places] = bars["volume"].to_numpy() / adjust[rows, places + len(sessions) - len(recent)]
            dollars[rows, places] = bars.select(pl.coalesce("vwap", "close") * pl.col("volume")).to_series().to_numpy()
        last = sessions[-1:]
        is_previous = last == [self._schedule.calendar.previous(served)]
        if is_previous:
            for rows, _, bars in self._daily_bars(index, last):
                previous_raw[rows] = bars["close"].to_numpy()
        columns = {
            "restricted_before": restricted_before(low, close) if is_previous else np.full_like(previous_raw, np.nan),
            "atr": average_true_range(high, low, close),
            "prev_close_raw": previous_raw,
            "prev_close": np.where(np.isnan(previous_raw), np.nan, close[:, -1]) if sessions else previous_raw,
            "avg_volume_20d": mean_since_first(volume),
            "avg_dollar_volume_20d": mean_since_first(dollars),
            **dict(zip(("high_52w", "low_52w"), year_levels(high, low), strict=True)),
            **{name: moving_average(close, count) for name, count in MOVING.items()},
        }
        return columns, np.count_nonzero(~np.isnan(close), axis=1)


def restricted_before(low: FloatArray, close: FloatArray) -> FloatArray:
    """Whether each row's last session restricts short sales in the next. 0 for one without a trade; NaN where no close came before."""
    traded = ~np.isnan(close)
    if close.shape[1] < 2:
        return np.full(len(close), np.nan)
    columns, totals = last_available(traded[:, :-1], 1)
    before = np.where(totals > 0, np.take_along_axis(close, columns, axis=1)[:, 0], np.nan)
    return np.where(traded[:, -1], fell_ten_percent(low[:, -1], before), np.where(totals > 0, 0.0, np.nan))


def rows_of(symbols: pl.Series, index: pl.DataFrame) -> IntArray:
    """The ``row`` of each in ``index``, -1 without one. Quick where equal symbols follow each other, as in a partition of slots."""
    runs = symbols.rename("symbol").rle().struct.unnest().rename({"value": "symbol"})
    rows = runs.join(index, on="symbol", how="left", maintain_order="left")["row"].fill_null(-1)
    return np.repeat(rows.to_numpy(), runs["len"].to_numpy())


def mean_since_first(values: FloatArray) -> FloatArray:
    """Row means, a session without a trade (NaN) as 0, from the first with one on; NaN where there is none."""
    traded = ~np.isnan(values)
    counted = np.count_nonzero(np.cumsum(traded, axis=1) > 0, axis=1)
    mean: FloatArray = np.nansum(values, axis=1) / np.where(counted > 0, counted, np.nan)
    return mean


def year_levels(high: FloatArray, low: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The highest high and the lowest low of each row; unknown without a year of sessions, or a bar."""
    unknown = np.full(high.shape[0], np.nan)
    if high.shape[1] < YEAR_SESSIONS:
        return unknown, unknown
    return np.fmax.reduce(high, axis=1), np.fmin.reduce(low, axis=1)


def moving_average(close: FloatArray, count: int) -> FloatArray:
    """The mean of each row's last ``count`` closes; NaN where there are fewer."""
    traded = ~np.isnan(close)
    age = np.cumsum(traded[:, ::-1], axis=1, dtype=np.int32)[:, ::-1]
    enough = np.count_nonzero(traded, axis=1) >= count
    total = np.where(traded & (age <= count), close, 0.0).sum(axis=1)
    mean: FloatArray = np.where(enough, total / count, np.nan)
    return mean


def without_numbers(symbols: Sequence[str], found: Profile, bars: IntArray, atr: FloatArray) -> list[str]:
    """The tickers with enough sessions whose numbers are unknown all the same. Never any, unless the maths is wrong."""
    no_atr = (bars > PERIOD) & ~np.isfinite(atr)
    no_profile = (found.sessions > 0) & ~(np.isfinite(found.cumulative).all(axis=1) & np.isfinite(found.log_mean).all(axis=1))
    no_deviation = (found.sessions > 1) & ~np.isfinite(found.log_sd).all(axis=1)
    return [symbols[row] for row in np.flatnonzero(no_atr | no_profile | no_deviation).tolist()]
