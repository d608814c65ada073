import math

import pytest

from tradeul.errors import ListError
from tradeul.market_calendar import nyse
from tradeul.scanner.definitions import built_in_lists
from tradeul.scanner.floors import floor_in_force, floor_mask, moment_of

FLOORS = built_in_lists()[0].floors
# A ticker that passes every floor of its time; tests spoil one thing.
GOOD = {"price": 10, "dollar_volume": 2e6, "trades": 500, "post_dollar_volume": 2e5, "post_trades": 50}
TIMES = ["04:00", "06:59:59", "07:00", "09:29:59", "09:30", "09:34:59", "09:35", "09:59:59", "10:00", "15:59:59", "16:00", "19:59"]
# CONTRACT.md: (dollar volume, trades, age) at each of `TIMES`; after the close the post-market's own
CONTRACT = (
    [(5e4, 10, 900)] * 2 + [(2.5e5, 50, 300)] * 2 + [(3e5, 50, 60)] * 2 + [(5e5, 100, 60)] * 2 + [(1e6, 150, 90)] * 2 + [(1e5, 10, 900)] * 2
)


def passes(make, at, **changes):
    """Whether GOOD, changed, passes; beside it stands one that proves that the source delivers every input."""
    fresh = {"updated_at": make.eastern(at).timestamp()}
    made = make.frame(at, A=GOOD | fresh | changes, B=GOOD | fresh)
    mask = floor_mask(make.market(made, make.baselines(A={}, B={})), FLOORS)
    assert mask[1]
    return bool(mask[0])


@pytest.mark.parametrize(("at", "least"), list(zip(TIMES, CONTRACT, strict=True)), ids=TIMES)
def test_the_floors_are_the_contracts_to_the_last_share(make, at, least):
    dollars, trades, age = least
    prefix = "post_" if at >= "16:00" else ""
    when = make.eastern(at).timestamp()
    assert passes(make, at, **{f"{prefix}dollar_volume": dollars, f"{prefix}trades": trades, "updated_at": when - age})
    assert not passes(make, at, **{f"{prefix}dollar_volume": dollars - 1})
    assert not passes(make, at, **{f"{prefix}trades": trades - 1})
    assert not passes(make, at, updated_at=when - age - 0.5)
    assert not passes(make, at, **{f"{prefix}dollar_volume": math.nan})
    assert not passes(make, at, **{f"{prefix}trades": math.nan})
    assert not passes(make, at, updated_at=math.nan)


def test_after_the_close_the_days_volume_does_not_count(make):
    assert passes(make, "16:10", dollar_volume=0, trades=0)


def test_on_an_early_close_the_floors_follow(make):
    hours = nyse().hours(nyse().latest(make.session.replace(year=2025, month=11, day=28)))
    assert floor_in_force(FLOORS, hours, hours.close_at).post_trades == 10
    assert hours.close_at == moment_of("13:00", hours)


def test_a_halted_ticker_may_be_silent(make):
    old = make.eastern("10:00").timestamp() - 3600
    assert passes(make, "10:00", updated_at=old, halted=1)
    assert not passes(make, "10:00", updated_at=old, halted=0)
    assert not passes(make, "10:00", updated_at=old, halted=math.nan)


def test_while_a_row_is_partial_its_trades_are_not_asked(make):
    assert passes(make, "10:00", trades=math.nan, partial=1)
    assert passes(make, "10:00", trades=1, partial=1)
    assert not passes(make, "10:00", trades=1, partial=0)
    assert not passes(make, "10:00", dollar_volume=1, partial=1)


def test_a_floor_whose_input_the_source_never_delivers_is_not_applied(make):
    fresh = {"updated_at": make.eastern("10:00").timestamp()}
    recorded = {name: value for name, value in GOOD.items() if name != "trades"} | fresh
    made = make.frame("10:00", A=recorded, B=recorded | {"dollar_volume": 5})
    assert floor_mask(make.market(made), FLOORS).tolist() == [True, False]


def test_while_every_row_is_recovered_an_unknown_input_is_not_taken_for_one_never_delivered(make):
    fresh = {"updated_at": make.eastern("16:30").timestamp(), "partial": 1}
    made = make.frame("16:30", A=GOOD | fresh | {"post_dollar_volume": math.nan}, B=GOOD | fresh | {"post_dollar_volume": math.nan})
    assert not floor_mask(make.market(made), FLOORS).any()


@pytest.mark.parametrize(
    ("price", "prev_close", "want"),
    [(1, None, True), (0.99, None, False), (0.5, 1, True), (0.5, 0.99, False), (math.nan, 5, False), (2, 0.5, True)],
)
def test_a_price_of_a_dollar_now_or_before(make, price, prev_close, want):
    fresh = {"updated_at": make.eastern("10:00").timestamp()}
    made = make.frame("10:00", A=GOOD | fresh | {"price": price})
    assert floor_mask(make.market(made, make.baselines(A={"prev_close": prev_close})), FLOORS).tolist() == [want]


def test_before_any_floor_only_the_price_counts(make):
    later = [floor for floor in FLOORS if floor.from_ == "close"]
    assert floor_mask(make.market(make.frame("10:00", A={"price": 5}, B={"price": 0.5})), later).tolist() == [True, False]


@pytest.mark.parametrize("text", ["9:30", "24:00", "12:60", "opening", "open+5", "open-5m", "", "close + 5m", "09:30\n"])
def test_a_moment_of_another_form_is_refused(make, text):
    with pytest.raises(ListError, match="write HH:MM"):
        moment_of(text, make.hours)


@pytest.mark.parametrize(
    ("text", "want"),
    [("04:00", "04:00"), ("open", "09:30"), ("open+5m", "09:35"), ("open+30m", "10:00"), ("close", "16:00"), ("close+1m", "16:01")],
)
def test_a_moment_is_an_instant_of_the_session(make, text, want):
    assert moment_of(text, make.hours) == make.eastern(want)
