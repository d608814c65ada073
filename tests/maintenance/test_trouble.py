import inspect
import re
from datetime import date, time, timedelta

from tests.maintenance.conftest import CALENDAR, SESSION, START
from tests.maintenance.simulated import reconciled
from tests.shown import text_of
from tradeul.errors import Unauthorized, VendorUnavailable
from tradeul.maintenance.datasets import Schedule, Windows
from tradeul.maintenance.trouble import LEAST_FREE_BYTES, late_sessions, trouble
from tradeul.market_calendar import at
from tradeul.records.partitions import LedgerRow, State
from tradeul.records.runs import WHOLE, Run

SCHEDULE = Schedule(CALENDAR, Windows(3, 2, 2))
FRIDAY = date(2026, 3, 6)
RUN = Run(id="1", date=SESSION, options=WHOLE, started_at=START, finished_at=START, success=True)


def full(now):
    keys = [(name, session) for name in ("ohlc_daily", "volume_slots") for session in SCHEDULE.window(name, now)]
    return {key: LedgerRow(dataset=key[0], session=key[1], state=State.COMPLETED) for key in keys}


def test_a_session_has_until_the_next_one_opens():
    opens_at = at(SESSION, time(9, 30))
    ledger = full(opens_at)
    ledger["volume_slots", FRIDAY] = LedgerRow(dataset="volume_slots", session=FRIDAY, state=State.FAILED)
    assert late_sessions(ledger, SCHEDULE, opens_at - timedelta(seconds=1)) == []
    assert late_sessions(ledger, SCHEDULE, opens_at) == [FRIDAY]
    assert "2026-03-06" in trouble(ledger, SCHEDULE, opens_at, RUN, None)["deadline"]
    assert trouble(full(opens_at), SCHEDULE, opens_at, RUN, None) == {}


def test_little_room_is_an_alarm():
    assert "disk" in trouble(full(START), SCHEDULE, START, RUN, LEAST_FREE_BYTES - 1)
    assert trouble(full(START), SCHEDULE, START, RUN, LEAST_FREE_BYTES) == {}


def test_a_failed_task_is_one_alarm_with_its_newest_reason():
    rows = tuple(LedgerRow(dataset="ohlc_daily", session=day, error=f"of {day}", missing=("AAA",)) for day in (date(2026, 3, 5), FRIDAY))
    run = Run(id="1", date=SESSION, options=WHOLE, started_at=START, finished_at=START, success=False, failed=rows)
    standing = trouble(full(START), SCHEDULE, START, run, None)
    assert list(standing) == ["task:ohlc_daily"]
    assert all(words in standing["task:ohlc_daily"] for words in ("2 sessions", "of 2026-03-06", "AAA"))


def test_the_documentation_has_a_remedy_for_each_alarm_and_for_no_other():
    section = text_of("docs/operations.md").split("## Alarms")[1].split("\n## ")[0]
    rows = dict(re.findall(r"^\| `([^`]+)` \|.*\|(.*)\|$", section, re.MULTILINE))
    raised = re.findall(r'standing\[f?"(.+?)"\] = ', inspect.getsource(trouble))
    assert sorted(rows) == sorted(name.replace("{name}", "NAME") for name in raised)
    assert all(remedy.strip() for remedy in rows.values())


class Kept:
    """Alarms as they were held."""

    def __init__(self):
        self.held, self.beats = [], 0

    async def hold(self, standing):
        self.held.append(sorted(standing))

    async def beat(self):
        self.beats += 1


async def test_a_run_sounds_what_stands_and_a_good_one_beats(house):
    house.service._alarms = kept = Kept()
    house.lake.free_bytes = lambda: 10**12
    house.market.faults["tickers"] = VendorUnavailable("503")
    await reconciled(house)
    house.market.faults = {"tickers": Unauthorized("401")}
    await reconciled(house)
    house.market.faults = {}
    await reconciled(house)
    assert "task:tickers" in kept.held[0] and "key" in kept.held[1] and kept.held[2] == []
    assert kept.beats == 1
