"""The volume of each five-minute slot: a session's flat file when there, else 5-minute bars by ticker.

    one session, its file     one call; what the file lacks stays missing
    ranged                    one call per ticker over all sessions still due, in staged batches

Expected is every ticker of the session's daily bars with volume, and the slots'
sum against the day's. A partition below that is written, noted as failed, and
filled up by the ranged step, which asks only for the tickers that are missing:
without slots, or, in a session that holds too little as a whole, with too little.
By itself a ticker's sum proves nothing: minutes in which only odd lots trade
have no bar, so a thin ticker's slots may lack much of its day for good.
"""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from datetime import date
from functools import partial

import numpy as np
import polars as pl

from tradeul.analytics.slots import SLOT_MS, sum_slots
from tradeul.errors import CorruptPartition, NotEntitled, ProviderError, Unauthorized
from tradeul.maintenance.datasets import OHLC_DAILY, VOLUME_SLOTS
from tradeul.maintenance.engine import Engine
from tradeul.maintenance.ledger import Landed, Ledger, completed
from tradeul.maintenance.plan import Step
from tradeul.maintenance.tasks import InThread, Landing, Report, some
from tradeul.maintenance.tasks.replaced import etag_of
from tradeul.market_calendar import Calendar
from tradeul.providers.polygon.wire_files import decode_minute_file
from tradeul.providers.ports import FlatFile, MarketData, MinuteFiles
from tradeul.records.bars import IntradayBar
from tradeul.store.lake import Lake

BATCH_TICKERS = 500
# A vendor that is silent is noticed after these, not after hours of each ticker's own patience.
PROBED = 10
SLOT_MINUTES = 5
# Slots and day are two sums of one tape; late corrections move either a little.
TICKER_TOLERANCE = 0.01
MARKET_TOLERANCE = 0.10
SCHEMA = {"symbol": pl.String, "slot": pl.Int16, "volume": pl.Float64, "trades": pl.Int32, "vwap": pl.Float64}
STAGED = {"session": pl.Date, **SCHEMA}


class VolumeSlotsTask:
    def __init__(self, market: MarketData, files: MinuteFiles, lake: Lake, calendar: Calendar, in_thread: InThread, engine: Engine) -> None:
        self._in_thread = in_thread
        self._engine = engine
        self._market = market
        self._files = files
        self._lake = lake
        self._calendar = calendar

    async def prepare(self, step: Step, ledger: Ledger, report: Report) -> Landing:
        if step.ranged:
            return await self._prepare_ranged(step, ledger, report)
        file = await self._files.minute_file(step.session)
        if file is None:
            return list  # nothing landed: the ranged step takes this session
        hours, etag = self._calendar.hours(step.session), file.etag
        decoded = self._engine.compute(partial(slots_of_file, file, int(hours.pre_open_at.timestamp() * 1000), hours.slots))
        return lambda: [self._land_file(step.session, etag, *decoded(), afresh=step.afresh)]

    def _land_file(self, session: date, etag: str, slots: pl.DataFrame, outside: int, *, afresh: bool) -> Landed:
        if not afresh:
            # What the file lacks may have come by REST before.
            lacking = missing_of(self._day(session), slots)
            slots = over(self._existing(session).filter(pl.col("symbol").is_in(lacking)), slots)
        return self._write(session, slots, f"{session} {etag}", outside)

    async def _prepare_ranged(self, step: Step, ledger: Ledger, report: Report) -> Landing:
        done = completed(ledger, VOLUME_SLOTS, step.sessions)
        judged = completed(ledger, OHLC_DAILY, step.sessions)
        sessions = [session for session in step.sessions if session in judged and session not in done]
        if not sessions:
            return list
        stood = await self._in_thread(lambda: self._missing(sessions, afresh=step.afresh))
        symbols = list(stood)
        batches = [symbols[start : start + BATCH_TICKERS] for start in range(0, len(symbols), BATCH_TICKERS)]
        names = [f"{number:04d}-{_name(batch)}" for number, batch in enumerate(batches)]
        range_name = f"{sessions[0]}_{sessions[-1]}{'_afresh' if step.afresh else ''}"
        await self._in_thread(lambda: self._lake.clear_staging(VOLUME_SLOTS, keep=range_name))
        for number, (name, batch) in enumerate(zip(names, batches, strict=True)):
            await report(number * BATCH_TICKERS, len(symbols), "tickers by 5-minute bars")
            if self._lake.staged(VOLUME_SLOTS, range_name, name) is None:
                bars = await self._ask(batch, sessions, stood)
                await self._in_thread(partial(self._stage, bars, sessions, range_name, name))
        return lambda: self._merge(sessions, range_name, names)

    def _stage(self, bars: list[IntradayBar], sessions: list[date], range_name: str, name: str) -> None:
        self._lake.stage(VOLUME_SLOTS, range_name, name, slots_of_bars(bars, self._calendar, sessions))

    async def _ask(self, symbols: list[str], sessions: list[date], stood: Mapping[str, float]) -> list[IntradayBar]:
        """The batch's bars. A ticker that failed stays missing; that all failed, or the first few, is an error.

        ``stood``: shares. Where the first few bring no more than stands, the rest is left: the vendor would say the same again.
        """
        bars: list[IntradayBar] = []
        good = 0
        for part in (symbols[:PROBED], symbols[PROBED:]):
            calls = (self._market.intraday_bars(symbol, SLOT_MINUTES, sessions[0], sessions[-1]) for symbol in part)
            answers = await asyncio.gather(*calls, return_exceptions=True)
            errors = [answer for answer in answers if isinstance(answer, BaseException)]
            for error in errors:
                if isinstance(error, Unauthorized | NotEntitled) or not isinstance(error, ProviderError):
                    raise error
            bars += [bar for answer in answers if not isinstance(answer, BaseException) for bar in answer]
            good += len(part) - len(errors)
            if errors and not good:
                raise errors[0]
            known = [stood[symbol] for symbol in part]
            brought = float(slots_of_bars(bars, self._calendar, sessions)["volume"].sum())
            if not errors and all(known) and brought <= (1 + TICKER_TOLERANCE) * sum(known):
                break
        return bars

    def _merge(self, sessions: list[date], range_name: str, names: list[str]) -> list[Landed]:
        results = []
        for session in sessions:
            parts = [self._existing(session)]
            for name in names:
                batch = self._lake.staged(VOLUME_SLOTS, range_name, name)
                if batch is not None:
                    parts.append(batch.filter(pl.col("session") == session).select(*SCHEMA))
            # What stood stays; a ticker asked for again replaces nothing of another.
            etag = etag_of(self._lake, VOLUME_SLOTS, session)
            results.append(self._write(session, over(*parts), f"{session} {etag} REST" if etag else "REST", 0))
        # All that came stands in the lake now; what did not must be asked for again, not taken from here.
        self._lake.clear_staging(VOLUME_SLOTS)
        return results

    def cleared(self) -> None:
        """Delete staged work, once what it led to is noted."""
        self._lake.clear_staging(VOLUME_SLOTS)

    def _existing(self, session: date) -> pl.DataFrame:
        """What an earlier attempt brought: nothing, if it cannot be read."""
        try:
            if self._lake.has(VOLUME_SLOTS, session):
                return self._lake.read(VOLUME_SLOTS, session, list(SCHEMA))
        except CorruptPartition:
            pass  # it is replaced as a whole
        return pl.DataFrame(schema=SCHEMA)

    def _missing(self, sessions: list[date], *, afresh: bool) -> dict[str, float]:
        """The tickers that at least one of the sessions lacks, sorted, and their shares that stand in all of them.

        ``afresh``: all that they should have, as if nothing stood.
        """
        nothing = pl.DataFrame(schema=SCHEMA)
        slots = [nothing if afresh else self._existing(session) for session in sessions]
        lacking = {symbol for session, each in zip(sessions, slots, strict=True) for symbol in missing_of(self._day(session), each)}
        shares = dict(sums_of(pl.concat(slots)).iter_rows())
        return {symbol: shares.get(symbol, 0.0) for symbol in sorted(lacking)}

    def _day(self, session: date) -> pl.DataFrame:
        return self._lake.read(OHLC_DAILY, session, ["symbol", "close", "volume"]).filter(pl.col("volume") > 0)

    def _write(self, session: date, slots: pl.DataFrame, source: str, outside: int) -> Landed:
        day = self._day(session)
        missing = missing_of(day, slots)
        remarks, whole = compare_volumes(day, slots)
        if outside:
            remarks.append(f"{outside:,} bars outside the session's hours")
        if missing:
            remarks.insert(0, f"{len(missing):,} tickers that traded have no slots, or too few: {some(missing)}")
        return Landed(
            session=session,
            expected=day.height,
            got=day.height - len(missing),
            missing=tuple(missing),
            checksum=self._lake.write(VOLUME_SLOTS, session, slots, source),
            whole=whole and not missing,
            remark="; ".join(remarks) or None,
        )


def over(*parts: pl.DataFrame) -> pl.DataFrame:
    """The parts' slots; of the same slot that of the later part."""
    return pl.concat(parts).unique(["symbol", "slot"], keep="last")


def sums_of(slots: pl.DataFrame) -> pl.DataFrame:
    """Columns symbol, sum: the shares of each ticker's slots."""
    return slots.group_by("symbol").agg(pl.col("volume").sum().alias("sum"))


def missing_of(day: pl.DataFrame, slots: pl.DataFrame) -> list[str]:
    """The tickers that traded and have no slot, by dollar volume; of a market that is short as a whole, also those that are."""
    held = day.join(sums_of(slots), on="symbol", how="left")
    lacking = pl.col("sum").is_null()
    there = held.filter(~lacking)
    # With the market's own measure: when it is short, some ticker must be.
    least = 1 - MARKET_TOLERANCE
    if float(there["sum"].sum()) < least * float(there["volume"].sum()):
        lacking |= pl.col("sum") < least * pl.col("volume")
    return held.filter(lacking).sort(pl.col("close") * pl.col("volume"), descending=True)["symbol"].to_list()


def compare_volumes(day: pl.DataFrame, slots: pl.DataFrame) -> tuple[list[str], bool]:
    """Remarks on slot sums that differ from the day's volume; False when the market as a whole does."""
    both = day.join(sums_of(slots), on="symbol")
    off = both.filter((pl.col("sum") - pl.col("volume")).abs() > TICKER_TOLERANCE * pl.col("volume"))
    names = off.sort(pl.col("close") * pl.col("volume"), descending=True)["symbol"].to_list()
    remarks = [f"{len(names):,} tickers' slots differ from their day's volume by over 1 %: {some(names)}"] if names else []
    expected, got = float(both["volume"].sum()), float(both["sum"].sum())
    whole = abs(got - expected) <= MARKET_TOLERANCE * expected
    if not whole:
        remarks.insert(0, f"the slots hold {100 * got / expected:.0f} % of the day's volume")
    return remarks, whole


def slots_of_file(file: FlatFile, pre_open_ms: int, slots: int) -> tuple[pl.DataFrame, int]:
    """A session's slots, and how many bars lay outside its hours. Integer codes throughout: strings only at the end."""
    bars = decode_minute_file(file.data, f"minute file of {file.session}").select("symbol", "start_ms", "volume", "trades")
    pairs = bars.select(pl.col("symbol").unique())
    # The codes are polars' own: small integers, but not from 0 on for this file.
    names = pairs.select(pl.col("symbol").to_physical().cast(pl.Int64).alias("code"), pl.col("symbol").cast(pl.String))
    bars = bars.with_columns(pl.col("symbol").to_physical().cast(pl.Int64))
    codes, start_ms, volume, trades = (bars[name].to_numpy() for name in bars.columns)
    del bars  # the memory of 1.7 million rows, before more is taken
    sums = sum_slots(codes, start_ms, volume, trades, pre_open_ms, slots)
    del codes, start_ms, volume, trades
    values = pl.DataFrame({"code": sums.codes, "slot": sums.slots, "volume": sums.volume, "trades": sums.trades})
    named = values.join(names, on="code", how="left", maintain_order="left")
    return named.with_columns(pl.lit(None).alias("vwap")).select(*SCHEMA).cast(SCHEMA), sums.outside  # type: ignore[arg-type]


def slots_of_bars(bars: Sequence[IntradayBar], calendar: Calendar, sessions: Sequence[date]) -> pl.DataFrame:
    """5-minute bars of several sessions as staged rows; those of other sessions and hours are left out."""
    hours = [calendar.hours(session) for session in sessions]
    starts = np.array([int(each.pre_open_at.timestamp() * 1000) for each in hours], dtype=np.int64)
    counts = np.array([each.slots for each in hours], dtype=np.int64)
    start_ms = np.array([bar.start_ms for bar in bars], dtype=np.int64)
    place = np.searchsorted(starts, start_ms, side="right") - 1
    slot = (start_ms - starts[place]) // SLOT_MS
    values = {
        "session": pl.Series(sessions, dtype=pl.Date).gather(np.maximum(place, 0)),
        "symbol": [bar.symbol for bar in bars],
        "slot": slot,
        "volume": [bar.volume for bar in bars],
        "trades": [bar.trades for bar in bars],
        "vwap": [bar.vwap for bar in bars],
    }
    inside = (place >= 0) & (slot < counts[place])
    return pl.DataFrame(values, schema=STAGED, strict=False).filter(pl.Series(inside, dtype=pl.Boolean))


def _name(symbols: Sequence[str]) -> str:
    """Which tickers a batch was asked for: another choice of tickers is another batch."""
    return hashlib.sha256("\n".join(symbols).encode()).hexdigest()[:8]
