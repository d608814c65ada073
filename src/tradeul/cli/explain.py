"""``tradeul explain LIST SYMBOL``: asked of the running scanner over the bus; a table on a terminal, JSON elsewhere."""

import sys
from collections.abc import Iterator

import msgspec
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from tradeul.assemble.state import is_simulated, state_folder
from tradeul.bus.cluster import bus_at
from tradeul.bus.embedded import socket_path
from tradeul.clock import SystemClock
from tradeul.errors import NoAnswer
from tradeul.market_calendar import NEW_YORK
from tradeul.records.explanations import Condition, Explanation, Input
from tradeul.settings import Settings

MARKS = {True: ("✓", "green"), False: ("✗", "red"), None: ("?", "yellow")}
SHOWN_CHARACTERS = 60


async def explain(settings: Settings, name: str, symbol: str) -> int:
    """The exit code: 0 when the ticker is on the list, else 1.

    Raises:
        NoAnswer: nobody scans on this folder, or there is no such list.
    """
    bus = await bus_at(bus_url(settings), SystemClock())
    try:
        answer = await bus.ask_to_explain(name, symbol)
    finally:
        await bus.close()
    if answer.explanation is None:
        raise NoAnswer(str(answer.unknown_list or answer.not_now))
    if sys.stdout.isatty():
        Console().print(shown(answer.explanation))
    else:
        sys.stdout.write(msgspec.json.encode(answer.explanation).decode() + "\n")
    return 0 if answer.explanation.on_list else 1


def bus_url(settings: Settings) -> str:
    """Raises NoAnswer: no embedded server runs on the folder."""
    if settings.redis_url is not None:
        return settings.redis_url
    simulated = is_simulated(settings)
    for kind in (simulated, not simulated):
        path = socket_path(state_folder(settings, simulated=kind))
        if path.exists():
            return f"unix://{path}"
    raise NoAnswer(f"No Tradeul runs on {settings.state}: `tradeul up` starts it.")


def shown(told: Explanation) -> RenderableType:
    as_of = told.as_of.astimezone(NEW_YORK)
    head = Text(told.summary, style="bold")
    place = Text(f"{told.list} · session {told.session} · {told.phase} · as of {as_of:%H:%M:%S} ET · epoch {told.epoch}, {told.sequence}")
    table = Table("", "asked", "stands on", "remark", expand=False)
    for condition in told.conditions:
        mark, style = MARKS[condition.holds] if condition.applied else ("-", "dim")
        inputs = "\n".join(_inputs(condition))
        table.add_row(Text(mark, style=style), Text(_asked(condition)), Text(inputs), Text(condition.unknown_because or condition.note))
    order = Text("ordered by " + ", ".join(f"{key.expression} {key.direction} = {_said(key.value)}" for key in told.order))
    return Group(head, place, table, *([order] if told.order else []))


def _asked(condition: Condition) -> str:
    return condition.asks if condition.name == "where" or condition.name in condition.asks else f"{condition.name}: {condition.asks}"


def _inputs(condition: Condition) -> Iterator[str]:
    """Each column, and under it what it is made from."""
    made = {part for each in condition.inputs for part in each.made_from}
    for each in condition.inputs:
        yield ("  " if each.column in made else "") + _input(each)


def _input(each: Input) -> str:
    age = "" if each.age_seconds is None else f" · {each.age_seconds:,.0f} s old"
    source = "" if each.source in ("live", "computed") else f" · {each.source}"
    return f"{each.column} = {_said(each.value)}{source}{age}"


def _said(value: object) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int | float) else str(value)[:SHOWN_CHARACTERS]
