"""The fault matrix: whatever the vendor does, a run ends complete, or failed with its reason; a later one heals it."""

from datetime import date

import aiohttp
import pytest

from tests.maintenance.simulated import SMALL, TICKERS, complete, misbehaves, reconciled, standing, supplied
from tradeul.maintenance.tasks import volume_slots
from tradeul.ops import s3
from tradeul.providers import http
from tradeul.records.partitions import State
from tradeul.simulator.faults import ALL, FILES, KINDS, can

SESSION = date(2026, 3, 9)
HUNG_SECONDS = 0.5
ENDPOINTS = ("tickers", "splits", "grouped", "range", FILES, ALL)
SHARES = (1, 10, 100)
# What a vendor says that withholds something without a sign of it: what stands is as good as it can be told.
LIES = ("empty", "fewer")
SAYS = {
    "401": "does not know this",
    "403": "plan",
    "429": "too many requests",
    "429-later": "too many requests",
    "500": "status 500",
    "503": "status 503",
    "html": "status 502",
    "hang": "no answer|did not deliver",
    "cut": "connection|did not deliver",
    "reset": "connection|did not deliver",
    "truncated": "could not be read",
    "malformed": "could not be read",
    "circle": "circle|not in order of time",
    "twice": "not in order of time",
    "empty": "expected|tickers|slots|volume|enough",
    "fewer": "expected|tickers|slots|volume|enough",
}
UNDISTURBED = {}  # how a run ends against a vendor that behaves; filled by the first test that needs it

WHOLE = [(endpoint, kind, share) for endpoint in ENDPOINTS for kind in KINDS for share in SHARES if endpoint == ALL or can(endpoint, kind)]
SAMPLE = [
    (ALL, "401", 10),
    ("grouped", "403", 100),
    (ALL, "429-later", 10),
    (ALL, "500", 10),
    (FILES, "reset", 100),
    ("grouped", "truncated", 100),
    ("range", "empty", 100),
    ("range", "twice", 10),
    (FILES, "fewer", 100),
    ("grouped", "fewer", 100),
]


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """A vendor that hangs costs these tests no half minutes."""
    monkeypatch.setattr(http, "TIMEOUT", aiohttp.ClientTimeout(total=20, connect=5, sock_read=HUNG_SECONDS))
    monkeypatch.setattr(s3, "SILENT_SECONDS", HUNG_SECONDS)


@pytest.fixture
async def undisturbed(make_house):
    if not UNDISTURBED:
        house = await make_house(windows=SMALL)
        async with supplied(house):
            assert (await reconciled(house)).success
        UNDISTURBED.update(standing(house))
    return UNDISTURBED


async def withstands(make_house, undisturbed, endpoint, kind, share):
    house = await make_house(windows=SMALL)
    async with supplied(house) as simulator:
        misbehaves(simulator, f"{endpoint}:{kind}:{share}")
        run = await reconciled(house)
        rows = house.catalog.ledger()
        is_told(run, rows, kind)
        stood = complete(house)
        if kind not in LIES:
            assert {key: value for key, value in contents_of(standing(house)).items() if key in stood}.items() <= contents_of(
                undisturbed
            ).items()
        lacking = {symbol for row in rows if row.dataset == "volume_slots" and row.state is State.FAILED for symbol in row.missing}
        # Which tickers: known when each session was loaded, and the sample of what is missing holds all.
        named = all(row.got is not None and row.expected - row.got <= 50 for row in rows if row.dataset == "volume_slots")

        misbehaves(simulator, "")
        house.restart()
        run = await reconciled(house)
        assert run.success, run
        asked = simulator.asked(SESSION)
        assert not asked & stood
        if named and house.states("volume_slots").keys() == {row.session for row in rows if row.dataset == "volume_slots"}:
            assert {symbol for name, symbol in asked if name == "by ticker"} <= lacking
        if kind not in LIES:
            assert contents_of(standing(house)) == contents_of(undisturbed)
        misbehaves(simulator, "")
        assert (await reconciled(house)).completed == 0
        assert not simulator.asked(SESSION)


def contents_of(standing):
    """Without how many of a day's bars were expected: that depends on which neighbours stood by then."""
    return {key: (state, checksum, got) for key, (state, checksum, _, got) in standing.items()}


def is_told(run, rows, kind):
    """Complete and as much as expected; or failed, each with a reason, of which one is the vendor's."""
    for row in rows:
        if row.state is State.COMPLETED:
            least = 0.8 if row.dataset == "ohlc_daily" else 0.95 if row.dataset == "tickers" else 1
            assert row.got >= least * row.expected and not row.missing, row
    if run.success:
        assert not run.failed and run.reason is None
        return
    assert run.reason or run.failed
    assert all(row.error for row in run.failed)
    said = " ".join([run.reason or "", *(row.error for row in run.failed)])
    assert any(part in said for part in SAYS[kind].split("|")), said
    for row in run.failed:
        if row.dataset == "volume_slots" and row.got is not None:
            assert len(row.missing) == min(row.expected - row.got, 50), row
        assert (row.expected or 0) <= TICKERS * 1.2


@pytest.mark.parametrize(("endpoint", "kind", "share"), SAMPLE)
async def test_a_vendor_that_misbehaves_is_withstood(make_house, undisturbed, endpoint, kind, share):
    await withstands(make_house, undisturbed, endpoint, kind, share)


@pytest.mark.long
@pytest.mark.parametrize(("endpoint", "kind", "share"), [case for case in WHOLE if case not in SAMPLE])
async def test_the_whole_fault_matrix(make_house, undisturbed, endpoint, kind, share):
    await withstands(make_house, undisturbed, endpoint, kind, share)


async def test_without_a_ticker_list_half_a_market_is_not_taken_for_the_whole(make_house, undisturbed):
    """Nothing stands yet to hold the first day against: it must not become the measure of the others."""
    house = await make_house(windows=SMALL)
    async with supplied(house) as simulator:
        misbehaves(simulator, "tickers:500:100,grouped:fewer:100")
        assert not (await reconciled(house)).success
        assert not set(house.states("ohlc_daily").values()) - {State.FAILED}
        misbehaves(simulator, "")
        assert (await reconciled(house)).success
        assert contents_of(standing(house)) == contents_of(undisturbed)


async def test_a_vendor_that_is_down_is_not_asked_for_every_ticker(make_house):
    house = await make_house(windows=SMALL)
    async with supplied(house) as simulator:
        misbehaves(simulator, "range:500:100")
        assert not (await reconciled(house)).success
        assert len({symbol for name, symbol in simulator.asked(SESSION) if name == "by ticker"}) == volume_slots.PROBED < TICKERS
