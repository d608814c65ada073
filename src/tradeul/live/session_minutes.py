"""The running session's minute bars of one symbol, for who asks over the bus: charts, by way of history.

    minutes:ask -> today's table -> SessionMinutes -> the asker's key

A minute that its own bar has closed is the vendor's; the running one is made of its seconds. It changes nothing.
"""

from collections.abc import Callable
from datetime import datetime

import numpy as np

from tradeul.bus.redis import Bus
from tradeul.bus.topics import MINUTES
from tradeul.clock import Clock
from tradeul.live.today_table import TodayTable
from tradeul.records.bars import IntradayBar, SessionMinutes


def session_minutes(table: TodayTable, symbol: str, as_of: datetime) -> SessionMinutes:
    number = table.index.get(symbol)
    if number is None:  # nobody has said anything of it, so far as we listened
        return SessionMinutes(symbol, table.session, as_of, table.subscribed_s is not None and not table.seeded, ())
    kept = table.minutes
    minutes, rows = kept.of(number)
    volume = kept.volume[rows]
    traded = volume > 0
    minutes, rows, volume = minutes[traded], rows[traded], volume[traded]
    starts = int(table.pre_open_s * 1000) + minutes * 60_000
    vwap = kept.dollars[rows] / volume
    trades = np.rint(kept.trades[rows]).astype(np.int64).tolist() if table.tells_trades else [None] * len(rows)
    told = (column.tolist() for column in (starts, kept.open[rows], kept.high[rows], kept.low[rows], kept.close[rows], volume, vwap))
    bars = tuple(IntradayBar(symbol, *row) for row in zip(*told, trades, strict=True))
    return SessionMinutes(symbol, table.session, as_of, bool(table.columns["partial"][number]), bars)


async def tell_minutes(bus: Bus, clock: Clock, minutes_of: Callable[[str], SessionMinutes]) -> None:
    async for request in bus.subscribe(MINUTES):
        with clock.busy():
            await bus.answer(request.reply_to, minutes_of(request.symbol))
