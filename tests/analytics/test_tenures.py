import itertools
from datetime import date, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from tradeul.analytics.tenures import bearer_at, bears, other_names, tenures
from tradeul.records.tickers import Tenure, Ticker

BEGIN = date(2026, 1, 5)
DAYS = [BEGIN + timedelta(days=number) for number in range(24)]


def day(number):
    return DAYS[number]


def listed(*issues, symbol="X"):
    return [Ticker(symbol, f"{issue} Inc", figi=f"BBG{issue}") for issue in issues]


def ended(issue, until, symbol="X", **known):
    return Tenure(**{"symbol": symbol, "name": f"{issue} Inc", "figi": f"BBG{issue}", "until": day(until)} | known)


def shown(found):
    return [(each.symbol, each.name[0], each.since, each.until) for each in found]


@st.composite
def worlds(draw):
    """Who truly bears X each day, on which days we look, and what is told of whom."""
    truth = []
    while len(truth) < len(DAYS):
        truth += [draw(st.sampled_from("ABC "))] * draw(st.integers(1, 8))
    truth = truth[: len(DAYS)]
    looks = sorted(draw(st.sets(st.integers(3, len(DAYS) - 1), min_size=1, max_size=12)))
    ends = [place for place in range(len(DAYS) - 1) if truth[place] != " " and truth[place + 1] != truth[place]]
    told = set()
    for end in ends:
        begin = next((place + 1 for place in range(end, -1, -1) if truth[place] != truth[end]), 0)
        # What we never saw on a list nobody but the vendor can tell.
        unseen = not any(begin <= look <= end for look in looks)
        if unseen or draw(st.booleans()):
            told.add(end)
    identities = {(look, issue): draw(st.sampled_from(["figi", "cik", "both", "name"])) for look in looks for issue in "ABC"}
    return truth, looks, told, identities


def identity(issue, shows):
    known = {"figi": f"BBG{issue}", "cik": f"000{issue}"}
    return {name: value for name, value in known.items() if shows in (name, "both")}


@settings(max_examples=150, deadline=None)
@given(worlds())
def test_no_history_ever_holds_sessions_of_two_issues(world):
    truth, looks, told, identities = world
    found, last = [], None
    for look in looks:
        tickers = [Ticker("X", f"{truth[look]} Inc", **identity(truth[look], identities[look, truth[look]]))] if truth[look] != " " else []
        gone = [Tenure(symbol="X", name=f"{truth[end]} Inc", until=day(end), **identity(truth[end], "both")) for end in told if end < look]
        found = tenures(found, last, tickers, gone, day(look))
        last = day(look)
        for asked in range(look + 1):
            tenure = bearer_at(found, day(asked))
            covered = {truth[place] for place in range(look + 1) if bears(tenure, day(place))} - {" "}
            assert tenure is None or len(covered) <= 1, (shown(found), asked)
            assert tenure is None or covered <= {tenure.name[0]}
        assert sum(bears(tenure, day(look)) for tenure in found) == (truth[look] != " ")
        for one, other in itertools.pairwise(found):
            assert one.until < other.since


def test_the_first_list_knows_of_earlier_bearers_only_what_the_vendor_tells():
    found = tenures([], None, listed("B"), [ended("A", 2)], day(5))
    assert shown(found) == [("X", "A", None, day(2)), ("X", "B", day(3), None)]
    assert shown(tenures([], None, listed("B"), [], day(5))) == [("X", "B", None, None)]


def test_the_dates_between_two_lists_are_nobodys_unless_the_vendor_tells_whose():
    before = tenures([], None, listed("A"), [], day(2))
    assert shown(tenures(before, day(2), listed("B"), [], day(9))) == [("X", "A", None, day(2)), ("X", "B", day(9), None)]
    assert shown(tenures(before, day(2), listed("B"), [ended("A", 5)], day(9))) == [("X", "A", None, day(5)), ("X", "B", day(6), None)]


def test_a_list_that_lacked_a_ticker_for_a_day_changes_nothing_for_it():
    before = tenures([], None, listed("A"), [], day(2))
    lacking = tenures(before, day(2), [], [], day(3))
    assert shown(lacking) == [("X", "A", None, day(2))]
    assert shown(tenures(lacking, day(3), listed("A"), [], day(4))) == [("X", "A", None, None)]


def test_a_newcomer_bears_its_ticker_since_the_last_list_without_it():
    assert shown(tenures([], day(4), listed("A"), [], day(7))) == [("X", "A", day(5), None)]


def test_a_company_of_which_a_list_told_less_is_the_same_one():
    before = tenures([], None, [Ticker("X", "A Inc", cik="1", figi="F")], [], day(1))
    before = tenures(before, day(1), [Ticker("X", "A Corp", cik="1")], [], day(2))
    (found,) = tenures(before, day(2), [Ticker("X", "A Corp", figi="F")], [], day(3))
    assert (found.since, found.cik, found.figi) == (None, "1", "F")


def test_two_classes_that_swap_a_ticker_are_two_issues_of_one_company():
    before = tenures([], None, [Ticker("GOOG", "Google", cik="1", figi="A")], [], day(1))
    found = tenures(before, day(1), [Ticker("GOOG", "Google", cik="1", figi="C"), Ticker("GOOGL", "Google", cik="1", figi="A")], [], day(2))
    assert [(each.symbol, each.figi, each.since, each.until) for each in found] == [
        ("GOOG", "A", None, day(1)),
        ("GOOG", "C", day(2), None),
        ("GOOGL", "A", day(2), None),
    ]
    by_figi = {"A": [found[0], found[2]], "C": [found[1]]}
    assert [other_names(by_figi, each) for each in found] == [(None, "GOOGL"), (None, None), ("GOOG", None)]


def test_of_a_ticker_with_no_identity_at_all_nothing_is_cut():
    before = tenures([], None, [Ticker("X")], [], day(1))
    assert tenures(before, day(1), [Ticker("X")], [], day(2)) == [Tenure(symbol="X")]


def test_in_a_pause_and_after_the_end_a_ticker_is_its_last_bearers():
    of_x = [ended("A", 3), ended("B", 9, since=day(6))]
    assert [bearer_at(of_x, day(number)).name[0] for number in (0, 3, 4, 5, 6, 9, 12)] == list("AAAABBB")
    assert bearer_at([], day(0)) is None
    assert not bears(of_x[1], day(5)) and bears(None, day(5))
