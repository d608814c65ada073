"""A session by the vendor's daily bars alone: CONTRACT.md, "END_OF_DAY mode". Imports nothing of the product.

One look, as of the last second before the close: the floors of 10:00-close, the
usual volume of a whole session in place of E(t). What minutes tell is unknown.
"""

from tests.reference.history import Base, Past
from tests.reference.hours import Hours
from tests.reference.lists import lists_of
from tests.reference.model import Look, Reference, Row
from tests.reference.today import Today


class Close(Reference):
    def __init__(self, past: Past, hours: Hours, grouped: list[Row]) -> None:
        super().__init__(past, hours)
        self.grouped, self.t = grouped, hours.close - 1

    def look_back(self) -> Look:
        rows = {row["T"]: self.completed(row["T"], self.told(row), self.t) for row in sorted(self.grouped, key=lambda row: row["T"])}
        told = any("n" in row for row in self.grouped)
        return Look(rows, lists_of(rows, self.t, self.hours, {}, trades_told=told))

    def told(self, row: Row) -> Row:
        unknown: Row = dict.fromkeys(Today(self.hours, None, None).columns(self.t, trades_told=True))
        return unknown | {
            "price": row["c"],
            "open": row["o"],
            "high": row["h"],
            "low": row["l"],
            "regular_low": row["l"],
            "close": row["c"],
            "volume": row["v"],
            "vwap": row.get("vw"),
            "dollar_volume": (row.get("vw") or row["c"]) * row["v"],
            "trades": row.get("n"),
            "updated_at": self.t,
            "partial": False,
        }

    def expected(self, base: Base, t: float) -> float | None:
        return base.avg_volume_20d

    def quality(self, base: Base, expected: float | None) -> str:
        return "none" if expected is None else "thin"
