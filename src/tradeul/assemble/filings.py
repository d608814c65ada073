"""Filings and news: whom they ask, and on what they stand. Starts nothing."""

from collections.abc import Callable
from contextlib import AsyncExitStack

from yarl import URL

from tradeul.assemble.borders import Place
from tradeul.bus.redis import Bus
from tradeul.filings.server import FilingsServer
from tradeul.filings.service import FilingsService
from tradeul.ops.callers import Callers
from tradeul.ops.standing import Answers
from tradeul.ops.watchdog import LoopWatchdog
from tradeul.providers.edgar.client import EdgarClient, EdgarHttp
from tradeul.providers.http import LOOPBACK, HttpClient
from tradeul.providers.polygon.client import PolygonClient
from tradeul.settings import Settings
from tradeul.store.catalog import Catalog
from tradeul.store.filings import FilingsStore

STAND_INS_CONTACT = "nobody@example.com"  # what stands in for the SEC wants one too
NO_CONTACT = (
    "Filings: the SEC is not asked, because it wants a contact in every request: set TRADEUL_SEC_CONTACT to your name and mail address."
)


async def filings_of(
    settings: Settings,
    place: Place,
    catalog: Catalog,
    vendor: HttpClient,
    bus: Bus,
    stack: AsyncExitStack,
    mode: str,
    callers: Callers,
    watchdog: LoopWatchdog,
    answers: Answers | None = None,
    leads: Callable[[], bool] = lambda: True,
) -> tuple[FilingsService, FilingsServer]:
    """The real SEC is asked only with a contact, which it demands, and never for a simulated market. ``answers``: the catalog's.

    ``bus``: what they write on, while they are those that do, which ``leads`` says.
    """
    contact, address = settings.sec_contact, settings.edgar_url
    if place.simulated:
        contact, address = STAND_INS_CONTACT, place.vendor.rest
    elif contact is None and address is not None and URL(address).host in LOOPBACK:
        contact = STAND_INS_CONTACT
    register, statuses = None, None
    if contact is not None:
        http = await stack.enter_async_context(EdgarHttp(place.clock, contact))
        register, statuses = EdgarClient(http, address), http.statuses
    store, news = FilingsStore(catalog), PolygonClient(vendor, place.vendor.rest)
    service = FilingsService(register, news, store, bus, place.clock, place.calendar, NO_CONTACT)
    parts = service, store, place.bus, place.clock, mode, callers, settings.filings_port, watchdog, statuses
    return service, FilingsServer(*parts, catalog=answers, leads=leads)
