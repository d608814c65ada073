"""The floors, the class switch and the eleven lists of CONTRACT.md as plain predicates. Imports nothing of the product.

Three-valued: a comparison with an unknown is unknown (None), and an unknown
condition makes no member.
"""

import re
from collections.abc import Callable
from typing import Any

from tests.reference.hours import OPEN, Hours

Row = dict[str, Any]
STOCKS = {"CS", "ADRC", "OS", "GDR", "NYRS"}
NOT_COMMON = re.compile(r"\.(WS|U|RT|R|W)$|p[A-Z]?$")  # ACT.WS, ACT.U, ACT.RT, BACpM


def both(*conditions: bool | None) -> bool | None:
    return False if False in conditions else None if None in conditions else True


def either(*conditions: bool | None) -> bool | None:
    return True if True in conditions else None if None in conditions else False


def at_least(a: float | None, b: float | None) -> bool | None:
    return None if a is None or b is None else a >= b


def at_most(a: float | None, b: float | None) -> bool | None:
    return at_least(b, a)


def above(a: float | None, b: float | None) -> bool | None:
    return None if a is None or b is None else a > b


def below(a: float | None, b: float | None) -> bool | None:
    return above(b, a)


def times(factor: float, value: float | None) -> float | None:
    return None if value is None else factor * value


def plus(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a + b


def greatest(*values: float | None) -> float | None:
    known = [value for value in values if value is not None]
    return max(known) if known else None


# --- who may stand on a list at all -----------------------------------------------------------------------------------


def is_stock(row: Row) -> bool:
    return row["class"] in STOCKS or (row["class"] is None and NOT_COMMON.search(row["symbol"]) is None)


def floor_at(t: float, hours: Hours) -> tuple[float, float, float] | None:
    """(dollars, trades, age in seconds) at a moment of the session."""
    if t >= hours.close:
        return 100_000, 10, 900
    for begin, floor in (
        (OPEN + 1800, (1_000_000, 150, 90)),
        (OPEN + 300, (500_000, 100, 60)),
        (OPEN, (300_000, 50, 60)),
        (3 * 3600, (250_000, 50, 300)),
        (0, (50_000, 10, 900)),
    ):
        if t >= begin:
            return floor
    return None


def may_stand(row: Row, t: float, hours: Hours, *, trades_told: bool, whatever_age: bool = False) -> bool:
    if not is_stock(row) or row["corp_action"] == "unverified":
        return False
    if row["price"] is None or not at_least(greatest(row["price"], row["prev_close"]), 1):
        return False
    floor = floor_at(t, hours)
    if floor is None:
        return True
    dollars, trades, age = floor
    post = "post_" if t >= hours.close else ""
    if not at_least(row[f"{post}dollar_volume"], dollars):
        return False
    if trades_told and not row["partial"] and not at_least(row[f"{post}trades"], trades):
        return False
    return whatever_age or row["halted"] is True or at_most(row["age_s"], age) is True


# --- the eleven questions ---------------------------------------------------------------------------------------------


def winners(r: Row) -> bool | None:
    return at_least(r["post_change_pct"], 3) if r["phase"] == "POST_MARKET" else at_least(r["change_pct"], 5)


def losers(r: Row) -> bool | None:
    return at_most(r["post_change_pct"], -3) if r["phase"] == "POST_MARKET" else at_most(r["change_pct"], -5)


def with_volume(r: Row) -> bool | None:
    return either(at_least(r["vol_pct_adv"], 1), at_least(r["dollar_volume"], 1e6))


def gappers_up(r: Row) -> bool | None:
    big = at_least(r["avg_dollar_volume_20d"], 50e6)
    return both(either(at_least(r["gap_pct"], 4), both(at_least(r["gap_pct"], 2), big)), with_volume(r))


def gappers_down(r: Row) -> bool | None:
    big = at_least(r["avg_dollar_volume_20d"], 50e6)
    return both(either(at_most(r["gap_pct"], -4), both(at_most(r["gap_pct"], -2), big)), with_volume(r))


def moves_on_volume(r: Row) -> bool | None:
    dollars = 100_000
    if r["phase"] != "MARKET_OPEN":
        dollars = 25_000
    elif r["since_open_s"] < 900:
        dollars = 300_000
    return both(at_least(r["rvol_5m"], 2), at_least(r["dvol_5m"], dollars))


def momentum_up(r: Row) -> bool | None:
    by_range = at_least(r["price"], plus(r["high"], times(-0.15, r["atr"])))
    near = by_range if by_range is not None else at_least(r["price"], times(0.985, r["high"]))
    return both(at_least(r["chg_5m"], greatest(1, times(0.35, r["atr_pct"]))), moves_on_volume(r), above(r["price"], r["vwap"]), near)


def momentum_down(r: Row) -> bool | None:
    by_range = at_most(r["price"], plus(r["low"], times(0.15, r["atr"])))
    near = by_range if by_range is not None else at_most(r["price"], times(1.015, r["low"]))
    least = times(-1, greatest(1, times(0.35, r["atr_pct"])))
    return both(at_most(r["chg_5m"], least), moves_on_volume(r), below(r["price"], r["vwap"]), near)


def new_highs(r: Row) -> bool | None:
    often = both(at_most(r["high_age_s"], 120), at_least(r["high_count"], 2))
    return both(often, at_least(r["range_atr"], 0.3), at_least(r["rvol"], 1.5), above(r["change_pct"], 0))


def new_lows(r: Row) -> bool | None:
    often = both(at_most(r["low_age_s"], 120), at_least(r["low_count"], 2))
    return both(often, at_least(r["range_atr"], 0.3), at_least(r["rvol"], 1.5), below(r["change_pct"], 0))


def high_volume(r: Row) -> bool | None:
    return either(
        both(at_least(r["rvol"], 2), at_least(r["expected_volume"], 2000)),
        both(r["phase"] == "PRE_MARKET", at_least(r["vol_pct_adv"], 5)),
        both(r["baseline"] == "none", at_least(r["dollar_volume"], 5e6)),
    )


def anomalies(r: Row) -> bool | None:
    return both(
        at_least(r["slot_lz"], 3),
        at_least(r["rvol_5m"], 4),
        at_least(r["trades_5m"], 25),
        at_least(r["dvol_5m"], 1e5),
        at_least(r["avg_dollar_volume_20d"], 2.5e5),
        at_least(None if r["chg_5m"] is None else abs(r["chg_5m"]), times(0.2, r["atr_pct"])),
    )


def reversals(r: Row) -> bool | None:
    up = both(at_least(r["gap_pct"], 3), at_most(r["from_open_pct"], times(-0.4, r["atr_pct"])), below(r["price"], r["vwap"]))
    down = both(at_most(r["gap_pct"], -3), at_least(r["from_open_pct"], times(0.4, r["atr_pct"])), above(r["price"], r["vwap"]))
    return both(at_least(r["since_open_s"], 300), at_most(r["vwap_cross_age_s"], 1800), either(up, down))


def by_range(r: Row) -> float | None:
    return None if r["chg_5m"] is None or r["atr_pct"] is None else r["chg_5m"] / r["atr_pct"]


def column(name: str) -> Callable[[Row], float | None]:
    return lambda row: row[name]


UP, DOWN = 1, -1  # ascending, descending
Key = tuple[Callable[[Row], float | None], int]


def moved(r: Row) -> float | None:
    return r["post_change_pct"] if r["phase"] == "POST_MARKET" else r["change_pct"]


LISTS: dict[str, tuple[Callable[[Row], bool | None], list[Key]]] = {
    "winners": (winners, [(moved, DOWN)]),
    "losers": (losers, [(moved, UP)]),
    "gappers_up": (gappers_up, [(column("gap_pct"), DOWN)]),
    "gappers_down": (gappers_down, [(column("gap_pct"), UP)]),
    "momentum_up": (momentum_up, [(by_range, DOWN)]),
    "momentum_down": (momentum_down, [(by_range, UP)]),
    "new_highs": (new_highs, [(column("high_at"), DOWN), (column("rvol"), DOWN)]),
    "new_lows": (new_lows, [(column("low_at"), DOWN), (column("rvol"), DOWN)]),
    "high_volume": (high_volume, [(column("dollar_volume"), DOWN)]),
    "anomalies": (anomalies, [(column("slot_lz"), DOWN)]),
    "reversals": (reversals, [(column("vwap_cross_at"), DOWN), (column("rvol"), DOWN)]),
}
OF_THE_LAST_OPEN_FRAME = ("gappers_up", "gappers_down")


def lists_of(rows: dict[str, Row], t: float, hours: Hours, last_open: dict[str, list[str]], *, trades_told: bool) -> dict[str, list[str]]:
    """The symbols of each list, in order. ``last_open``: the lists of the last MARKET_OPEN frame."""
    able = [row for row in rows.values() if may_stand(row, t, hours, trades_told=trades_told)]
    found = {}
    for name, (asks, keys) in LISTS.items():
        if hours.phase(t) == "POST_MARKET" and name in OF_THE_LAST_OPEN_FRAME:
            if name in last_open:
                members = [rows[symbol] for symbol in last_open[name]]
            else:  # a start in the post-market: as the close would have asked
                just_before = hours.close - 0.001
                stood = [row for row in rows.values() if may_stand(row, just_before, hours, trades_told=trades_told, whatever_age=True)]
                members = [row for row in stood if asks(row)]
        else:
            members = [row for row in able if asks(row)]
        found[name] = [row["symbol"] for row in in_order(members, keys)][:100]
    return found


def in_order(members: list[Row], keys: list[Key]) -> list[Row]:
    """Nulls last, then symbol."""
    members = sorted(members, key=lambda row: row["symbol"])
    for value_of, direction in reversed(keys):

        def place(row: Row, value_of: Callable[[Row], float | None] = value_of, direction: int = direction) -> tuple[bool, float]:
            value = value_of(row)
            return (True, 0.0) if value is None else (False, direction * value)

        members = sorted(members, key=place)
    return members
