"""Whom filings are asked of: the SEC only with a contact, never for a simulated market."""

from contextlib import AsyncExitStack

import pytest

from tradeul.assemble.borders import Place
from tradeul.assemble.filings import NO_CONTACT, filings_of
from tradeul.clock import SystemClock
from tradeul.market_calendar import nyse
from tradeul.ops.callers import Callers
from tradeul.ops.watchdog import LoopWatchdog
from tradeul.providers.edgar.client import SEC, SEC_DATA
from tradeul.providers.http import HttpClient
from tradeul.providers.polygon.vendor import real_vendor, simulated_vendor
from tradeul.settings import Settings
from tradeul.store.catalog import Catalog

CONTACT, ELSEWHERE = "Jane Doe jane@example.com", "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("simulated", "contact", "address", "asked", "says"),
    [
        (False, None, None, None, None),
        (False, None, SEC, None, None),
        (False, CONTACT, None, (SEC, SEC_DATA), CONTACT),
        (False, None, ELSEWHERE, (ELSEWHERE, ELSEWHERE), "nobody@example.com"),
        (True, CONTACT, SEC, ("http://127.0.0.1:8", "http://127.0.0.1:8"), "nobody@example.com"),
        (True, None, None, ("http://127.0.0.1:8", "http://127.0.0.1:8"), "nobody@example.com"),
    ],
)
async def test_the_sec_is_asked_only_with_a_contact_and_never_for_a_simulated_market(tmp_path, simulated, contact, address, asked, says):
    settings = Settings(state=tmp_path, sec_contact=contact, edgar_url=address, filings_port=0)
    vendor = simulated_vendor("127.0.0.1", 8) if simulated else real_vendor(settings, "k")
    place = Place(tmp_path, simulated, SystemClock(), nyse(), None, vendor)
    catalog, http = Catalog(f"sqlite:///{tmp_path / 'catalog.db'}"), HttpClient(place.clock, 6000, 1, "k")
    async with AsyncExitStack() as stack:
        service, _ = await filings_of(settings, place, catalog, http, place.bus, stack, "LIVE", Callers("127.0.0.1"), LoopWatchdog())
        register = service._register
        if asked is None:
            assert register is None and service.trouble == {"filings": NO_CONTACT}
        else:
            assert (register._site, register._data) == asked and service.trouble == {}
            assert register._http._agent.endswith(says)
    catalog.close()
