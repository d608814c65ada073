"""Who may stand on a list at all: of the class that it asks for, and what must have traded at least.

The table of floors is data (`builtin.toml`); the row in force is the last one
whose moment of the session has come. A floor whose input the source never
delivers is not applied. Pure masks over one `Market`; a list takes them
together, `explain.py` one by one.
"""

import re
from collections.abc import Sequence
from datetime import datetime, time, timedelta
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from tradeul.errors import ListError
from tradeul.market_calendar import SessionHours, at
from tradeul.records.lists import Floor
from tradeul.scanner.classes import is_of_class
from tradeul.scanner.columns import Market

Mask: TypeAlias = npt.NDArray[np.bool_]

MIN_PRICE_DOLLARS = 1.0
MOMENT = re.compile(r"([01]\d|2[0-3]):([0-5]\d)|(open|close)(?:\+(\d{1,3})m)?")


def moment_of(text: str, hours: SessionHours) -> datetime:
    """The instant of a floor's ``from``: HH:MM Eastern, open, open+5m, close ...

    Raises:
        ListError: another form.
    """
    found = MOMENT.fullmatch(text)
    if found is None:
        raise ListError(f"floors: from = {text!r}; write HH:MM (Eastern), open, open+5m or close.")
    if found[1]:
        return at(hours.session, time(int(found[1]), int(found[2])))
    return (hours.open_at if found[3] == "open" else hours.close_at) + timedelta(minutes=int(found[4] or 0))


def floor_in_force(floors: Sequence[Floor], hours: SessionHours, as_of: datetime) -> Floor | None:
    begun = [(moment_of(floor.from_, hours), place) for place, floor in enumerate(floors)]
    begun = [(instant, place) for instant, place in begun if instant <= as_of]
    return floors[max(begun)[1]] if begun else None


def class_mask(market: Market, issue_class: str) -> Mask:
    """Computed once per join: classes do not change within it."""
    kept: dict[str, Mask] = market.join.classes
    if issue_class not in kept:
        texts = market.join.texts
        rows = zip(market.join.symbols, texts["class"], texts["name"], strict=True)
        kept[issue_class] = np.array([is_of_class(*row, issue_class) for row in rows], dtype=np.bool_)
    return kept[issue_class]


class Demand(NamedTuple):
    """One of the common conditions, asked of the whole market."""

    name: str
    asks: str  # as SQL, with its threshold
    inputs: tuple[str, ...]
    mask: Mask
    note: str = ""
    is_applied: bool = True  # False: ``mask`` holds everywhere


def floor_mask(market: Market, floors: Sequence[Floor], ended_at: datetime | None = None) -> Mask:
    """Price, traded amounts and age, as at this moment; with ``ended_at`` as just before it, whatever the age now."""
    masks = [demand.mask for demand in floor_demands(market, floors, ended_at) if demand.is_applied]
    together: Mask = np.logical_and.reduce(masks)
    return together


def floor_demands(market: Market, floors: Sequence[Floor], ended_at: datetime | None = None) -> list[Demand]:
    """The same, one by one."""
    with np.errstate(invalid="ignore"):
        dear = np.fmax(market["price"], market["prev_close"]) >= MIN_PRICE_DOLLARS
    asks = f"price IS NOT NULL AND greatest(price, prev_close) >= {MIN_PRICE_DOLLARS:g}"
    demands = [Demand("price", asks, ("price", "prev_close"), dear & ~np.isnan(market["price"]))]
    moment = market.frame.as_of if ended_at is None else ended_at - timedelta(microseconds=1)
    floor = floor_in_force(floors, market.hours, moment)
    if floor is None:
        return demands
    for name in ("dollar_volume", "post_dollar_volume", "trades", "post_trades"):
        least = getattr(floor, name)
        if least is not None:
            demands.append(_traded(market, name, least, floor.from_))
    if ended_at is None:
        demands.append(_young(market, floor))
    return demands


def _traded(market: Market, name: str, least: float, since: str) -> Demand:
    asks = f"{name} >= {least:,.0f}"
    if not market.is_delivered(name):
        return Demand(name, asks, (name,), _everywhere(market), f"not applied: this source never delivers {name}", is_applied=False)
    with np.errstate(invalid="ignore"):
        enough: Mask = market[name] >= least
    if not name.endswith("trades"):
        return Demand(name, asks, (name,), enough, f"from {since} on")
    # While a row is being recovered its trades are not known in full.
    note = f"from {since} on; not asked while the row is partial"
    return Demand(name, asks, (name, "partial"), enough | (market["partial"] == 1), note)


def _young(market: Market, floor: Floor) -> Demand:
    asks = f"halted OR age_s <= {floor.age_s:g}"
    if not market.is_delivered("age_s"):
        return Demand("age", asks, ("age_s",), _everywhere(market), "not applied: this source tells no time of its bars", is_applied=False)
    with np.errstate(invalid="ignore"):
        young = (market["halted"] == 1) | (market["age_s"] <= floor.age_s)
    return Demand("age", asks, ("age_s", "halted"), young, f"from {floor.from_} on")


def _everywhere(market: Market) -> Mask:
    return np.ones(len(market), dtype=np.bool_)
