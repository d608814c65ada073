"""The mirror equals the lake: on PostgreSQL, and on the TimescaleDB of TRADEUL_TEST_TIMESCALE_URL where that is set."""

import asyncio
import signal
from datetime import date, time

import msgspec
import polars as pl
import psycopg
import pytest

from tests.maintenance.conftest import CALENDAR
from tests.maintenance.dying import FEW, PROCESSES, die, housed
from tests.maintenance.simulated import SMALL
from tradeul.errors import RunRefused, StoreError
from tradeul.maintenance.datasets import OHLC_DAILY, TIMESCALE_MIRROR, VOLUME_SLOTS
from tradeul.market_calendar import at
from tradeul.records.partitions import State
from tradeul.records.runs import RunOptions
from tradeul.records.tickers import Split
from tradeul.store.lake import canonical_checksum
from tradeul.store.membership_log import SCHEMA
from tradeul.store.timescale import DAILY, RESULTS, SLOTS, WHOLE

SESSION = date(2026, 3, 9)
MIRRORED = msgspec.structs.replace(SMALL, mirror=True)
REBUILD = RunOptions(only=TIMESCALE_MIRROR, force=True)


@pytest.fixture
async def house(make_house, mirror_url):
    return await make_house(windows=MIRRORED, tickers=FEW, catalog_url=mirror_url)


def ask(house, statement):
    with psycopg.connect(house.catalog_url) as connection:
        return connection.execute(statement).fetchall()


def mirrored(house, table, by, names, like):
    """Checksum and count of each session, of the rows as they come back from the server."""
    found = {}
    for session, *row in ask(house, f"SELECT {by}, {', '.join(names)} FROM {table}"):
        found.setdefault(session, []).append(row)
    frames = {session: pl.DataFrame(rows, schema=like, orient="row") for session, rows in found.items()}
    keys = [key for key in ("symbol", "slot") if key in like]
    return {session: (frame.height, canonical_checksum(frame.sort(keys))) for session, frame in frames.items()}


def in_lake(house, dataset):
    sessions = house.service._schedule.mirrored(dataset, CALENDAR.current_session(house.clock.now()))
    frames = {session: house.lake.read(dataset, session) for session in sessions if house.lake.has(dataset, session)}
    assert frames
    return {session: (frame.height, canonical_checksum(frame)) for session, frame in frames.items()}


def equal(house):
    daily, slots = (house.lake.read(name, house.lake.sessions(name)[-1]).schema for name in (OHLC_DAILY, VOLUME_SLOTS))
    columns = ["symbol", "open", "high", "low", "close", "volume", "vwap", "trades_count"]
    assert list(daily) == [*columns[:-1], "trades"]
    assert mirrored(house, DAILY, "trading_date", columns, daily) == in_lake(house, OHLC_DAILY)
    columns = ["symbol", "slot_number", "volume", "trades_count", "vwap"]
    assert list(slots) == ["symbol", "slot", "volume", "trades", "vwap"]
    assert mirrored(house, SLOTS, "date", columns, slots) == in_lake(house, VOLUME_SLOTS)
    return True


async def whole(house, options=None):
    run = await (house.service.reconcile() if options is None else house.service.reconcile(options))
    assert run.success, run
    return run


async def test_the_mirror_equals_the_lake_after_load_replace_split_and_rebuild(house):
    await whole(house)
    assert equal(house)
    caps = dict(ask(house, "SELECT symbol, market_cap FROM tickers_unified"))
    assert len(caps) == FEW and None not in caps.values()

    last = CALENDAR.previous(SESSION)
    house.market.volume_factor = 1.01
    await whole(house, RunOptions(target_date=last, only=OHLC_DAILY, force=True))
    house.market.volume_factor = 1.0
    with pytest.raises(AssertionError):
        equal(house)
    await whole(house)
    assert equal(house), "what a run of one task alone has replaced follows with the next whole one"

    house.market.split_list = [Split("T001", SESSION, 1.0, 2.0)]
    await whole(house, RunOptions(only="splits", force=True))
    await whole(house)
    assert equal(house), "the lake is raw"
    split = dict(ask(house, "SELECT symbol, market_cap FROM tickers_unified"))
    assert split == caps | {"T001": pytest.approx(caps["T001"] / 2)}

    with psycopg.connect(house.catalog_url) as connection:
        connection.execute(f"DELETE FROM {SLOTS} WHERE symbol = 'T001'")
    with pytest.raises(AssertionError):
        equal(house)
    await whole(house, REBUILD)
    assert equal(house)


def counts_replaced(house):
    replaced, replace = [], house.mirror.replace

    def counted(part, *arguments):
        replace(part, *arguments)
        replaced.append(part)

    house.mirror.replace = counted
    return replaced


async def test_only_what_differs_is_replaced_and_what_leaves_the_window_is_dropped(house):
    await whole(house)
    replaced = counts_replaced(house)
    await whole(house)
    assert replaced == []
    first, following = house.service._schedule.mirrored(OHLC_DAILY, SESSION)[0], CALENDAR.next(SESSION)
    for instant in (at(SESSION, time(20, 15)), at(following, time(3))):
        house.clock._now = instant
        await whole(house)
    assert {part for part in replaced if part[1] != WHOLE} == {(DAILY, SESSION), (SLOTS, SESSION)}
    assert equal(house)
    assert ask(house, f"SELECT min(trading_date) > DATE '{first}' FROM {DAILY}") == [(True,)]


async def test_who_was_on_a_list_is_mirrored_with_the_rows_values(house):
    events = {
        "time": [at(SESSION, time(9, 31))] * 2,
        "list": ["winners", "losers"],
        "symbol": ["T001", "T002"],
        "event": ["enter", "leave"],
        "rank": [0, 7],
        "row": ['{"price":1.5,"rvol":null}', "{}"],
    }
    house.lake.write("membership", SESSION, pl.DataFrame(events, schema=SCHEMA), "")
    await whole(house)
    rows = ask(house, f'SELECT time, session, list, symbol, event, rank, "row" FROM {RESULTS} ORDER BY rank')
    when = at(SESSION, time(9, 31)), SESSION
    entered = (*when, "winners", "T001", "enter", 0, {"price": 1.5, "rvol": None})
    assert rows == [entered, (*when, "losers", "T002", "leave", 7, {})]


async def _die_in_the_mirror(root, bus_url, now, after):
    async with housed(root, bus_url, now, MIRRORED) as house:
        replaced = counts_replaced(house)
        counted = house.mirror.replace

        def dying(*arguments):
            if len(replaced) == after:
                die()
            counted(*arguments)

        house.mirror.replace = dying
        await house.service.reconcile()


def die_in_the_mirror(*arguments):
    asyncio.run(_die_in_the_mirror(*arguments))


@pytest.mark.parametrize("after", [3, *(pytest.param(number, marks=pytest.mark.long) for number in (0, 1, 9, 12))])
async def test_killed_among_its_sessions_it_goes_on_at_the_first_that_is_missing(house, after):
    process = PROCESSES.Process(target=die_in_the_mirror, args=(house.root, house.bus_url, house.clock.now(), after))
    process.start()
    await asyncio.to_thread(process.join, 60)
    assert process.exitcode == -signal.SIGKILL
    replaced = counts_replaced(house)
    await whole(house)
    assert equal(house)
    assert len(replaced) == len(house.mirror.standing()) - after


async def test_a_server_that_goes_away_in_the_midst_fails_the_step_and_the_next_run_heals_it(house, postgres):
    replaced = counts_replaced(house)
    counted = house.mirror.replace

    def interrupted(*arguments):
        if len(replaced) == 3:
            postgres.stop()
            postgres.start()
            house.mirror.replace = counted
            raise StoreError("The mirror could not be written (it was restarted)")
        counted(*arguments)

    house.mirror.replace = interrupted
    run = await house.service.reconcile()
    assert [(row.dataset, row.state) for row in run.failed] == [(TIMESCALE_MIRROR, State.FAILED)]
    await whole(house)
    assert equal(house)
    assert len(replaced) == len(house.mirror.standing())


async def test_without_a_server_there_is_no_mirror(make_house):
    house = await make_house(windows=SMALL, tickers=FEW)
    with pytest.raises(RunRefused, match="TRADEUL_DATABASE_URL is not set"):
        await house.service.reconcile(REBUILD)
