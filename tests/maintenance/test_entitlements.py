import pytest

from tradeul.maintenance.datasets import Windows
from tradeul.maintenance.entitlements import entitled_windows, missing, mode_of, requests_per_minute, slots_can_be_had
from tradeul.records.entitlements import Entitlements, Mode

WINDOWS = Windows()
FREE = Entitlements(snapshot=False, minutes=True, files=False, free_float=True, short_interest=True)
DELAYED = Entitlements(snapshot=True, real_time=False, minutes=True, files=True, free_float=True, short_interest=True)
REAL_TIME = Entitlements(snapshot=True, real_time=True, minutes=True, files=True, free_float=True, short_interest=True, stream=True)


@pytest.mark.parametrize(
    ("had", "mode"),
    [
        (REAL_TIME, Mode.LIVE),
        (DELAYED, Mode.DELAYED),
        (FREE, Mode.END_OF_DAY),
        (Entitlements(snapshot=True, real_time=True, stream=False), Mode.LIVE),
        (Entitlements(snapshot=True, real_time=False, stream=False), Mode.DELAYED),
        (Entitlements(snapshot=False, stream=False), Mode.END_OF_DAY),
        (Entitlements(), Mode.LIVE),  # not known: nothing is taken away on a guess
    ],
)
def test_the_mode_follows_what_the_key_has(had, mode):
    assert mode_of(had) is mode


def test_the_free_plan_is_told_how_long_its_first_load_takes_and_what_it_cannot_have():
    assert requests_per_minute(FREE, 6000, chosen=False) == 5
    said = missing(FREE, WINDOWS, 5)
    assert any("first load of 260 sessions takes 52 minutes" in each and "TRADEUL_REQUESTS_PER_MINUTE" in each for each in said)
    assert any("volume_slots is not entitled" in each and "42 hours" in each for each in said)
    assert entitled_windows(FREE, WINDOWS, 5).slot_sessions == 0


def test_a_person_who_set_the_requests_a_minute_knows_better():
    assert requests_per_minute(FREE, 3000, chosen=True) == 3000
    assert slots_can_be_had(FREE, 3000) and entitled_windows(FREE, WINDOWS, 3000).end_of_day
    assert entitled_windows(FREE, WINDOWS, 3000).slot_sessions == WINDOWS.slot_sessions
    assert requests_per_minute(DELAYED, 6000, chosen=False) == 6000


def test_a_plan_that_has_everything_misses_nothing():
    assert missing(REAL_TIME, WINDOWS, 6000) == ()
    assert missing(Entitlements(), WINDOWS, 6000) == ()


def test_each_missing_entitlement_is_one_sentence_with_its_cost():
    had = Entitlements(snapshot=True, real_time=False, minutes=False, files=False, free_float=False, short_interest=False)
    said = missing(had, WINDOWS, 6000)
    for words in ("15 minutes late", "volume_slots", "minute bars", "float_rotation", "short_pct_float"):
        assert any(words in each for each in said)
    assert all(each.endswith((".", ")")) and len(each) < 200 for each in said)


def test_too_many_requests_in_a_probe_name_the_setting():
    assert any("TRADEUL_REQUESTS_PER_MINUTE=5" in each for each in missing(Entitlements(too_many_requests=True), WINDOWS, 6000))
