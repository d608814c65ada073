"""EDGAR's stand-in over HTTP, for who says who they are: the SEC refuses others with a 403."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar

from aiohttp import hdrs, web

from tradeul.clock import Clock
from tradeul.simulator.edgar import Edgar

CURRENT, SUBMISSIONS, COMPANIES = "/cgi-bin/browse-edgar", "/submissions/CIK{cik}.json", "/files/company_tickers.json"
PATHS = (CURRENT, SUBMISSIONS, COMPANIES)
MOST = 100
UNDECLARED = "<html><head><title>SEC.gov | Your Request Originates from an Undeclared Automated Tool</title></head></html>"


class EdgarServer:
    def __init__(self, edgar: Edgar, clock: Clock, body_fault: ContextVar[str | None]) -> None:
        self._edgar, self._clock, self._body_fault = edgar, clock, body_fault

    def add_to(self, app: web.Application) -> None:
        for path, answer in zip(PATHS, (self._current, self._submissions, self._companies), strict=True):
            app.router.add_get(path, self._declared(answer))

    def unavailable(self) -> web.Response:
        return web.Response(status=503, body=self._edgar.unavailable, content_type="text/html")

    def _declared(self, answer: Callable[[web.Request], Awaitable[web.Response]]) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            if "@" not in request.headers.get(hdrs.USER_AGENT, ""):
                return web.Response(status=403, text=UNDECLARED, content_type="text/html")
            kind = self._body_fault.get()  # before the thread's context
            with self._clock.busy():
                response = await answer(request)
            if kind is not None and isinstance(response.body, bytes):
                response.body = response.body[: len(response.body) // 2]  # cut short, whatever the kind
            return response

        return handle

    async def _current(self, request: web.Request) -> web.Response:
        try:
            start, count = int(request.query.get("start", 0)), int(request.query.get("count", 40))
        except ValueError:
            return web.Response(status=400, text="start and count are numbers")
        page = await asyncio.to_thread(self._edgar.current, self._clock.now(), max(start, 0), min(max(count, 1), MOST))
        return web.Response(body=page, content_type="application/atom+xml")

    async def _submissions(self, request: web.Request) -> web.Response:
        found = await asyncio.to_thread(self._edgar.submissions, request.match_info["cik"], self._clock.now())
        return web.Response(status=404) if found is None else web.Response(body=found, content_type="application/json")

    async def _companies(self, request: web.Request) -> web.Response:  # noqa: ARG002
        return web.Response(body=await asyncio.to_thread(self._edgar.companies), content_type="application/json")
