"""The market in a few numbers: what a trader looks at before any list."""

from datetime import date

import msgspec


class Proxy(msgspec.Struct, frozen=True):
    """A fund that stands for an index. None: unknown."""

    symbol: str
    price: float | None
    change_pct: float | None


class Breadth(msgspec.Struct, frozen=True):
    """How many stocks of the whole market are above, below and at their last close; those not traded yet are in none of them."""

    session: date
    timestamp: int  # epoch milliseconds, market time of the frame that was counted
    up: int
    down: int
    unchanged: int
    halted: int  # issues of any class
    proxies: tuple[Proxy, ...]
