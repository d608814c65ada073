"""What others look up beside the lists: the symbols now on any of them, and the market in a few numbers."""

from collections.abc import Mapping

import numpy as np

from tradeul.bus.redis import Bus
from tradeul.records.breadth import Breadth, Proxy
from tradeul.records.messages import Snapshot
from tradeul.scanner.columns import Market
from tradeul.scanner.floors import class_mask

PROXIES = ("SPY", "QQQ", "IWM")


def breadth(market: Market) -> Breadth:
    change = market["change_pct"][class_mask(market, "stocks")]
    return Breadth(
        session=market.frame.session,
        timestamp=round(market.frame.as_of.timestamp() * 1000),
        up=int((change > 0).sum()),
        down=int((change < 0).sum()),
        unchanged=int((change == 0).sum()),
        halted=int((market["halted"] == 1).sum()),
        proxies=tuple(Proxy(symbol, _at(market, "price", symbol, 4), _at(market, "change_pct", symbol, 2)) for symbol in PROXIES),
    )


def _at(market: Market, column: str, symbol: str, digits: int) -> float | None:
    place = market.join.place_of.get(symbol)
    value = np.nan if place is None else float(market[column][place])
    return None if np.isnan(value) else round(value, digits)


class Summary:
    """Tells the bus what changed."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._active: frozenset[str] | None = None  # as told; None: to be told again
        self._market: Market | None = None

    def forget(self) -> None:
        """The bus was emptied."""
        self._active = self._market = None

    async def tell(self, sent: Mapping[str, Snapshot], market: Market | None) -> None:
        active = frozenset(row["symbol"] for state in sent.values() for row in state.rows)
        if active != self._active:
            await self._bus.put_active(active)
            self._active = active
        if market is not None and market is not self._market:
            await self._bus.put_breadth(breadth(market))
            self._market = market
