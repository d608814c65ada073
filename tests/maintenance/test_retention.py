"""What is outlived goes, and nothing that a number of today is made from ever does, however little is kept."""

from datetime import date, datetime, time, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tests.maintenance.conftest import CALENDAR, SESSION
from tradeul.maintenance.datasets import DATASETS, Schedule, Windows
from tradeul.maintenance.retention import PASSING_SESSIONS, outlived
from tradeul.market_calendar import at
from tradeul.records.partitions import LedgerRow, State
from tradeul.records.runs import RunOptions

PAST = CALENDAR.between(date(2025, 6, 2), date(2026, 3, 11))
LAKE = ("tickers", "splits", "ohlc_daily", "volume_slots", "baselines", "metadata_enrich", "minute_bars")
SMALL = Windows(6, 2, 1, minute_sessions=3, history_sessions=10)


def sets_of_sessions():
    """A few, or many in a row up to now."""
    rows = st.builds(lambda first, last: PAST[-first : len(PAST) - last], st.integers(5, 80), st.integers(0, 4))
    return st.one_of(st.lists(st.sampled_from(PAST), unique=True, max_size=60), rows)


@given(
    held=st.fixed_dictionaries({name: sets_of_sessions() for name in LAKE}),
    failed=sets_of_sessions(),
    now=st.datetimes(datetime(2026, 2, 2), datetime(2026, 3, 10)),
    lengths=st.tuples(st.integers(1, 40), st.integers(0, 30), st.integers(1, 20), st.integers(0, 9), st.integers(1, 50)),
    end_of_day=st.booleans(),
)
def test_nothing_that_a_baseline_rvol_or_a_shown_close_needs_is_outlived(held, failed, now, lengths, end_of_day):
    daily, slots, rvol, minutes, history = lengths
    windows = Windows(daily, slots, rvol, minute_sessions=minutes, history_sessions=history, end_of_day=end_of_day, mirror=True)
    now = at(now.date(), now.time())
    ledger = {(name, each): LedgerRow(dataset=name, session=each, state=State.COMPLETED) for name in held for each in held[name]}
    ledger |= {("volume_slots", each): LedgerRow(dataset="volume_slots", session=each, state=State.FAILED) for each in failed}
    gone = outlived(ledger, held, Schedule(CALENDAR, windows), now)

    current = CALENDAR.current_session(now)
    for served in (CALENDAR.previous(current), current, CALENDAR.next(current)):
        is_served = served == current or (end_of_day if served < current else now >= at(current, time(20, 15)))
        if not is_served:
            continue
        before = [each for each in CALENDAR.sessions if each < served]
        kept = {("ohlc_daily", each) for each in before[-max(daily, slots) :]} | {
            ("volume_slots", each) for each in before[-slots:] if slots
        }
        kept |= {(name, served) for name in DATASETS if not DATASETS[name].morning and DATASETS[name].served}
        assert not kept & {*gone.partitions, *gone.rows}
    metadata = [each for each in held["metadata_enrich"] if each <= current]  # the newest that stands is used
    assert not metadata or ("metadata_enrich", max(held["metadata_enrich"])) not in gone.partitions
    # What is told of the past: so many of each, the newest; and what goes is the oldest.
    for name, count in {"ohlc_daily": history, "volume_slots": history, "tickers": history, "baselines": PASSING_SESSIONS}.items():
        left = set(held[name]) - {each for dataset, each in gone.partitions if dataset == name}
        assert set(sorted(held[name])[-count:]) <= left
    if not minutes:
        assert not [key for key in gone.partitions if key[0] == "minute_bars"]
    tried = {each for each in failed if each in CALENDAR.before(current, history)}  # `--reprocess failed` finds them
    assert not {("volume_slots", each) for each in tried} & set(gone.rows)
    # No row says complete of what is gone, and none stays for ever.
    left = ledger.keys() - set(gone.rows)
    assert not left & set(gone.partitions) - {("volume_slots", each) for each in failed}
    oldest = CALENDAR.before(current, max(history, daily + 1, slots + 1))[0]
    assert all(each in held[name] or each >= oldest for name, each in left)


def of(house, dataset):
    return house.lake.sessions(dataset), sorted(house.states(dataset))


async def test_a_run_forgets_what_is_outlived_with_its_rows_and_the_next_has_nothing_to_do(make_house):
    house, twin = await make_house(windows=SMALL, tickers=8), await make_house(windows=Windows(6, 2, 1, minute_sessions=3), tickers=8)
    earlier = RunOptions(since=CALENDAR.before(SESSION, 14)[0], target_date=CALENDAR.previous(SESSION))
    for each in (house, twin):
        await each.bus.redis.flushall()
        assert (await each.service.reconcile()).success
        assert (await each.service.reconcile(earlier)).success
        assert len(each.lake.sessions("ohlc_daily")) == 14, "a backfill forgets nothing"
        assert (await each.service.reconcile()).success
    assert of(house, "ohlc_daily") == (CALENDAR.before(SESSION, 10),) * 2 == of(house, "volume_slots")
    assert of(twin, "ohlc_daily") == (CALENDAR.before(SESSION, 14),) * 2
    assert house.row("baselines", SESSION) == twin.row("baselines", SESSION)
    house.restart()
    run = await house.service.reconcile()
    assert run.success and not run.completed and not house.market.calls


async def test_weeks_leave_as_much_as_the_table_says(make_house):
    house = await make_house(windows=SMALL, tickers=8)
    for session in CALENDAR.between(SESSION, date(2026, 3, 20)):
        for wall in (time(3), time(17), time(20, 15)):
            house.clock._now = at(session, wall) + timedelta(seconds=1)
            assert (await house.service.reconcile()).success
    counts = {name: len(house.lake.sessions(name)) for name in LAKE}
    expected = {"ohlc_daily": 10, "volume_slots": 10, "tickers": 10, "splits": 10, "metadata_enrich": 10, "baselines": 5, "minute_bars": 3}
    assert counts == expected
    rows = {name: len(house.states(name)) for name in DATASETS}
    assert rows == expected | {"redis_sync": 5, "new_trading_day": 5, "timescale_mirror": 0}


async def test_killed_between_a_partition_and_its_row_the_next_run_ends_it_and_asks_for_nothing(make_house):
    house = await make_house(windows=SMALL, tickers=8)
    assert (await house.service.reconcile()).success
    oldest = CALENDAR.before(SESSION, 9)[0]
    assert (await house.service.reconcile(RunOptions(since=oldest, target_date=oldest))).success
    house.lake.drop("ohlc_daily", oldest)
    house.restart()
    assert (await house.service.reconcile()).success
    assert ("ohlc_daily", oldest) not in house.checksums() and not house.market.calls
    assert oldest in house.states("volume_slots")


async def test_a_disk_that_refuses_to_delete_fails_no_run(make_house):
    house = await make_house(windows=SMALL, tickers=8)
    assert (await house.service.reconcile()).success
    older = CALENDAR.before(SESSION, 40)[0]
    elsewhere = house.root / "elsewhere"
    house.lake.path("splits", SESSION).parent.rename(elsewhere)
    for session in CALENDAR.before(SESSION, 40)[:12]:
        house.lake.path("ohlc_daily", session).parent.symlink_to(elsewhere)  # a partition that cannot be deleted
    house.lake.path("splits", SESSION).parent.symlink_to(elsewhere)
    house.restart()
    assert (await house.service.reconcile()).success
    assert older in house.lake.sessions("ohlc_daily")
