"""Decoding before anybody asks."""

import asyncio
from datetime import date

import pytest

from tests.api.history import small_lake
from tests.api.history.small_lake import CALENDAR, DAYS, SESSION, SLOT_DAYS
from tests.api.history.test_server import root, serving  # noqa: F401
from tradeul.api.history import server
from tradeul.api.history.routes import HistoryRoutes
from tradeul.errors import CorruptPartition
from tradeul.ops.callers import Callers


def warmed(past):
    count = 0
    while past.warm():
        count += 1
    return count


def asked(past):
    tenure = past.bearers.tenure("T003", SESSION)
    days = past.days("T003", past.range("ohlc_daily", None, None, None, SESSION, tenure))
    session = CALENDAR.previous(SESSION)
    return days, past.rvol("T003", session, 70), past.atr("T003", SESSION), past.metadata("T003", SESSION)


def test_what_was_decoded_beforehand_is_answered_without_reading_a_file(root, monkeypatch):  # noqa: F811
    past, catalog = small_lake.past_of(root)
    expected = asked(past)
    catalog.close()
    past, catalog = small_lake.past_of(root)
    assert warmed(past) == DAYS - 1 + SLOT_DAYS  # a session has no daily bars
    for name in ("read", "read_all", "read_ticker"):
        monkeypatch.setattr(past._lake, name, None)
    assert asked(past) == expected
    catalog.close()


def test_what_is_replaced_is_decoded_anew_and_what_cannot_be_read_is_tried_once(tmp_path):
    small_lake.write(tmp_path)
    past, catalog = small_lake.past_of(tmp_path)
    warmed(past)
    session = CALENDAR.previous(SESSION)
    past._lake.write("ohlc_daily", session, small_lake.bars_of(session), "again")
    assert warmed(past) == 1
    (tmp_path / "lake" / "ohlc_daily" / f"session={session}" / "part.parquet").write_bytes(b"PAR1")
    with pytest.raises(CorruptPartition, match=str(session)):
        past.warm()
    assert warmed(past) == 0
    catalog.close()


def test_more_than_there_is_room_for_is_left_until_it_is_asked_for(root):  # noqa: F811
    past, catalog = small_lake.past_of(root, room_bytes=8 << 10)
    assert 0 < warmed(past) < DAYS
    assert past.days("T001", past.range("ohlc_daily", date(2025, 11, 24), None, None, None, None))
    catalog.close()


async def test_the_server_decodes_by_itself(root, monkeypatch):  # noqa: F811
    past, catalog = small_lake.past_of(root)
    monkeypatch.setattr(server, "WARM_AFTER_SECONDS", 0.0)
    monkeypatch.setattr(server, "LEAST_PAUSE_SECONDS", 0.0)
    async with serving(past, root) as stand:
        await stand.server.warm.wait()
    assert warmed(past) == 0
    catalog.close()


async def test_a_fault_in_decoding_ends_the_server_loudly(root, monkeypatch):  # noqa: F811
    past, catalog = small_lake.past_of(root)
    monkeypatch.setattr(server, "WARM_AFTER_SECONDS", 0.0)
    monkeypatch.setattr(past, "warm", lambda: 1 / 0)
    http = server.HistoryServer(HistoryRoutes(past, None), None, "SIMULATED", Callers(), 0)
    with pytest.raises(ExceptionGroup) as ended:
        async with asyncio.timeout(30):
            await http.run()
    assert ended.group_contains(ZeroDivisionError)
    catalog.close()
