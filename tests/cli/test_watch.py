import asyncio
import io
import json
from datetime import UTC, date, datetime

import pytest
from rich.console import Console

from tests.client.test_client import stand  # noqa: F401 a fixture
from tests.gateway.fake_scanner import DEFINITIONS, Flow, publish
from tradeul.cli.watch import Seen, gateway_address, screen, watch, written
from tradeul.client import Client, Connected, ErrorMessage, ListHead, Lost, Snapshot, Status
from tradeul.errors import NoAnswer
from tradeul.settings import load_settings

D = date(2026, 3, 9)
HEAD = ListHead("winners", "Winners", "change_pct >= 5", (("change_pct", "desc"),), ("price", "change_pct", "volume", "name"))
CONNECTED = Connected("c", D, "MARKET_OPEN", "SIMULATED", datetime(2026, 3, 9, 15, tzinfo=UTC), [HEAD])
ROWS = [
    {"symbol": f"S{rank}", "rank": rank, "price": 1234.5, "change_pct": 12.0 - rank, "volume": None, "name": "x" * 40} for rank in range(30)
]
FULL = Snapshot("winners", D, "SIMULATED", 1, 4, len(ROWS), ROWS, int(datetime(2026, 3, 9, 14, 0, 5, tzinfo=UTC).timestamp() * 1000))
FRESH, STALE = (Status(age, 900, stale, "MARKET_OPEN", "SIMULATED") for age, stale in ((2100, False), (95_000, True)))


def seen_after(*events, height=20):
    """What a person sees after these."""
    client, seen = Client("ws://127.0.0.1:9/ws", ["winners"]), Seen("winners")
    for event in events:
        if isinstance(event, Lost):
            client._follower.begin()
        else:
            client._follower.hear(event, 0.0)
        seen.take(event, client)
    console = Console(width=120, record=True, file=io.StringIO(), color_system="truecolor", force_terminal=True)
    console.print(screen(seen, client, height))
    return console.export_text(styles=True)


def test_a_person_reads_the_rows_how_fresh_they_are_and_that_they_are_simulated():
    said = seen_after(CONNECTED, FULL, FRESH)
    for words in ("Winners", "SIMULATED · session 2026-03-09 · market open", "as of 10:00:05 ET · newest bar 2 s old", "change_pct >= 5"):
        assert words in said, said
    assert "S14" in said and "S15" not in said and "and 15 more" in said
    assert "1,234.50" in said and "+12.00" in said and "–" in said
    assert "LOST" not in said and "STALE" not in said


def test_what_is_not_current_is_said_to_be_so():
    dim = "\x1b[2m"
    assert "FEED STALE: newest bar 95 s old · as of 10:00:05 ET" in seen_after(CONNECTED, FULL, STALE)
    lost = seen_after(CONNECTED, FULL, FRESH, Lost("the gateway closed the connection", 0.4))
    assert "CONNECTION LOST, not being updated: the gateway closed the connection · as of 10:00:05 ET" in lost
    assert lost.count(dim) > seen_after(CONNECTED, FULL, FRESH).count(dim) + 15
    assert "LOST" not in seen_after(CONNECTED, FULL, Lost("cut", 0.4), CONNECTED)


def test_why_there_is_no_row_is_said():
    assert "Waiting for the first rows" in seen_after(CONNECTED)
    assert "No ticker fulfils this now." in seen_after(CONNECTED, Snapshot("winners", D, "LIVE", 1, 0, 0, [], 0))
    assert "Not known of any ticker now: rvol." in seen_after(CONNECTED, Snapshot("winners", D, "LIVE", 1, 0, 0, [], 0, ("rvol",)))


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([Lost("Connect call failed", 0.4)], "No gateway answers at ws://127.0.0.1:9/ws"),
        (
            [Connected("c", D, "CLOSED", "LIVE", CONNECTED.server_time, [ListHead("losers", "", "", (), ())])],
            "No list 'winners'. The lists: losers.",
        ),
        ([CONNECTED, ErrorMessage("unknown_list", "winners has no class 'bonds'.")], "no class 'bonds'"),
    ],
)
def test_where_there_is_nothing_to_watch_one_sentence_says_so(events, words):
    with pytest.raises(NoAnswer, match=words):
        seen_after(*events)


SHOWN = [
    ("price", 0.1234, "0.1234"), ("price", 12.5, "12.50"), ("volume", 0, "0"), ("volume", 9999, "9,999"), ("volume", 12346, "12.35K"),
    ("change_pct", -5.126, "-5.13"), ("chg_5m", 0.0, "+0.00"), ("halted", True, "yes"), ("halted", False, "no"), ("rvol", None, "–"),
    ("high_at", "2026-03-09T13:30:05Z", "09:30:05"), ("name", "A & B", "A & B"), ("volume", 4_560_000, "4.56M"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "value", "expected"), SHOWN)
def test_numbers_are_written_for_reading(name, value, expected):
    assert written(name, value) == expected


def test_the_gateway_is_where_the_settings_say_or_has_to_be_named(monkeypatch):
    monkeypatch.setenv("TRADEUL_GATEWAY_PORT", "9123")
    assert gateway_address(load_settings()) == "ws://127.0.0.1:9123/ws"
    monkeypatch.setenv("TRADEUL_GATEWAY_PORT", "0")
    with pytest.raises(NoAnswer, match="--address"):
        gateway_address(load_settings())


async def test_elsewhere_than_on_a_terminal_each_line_is_the_whole_list_until_it_ceases_to_be(stand, capsys):  # noqa: F811
    flow, lines = Flow("winners", 1), []

    async def said(kind):
        while not [line for line in lines if line["type"] == kind and line.get("sequence", flow.sequence) == flow.sequence]:
            lines.extend(json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{"))
            await asyncio.sleep(0.005)
        return lines[-1]

    async with stand.gateway():
        await publish(stand.bus, flow)
        watching = asyncio.create_task(watch(load_settings(), "winners", stand.address))
        await said("snapshot")
        await publish(stand.bus, flow, messages=[flow.step()])
        assert (await said("snapshot"))["rows"] == flow.frame.rows
        await stand.bus.put_lists(DEFINITIONS[:1])
        assert await watching == 1
