"""The columns of a scan: their table, and how those of a frame and of the baselines become one market.

    MarketFrame (live) + Baselines (maintenance) + Told (filings) + hours -> Market -> numpy columns, polars series

A column is computed when first asked for: a cycle needs some forty of ninety.
Here is the one border from numpy to polars: NaN and infinities become null
there (NaN >= 5 is true in polars, and sorts first). Definitions: CONTRACT.md, "Rows".
Which rows are on a list is not decided here.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from enum import Enum
from typing import NamedTuple

import numpy as np
import polars as pl

from tradeul.analytics import rvol
from tradeul.analytics.baselines import COLUMNS as BASELINE_COLUMNS
from tradeul.analytics.baselines import Baselines
from tradeul.analytics.extremes import fell_ten_percent
from tradeul.market_calendar import SessionHours
from tradeul.records.frame import FloatArray, MarketFrame
from tradeul.records.tickers import Ticker
from tradeul.scanner.classes import is_of_class, leverage_of
from tradeul.scanner.sql import Kind
from tradeul.scanner.told import INSTANTS, NOTHING, TEXTS, Told


class Form(Enum):
    """How a value is written on the wire; numbers: decimals."""

    PRICE = 4
    PERCENT = 2
    RATIO = "2"  # another object than PERCENT
    COUNT = 0  # shares and dollars
    SIGNIFICANT = "3 digits"
    TIME = "ISO 8601"
    TEXT = "text"
    FLAG = "flag"


class Column(NamedTuple):
    form: Form
    on_wire: bool = True  # False: for scans and `explain` only


def _columns(form: Form, names: str, *, on_wire: bool = True) -> dict[str, Column]:
    return {name: Column(form, on_wire) for name in names.split()}


# Every column of CONTRACT.md. One that nothing fills yet is null everywhere, so that a list may name it.
COLUMNS: dict[str, Column] = {
    **_columns(Form.TEXT, "symbol name class leverage exchange sector industry baseline gap_state headline filing_form corp_action"),
    **_columns(Form.FLAG, "halted ssr partial ipo"),
    **_columns(Form.PRICE, "price open close high low vwap pm_high pm_low prev_close atr"),
    **_columns(Form.PERCENT, "change_pct gap_pct from_open_pct post_change_pct chg_1m chg_5m chg_15m chg_30m atr_pct vol_pct_adv"),
    **_columns(Form.PERCENT, "range_pos vwap_dist_pct spread_pct short_pct_float hi_52w_dist_pct lo_52w_dist_pct"),
    **_columns(Form.PERCENT, "sma20_dist_pct sma50_dist_pct sma200_dist_pct"),
    **_columns(Form.RATIO, "rvol rvol_5m slot_lz range_atr float_rotation"),
    **_columns(Form.COUNT, "volume dollar_volume trades pm_volume post_volume high_count low_count vol_1m vol_5m vol_15m vol_30m"),
    **_columns(Form.COUNT, "dvol_5m trades_5m avg_volume_20d avg_dollar_volume_20d market_cap free_float"),
    **_columns(Form.SIGNIFICANT, "expected_volume"),
    **_columns(Form.TIME, "updated_at first_seen_at high_at low_at vwap_cross_at news_at filing_at"),
    **_columns(Form.TEXT, "phase", on_wire=False),
    **_columns(Form.COUNT, "since_open_s since_close_s age_s high_age_s low_age_s vwap_cross_age_s", on_wire=False),
    **_columns(Form.COUNT, "post_dollar_volume post_trades", on_wire=False),
}

_KINDS = {Form.TEXT: Kind.TEXT, Form.FLAG: Kind.CONDITION}
KINDS: dict[str, Kind] = {name: _KINDS.get(column.form, Kind.NUMBER) for name, column in COLUMNS.items()}
_TYPES = {Kind.TEXT: pl.String, Kind.CONDITION: pl.Boolean, Kind.NUMBER: pl.Float64}

# Beyond it a value is nonsense, and sums of such could leave float64; infinities are, too.
LARGEST = 1e100

# Texts that are computed as places in a tuple of words; live's `gap_state` counts like this.
CODED = {"baseline": rvol.QUALITIES, "gap_state": ("filled", "holding", "fading")}

# A split announced for today is believed unless the price says otherwise (CONTRACT.md, `corp_action`).
AGREES_WITH_UNADJUSTED = float(np.log(1.25))
DISAGREES_WITH_ADJUSTED = float(np.log(1.6))
UNVERIFIED = "unverified"

NOBODY: Mapping[str, Ticker] = {}
NEW_DAYS = 7  # five sessions
EPOCH = date(1970, 1, 1).toordinal()  # from which polars counts days


class Join:
    """Where each symbol of a frame stands in the baselines; kept while both stay the same."""

    def __init__(self, symbols: Sequence[str], baselines: Baselines | None, newcomers: Mapping[str, Ticker] = NOBODY) -> None:
        """``newcomers``: what is known of symbols that the baselines do not know."""
        self.symbols = list(symbols)
        self.newcomers = newcomers
        self.baselines = baselines
        known: Sequence[str] = baselines.table["symbol"].to_list() if baselines else ()
        places = {symbol: place for place, symbol in enumerate(known)}
        self.rows = np.array([places.get(symbol, -1) for symbol in self.symbols], dtype=np.intp)
        self.absent = self.rows < 0
        self.place_of = {symbol: place for place, symbol in enumerate(self.symbols)}
        # Ties on a list go by symbol; symbols that appeared today stand last in a frame.
        self.symbol_rank = np.empty(len(self.symbols), dtype=np.intp)
        self.symbol_rank[np.argsort(np.array(self.symbols, dtype=object), kind="stable")] = np.arange(len(self.symbols))
        self.texts: dict[str, Sequence[str | None]] = {name: self._texts(column) for name, column in TEXTS_OF_BASELINES.items()}
        self.texts["symbol"] = self.symbols
        self.texts["leverage"] = [leverage_of(*each) for each in zip(self.texts["class"], self.texts["name"], strict=True)]
        self.series = {name: pl.Series(name, values, dtype=pl.String) for name, values in self.texts.items()}
        self.listed = self._listed()
        self.classes: dict[str, np.ndarray[tuple[int], np.dtype[np.bool_]]] = {}  # filled by `floors.class_mask`
        self.announced = np.array([place for place, text in enumerate(self.texts["corp_action"]) if text is not None], dtype=np.intp)

    def fits(self, symbols: Sequence[str], baselines: Baselines | None, newcomers: Mapping[str, Ticker] = NOBODY) -> bool:
        same = self.baselines is baselines and len(self.newcomers) == len(newcomers)  # they only grow
        return same and self.symbols == (symbols if isinstance(symbols, list) else list(symbols))

    def spread(self, values: FloatArray) -> FloatArray:
        """``values`` of the baselines' rows, in the order of the frame: NaN where a symbol has none."""
        if not len(values):
            return np.full(len(self.rows), np.nan)
        spread: FloatArray = values[self.rows]
        spread[self.absent] = np.nan
        return spread

    def _listed(self) -> FloatArray:
        """The day number of each one's list date; NaN where nobody told it."""
        dates = self.baselines.table["list_date"] if self.baselines else pl.Series(dtype=pl.Date)
        days = self.spread(dates.to_physical().cast(pl.Float64).to_numpy() + EPOCH)
        for symbol, ticker in self.newcomers.items():
            place = self.place_of.get(symbol)
            if place is not None and self.absent[place] and ticker.list_date is not None:
                days[place] = ticker.list_date.toordinal()
        return days

    def _texts(self, column: str) -> list[str | None]:
        texts: list[str | None] = [None] * len(self.symbols)
        if self.baselines is not None:
            values = self.baselines.table[column].to_list()
            texts = [values[row] if row >= 0 else None for row in self.rows.tolist()]
        for symbol, ticker in self.newcomers.items():
            place = self.place_of.get(symbol)
            if place is not None and self.absent[place]:
                texts[place] = getattr(ticker, column, None)
        return texts


TEXTS_OF_BASELINES = {name: name for name in ("name", "exchange", "sector", "industry", "corp_action")} | {"class": "kind"}


class Market:
    """One frame and what it is held against, as columns computed on demand."""

    def __init__(self, frame: MarketFrame, join: Join, hours: SessionHours, told: Told = NOTHING) -> None:
        self.frame = frame
        self.told = told
        self.join = join
        self.hours = hours
        self.phase = hours.phase(frame.as_of)
        self.seconds = (frame.as_of - hours.pre_open_at).total_seconds()
        self._t = frame.as_of.timestamp()
        self._numbers: dict[str, FloatArray] = {}
        self.delivered: dict[str, bool] = {}  # filled by `scan.lacking`: a thousand lists ask for the same
        self._unknown = np.full(len(join.symbols), np.nan)
        self.auction_slots = {int((at - hours.pre_open_at).total_seconds() // rvol.SLOT_SECONDS) for at in (hours.open_at, hours.close_at)}

    def __len__(self) -> int:
        return len(self.join.symbols)

    def __getitem__(self, name: str) -> FloatArray:
        """A column of numbers or flags: finite, or NaN."""
        column = self._numbers.get(name)
        if column is None:
            column = self._numbers[name] = self._compute(name)
        return column

    def _compute(self, name: str) -> FloatArray:
        with np.errstate(all="ignore"):
            if name in DERIVED:
                column = DERIVED[name](self)
            elif name in INSTANTS:
                column = self.told.instants(name, self.join.place_of)
            elif name in NUMBERS_OF_BASELINES and self.join.baselines is not None:
                column = self.join.spread(self.join.baselines.table[name].to_numpy().astype(np.float64))
            else:
                column = self.frame.columns.get(name, self._unknown)
            return np.where(np.abs(column) <= LARGEST, column, np.nan)

    def inputs_of(self, name: str) -> list[str]:
        """What a computed column is made from, in the order in which it asks; empty for what live or the baselines give."""
        if name not in DERIVED:
            return []
        traced = _Traced(self)
        with np.errstate(all="ignore"):
            DERIVED[name](traced)
        return list(traced.asked)

    def is_delivered(self, name: str) -> bool:
        """Whether the source gives this input at all (a recorded market knows no trades); while all rows are partial nobody can tell."""
        return not np.isnan(self[name]).all() or bool((self["partial"] == 1).all())

    def since(self, name: str) -> FloatArray:
        return self._t - self[name]

    def constant(self, value: float | None) -> FloatArray:
        return self._unknown if value is None else np.full(len(self), value)

    def expected(self, seconds_ago: float) -> FloatArray:
        if self.frame.whole_day:  # its volume is the whole session's
            return self["avg_volume_20d"]
        if self.join.baselines is None:
            return self._unknown
        return self.join.spread(rvol.expected_volume(self.join.baselines.cumulative, self.seconds - seconds_ago, self.auction_slots))

    def slot_log_z(self) -> FloatArray:
        if self.join.baselines is None:
            return self._unknown
        slot = rvol.moment(self.seconds, self.auction_slots).slot
        profiles = self.join.baselines.log_mean, self.join.baselines.log_sd
        mean, deviation = (rvol.judging_slots(profile, slot)[self.join.rows] for profile in profiles)
        return rvol.slot_log_z(self["vol_5m"], mean, deviation, self["sessions"])  # a symbol without a row has no sessions

    def texts(self, name: str, places: Sequence[int]) -> list[str | None]:
        """A text column at some rows."""
        if name in CODED:
            words = CODED[name]
            return [None if code != code else words[int(code)] for code in self._codes(name)[places].tolist()]
        if name == "corp_action":
            doubtful = set(self._doubtful().tolist())
            return [UNVERIFIED if place in doubtful else self.join.texts[name][place] for place in places]
        if name == "phase":
            return [str(self.phase)] * len(places)
        if name in TEXTS:
            return self.told.texts(name, [self.join.symbols[place] for place in places])
        values = self.join.texts.get(name)
        return [None if values is None else values[place] for place in places]

    def series(self, name: str, places: "np.ndarray[tuple[int], np.dtype[np.intp]] | None" = None) -> pl.Series:
        """A column as polars has it, of all rows or of those at ``places``."""
        if KINDS[name] is not Kind.TEXT:
            numbers = pl.Series(name, self[name] if places is None else self[name].take(places), nan_to_null=True)
            return numbers if KINDS[name] is Kind.NUMBER else numbers != 0
        if name == "phase":
            return pl.Series(name, [str(self.phase)]).new_from_index(0, len(self) if places is None else len(places))
        if name in CODED:
            codes = self._codes(name) if places is None else self._codes(name).take(places)
            return pl.Series(name, (*CODED[name], None))[np.where(codes == codes, codes, len(CODED[name])).astype(np.uint32)]
        if name == "corp_action" and len(doubtful := self._doubtful()):
            texts = self.join.series[name].clone().scatter(doubtful, UNVERIFIED)
        elif name in self.join.series:
            texts = self.join.series[name]
        elif name in TEXTS:
            texts = pl.Series(name, self.told.texts(name, self.join.symbols), dtype=pl.String)
        else:
            texts = pl.repeat(None, len(self), dtype=pl.String, eager=True).alias(name)
        return texts if places is None else texts[places]

    def _codes(self, name: str) -> FloatArray:
        codes = self[name]
        return np.where((codes >= 0) & (codes < len(CODED[name])), codes, np.nan)

    def table(self, names: Iterable[str], places: "np.ndarray[tuple[int], np.dtype[np.intp]] | None" = None) -> pl.DataFrame:
        """Some columns, of all rows or of those at ``places``."""
        return pl.DataFrame([self.series(name, places) for name in names])

    def is_unverified(self) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
        mask = np.zeros(len(self), dtype=np.bool_)
        mask[self._doubtful()] = True
        return mask

    def _doubtful(self) -> "np.ndarray[tuple[int], np.dtype[np.intp]]":
        """Rows whose announced split the price contradicts."""
        some = self.join.announced
        with np.errstate(all="ignore"):
            from_unadjusted = np.abs(np.log(self["price"][some] / self["prev_close_raw"][some]))
            from_adjusted = np.abs(np.log(self["price"][some] / self["prev_close"][some]))
        return some[(from_unadjusted <= AGREES_WITH_UNADJUSTED) & (from_adjusted > DISAGREES_WITH_ADJUSTED)]


class _Traced(Market):
    """The same market; notes which columns it is asked for."""

    def __init__(self, market: Market) -> None:
        self.__dict__.update(market.__dict__)
        self.asked: dict[str, None] = {}

    def __getitem__(self, name: str) -> FloatArray:
        self.asked[name] = None
        return super().__getitem__(name)


def market_table(frame: MarketFrame, baselines: Baselines | None, hours: SessionHours) -> pl.DataFrame:
    """Every column for every symbol, unrounded."""
    return Market(frame, Join(frame.symbols, baselines, frame.newcomers), hours).table(COLUMNS)


def _change(value: FloatArray, base: FloatArray) -> FloatArray:
    return 100 * (value - base) / np.where(base > 0, base, np.nan)


def _gap(market: Market) -> FloatArray:
    """The open's; indicated before it. A ticker that never opened keeps that of the close."""
    indicated = np.where(np.isnan(market["price_at_close"]), market["price"], market["price_at_close"])
    return _change(np.where(np.isnan(market["open"]), indicated, market["open"]), market["prev_close"])


def _restricted(market: Market) -> FloatArray:
    """`ssr`: by this session's regular hours so far, or still by the last one's; where neither says so both must be known."""
    today = np.where(np.isnan(market["regular_low"]), 0.0, fell_ten_percent(market["regular_low"], market["prev_close"]))
    before = market["restricted_before"]
    return np.where((today == 1) | (before == 1), 1.0, today + before)


def _newly_listed(market: Market) -> FloatArray:
    """`ipo`: a stock within the first sessions after its list date."""
    join = market.join
    days = market.frame.session.toordinal() - join.listed
    new = np.where(np.isnan(days), np.nan, (days >= 0) & (days < NEW_DAYS))
    for place in np.flatnonzero(new == 1).tolist():
        new[place] = is_of_class(join.symbols[place], join.texts["class"][place], join.texts["name"][place], "stocks")
    return new


def _quality(market: Market) -> FloatArray:
    quality = rvol.quality(market["expected_volume"], market["sessions"])
    # A day's mean knows no time of day.
    return (~np.isnan(market["expected_volume"])).astype(np.float64) if market.frame.whole_day else quality


def _after(market: Market, instant_name: str) -> FloatArray:
    """Seconds since an instant of the session; unknown before it."""
    seconds = (market.frame.as_of - getattr(market.hours, instant_name)).total_seconds()
    return market.constant(seconds if seconds >= 0 else None)


def _after_close(market: Market, values: FloatArray) -> FloatArray:
    return values if market.frame.as_of >= market.hours.close_at else market.constant(None)


NUMBERS_OF_BASELINES = frozenset(name for name, kind in BASELINE_COLUMNS.items() if kind.is_numeric())


DERIVED: dict[str, Callable[[Market], FloatArray]] = {
    "expected_volume": lambda m: m.expected(0),
    "rvol": lambda m: rvol.relative_volume(m["volume"], m["expected_volume"]),
    "rvol_5m": lambda m: rvol.relative_volume_5m(m["vol_5m"], m["expected_volume"], m.expected(rvol.SLOT_SECONDS)),
    "slot_lz": Market.slot_log_z,
    "baseline": _quality,
    "change_pct": lambda m: _change(m["price"], m["prev_close"]),
    "gap_pct": _gap,
    "ssr": _restricted,
    "ipo": _newly_listed,
    "from_open_pct": lambda m: _change(m["price"], m["open"]),
    "post_change_pct": lambda m: _after_close(m, _change(m["price"], m["close"])),
    "post_volume": lambda m: _after_close(m, m.frame.columns.get("post_volume", m.constant(None))),
    "atr_pct": lambda m: 100 * m["atr"] / m["price"],
    "range_atr": lambda m: (m["high"] - m["low"]) / m["atr"],
    "vol_pct_adv": lambda m: 100 * m["volume"] / m["avg_volume_20d"],
    "market_cap": lambda m: m["shares"] * m["price"],
    "float_rotation": lambda m: m["volume"] / m["free_float"],
    "short_pct_float": lambda m: 100 * m["short_interest"] / m["free_float"],
    "hi_52w_dist_pct": lambda m: _change(m["price"], m["high_52w"]),
    "lo_52w_dist_pct": lambda m: _change(m["price"], m["low_52w"]),
    "sma20_dist_pct": lambda m: _change(m["price"], m["sma20"]),
    "sma50_dist_pct": lambda m: _change(m["price"], m["sma50"]),
    "sma200_dist_pct": lambda m: _change(m["price"], m["sma200"]),
    "range_pos": lambda m: 100 * (m["price"] - m["low"]) / (m["high"] - m["low"]),
    "vwap_dist_pct": lambda m: 100 * (m["price"] - m["vwap"]) / m["vwap"],
    "since_open_s": lambda m: _after(m, "open_at"),
    "since_close_s": lambda m: _after(m, "close_at"),
    "age_s": lambda m: m.since("updated_at"),
    "high_age_s": lambda m: m.since("high_at"),
    "low_age_s": lambda m: m.since("low_at"),
    "vwap_cross_age_s": lambda m: m.since("vwap_cross_at"),
}
