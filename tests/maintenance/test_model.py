"""Plan and ledger against a reference model: whatever the wake-ups, pauses and failures, they agree on what stands and on what is asked."""

from datetime import date, time, timedelta

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, rule

from tradeul.errors import VendorUnavailable
from tradeul.maintenance.datasets import DATASETS, Schedule, Windows
from tradeul.maintenance.ledger import Landed, completed, failed, inputs_of, is_due, landed, row_of, started
from tradeul.maintenance.plan import plan
from tradeul.market_calendar import at, nyse
from tradeul.records.partitions import State

CALENDAR = nyse()
DAILY, SLOTS = 5, 3
SCHEDULE = Schedule(CALENDAR, Windows(DAILY, SLOTS, 2))
START = at(date(2025, 11, 20), time(9, 28))  # before Thanksgiving and its 13:00 close


class Reference:
    """All in one pass, in the order of dependency: no plan, no stages. ``stands``: key -> (state, what it holds, what it was made from)."""

    def __init__(self):
        self.stands = {}

    def run(self, now, is_broken):
        """Returns what was asked of the vendor."""
        current = CALENDAR.current_session(now)
        today = lambda wall: [current] if now >= at(current, wall) else []  # noqa: E731
        served = [current] + [CALENDAR.next(session) for session in today(time(20, 15))]
        before = {"ohlc_daily": lambda day: CALENDAR.before(day, DAILY), "volume_slots": lambda day: CALENDAR.before(day, SLOTS)}
        wanted = dict.fromkeys(("tickers", "splits"), served)
        wanted["ohlc_daily"] = before["ohlc_daily"](current) + today(time(17))
        wanted["volume_slots"] = before["volume_slots"](current) + today(time(20, 15))
        wanted |= {"metadata_enrich": [current], "baselines": served, "redis_sync": served, "new_trading_day": [current]}
        asked = set()
        for name, session in [(each, day) for each, days in wanted.items() for day in days]:
            state, holds, made_from = self.stands.get((name, session), (None, None, None))
            final, whole, inputs = now >= at(session, time(20, 15) if name in before else time(3)), True, None
            if name == "volume_slots" and self._of("ohlc_daily", session)[0] is not State.COMPLETED:
                continue
            if name == "metadata_enrich" and self._of("tickers", session)[1] is None:
                continue
            if name in ("baselines", "redis_sync"):
                needs = [("baselines", session)] if name == "redis_sync" else [("tickers", session), ("splits", session)]
                if any(self._of(*key)[1] is None for key in needs):
                    continue
                past = [(each, day) for each, days in before.items() for day in days(session)] if name == "baselines" else []
                enriched = [day for each, day in self.stands if each == "metadata_enrich" and day <= session and self._of(each, day)[1]]
                used = [("metadata_enrich", max(enriched))] if enriched and name == "baselines" else []
                inputs = [(key, *self._of(*key)[:2]) for key in needs + used + past if self._of(*key)[1] is not None]
                whole = all(self._of(*key)[0] is State.COMPLETED for key in past)
            usable = state in (State.COMPLETED, State.PROVISIONAL)
            if usable and (inputs == made_from if inputs is not None else state is State.COMPLETED or not final):
                continue
            asked.add((name, session))
            if is_broken(name, session):
                self.stands[name, session] = State.FAILED, holds, made_from
            else:
                holds = str(inputs) if inputs is not None else f"{name} {session} {final}"
                self.stands[name, session] = State.COMPLETED if final and whole else State.PROVISIONAL, holds, inputs
        return asked

    def _of(self, name, session):
        return self.stands.get((name, session), (None, None, None))


class Machine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.now = START
        self.ledger = {}
        self.reference = Reference()

    @rule(
        pause=st.one_of(st.none(), st.integers(0, 6 * 24 * 60)),
        broken=st.frozensets(st.tuples(st.sampled_from(list(DATASETS)), st.integers(0, 3)), max_size=4),
    )
    def wake(self, pause, broken):
        """``pause``: minutes; None: until the next wake-up. A dataset fails for some sessions (0: for all)."""
        self.now = SCHEDULE.wake_after(self.now) if pause is None else self.now + timedelta(minutes=pause)

        def is_broken(name, session):
            return (name, 0) in broken or (name, session.toordinal() % 3 + 1) in broken

        assert self._run(is_broken) == self.reference.run(self.now, is_broken)
        stands = {key: (row.state, row.checksum is not None) for key, row in self.ledger.items()}
        assert stands == {key: (state, holds is not None and key[0] in IN_LAKE) for key, (state, holds, _) in self.reference.stands.items()}

    def _run(self, is_broken):
        """What `run.py` does with plan and ledger, without vendor, lake and bus."""
        asked, tried = set(), set()
        for step in plan(self.ledger, SCHEDULE, self.now):
            for session in step.sessions:
                key = (step.dataset, session)
                inputs = inputs_of(self.ledger, SCHEDULE, *key)
                if (key, inputs) in tried or not is_due(self.ledger, SCHEDULE, *key, self.now) or not self._needs_stand(*key):
                    continue
                tried.add((key, inputs))
                asked.add(key)
                begun = started(row_of(self.ledger, *key), self.now, None)
                if is_broken(*key):
                    self.ledger[key] = failed(begun, VendorUnavailable("down"), self.now)
                    continue
                final = self.now >= SCHEDULE.final_at(*key)
                holds = str(inputs) if step.dataset == "baselines" else f"{step.dataset} {session} {final}"
                result = Landed(
                    session=session,
                    expected=1,
                    got=1,
                    checksum=holds if step.dataset in IN_LAKE else None,
                    inputs=inputs,
                    final=step.dataset != "baselines" or self._is_whole(session),
                )
                self.ledger[key] = landed(begun, result, SCHEDULE, self.now)
        return asked

    def _needs_stand(self, dataset, session):
        kind = DATASETS[dataset]
        if kind.served:
            return all(row_of(self.ledger, name, session).checksum is not None for name in kind.needs)
        return all(completed(self.ledger, name, [session]) for name in kind.needs)

    def _is_whole(self, session):
        wanted = {name: SCHEDULE.before(name, session) for name in ("ohlc_daily", "volume_slots")}
        return all(completed(self.ledger, name, sessions) == sessions for name, sessions in wanted.items())


IN_LAKE = ("tickers", "splits", "ohlc_daily", "volume_slots", "baselines", "metadata_enrich")
Machine.TestCase.settings = settings(max_examples=60, stateful_step_count=12, deadline=None)
TestPlanAndLedger = Machine.TestCase
