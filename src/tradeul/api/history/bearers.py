"""Whose a ticker was, as the lake's lists tell it. The newest list knows most of the past, so it alone decides about bearers."""

from collections.abc import Mapping, Sequence
from datetime import date

import msgspec
import polars as pl

from tradeul.analytics.tenures import bearer_at, bears, other_names
from tradeul.records.past import Bearer, Listed
from tradeul.records.tickers import Tenure
from tradeul.store.by_ticker import ByTicker
from tradeul.store.lake_folder import Mark
from tradeul.store.tenures import DATASET, records_of, whole_columns


class Listing:
    """One partition of `tickers`: who bears each ticker, who bore it, and which of them are one issue under two names."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame = whole_columns(frame)
        self.listed = self._frame.filter(pl.col("until").is_null())
        self.gone = self._frame.filter(pl.col("until").is_not_null())
        renamed: dict[str | None, list[Tenure]] = {}
        for tenure in records_of(self._frame.filter(pl.col("figi").is_not_null() & pl.col("figi").is_duplicated())):
            renamed.setdefault(tenure.figi, []).append(tenure)
        self._renamed: Mapping[str | None, Sequence[Tenure]] = renamed

    def tenures(self, symbol: str) -> list[Tenure]:
        """Oldest first."""
        symbols = self._frame["symbol"]
        first, last = int(symbols.search_sorted(symbol, side="left")), int(symbols.search_sorted(symbol, side="right"))
        return sorted(records_of(self._frame.slice(first, last - first)), key=lambda tenure: tenure.until or date.max)

    def page(self, after: str | None, limit: int, *, gone: bool) -> tuple[list[Listed], str | None]:
        """A page of tickers, and the symbol after which the next one begins; all that bore one ticker are on one page."""
        frame = self.gone if gone else self.listed
        start = 0 if after is None else int(frame["symbol"].search_sorted(after, side="right"))
        end = min(start + limit, frame.height)
        if start < end:
            end = int(frame["symbol"].search_sorted(frame["symbol"][end - 1], side="right"))
        tickers = []
        for tenure in records_of(frame.slice(start, end - start)):
            before, next_ = self.names(tenure)
            tickers.append(Listed(**msgspec.structs.asdict(tenure), renamed_from=before, renamed_to=next_))
        return tickers, tickers[-1].symbol if tickers and end < frame.height else None

    def names(self, tenure: Tenure) -> tuple[str | None, str | None]:
        """The ticker that the issue bore before, and the one that it bore next."""
        return other_names(self._renamed, tenure)


class Bearers:
    def __init__(self, rows: ByTicker) -> None:
        self._rows = rows
        self._kept: dict[date, tuple[Mark | None, Listing]] = {}  # the newest, and the last one asked for

    def listing(self, session: date) -> Listing:
        """Raises StoreError: there is no list of it, or it cannot be read."""
        mark = self._rows.mark(DATASET, session)
        kept = self._kept.get(session)
        if kept is None or kept[0] != mark:
            newest = self._rows.sessions(DATASET)[-1:]
            self._kept = {each: kept for each, kept in self._kept.items() if each in newest}
            self._kept[session] = kept = mark, Listing(self._rows.whole(DATASET, session))
        return kept[1]

    def tenure(self, symbol: str, day: date) -> Tenure | None:
        """None: of the ticker's bearers nothing is known."""
        newest = self._rows.sessions(DATASET)[-1:]
        return bearer_at(self.listing(newest[0]).tenures(symbol), day) if newest else None

    def told(self, tenure: Tenure | None) -> Bearer | None:
        if tenure is None:
            return None
        before, after = self.listing(self._rows.sessions(DATASET)[-1]).names(tenure)
        known = {name: getattr(tenure, name) for name in ("name", "cik", "figi", "since", "until")}
        return Bearer(**known, renamed_from=before, renamed_to=after)


def within(tenure: Tenure | None, sessions: Sequence[date]) -> list[date]:
    return [session for session in sessions if bears(tenure, session)]
