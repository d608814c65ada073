"""What the lake says of a ticker or a session, in answer to one question. It computes from what is there, and loads nothing.

    question -> sessions of its range, those of one issue -> rows by ticker -> split factors for one session -> records

Calls block, and they are one thread's (`ByTicker`). It knows no HTTP.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from itertools import islice
from math import isnan
from typing import Any

import msgspec
import numpy as np
import polars as pl

from tradeul.analytics.atr import BARS, average_true_range
from tradeul.analytics.rvol import QUALITIES, quality, relative_volume
from tradeul.analytics.sectors import sector_of
from tradeul.analytics.slots import profile
from tradeul.analytics.splits import factors
from tradeul.analytics.tenures import bears
from tradeul.api.history.bearers import Bearers, Listing, within
from tradeul.clock import Clock
from tradeul.errors import NotKept, QuestionRefused
from tradeul.market_calendar import SLOT_SECONDS, Calendar
from tradeul.records.partitions import LedgerRow, State
from tradeul.records.past import Atr, EarlyClose, Metadata, PastDay, PastMinute, PastSlot, Rvol, SlotRvol
from tradeul.records.tickers import Split, Tenure
from tradeul.store.by_ticker import ByTicker
from tradeul.store.lake import Lake

OHLC_DAILY, VOLUME_SLOTS, MINUTE_BARS = "ohlc_daily", "volume_slots", "minute_bars"
TICKERS, SPLITS, METADATA = "tickers", "splits", "metadata_enrich"
PRICES = ("open", "high", "low", "close")
DAY = (*PRICES, "volume", "vwap", "trades")
TOLD_ON = {"details_on": ("shares", "sic_code", "industry", "list_date"), "float_on": ("free_float",), "short_on": ("short_interest",)}
SLOT = timedelta(seconds=SLOT_SECONDS)


class Kept(msgspec.Struct, frozen=True):
    """How many sessions maintenance keeps and averages over (settings)."""

    daily_sessions: int
    slot_sessions: int
    rvol_sessions: int


class Range(msgspec.Struct, frozen=True):
    """The sessions of one page, and what of them can be told."""

    dataset: str
    start: date
    end: date
    adjusted_for: date | None
    tenure: Tenure | None  # whose sessions they are
    sessions: tuple[date, ...]  # that history holds
    lacking: tuple[date, ...]
    unfinished: tuple[date, ...]
    next_start: date | None  # of the next page
    running: date | None = None  # the session of the page that another tells


class Past:
    def __init__(
        self, lake: Lake, rows: ByTicker, ledger: Callable[[], Sequence[LedgerRow]], calendar: Calendar, clock: Clock, kept: Kept
    ) -> None:
        self._lake = lake
        self._rows = rows
        self.bearers = Bearers(rows)
        self._tried: set[tuple[str, date, object]] = set()  # what could not be warmed
        self._ledger = ledger
        self._calendar = calendar
        self._clock = clock
        self._kept = kept
        self._states: tuple[Sequence[LedgerRow], Mapping[tuple[str, date], State]] = (), {}
        self._splits: tuple[object, dict[str, list[Split]]] = None, {}

    def warm(self) -> bool:
        """Decode one partition that questions about now will need, newest first. False: there is none left.

        Raises:
            StoreError: it cannot be read; it is not tried again.
        """
        for session in self._rows.sessions(TICKERS)[-1:]:
            self.bearers.listing(session)
        for session in self._rows.sessions(METADATA)[-1:]:
            self._rows.whole(METADATA, session)
        self._known_splits()
        for dataset, sessions in ((OHLC_DAILY, self._kept.daily_sessions), (VOLUME_SLOTS, self._kept.slot_sessions)):
            for session, mark in self._rows.cold(dataset, sessions):
                if (dataset, session, mark) not in self._tried:
                    self._tried.add((dataset, session, mark))
                    self._rows.warm(dataset, session)
                    self._tried.discard((dataset, session, mark))
                    return True
        return False

    # ---- ranges

    def range(
        self,
        dataset: str,
        start: date | None,
        end: date | None,
        limit: int | None,
        adjusted_for: date | None,
        tenure: Tenure | None,
        running: date | None = None,
    ) -> Range:
        """The first ``limit`` sessions of ``tenure`` from ``start`` on; without ``start`` or ``end``, as far as history goes.

        ``running``: the session that another will tell, unless history holds it.

        Raises:
            NotKept: there is nothing of this dataset; QuestionRefused: start after end, or before the first known split.
        """
        held = self._rows.sessions(dataset)
        running = None if running in held else running
        held = held if running is None else (*held, running)
        if not held and dataset == MINUTE_BARS:
            raise NotKept("No minute bars are kept: TRADEUL_KEEP_MINUTE_BARS says for how many sessions they shall be.")
        if not held:
            raise NotKept(f"History holds no {dataset} yet: `POST /api/warmup` has maintenance load what is due.")
        known_since = self._splits_known_since()
        oldest = held[0] if adjusted_for is None or known_since is None else max(held[0], known_since)
        end = end or (held[-1] if adjusted_for is None else min(held[-1], adjusted_for))
        start = start or min(oldest, end)
        if adjusted_for is not None and end > adjusted_for:
            raise QuestionRefused(f"end={end} is after as_of={adjusted_for}: bars are adjusted for a session that they precede.")
        if start > end:
            raise QuestionRefused(f"start={start} is after end={end}.")
        if adjusted_for is not None and known_since is not None and start < min(known_since, held[-1]):
            raise QuestionRefused(f"Splits before {known_since} are not kept: ask with adjusted=false, or from start={known_since} on.")
        sessions = within(tenure, self._calendar.between(start, end))
        page, rest = (sessions[:limit], sessions[limit:]) if limit else (sessions, [])
        there = set(held)
        lacking = [each for each in page if each not in there]
        unfinished = [each for each in page if each in there and self._state(dataset, each) is not State.COMPLETED]
        told = tuple(each for each in page if each in there and each != running)
        onward = rest[0] if rest else None
        kept = told, tuple(lacking), tuple(unfinished), onward
        return Range(dataset, start, end, adjusted_for, tenure, *kept, running if running in page else None)

    def has_any(self, dataset: str) -> bool:
        return bool(self._rows.sessions(dataset))

    def newest(self, dataset: str) -> date:
        """Raises NotKept: there is nothing of this dataset."""
        held = self._rows.sessions(dataset)
        if not held:
            raise NotKept(self._holds(dataset, self.current_session()))
        return held[-1]

    def early_closes(self, asked: Range) -> tuple[EarlyClose, ...]:
        """A chart shades by them; every other session closes at 16:00."""
        sessions = (*asked.sessions, *asked.lacking, *([asked.running] if asked.running else []))
        hours = (self._calendar.hours(session) for session in sorted(sessions))
        return tuple(EarlyClose(each.session, each.close_at) for each in hours if not each.is_full_length)

    def current_session(self) -> date:
        return self._calendar.current_session(self._clock.now())

    def mark(self, asked: Range) -> str:
        """Another text as soon as anything behind the range is replaced."""
        splits = [(each, self._rows.mark(SPLITS, each)) for each in self._rows.sessions(SPLITS)[-1:]]
        return f"{asked} {[self._rows.mark(asked.dataset, each) for each in asked.sessions]} {splits}"

    def check_known(self, symbol: str) -> None:
        """For an answer without a row.

        Raises:
            NotKept: the ticker is on no list that is kept.
        """
        for session in self._rows.sessions(TICKERS)[::-1]:
            if self.bearers.listing(session).tenures(symbol):
                return
        raise NotKept(f"No ticker {symbol[:20]!r} is known: symbols are spelled as in /api/universe (BRK.B, BACpM).")

    # ---- bars and slots

    def days(self, symbol: str, asked: Range) -> list[PastDay]:
        adjust = dict(zip(asked.sessions, self._factors(symbol, asked).tolist(), strict=True))
        found: list[PastDay] = []
        for session, (open_, high, low, close, volume, vwap, trades) in self._rows.single_rows(OHLC_DAILY, asked.sessions, symbol, DAY):
            f = adjust[session]
            known = None if isnan(vwap) else vwap * f, None if isnan(trades) else int(trades)
            found.append(PastDay(session, open_ * f, high * f, low * f, close * f, volume / f, *known))
        return found

    def slots(self, symbol: str, asked: Range) -> list[PastSlot]:
        adjust = self._factors(symbol, asked)
        found: list[PastSlot] = []
        for place, session in enumerate(asked.sessions):
            rows = self._rows.rows(VOLUME_SLOTS, session, symbol, ("slot", "volume", "trades", "vwap"))
            if rows is None:
                continue
            begun_at, factor = self._calendar.hours(session).pre_open_at, float(adjust[place])
            volumes = rows["volume"] / factor
            cumulative = np.cumsum(volumes)
            for row, slot in enumerate(rows["slot"].tolist()):
                amounts = float(volumes[row]), float(cumulative[row])
                told = _whole(rows, "trades", row), _scaled(rows, "vwap", row, factor)
                found.append(PastSlot(session, slot, begun_at + slot * SLOT, *amounts, *told))
        return found

    def minutes(self, symbol: str, asked: Range) -> Iterator[list[PastMinute]]:
        """Session by session."""
        adjust = self._factors(symbol, asked)
        for place, session in enumerate(asked.sessions):
            factor = float(adjust[place])
            frame = self._lake.read_ticker(MINUTE_BARS, session, symbol).with_columns(
                *(pl.col(name) * factor for name in (*PRICES, "vwap")), pl.col("volume") / factor
            )
            yield [PastMinute(session, *row) for row in frame.select(*PastMinute.__struct_fields__[1:]).iter_rows()]

    def _factors(self, symbol: str, asked: Range) -> np.ndarray[Any, np.dtype[np.float64]]:
        if asked.adjusted_for is None:
            return np.ones(len(asked.sessions))
        return self._factors_for(symbol, asked.sessions, asked.adjusted_for)

    def _factors_for(self, symbol: str, sessions: Sequence[date], served: date) -> np.ndarray[Any, np.dtype[np.float64]]:
        splits = self._known_splits().get(symbol)
        if not splits:
            return np.ones(len(sessions))
        row: np.ndarray[Any, np.dtype[np.float64]] = factors([symbol], sessions, splits, served)[0]
        return row

    def _known_splits(self) -> dict[str, list[Split]]:
        """By symbol, of the newest partition."""
        newest = self._rows.sessions(SPLITS)[-1:]
        mark = [(session, self._rows.mark(SPLITS, session)) for session in newest]
        if self._splits[0] != mark:
            found: dict[str, list[Split]] = {}
            for session in newest:
                frame = self._rows.whole(SPLITS, session).select("symbol", "effective", "split_from", "split_to")
                for row in frame.iter_rows():
                    found.setdefault(row[0], []).append(Split(*row))
            self._splits = mark, found
        return self._splits[1]

    def _splits_known_since(self) -> date | None:
        newest = self._rows.sessions(SPLITS)[-1:]
        return self._window(newest[0])[0] if newest else None

    def _window(self, served: date) -> list[date]:
        """The sessions whose daily bars and splits go into what is told of ``served``."""
        return self._calendar.before(served, max(self._kept.daily_sessions, self._kept.slot_sessions))

    # ---- what lists stand on

    def rvol(self, symbol: str, session: date, slot: int | None) -> Rvol:
        """Of the running session what is usual; its own shares are not history's to tell until they are kept.

        Raises:
            NotKept: the slots of an earlier session are not there; QuestionRefused: the session has no such slot.
        """
        hours = self._calendar.hours(session)
        if slot is not None and not 0 <= slot < hours.slots:
            raise QuestionRefused(f"slot={slot}: {session} has slots 0 to {hours.slots - 1}, of five minutes from 04:00 ET on.")
        today = self._rows.rows(VOLUME_SLOTS, session, symbol, ("slot", "volume"))
        averaged = self._averaged(session)
        if today is None and (session != self.current_session() or not averaged):
            raise NotKept(self._holds(VOLUME_SLOTS, session))
        tenure = self.bearers.tenure(symbol, session)
        if today is not None and not bears(tenure, session):
            today = {name: values[:0] for name, values in today.items()}
        before = within(tenure, averaged)
        adjust = self._factors_for(symbol, before, session)
        rows = [self._rows.rows(VOLUME_SLOTS, each, symbol, ("slot", "volume")) for each in before]
        folded = ((np.zeros(len(own["slot"]), np.int64), own["slot"].astype(np.int64), own["volume"] / factor)
                  for own, factor in zip(rows, adjust, strict=True) if own is not None)  # fmt: skip
        usual = profile(1, folded)
        own_volume = np.full(hours.slots, np.nan if today is None else 0.0)
        if today is not None:
            own_volume[today["slot"]] = today["volume"]
        volume, expected = np.cumsum(own_volume), usual.cumulative[0, : hours.slots]
        ratios, grades = relative_volume(volume, expected), quality(expected, np.full(hours.slots, float(usual.sessions[0])))
        wanted = range(hours.slots) if slot is None else [slot]
        told = [SlotRvol(s, _known(volume[s]), _known(expected[s]), _known(ratios[s]), QUALITIES[int(grades[s])]) for s in wanted]
        if (today is None or not len(today["slot"])) and not usual.sessions[0]:
            self.check_known(symbol)
        bearer = self.bearers.told(tenure)
        return Rvol(symbol=symbol, bearer=bearer, session=session, sessions=int(usual.sessions[0]), slots=tuple(told))

    def _averaged(self, session: date) -> list[date]:
        """The sessions that relative volume of ``session`` averages over, oldest first, as the baselines' task has them."""
        before = self._calendar.before(session, self._kept.slot_sessions)
        whole = [each for each in before if self._calendar.hours(each).is_full_length and self._is_complete(VOLUME_SLOTS, each)]
        return whole[-self._kept.rvol_sessions :]

    def atr(self, symbol: str, session: date) -> Atr:
        """Raises NotKept: no daily bar before the session is there."""
        self._calendar.hours(session)
        window = [each for each in self._window(session) if self._is_complete(OHLC_DAILY, each)]
        if not window:
            raise NotKept(self._holds(OHLC_DAILY, session))
        tenure = self.bearers.tenure(symbol, session)
        own, bearer = within(tenure, window[::-1]), self.bearers.told(tenure)
        found = list(islice(self._rows.single_rows(OHLC_DAILY, own, symbol, ("high", "low", "close")), BARS))
        if not found:
            self.check_known(symbol)
            return Atr(symbol=symbol, bearer=bearer, session=session, atr=None, bars=0, newest_bar=None, close=None)
        found.reverse()
        sessions = [each for each, _ in found]
        adjust = self._factors_for(symbol, sessions, session)
        high, low, close = (np.array([[row[column] for _, row in found]]) * adjust for column in range(3))
        atr = _known(average_true_range(high, low, close)[0])
        newest, last = sessions[-1], float(close[0, -1])
        return Atr(symbol=symbol, bearer=bearer, session=session, atr=atr, bars=len(found), newest_bar=newest, close=last)

    # ---- tickers

    def universe(self, session: date) -> tuple[date, Listing]:
        """The list that was current in ``session``, and the session that it was loaded for."""
        listed_on = self._newest(TICKERS, session)
        if listed_on is None:
            raise NotKept(self._holds(TICKERS, session))
        return listed_on, self.bearers.listing(listed_on)

    def metadata(self, symbol: str, session: date) -> Metadata:
        """Raises NotKept: the ticker was not listed then, or nothing of then is there."""
        listed_on, listing = self.universe(session)
        listed = _row(listing.listed, symbol)
        if listed is None:
            raise NotKept(f"{symbol[:20]!r} is not on the list of {listed_on}: /api/universe?session={session} is that list.")
        tenure = self.bearers.tenure(symbol, session)
        told_on = self._newest(METADATA, session)
        told = (None if told_on is None else _row(self._rows.whole(METADATA, told_on), symbol)) or {}
        for day, names in TOLD_ON.items():
            if told.get(day) is not None and not bears(tenure, told[day]):
                told |= dict.fromkeys((day, *names))  # another issuer's
        fields: dict[str, Any] = {name: (listed | told).get(name) for name in Metadata.__struct_fields__}
        own = {"symbol": symbol, "bearer": self.bearers.told(tenure), "session": session, "listed_on": listed_on}
        return Metadata(**fields | own | {"sector": sector_of(told.get("sic_code"))})

    def _newest(self, dataset: str, session: date) -> date | None:
        return max((each for each in self._rows.sessions(dataset) if each <= session), default=None)

    # ---- the ledger

    def _is_complete(self, dataset: str, session: date) -> bool:
        return self._state(dataset, session) is State.COMPLETED

    def _state(self, dataset: str, session: date) -> State:
        rows = self._ledger()
        if self._states[0] is not rows:
            self._states = rows, {(row.dataset, row.session): row.state for row in rows}
        return self._states[1].get((dataset, session), State.PENDING)

    def _holds(self, dataset: str, session: date) -> str:
        held = self._rows.sessions(dataset)
        what = f"from {held[0]} to {held[-1]}" if held else "none yet: `POST /api/warmup` has maintenance load what is due"
        return f"History holds no {dataset} for {session}; it holds {what}."


def _row(frame: pl.DataFrame, symbol: str) -> dict[str, Any] | None:
    """The row of a partition with one row per symbol; they are sorted by it."""
    place = int(frame["symbol"].search_sorted(symbol))
    if place < frame.height and frame["symbol"][place] == symbol:
        return frame.row(place, named=True)
    return None


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _scaled(rows: Mapping[str, Any], name: str, row: int, factor: float) -> float | None:
    return _known(rows[name][row] * factor) if name in rows else None


def _whole(rows: Mapping[str, Any], name: str, row: int) -> int | None:
    value = _known(rows[name][row]) if name in rows else None
    return None if value is None else int(value)
