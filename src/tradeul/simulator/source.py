"""What a market must answer so that the server can serve it. Two do: `synthetic.SyntheticMarket` and `recorded.RecordedMarket`.

Endpoints never compute a bar themselves: snapshot, aggregates, daily bars, flat
files and stream are sums over what these methods return (`market.py`), so they agree.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from tradeul.records.tickers import Split
from tradeul.simulator.bars import Bars
from tradeul.simulator.hashing import Floats
from tradeul.simulator.story import Halt
from tradeul.simulator.universe import Issue


class DailyColumns(msgspec.Struct, frozen=True):
    """Complete daily bars, dollars and shares, raw; one row for each issue (or session) that traded. NaN: not known."""

    key: NDArray[np.int64]  # the issue's number, or the place of the session asked for
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    vwap: Floats
    trades: Floats

    def take(self, which: NDArray[np.bool_]) -> "DailyColumns":
        return DailyColumns(**{name: getattr(self, name)[which] for name in self.__struct_fields__})


class News(msgspec.Struct, frozen=True):
    number: int
    published_at: datetime
    title: str
    description: str


class Source(Protocol):
    """All of it is a pure function of the arguments; called from threads, one at a time."""

    @property
    def counts_trades(self) -> bool:
        """False: no trade counts, no volume-weighted prices, no seconds."""
        ...

    @property
    def issues(self) -> Sequence[Issue]: ...

    @property
    def number_of(self) -> Mapping[str, int]: ...

    @property
    def splits(self) -> Sequence[Split]:
        """All of them, also those to come, in order of session."""
        ...

    def covers(self, session: date) -> bool:
        """False: there is no data for it, and no other method may be asked for it."""
        ...

    def minutes(self, session: date) -> Bars:
        """The whole market's minute bars."""
        ...

    def minutes_of(self, number: int, sessions: Sequence[date]) -> list[Bars]:
        """One issue's minute bars, session by session."""
        ...

    def seconds(self, session: date, minutes: Bars) -> Bars:
        """Second bars of these minute bars (of one session). Empty if there are none."""
        ...

    def daily(self, session: date) -> DailyColumns: ...

    def daily_of(self, number: int, sessions: Sequence[date]) -> DailyColumns: ...

    def halts(self, session: date) -> Sequence[Halt]: ...

    def late(self, session: date, bars: Bars) -> NDArray[np.int64]:
        """Seconds by which the stream first sends a bar too small; 0: never."""
        ...

    def news(self, session: date) -> Sequence[News]: ...
