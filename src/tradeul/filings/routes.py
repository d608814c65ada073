"""The read routes of filings and news as they were kept: parameters in, JSON out. Port 8012 serves them, and the page's own port.

They read the catalog and ask nobody outside, whoever's filings are wanted: `service.py` does, of companies on lists.
"""

import asyncio
from datetime import date, datetime
from http import HTTPStatus
from typing import Annotated

import msgspec
from fastapi import FastAPI, Query, Response
from pydantic import AwareDatetime, BeforeValidator
from pydantic_core import PydanticCustomError
from starlette.exceptions import HTTPException

from tradeul.ops.http_service import answers, json_answer
from tradeul.records.filings import Article, Filing
from tradeul.store.filings import FilingsStore, Found

LATEST = 100
MOST_PER_PAGE = 1_000
Symbol = Annotated[str | None, Query(max_length=24, description="as BRK.B")]


def _as_written(kind: type) -> BeforeValidator:
    """pydantic alone takes numbers for seconds since 1970."""

    def read(text: object) -> object:
        try:
            return msgspec.convert(text, kind)
        except msgspec.ValidationError as error:
            raise PydanticCustomError(
                "as_written", "a {name} is expected, as 2026-03-09{rest}", {"name": kind.__name__, "rest": REST[kind]}
            ) from error

    return BeforeValidator(read)


REST: dict[type, str] = {date: "", datetime: "T09:30:00-04:00"}
Day = Annotated[date | None, _as_written(date)]
Instant = Annotated[AwareDatetime | None, _as_written(datetime)]


class FilingsPage(msgspec.Struct, frozen=True):
    """The newest first. ``total``: over all pages."""

    total: int
    page: int
    page_size: int
    filings: list[Filing]


class NewsFound(msgspec.Struct, frozen=True):
    """The newest first; ``total`` may be more than are shown."""

    total: int
    news: list[Article]


class FilingsRoutes:
    records = FilingsPage, Filing, NewsFound

    def __init__(self, store: FilingsStore) -> None:
        self._store = store

    def add(self, app: FastAPI) -> None:
        missing, wrong = HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY
        page, path = answers(FilingsPage, missing, wrong), "/api/v1/filings"
        app.get(path, summary="Filings of a ticker, a company, a form, some days", responses=page)(self._filings)
        app.get(f"{path}/latest", summary="The newest filings of all companies", responses=answers(FilingsPage))(self._latest)
        app.get(path + "/{accession}", summary="One filing", responses=answers(Filing, missing))(self._filing)
        app.get("/api/v1/news", summary="News of a ticker, or of all", responses=answers(NewsFound, wrong))(self._news)

    async def _filings(
        self,
        ticker: Symbol = None,
        form_type: Annotated[str | None, Query(max_length=20, description="as 8-K, or 8-K/A for amendments")] = None,
        cik: Annotated[str | None, Query(pattern="^[0-9]{1,10}$")] = None,
        date_from: Day = None,
        date_to: Day = None,
        page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
        page_size: Annotated[int, Query(ge=1, le=MOST_PER_PAGE)] = LATEST,
    ) -> Response:
        """``date_from`` and ``date_to`` are the SEC's dates of filing, both included."""
        ciks = None if cik is None else {cik.zfill(10)}
        if ticker is not None:
            found = await asyncio.to_thread(self._store.cik_of, ticker)
            if found is None:
                raise HTTPException(
                    HTTPStatus.NOT_FOUND, f"The SEC knows no ticker {ticker!r}: see its company_tickers.json, or give cik=."
                )
            ciks = {found} if ciks is None else ciks & {found}
        return await self._page(page, page_size, ciks=None if ciks is None else sorted(ciks), form=form_type, first=date_from, last=date_to)

    async def _latest(self) -> Response:
        return await self._page(1, LATEST)

    async def _page(
        self,
        page: int,
        size: int,
        ciks: list[str] | None = None,
        form: str | None = None,
        first: date | None = None,
        last: date | None = None,
    ) -> Response:
        skip = (page - 1) * size
        found = await asyncio.to_thread(self._store.find_filings, ciks=ciks, form=form, first=first, last=last, skip=skip, most=size)
        return json_answer({"total": found.total, "page": page, "page_size": size, "filings": _raw(found)})

    async def _filing(self, accession: str) -> Response:
        document = await asyncio.to_thread(self._store.filing, accession)
        if document is None:
            raise HTTPException(
                HTTPStatus.NOT_FOUND, f"No filing {accession[:40]!r} is kept here: its number looks like 0001214659-26-002941."
            )
        return json_answer(msgspec.Raw(document))

    async def _news(self, ticker: Symbol = None, since: Instant = None) -> Response:
        """``since``: an instant with its zone."""
        found = await asyncio.to_thread(self._store.find_news, ticker, _bounded(since), MOST_PER_PAGE)
        return json_answer({"total": found.total, "news": _raw(found)})


def _raw(found: Found) -> list[msgspec.Raw]:
    return [msgspec.Raw(document) for document in found.documents]


def _bounded(instant: datetime | None) -> datetime | None:
    """Within the calendar in every zone."""
    return None if instant is None else instant.replace(year=min(max(instant.year, 2), 9998))
