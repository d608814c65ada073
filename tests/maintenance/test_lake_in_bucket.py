"""Maintenance on a lake in a bucket: the same as in a folder, for all that stands on it, and also when the bucket goes away."""

from collections import Counter
from contextlib import closing

from tests.maintenance.conftest import CALENDAR
from tests.maintenance.simulated import SMALL, complete, reconciled, standing, supplied
from tests.s3_server import Line
from tradeul.api.history.past import Kept, Past
from tradeul.market_calendar import at
from tradeul.records.partitions import State
from tradeul.store.by_ticker import ByTicker


def history_of(house, symbol):
    """What it tells of a ticker."""
    rows, ledger = ByTicker(house.lake, house.root, 64 << 20, look_seconds=0), house.catalog.ledger()
    past = Past(house.lake, rows, lambda: ledger, CALENDAR, house.clock, Kept(*SMALL_KEPT))
    days = past.range("ohlc_daily", None, None, None, past.current_session(), None)
    slots = past.range("volume_slots", None, None, None, past.current_session(), None)
    return past.days(symbol, days), past.slots(symbol, slots)


SMALL_KEPT = SMALL.daily_sessions, SMALL.slot_sessions, SMALL.rvol_sessions


async def test_a_bucket_is_filled_like_a_folder_and_tells_the_same(make_house, s3):
    with closing(Line(s3.url)) as line:
        found = []
        for bucket in (None, s3.bucket(endpoint=line.url)):
            house = await make_house(windows=SMALL, bucket=bucket)
            async with supplied(house):
                assert (await reconciled(house)).success
            session = CALENDAR.current_session(house.clock.now())
            symbol = house.lake.read("ohlc_daily", house.lake.sessions("ohlc_daily")[-1])["symbol"][0]
            found.append((standing(house), house.checksums(), await house.bus.get_baselines(session), history_of(house, symbol)))
        assert found[0] == found[1]
        assert all(found[1][3])
        assert not (house.root / "lake" / "ohlc_daily").exists()
        puts = Counter(request for request in line.asked if request.startswith("PUT"))
        assert len(puts) == len([row for row in house.catalog.ledger() if row.checksum is not None])
        assert all(count == 1 or "/baselines/" in request for request, count in puts.items()), "one PUT for each partition"
        assert not [request for request in line.asked if request.startswith("GET") and "list-type" not in request], "what it wrote itself"

        line.cut_after_bytes = 0
        run = await reconciled(house)
        assert not run.success and "TRADEUL_LAKE_ENDPOINT" in run.reason
        line.cut_after_bytes = None
        before = complete(house)
        run = await reconciled(house)
        assert (run.success, run.completed, complete(house)) == (True, 0, before)


async def test_a_bucket_that_does_not_take_a_partition_fails_its_step_and_the_next_run_ends_it(make_house, s3):
    with closing(Line(s3.url)) as line:
        house = await make_house(windows=SMALL, bucket=s3.bucket(endpoint=line.url))
        async with supplied(house):
            line.cut_after_bytes = 4000  # of each connection: lists pass, and the smallest partitions
            run = await reconciled(house)
            assert not run.success and any("TRADEUL_LAKE_ENDPOINT" in row.error for row in run.failed)
            assert all(house.lake.has(row.dataset, row.session) for row in house.catalog.ledger() if row.checksum is not None)
            line.cut_after_bytes = None
            assert (await reconciled(house)).success
        assert {row.state for row in house.catalog.ledger()} == {State.COMPLETED}


async def test_another_machine_goes_on_with_what_stands_in_the_bucket(make_house, s3, postgres):
    """Its folder is empty: what was half done there is not known here, and costs only its time."""
    bucket, url = s3.bucket(), postgres.new_database()
    house = await make_house(windows=SMALL, bucket=bucket, catalog_url=url)
    async with supplied(house):
        assert (await reconciled(house)).success
    stood = {(dataset, session) for dataset in ("ohlc_daily", "volume_slots") for session in house.lake.sessions(dataset)}
    other = await make_house(
        windows=SMALL, bucket=bucket, catalog_url=url, now=at(CALENDAR.current_session(house.clock.now()), SMALL.final_at)
    )
    async with supplied(other) as simulator:
        assert (await reconciled(other)).success
        asked = simulator.asked(CALENDAR.current_session(other.clock.now()))
    assert stood and asked and not stood & asked
