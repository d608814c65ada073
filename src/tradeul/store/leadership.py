"""Who leads a role among processes on one PostgreSQL database: whose session holds the role's lock, on a connection of its own.

    stands by: looks every second -> has the lock -> begins the next term -> leads
    the connection is lost        -> what it does is cancelled at once    -> stands by again

Two things keep a leader that was frozen or cut off from going on as one: the
server ends a session that says nothing for `SILENT_SECONDS`, a transaction
in the midst included, and the catalog
takes notes of the newest term only (`Catalog.begin_term`). With SQLite there is
one process per folder and nobody stands by (`ops/start.py`). It does not know
what a leader does.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import psycopg

from tradeul.errors import FolderInUse, LeadLost, StoreError
from tradeul.ops.lead import lead
from tradeul.store import databases
from tradeul.store.catalog import Catalog
from tradeul.store.databases import CONNECTION, SETTING, first_line

LOOK_SECONDS = 1.0
BEAT_SECONDS = 1.0
ANSWER_SECONDS = 5.0  # with a beat less than SILENT_SECONDS: a leader knows that it lost the lead before another takes it


class Leadership:
    def __init__(self, url: str, catalog: Catalog, role: str) -> None:
        self._url, self._catalog, self._role = url, catalog, role

    async def lead(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do ``work`` whenever we lead, from its beginning; for ever. Others lead meanwhile, or nobody while the server is away."""
        await lead(self._role, self.held, work, LOOK_SECONDS)

    @asynccontextmanager
    async def held(self, *, wait: bool = True) -> AsyncIterator[None]:
        """Lead while the context lasts; its body is cancelled when the lead is lost.

        Raises:
            FolderInUse: another process leads, and we do not ``wait``.
            LeadLost, in an ExceptionGroup: the connection is lost, or there is none.
        """
        async with asyncio.TaskGroup() as group, self._connected() as connection:
            while not await self._has_lock(connection):
                if not wait:
                    raise FolderInUse(f"Another Tradeul leads {self._role} on the database of {SETTING}: stop it, or ask it.")
                await asyncio.sleep(LOOK_SECONDS)
            await self._begin_term()
            watch = group.create_task(self._watch(connection))
            yield
            watch.cancel()

    async def _begin_term(self) -> None:
        try:
            await asyncio.to_thread(self._catalog.begin_term, self._role)
        except StoreError as error:
            raise LeadLost(str(error)) from error

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[psycopg.AsyncConnection]:
        connection: psycopg.AsyncConnection | None = None
        try:
            arguments = CONNECTION | {"application_name": f"tradeul {self._role}"}
            connection = await psycopg.AsyncConnection.connect(self._url, autocommit=True, **arguments)
            await connection.execute(f"SET idle_session_timeout = '{databases.SILENT_SECONDS}s'")
            yield connection
        except psycopg.Error as error:
            raise LeadLost(f"The connection to the server of {SETTING} is lost ({first_line(error)}).") from error
        finally:
            if connection is not None:
                await connection.close()

    async def _has_lock(self, connection: psycopg.AsyncConnection) -> bool:
        """One role of each schema has one lock."""
        lock = "SELECT pg_try_advisory_lock(hashtext('tradeul ' || current_schema()), hashtext(%s))"
        row = await (await connection.execute(lock, [self._role])).fetchone()
        return row is not None and bool(row[0])

    async def _watch(self, connection: psycopg.AsyncConnection) -> None:
        """Raises LeadLost as soon as the connection breaks, or does not answer a beat."""
        try:
            while True:
                async for _ in connection.notifies(timeout=BEAT_SECONDS):
                    pass
                async with asyncio.timeout(ANSWER_SECONDS):
                    await connection.execute("SELECT 1")
        except (psycopg.Error, TimeoutError) as error:
            raise LeadLost(f"The connection to the server of {SETTING} is lost ({first_line(error)}).") from error
