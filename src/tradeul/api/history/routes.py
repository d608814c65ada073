"""The read routes of history: parameters in, JSON or CSV out. Port 8004 serves them, and the page's own port.

    parameters -> one thread (`Past`) -> records -> bytes, ETag        a page
                                      -> session by session            minute bars: streamed, never whole in memory

One thread does all reading, so that answers wait in turn; more than `MOST_WAITING` are refused (503).
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from functools import partial
from http import HTTPStatus
from itertools import chain
from typing import Annotated, Any, Literal, TypeAlias, TypeVar
from urllib.parse import urlencode

import msgspec
import structlog
from fastapi import Depends, FastAPI, Query, Request, Response
from pydantic import BeforeValidator
from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse

from tradeul.api.history.past import MINUTE_BARS, OHLC_DAILY, VOLUME_SLOTS, Past, Range
from tradeul.api.lists import csv_lines
from tradeul.errors import BusUnavailable, CalendarError, NoAnswer, NotKept, QuestionRefused, StoreError
from tradeul.ops.http_service import JSON, answers
from tradeul.records.bars import IntradayBar, SessionMinutes
from tradeul.records.past import (
    Atr,
    DailyBars,
    Listed,
    Metadata,
    MinuteBars,
    PastDay,
    PastMinute,
    PastSlot,
    Running,
    Rvol,
    SlotRvol,
    Slots,
    Universe,
)

T = TypeVar("T")
log = structlog.get_logger()
CSV = "text/csv"
MOST_WAITING = 256
MISSING, REFUSED, UNAVAILABLE = HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.SERVICE_UNAVAILABLE


def _iso(value: object) -> object:
    """Pydantic alone takes a number of seconds for a date."""
    if isinstance(value, str):
        try:
            return date.fromisoformat(value) if len(value) == len("2026-03-06") else _no_date(value)
        except ValueError:
            return _no_date(value)
    return value


def _no_date(_: str) -> object:
    raise ValueError("a date is written as 2026-03-06")


Day: TypeAlias = Annotated[date | None, BeforeValidator(_iso), Query()]
Form: TypeAlias = Annotated[Literal["json", "csv"], Query(alias="format")]
Flag: TypeAlias = Literal["true", "false"]


class Span:
    """Which sessions of a ticker, adjusted for which, told how."""

    def __init__(self, start: Day = None, end: Day = None, adjusted: Flag = "true", as_of: Day = None, form: Form = "json") -> None:
        self.start, self.end, self.adjusted, self.as_of, self.form = start, end, adjusted == "true", as_of, form


Asking: TypeAlias = Annotated[Span, Depends()]


class HistoryRoutes:
    records = DailyBars, MinuteBars, Slots, Rvol, Atr, Universe, Metadata

    def __init__(self, past: Past, minutes_of: Callable[[str], Awaitable[SessionMinutes]]) -> None:
        """``minutes_of``: asks live for a symbol's minutes of the running session; it may raise NoAnswer."""
        self._past = past
        self._minutes_of = minutes_of
        self._thread = ThreadPoolExecutor(1, "history")
        self._waiting = 0

    def add(self, app: FastAPI) -> None:
        wrong = MISSING, REFUSED, HTTPStatus.UNPROCESSABLE_ENTITY, UNAVAILABLE
        calls: Sequence[tuple[str, str, type, bool, Callable[..., Any]]] = (
            ("bars/daily/{symbol}", "Daily bars of a ticker", DailyBars, True, self._daily),
            ("bars/minute/{symbol}", "Minute bars of a ticker, streamed", MinuteBars, True, self._minute),
            ("slots/{symbol}", "Volume by five-minute slot of a ticker", Slots, True, self._slots),
            ("rvol/{symbol}", "Relative volume of a past session, by slot", Rvol, True, self._rvol),
            ("atr/{symbol}", "The ATR that lists use in a session", Atr, False, self._atr),
            ("metadata/{symbol}", "What was known of a ticker in a session", Metadata, False, self._metadata),
            ("universe", "What was listed in a session", Universe, True, self._universe),
        )
        for path, summary, record, tabular, call in calls:
            app.get(f"/api/{path}", summary=summary, responses=answers(record, *wrong, text=CSV if tabular else None))(call)

    async def _daily(self, request: Request, symbol: str, span: Asking, limit: Annotated[int, Query(ge=1, le=1000)] = 400) -> Response:
        head, bars, onward = await self._told(request, OHLC_DAILY, symbol, span, limit, self._past.days)
        page = DailyBars(**head, bars=tuple(bars), next=onward)
        return _page(request, page, span.form, PastDay, bars, f"{symbol}-daily", onward)

    async def _slots(self, request: Request, symbol: str, span: Asking, limit: Annotated[int, Query(ge=1, le=60)] = 30) -> Response:
        head, slots, onward = await self._told(request, VOLUME_SLOTS, symbol, span, limit, self._past.slots)
        page = Slots(**head, slots=tuple(slots), next=onward)
        return _page(request, page, span.form, PastSlot, slots, f"{symbol}-slots", onward)

    async def _told(
        self, request: Request, dataset: str, symbol: str, span: Span, limit: int, tell: Callable[[str, Range], list[T]]
    ) -> tuple[dict[str, Any], list[T], str | None]:
        """One page: its head, its rows, and where the next one is."""

        def make() -> tuple[Range, dict[str, Any], list[T]]:
            asked = self._range(dataset, symbol, span, limit)
            found = tell(symbol, asked)
            if not found:
                self._past.check_known(symbol)
            return asked, self._head(symbol, asked), found

        asked, head, found = await self._ask(make)
        return head, found, _onward(request, start=asked.next_start)

    async def _minute(self, request: Request, symbol: str, span: Asking) -> Response:
        def make(running: date | None) -> tuple[Range, dict[str, Any], str]:
            asked = self._range(MINUTE_BARS, symbol, span, None, running)
            head = self._head(symbol, asked) | {"early_closes": self._past.early_closes(asked)}
            return asked, head, self._past.mark(asked)

        asked, head, mark = await self._ask(lambda: make(self._running(span)))
        today = None
        if asked.running is not None:
            try:
                today = await self._minutes_of(symbol)
            except (NoAnswer, BusUnavailable) as error:
                if not asked.sessions:
                    raise HTTPException(UNAVAILABLE, str(error)) from error
            if today is None or today.session != asked.running:  # it ended this instant
                today = None
                asked, head, mark = await self._ask(lambda: make(None))
        if today is None or not today.bars:
            await self._ask(lambda: self._past.check_known(symbol))
        bars = () if today is None else tuple(map(partial(_minute_of, today.session), today.bars))
        etag = _etag(f"{symbol} {span.form} {mark} {today and (today.partial, bars)}".encode())
        if _is_known(request, etag):
            return Response(None, HTTPStatus.NOT_MODIFIED, _headers(etag))
        headers, is_csv = _headers(etag), span.form == "csv"
        if is_csv:
            headers |= _attached(f"{symbol}-minute")
        running = None if today is None else Running(today.session, today.as_of, today.partial)
        pieces = _csv_pieces if is_csv else partial(_json_pieces, MinuteBars(**head, running=running, bars=()))
        stream = self._streamed(pieces(chain(self._past.minutes(symbol, asked), [list(bars)])))
        return StreamingResponse(stream, media_type=f"{CSV}; charset=utf-8" if is_csv else JSON, headers=headers)

    def _running(self, span: Span) -> date | None:
        """The running session, if the range reaches it."""
        current = self._past.current_session()
        reached = current <= min(each for each in (span.end, span.as_of if span.adjusted else None, current) if each is not None)
        return current if reached else None

    async def _rvol(
        self,
        request: Request,
        symbol: str,
        session: Day = None,
        slot: Annotated[int | None, Query(ge=0, le=191)] = None,
        form: Form = "json",
    ) -> Response:
        def make() -> Rvol:
            newest = self._past.newest(VOLUME_SLOTS)
            return self._past.rvol(symbol, session or newest, slot)

        found = await self._ask(make)
        return _page(request, found, form, SlotRvol, found.slots, f"{symbol}-rvol-{found.session}")

    async def _atr(self, request: Request, symbol: str, session: Day = None) -> Response:
        return _page(request, await self._ask(lambda: self._past.atr(symbol, session or self._past.current_session())))

    async def _metadata(self, request: Request, symbol: str, session: Day = None) -> Response:
        return _page(request, await self._ask(lambda: self._past.metadata(symbol, session or self._past.current_session())))

    async def _universe(
        self,
        request: Request,
        session: Day = None,
        after: Annotated[str | None, Query(max_length=40)] = None,
        limit: Annotated[int, Query(ge=1, le=20_000)] = 1000,
        gone: Flag = "false",
        form: Form = "json",
    ) -> Response:
        def make() -> tuple[Universe, str | None]:
            asked = session or self._past.current_session()
            listed_on, listing = self._past.universe(asked)
            is_gone = gone == "true"
            tickers, last = listing.page(after, limit, gone=is_gone)
            onward = _onward(request, after=last)
            count = (listing.gone if is_gone else listing.listed).height
            page = Universe(session=asked, listed_on=listed_on, gone=is_gone, count=count, tickers=tuple(tickers), next=onward)
            return page, onward

        page, onward = await self._ask(make)
        return _page(request, page, form, Listed, page.tickers, f"universe-{page.session}", onward)

    async def warm(self) -> bool:
        """Decode one partition before it is asked for, unless somebody waits. False: there is none left."""
        if self._waiting:
            return True
        try:
            return await self._ask(self._past.warm)
        except HTTPException as error:
            log.warning("history_not_warmed", reason=error.detail)
            return True

    async def has_bars(self) -> bool:
        return await self._ask(lambda: self._past.has_any(OHLC_DAILY))

    def _range(self, dataset: str, symbol: str, span: Span, limit: int | None, running: date | None = None) -> Range:
        """Of who bore the ticker on the asked date, or bears it now."""
        day = span.as_of or self._past.current_session()
        tenure = self._past.bearers.tenure(symbol, day)
        return self._past.range(dataset, span.start, span.end, limit, day if span.adjusted else None, tenure, running)

    def _head(self, symbol: str, asked: Range) -> dict[str, Any]:
        fields = ("start", "end", "adjusted_for", "lacking", "unfinished")
        return {"symbol": symbol, "bearer": self._past.bearers.told(asked.tenure)} | {name: getattr(asked, name) for name in fields}

    async def _ask(self, work: Callable[[], T]) -> T:
        if self._waiting >= MOST_WAITING:
            raise HTTPException(UNAVAILABLE, f"{MOST_WAITING} questions wait already: ask again in a second.")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except (NotKept, CalendarError) as error:
            raise HTTPException(MISSING, str(error)) from error
        except QuestionRefused as error:
            raise HTTPException(REFUSED, str(error)) from error
        except StoreError as error:
            raise HTTPException(UNAVAILABLE, str(error)) from error
        finally:
            self._waiting -= 1

    async def _streamed(self, pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
        """Piece by piece, each read when the one before has been taken; other questions are answered in between."""
        while (piece := await self._ask(lambda: next(pieces, None))) is not None:
            if piece:
                yield piece


def _minute_of(session: date, bar: IntradayBar) -> PastMinute:
    start_at = datetime.fromtimestamp(bar.start_ms / 1000, UTC)
    return PastMinute(session, start_at, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.vwap, bar.trades)


def _page(
    request: Request,
    record: Any,
    form: str = "json",
    row: type[msgspec.Struct] | None = None,
    rows: Iterable[Any] = (),
    name: str = "",
    onward: str | None = None,
) -> Response:
    """One page as JSON or CSV, unless the asker holds the same already."""
    if form == "csv" and row is not None:
        body = csv_lines([row.__struct_fields__, *(msgspec.structs.astuple(each) for each in rows)]).encode()
        media_type, extra = f"{CSV}; charset=utf-8", _attached(name)
    else:
        body, media_type, extra = msgspec.json.encode(record), JSON, {}
    etag = _etag(body)
    if onward is not None:
        extra |= {"Link": f'<{onward}>; rel="next"'}
    if _is_known(request, etag):
        return Response(None, HTTPStatus.NOT_MODIFIED, _headers(etag))
    return Response(body, headers=_headers(etag) | extra, media_type=media_type)


def _json_pieces(head: MinuteBars, sessions: Iterator[list[PastMinute]]) -> Iterator[bytes]:
    """The head's JSON, with the sessions' bars where its own empty list stands: last."""
    yield msgspec.json.encode(head).removesuffix(b"]}")
    comma = b""
    for bars in sessions:
        yield comma + msgspec.json.encode(bars)[1:-1] if bars else b""
        comma = b"," if bars else comma
    yield b"]}"


def _csv_pieces(sessions: Iterator[list[PastMinute]]) -> Iterator[bytes]:
    yield csv_lines([PastMinute.__struct_fields__]).encode()
    for bars in sessions:
        yield csv_lines(msgspec.structs.astuple(bar) for bar in bars).encode()


def _onward(request: Request, **changed: object) -> str | None:
    """The same question for the next page; None: there is none."""
    if None in changed.values():
        return None
    return f"{request.url.path}?{urlencode(dict(request.query_params) | {name: str(value) for name, value in changed.items()})}"


def _etag(content: bytes) -> str:
    """Weak: the same rows, whether they are sent packed or not."""
    return f'W/"{hashlib.blake2b(content, digest_size=12).hexdigest()}"'


def _is_known(request: Request, etag: str) -> bool:
    held = [each.strip() for each in request.headers.get("if-none-match", "").split(",")]
    return "*" in held or etag in held or etag.removeprefix("W/") in held


def _headers(etag: str) -> dict[str, str]:
    return {"ETag": etag, "Cache-Control": "no-cache"}


def _attached(name: str) -> dict[str, str]:
    safe = "".join(character if character.isascii() and (character.isalnum() or character in ".-") else "_" for character in name)
    return {"Content-Disposition": f'attachment; filename="{safe}.csv"'}
