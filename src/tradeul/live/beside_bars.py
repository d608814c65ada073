"""What the stream says beside bars: halts and quotes, into today's table. An older word never undoes a newer one of a halt."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tradeul.records.bars import HaltChange, Quote

if TYPE_CHECKING:
    from tradeul.live.today_table import TodayTable

QUOTED = ("bid", "ask", "quote_at")


def take_halts(table: "TodayTable", halts: Sequence[HaltChange]) -> None:
    for change in halts:
        at_s = change.at_ms / 1000 - table.pre_open_s
        if not 0 <= at_s < table.length_s:
            table.counts["other_session"] += 1
            continue
        table.admit([change.symbol])
        row, c = table.index.get(change.symbol), table.columns
        if row is not None and not at_s < c["halt_told"][row]:
            c["halted"][row], c["halt_told"][row] = float(change.halted), at_s


def take_quotes(table: "TodayTable", quotes: Sequence[Quote]) -> None:
    c = table.columns
    for quote in quotes:
        row, at_s = table.index.get(quote.symbol), quote.at_ms / 1000 - table.pre_open_s
        if row is not None and 0 <= at_s < table.length_s:
            c["bid"][row], c["ask"][row], c["quote_at"][row] = quote.bid or np.nan, quote.ask or np.nan, at_s


def forget_quotes(table: "TodayTable", but: Collection[str] = ()) -> None:
    """Of all symbols that nobody quotes any more: only those of ``but`` go on."""
    kept = [table.index[symbol] for symbol in but if symbol in table.index]
    for name in QUOTED:
        values = table.columns[name][kept]
        table.columns[name][:] = np.nan
        table.columns[name][kept] = values
