"""A ticker that two issuers bore, one that an issuer left for another, and one of which nobody knows: what history says of each."""

from datetime import date, time

import polars as pl
import pytest

from tests.api.history.small_lake import BARS, CALENDAR, SLOTS
from tests.api.history.test_server import serving
from tradeul.api.history.past import Kept, Past
from tradeul.clock import SteppedClock
from tradeul.market_calendar import at
from tradeul.records.partitions import LedgerRow, State
from tradeul.records.tickers import Tenure
from tradeul.store.by_ticker import ByTicker
from tradeul.store.lake import Lake
from tradeul.store.tenures import frame_of

SESSION = date(2026, 3, 9)
SESSIONS = CALENDAR.before(SESSION, 40)
LAST, FIRST = SESSIONS[19], SESSIONS[22]  # of the old bearer, of the new one
RENAMED = SESSIONS[30]
OLD, NEW = 10.0, 90.0  # prices by which two issuers are told apart
KNOWN = [
    Tenure(symbol="REUSED", name="Old", figi="O", cik="1", until=LAST),
    Tenure(symbol="REUSED", name="New", figi="N", cik="2", since=FIRST),
    Tenure(symbol="BEFORE", name="Renamed", figi="R", until=SESSIONS[29]),
    Tenure(symbol="AFTER", name="Renamed", figi="R", since=RENAMED),
]


def price(symbol, session):
    if symbol == "REUSED":
        return OLD if session <= LAST else NEW if session >= FIRST else None
    if symbol in ("BEFORE", "AFTER"):
        return OLD if (symbol == "BEFORE") == (session < RENAMED) else None
    return OLD


def write(root):
    lake, rows = Lake(root / "lake", "test", simulated=True), []

    def land(dataset, session, frame):
        lake.write(dataset, session, frame, "test")
        rows.append(LedgerRow(dataset=dataset, session=session, state=State.COMPLETED))

    for session in SESSIONS:
        prices = [(symbol, price(symbol, session)) for symbol in ("REUSED", "BEFORE", "AFTER", "NOBODY")]
        here = [(symbol, each) for symbol, each in prices if each]
        land("ohlc_daily", session, pl.DataFrame([(s, p, p, p, p, p, None, None) for s, p in here], schema=BARS, orient="row"))
        land("volume_slots", session, pl.DataFrame([(s, 70, p, None, None) for s, p in here], schema=SLOTS, orient="row"))
    land("tickers", SESSION, frame_of(KNOWN))
    told = [("REUSED", 1e6, "3571", "ELECTRONIC COMPUTERS", LAST, 5e5, SESSION, None, None)]
    names = ("symbol", "shares", "sic_code", "industry", "details_on", "free_float", "float_on", "short_interest", "short_on")
    kinds = (pl.String, pl.Float64, pl.String, pl.String, pl.Date, pl.Float64, pl.Date, pl.Float64, pl.Date)
    land("metadata_enrich", SESSION, pl.DataFrame(told, schema=dict(zip(names, kinds, strict=True)), orient="row"))
    return lake, rows


@pytest.fixture
async def stand(tmp_path):
    lake, rows = write(tmp_path)
    past = Past(lake, ByTicker(lake, tmp_path), lambda: rows, CALENDAR, SteppedClock(at(SESSION, time(12))), Kept(40, 40, 20))
    async with serving(past, tmp_path) as stand:
        yield stand


async def test_bars_and_slots_are_those_of_the_issuer_of_the_asked_date_alone(stand):
    for path, values in (("/api/bars/daily/REUSED", "bars"), ("/api/slots/REUSED", "slots")):
        now = await stand.json(path)
        assert {each["volume"] for each in now[values]} == {NEW}
        assert (now[values][0]["session"], now["bearer"]["name"], now["bearer"]["since"]) == (str(FIRST), "New", str(FIRST))
        assert not now["lacking"]
        for asked in (SESSIONS[5], LAST, SESSIONS[21]):
            then = await stand.json(f"{path}?as_of={asked}")
            assert {each["volume"] for each in then[values]} == {OLD}
            assert (then["bearer"]["cik"], then["bearer"]["until"]) == ("1", str(LAST))
            assert then[values][-1]["session"] == str(min(asked, LAST))
        # Raw, and from the first session on: still nobody else's.
        raw = await stand.json(f"{path}?adjusted=false&as_of={LAST}&start={SESSIONS[0]}&end={SESSIONS[-1]}&limit=40")
        assert {each["volume"] for each in raw[values]} == {OLD} and raw["next"] is None


async def test_pages_go_on_within_one_tenure(stand):
    page, found = "/api/bars/daily/REUSED?limit=5", []
    while page:
        told = await stand.json(page)
        found += [each["volume"] for each in told["bars"]]
        page = told["next"]
    assert found == [NEW] * len([each for each in SESSIONS if each >= FIRST])


async def test_rvol_and_atr_begin_anew_with_another_issuer(stand):
    asked = SESSIONS[25]
    rvol = await stand.json(f"/api/rvol/REUSED?session={asked}&slot=70")
    assert (rvol["sessions"], rvol["slots"][0]["rvol"], rvol["bearer"]["figi"]) == (3, 1.0, "N")
    atr = await stand.json(f"/api/atr/REUSED?session={asked}")
    assert (atr["bars"], atr["atr"], atr["bearer"]["since"]) == (3, None, str(FIRST))
    before = await stand.json(f"/api/atr/REUSED?session={LAST}")
    assert (before["bars"], before["atr"], before["bearer"]["until"]) == (19, 0.0, str(LAST))
    pause = await stand.json(f"/api/rvol/REUSED?session={SESSIONS[21]}&slot=70")
    assert (pause["slots"][0]["volume"], pause["bearer"]["name"]) == (0.0, "Old")


async def test_a_renamed_issuers_two_names_lead_to_each_other(stand):
    after = await stand.json("/api/bars/daily/AFTER")
    assert (after["bearer"]["renamed_from"], after["bearer"]["renamed_to"], after["bearer"]["since"]) == ("BEFORE", None, str(RENAMED))
    before = await stand.json("/api/bars/daily/BEFORE")
    assert (before["bearer"]["renamed_to"], before["bearer"]["until"]) == ("AFTER", str(SESSIONS[29]))
    assert len(before["bars"]) + len(after["bars"]) == len(SESSIONS)
    assert (await stand.json("/api/metadata/AFTER"))["bearer"]["renamed_from"] == "BEFORE"


async def test_the_universe_tells_who_is_listed_since_when_and_who_is_gone(stand):
    listed, gone = await stand.json("/api/universe"), await stand.json("/api/universe?gone=true&limit=1")
    assert [(each["symbol"], each["since"], each["renamed_from"]) for each in listed["tickers"]] == [
        ("AFTER", str(RENAMED), "BEFORE"),
        ("REUSED", str(FIRST), None),
    ]
    assert (listed["gone"], listed["count"], gone["gone"], gone["count"]) == (False, 2, True, 2)
    both = gone["tickers"] + (await stand.json(gone["next"]))["tickers"]
    assert [(each["symbol"], each["until"], each["renamed_to"]) for each in both] == [
        ("BEFORE", str(SESSIONS[29]), "AFTER"),
        ("REUSED", str(LAST), None),
    ]


async def test_metadata_of_an_earlier_issuer_is_not_told_of_its_successor(stand):
    told = await stand.json("/api/metadata/REUSED")
    assert (told["shares"], told["sector"], told["details_on"], told["free_float"]) == (None, None, None, 5e5)


async def test_a_ticker_of_which_nobody_knows_says_so_and_holds_all(stand):
    told = (await stand.json("/api/rvol/NOBODY?slot=70"))["bearer"], (await stand.json("/api/atr/NOBODY"))["bearer"]
    assert told == (None, None)
    bars = await stand.json("/api/bars/daily/NOBODY")
    assert (bars["bearer"], len(bars["bars"])) == (None, len(SESSIONS))
