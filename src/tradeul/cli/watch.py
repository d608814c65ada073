"""``tradeul watch LIST``: a list as it changes. A living table on a terminal; elsewhere JSON lines, the whole list in each."""

import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack, aclosing
from datetime import UTC, datetime

import msgspec
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tradeul.assemble.state import callers_of, http_address
from tradeul.client import Client, ClientEvent, Connected, ErrorMessage, ListHead, Lost, Row, Snapshot, Status
from tradeul.errors import NoAnswer
from tradeul.market_calendar import NEW_YORK
from tradeul.records.lists import split_name
from tradeul.settings import Settings

UNKNOWN = "–"
HEAD_LINES = 5  # above the rows, and one below them
LARGE = ((1e9, 1e9, "B"), (1e6, 1e6, "M"), (1e4, 1e3, "K"))  # from where on, of what
NAME_CHARACTERS = 28


async def watch(settings: Settings, name: str, address: str | None = None) -> int:
    """Until cancelled; the exit code is 1 when the list ceases to be.

    Raises:
        NoAnswer: no gateway answers, or there is no such list.
        GatewayRefused: it does not take us.
        SettingsError: ``address`` is none.
    """
    client = Client(address or gateway_address(settings), [name], token=callers_of(settings).token)
    with ExitStack() as stack:
        console = Console()
        live = stack.enter_context(Live(console=console, screen=True, auto_refresh=False)) if sys.stdout.isatty() else None
        seen = Seen(name)
        async with aclosing(client.events()) as events:
            async for event in events:
                seen.take(event, client)
                if seen.is_gone:
                    return 1
                if live is not None:
                    live.update(screen(seen, client, console.height), refresh=True)
                elif not say(event):
                    return 0
    return 1


def gateway_address(settings: Settings) -> str:
    """Raises NoAnswer: the settings do not tell."""
    if settings.gateway_url is not None:
        return settings.gateway_url.replace("http", "ws", 1) + "/ws"
    if not settings.gateway_port:
        raise NoAnswer(
            "TRADEUL_GATEWAY_PORT is 0, so the gateway's port is known to its own process only: give --address ws://HOST:PORT/ws."
        )
    return http_address(settings.host, settings.gateway_port).replace("http", "ws", 1) + "/ws"


def say(event: ClientEvent) -> bool:
    """One JSON line; False when nobody reads any more."""
    try:
        sys.stdout.write(msgspec.json.encode(event).decode() + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the interpreter fails once more at its end
        return False
    return True


class Seen:
    """What a person is told beside the rows."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.head: ListHead | None = None
        self.status: Connected | Status | None = None  # who said mode and phase last
        self.lost: Lost | None = None
        self.is_gone = False

    def take(self, event: ClientEvent, client: Client) -> None:
        """Raises NoAnswer: there is nothing to watch."""
        match event:
            case Connected():
                self.lost, self.status = None, event
                head = client.lists.get(split_name(self.name)[0])
                if head is None and client.lists and self.head is None:
                    raise NoAnswer(f"No list {self.name!r}. The lists: {', '.join(sorted(client.lists))}.")
                self.is_gone = head is None and bool(client.lists)
                self.head = head or self.head
            case Status():
                self.status = event
            case ErrorMessage(_, message):
                raise NoAnswer(message)
            case Lost(reason):
                if self.status is None:
                    raise NoAnswer(f"No gateway answers at {client.address} ({reason}): `tradeul up` starts one; --address names another.")
                self.lost = event


def screen(seen: Seen, client: Client, height: int) -> RenderableType:
    held = client.held(seen.name)
    is_current = client.is_current(seen.name)
    head = seen.head
    title = Text(head.title if head else seen.name, style="bold")
    if seen.status is not None:
        mode, phase = (word.replace("_", " ") for word in (seen.status.mode, seen.status.phase))
        title.append(f" · {mode} · session {client.session} · {phase.lower()}", style="not bold")
    parts: list[RenderableType] = [
        title,
        _freshness(seen, held),
        Text(head.where if head else "", style="dim", overflow="ellipsis", no_wrap=True),
    ]
    if held is None:
        parts.append(Text("Waiting for the first rows ..."))
    elif not held.rows:
        lacking = f"Not known of any ticker now: {', '.join(held.lacking)}." if held.lacking else "No ticker fulfils this now."
        parts.append(Text(lacking))
    else:
        room = max(height - HEAD_LINES, 1)
        parts.append(table(held.rows[:room], head.columns if head else (), dim=not is_current))
        if held.count > room:
            parts.append(Text(f"and {held.count - room} more", style="dim"))
    return Group(*parts)


def _freshness(seen: Seen, held: Snapshot | None) -> Text:
    as_of = "" if held is None else f"as of {datetime.fromtimestamp(held.timestamp / 1000, UTC).astimezone(NEW_YORK):%H:%M:%S} ET"
    if seen.lost is not None:
        return Text(f"CONNECTION LOST, not being updated: {seen.lost.reason} · {as_of}", style="bold red")
    if not isinstance(seen.status, Status):
        return Text(as_of)
    age_ms = seen.status.feed_age_ms
    age = "no bars yet" if age_ms is None else f"newest bar {age_ms / 1000:,.0f} s old"
    if seen.status.stale and seen.status.phase != "CLOSED":
        return Text(f"FEED STALE: {age} · {as_of}", style="bold red")
    return Text(f"{as_of} · {age}")


def table(rows: list[Row], columns: Sequence[str], *, dim: bool) -> Table:
    shown = Table(box=None, pad_edge=False)
    shown.add_column("#", justify="right")
    shown.add_column("symbol", style="bold")
    names = [name for name in columns if name in rows[0]]  # an edited list's next rows have the others
    for name in names:
        is_text = any(isinstance(row.get(name), str) for row in rows) and not name.endswith("_at")
        shown.add_column(name, justify="left" if is_text else "right", no_wrap=True, max_width=NAME_CHARACTERS, overflow="ellipsis")
    for row in rows:
        shown.add_row(
            str(row["rank"] + 1), Text(row["symbol"]), *(Text(written(name, row.get(name))) for name in names), style="dim" if dim else ""
        )
    return shown


def written(name: str, value: object) -> str:
    """One value as a person reads it; what is unknown is a dash, never a zero."""
    match value:
        case None:
            return UNKNOWN
        case bool():
            return "yes" if value else "no"
        case str() if name.endswith("_at"):
            return f"{datetime.fromisoformat(value).astimezone(NEW_YORK):%H:%M:%S}"
        case int() | float() if name.endswith("_pct") or name.startswith("chg_"):
            return f"{value:+.2f}"
        case int() | float():
            for least, size, letter in LARGE:
                if abs(value) >= least:
                    return f"{value / size:.2f}{letter}"
            return f"{value:,}" if isinstance(value, int) else f"{value:,.4f}" if abs(value) < 1 else f"{value:,.2f}"
    return str(value)
