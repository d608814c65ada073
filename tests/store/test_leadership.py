"""Of those on one PostgreSQL at most one leads a role, whatever breaks; here each is a task with connections of its own."""

import asyncio
import threading
from contextlib import asynccontextmanager
from datetime import date

import msgspec
import polars as pl
import pytest
import sqlalchemy as sa

from tradeul.errors import FolderInUse, LeadLost, StoreError
from tradeul.records.partitions import LedgerRow
from tradeul.store import databases, leadership
from tradeul.store.lake import Lake
from tradeul.store.leadership import Leadership

ROW = LedgerRow(dataset="tickers", session=date(2026, 3, 9))
SOON = 20.0  # a machine may be busy


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    for name in ("LOOK_SECONDS", "BEAT_SECONDS"):
        monkeypatch.setattr(leadership, name, 0.05)


@pytest.fixture
def url(postgres):
    return postgres.new_database()


class Candidate:
    """Leads when it can; ``leads`` is set while it does, ``terms`` counts how often it began."""

    def __init__(self, url, catalog):
        self.catalog = catalog
        self.leads = asyncio.Event()
        self.terms = 0
        self.leadership = Leadership(url, catalog, "maintenance")

    async def run(self):
        await self.leadership.lead(self._work)

    async def _work(self):
        self.terms += 1
        self.leads.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.leads.clear()


@asynccontextmanager
async def running(candidate):
    task = asyncio.create_task(candidate.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def first_of(candidates):
    waits = [asyncio.create_task(candidate.leads.wait()) for candidate in candidates]
    await asyncio.wait(waits, timeout=SOON, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    (leader,) = [candidate for candidate in candidates if candidate.leads.is_set()]
    return leader


async def ends_sessions(postgres, url):
    """Those that hold a role's lock."""
    holders = (
        "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_database d ON d.oid = database WHERE locktype = 'advisory' AND granted"
    )
    name = url.partition("?")[0].rpartition("/")[2]
    assert await asyncio.to_thread(postgres.execute, f"{holders} AND datname = '{name}'") == [(True,)]


async def test_one_of_four_leads_and_when_it_ends_another_does(url, catalog_at):
    candidates = [Candidate(url, catalog_at(url)) for _ in range(4)]
    tasks = {candidate: asyncio.create_task(candidate.run()) for candidate in candidates}
    led = []
    while candidates:
        led.append(await first_of(candidates))
        tasks[led[-1]].cancel()
        await asyncio.gather(tasks[led[-1]], return_exceptions=True)
        candidates.remove(led[-1])
    assert [each.terms for each in led] == [1, 1, 1, 1]


async def test_a_leader_whose_session_is_ended_stops_and_its_notes_are_refused_once_another_leads(postgres, url, catalog_at, monkeypatch):
    old, new = Candidate(url, catalog_at(url)), Candidate(url, catalog_at(url))
    async with running(old), asyncio.timeout(SOON):
        await old.leads.wait()
        old.catalog.note([ROW])
        monkeypatch.setattr(leadership, "LOOK_SECONDS", 3600)  # the old one does not come back
        await ends_sessions(postgres, url)
        while old.leads.is_set():
            await asyncio.sleep(0)
        async with running(new):
            await new.leads.wait()
            with pytest.raises(LeadLost, match="is not noted"):
                old.catalog.forget([(ROW.dataset, ROW.session)])
            with pytest.raises(LeadLost, match="is not noted"):
                old.catalog.note([LedgerRow(dataset="splits", session=ROW.session)])
            new.catalog.note([ROW])
    assert new.catalog.ledger() == [ROW]


async def test_a_leader_goes_on_after_the_server_was_restarted(postgres, url, catalog_at):
    candidate = Candidate(url, catalog_at(url))
    async with running(candidate), asyncio.timeout(SOON):
        await candidate.leads.wait()
        await asyncio.to_thread(postgres.stop)
        while candidate.leads.is_set():
            await asyncio.sleep(0)
        await asyncio.to_thread(postgres.start)
        await candidate.leads.wait()
        candidate.catalog.note([ROW])
    assert candidate.terms == 2


async def test_the_server_ends_a_leader_that_says_nothing(url, catalog_at, monkeypatch):
    """As one that was frozen, or whose cable was cut."""
    monkeypatch.setattr(leadership, "BEAT_SECONDS", 3600)
    monkeypatch.setattr(databases, "SILENT_SECONDS", 1)
    silent = Candidate(url, catalog_at(url))
    async with running(silent), asyncio.timeout(SOON):
        await silent.leads.wait()
        while silent.terms < 2:
            await asyncio.sleep(0)


async def test_a_leader_frozen_in_the_midst_of_a_note_keeps_nobody_waiting(postgres, url, catalog_at, monkeypatch):
    monkeypatch.setattr(databases, "SILENT_SECONDS", 1)
    old, new = Candidate(url, catalog_at(url)), Candidate(url, catalog_at(url))
    old.catalog.begin_term("maintenance")
    with pytest.raises(StoreError, match="could not be written"), old.catalog.transaction("It could not be written") as connection:
        old.catalog._hold_term(connection)
        async with running(new), asyncio.timeout(SOON):
            await new.leads.wait()
        connection.execute(sa.text("SELECT 1"))


async def test_a_leader_that_stopped_before_it_put_a_partition_does_not_replace_that_of_the_next(url, catalog_at, tmp_path):
    old, new = catalog_at(url), catalog_at(url)
    reached, wakes = threading.Event(), threading.Event()

    def stopped():
        reached.set()
        wakes.wait()
        old.check_term()

    shared = Lake(tmp_path, "test", simulated=True)
    frames = [pl.DataFrame({"symbol": [symbol]}) for symbol in ("OLD", "NEW")]
    old.begin_term("maintenance")
    writing = asyncio.create_task(asyncio.to_thread(shared.guarded(stopped).write, ROW.dataset, ROW.session, frames[0], "REST"))
    await asyncio.to_thread(reached.wait)
    new.begin_term("maintenance")
    lake = Lake(tmp_path, "test", simulated=True).guarded(new.check_term)
    new.note([msgspec.structs.replace(ROW, checksum=lake.write(ROW.dataset, ROW.session, frames[1], "REST"))])
    wakes.set()
    with pytest.raises(LeadLost, match="Another process leads since"):
        await writing
    with pytest.raises(LeadLost, match="Another process leads since"):
        shared.guarded(old.check_term).drop(ROW.dataset, ROW.session)
    assert lake.read(ROW.dataset, ROW.session)["symbol"].to_list() == ["NEW"]
    assert [row.checksum for row in new.ledger()] == [lake.footer(ROW.dataset, ROW.session)["checksum"]]
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["part.parquet"]


async def test_who_does_not_wait_is_told_that_another_leads(url, catalog_at):
    leader = Candidate(url, catalog_at(url))
    async with running(leader), asyncio.timeout(SOON):
        await leader.leads.wait()
        with pytest.RaisesGroup(FolderInUse):
            async with Leadership(url, catalog_at(url), "maintenance").held(wait=False):
                pass
        async with Leadership(url, catalog_at(url), "another role").held(wait=False):
            pass


async def test_what_the_work_raises_ends_the_leader(url, catalog_at):
    async def fails():
        raise ZeroDivisionError

    with pytest.RaisesGroup(ZeroDivisionError):
        await Leadership(url, catalog_at(url), "maintenance").lead(fails)
