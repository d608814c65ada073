"""Massive's bytes into our records. Pure: no socket, no clock, no guess.

    REST bodies        decode_grouped_daily, decode_intraday, decode_tickers, decode_delisted,
                       decode_splits, decode_closures,
                       decode_details, decode_floats, decode_short_interest
    the snapshot       decode_snapshot (`wire_snapshot.py`)
    stream frames      decode_frame (`wire_stream.py`)
    flat files         decode_minute_file (`wire_files.py`)
    news               decode_news (`wire_news.py`)

A body of a wrong form (cut, HTML, null for a number, fewer rows than its own
count, a negative price) is a `MalformedResponse` naming endpoint and position,
never a shorter list. Zeros by which the vendor says "nothing yet" become None.
Symbols keep the vendor's spelling (``BACpM``, ``BRK.B``); they are checked here
and nowhere else. It does not know which address a body came from (`client.py`).
"""

import re
from collections.abc import Sequence
from datetime import date, datetime
from functools import lru_cache
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from tradeul.errors import MalformedResponse
from tradeul.providers.ports import Closure
from tradeul.records.bars import DailyBar, IntradayBar
from tradeul.records.tickers import FreeFloat, ShortInterest, Split, Tenure, Ticker, TickerDetails

T = TypeVar("T")
Price = Annotated[float, Meta(gt=0)]
Amount = Annotated[float, Meta(ge=0)]
Instant = Annotated[int, Meta(ge=0, le=2**63 - 1)]  # a larger one would not fit into a column
Text = Annotated[str, Meta(min_length=1, max_length=24)]  # a cheap first look at a symbol; `symbol_of` decides

# What listed, OTC and long-gone issues are called, with one or two suffixes for class, warrant, unit, right or preferred.
SYMBOL = r"^[A-Za-z0-9]{1,12}([.\-+/=$ ][A-Za-z0-9]{1,6}){0,2}$"
_is_symbol = re.compile(SYMBOL).match


class Envelope(msgspec.Struct):
    status: str | None = None
    error: str | None = None
    message: str | None = None
    next_url: str | None = None
    resultsCount: int | None = None  # noqa: N815
    count: int | None = None


class _Aggregate(msgspec.Struct, gc=False):
    o: Price
    h: Price
    l: Price  # noqa: E741
    c: Price
    v: Amount
    t: Instant
    vw: Amount | None = None
    n: Amount | None = None


class _GroupedRow(_Aggregate, gc=False):
    T: Text = ""


class _Grouped(Envelope):
    results: list[_GroupedRow] | None = None


class _Range(Envelope):
    results: list[_Aggregate] | None = None


class _TickerRow(msgspec.Struct, gc=False):
    ticker: Text
    name: str | None = None
    type: str | None = None
    primary_exchange: str | None = None
    cik: str | None = None
    list_date: date | None = None
    composite_figi: str | None = None
    delisted_utc: str | None = None


class _Tickers(Envelope):
    results: list[_TickerRow] | None = None


class _SplitRow(msgspec.Struct, gc=False):
    ticker: Text
    execution_date: date
    split_from: Price
    split_to: Price


class _Splits(Envelope):
    results: list[_SplitRow] | None = None


class _DetailsRow(msgspec.Struct, gc=False):
    ticker: Text
    share_class_shares_outstanding: Amount | None = None
    weighted_shares_outstanding: Amount | None = None
    sic_code: str | None = None
    sic_description: str | None = None
    list_date: date | None = None


class _Details(Envelope):
    results: _DetailsRow | None = None


class _FloatRow(msgspec.Struct, gc=False):
    ticker: Text
    effective_date: date
    free_float: Amount | None = None


class _Floats(Envelope):
    results: list[_FloatRow] | None = None


class _ShortRow(msgspec.Struct, gc=False):
    ticker: Text
    settlement_date: date
    short_interest: Amount | None = None


class _Shorts(Envelope):
    results: list[_ShortRow] | None = None


class _Holiday(msgspec.Struct):
    exchange: str
    date: date
    status: str
    close: datetime | None = None


_grouped = msgspec.json.Decoder(_Grouped)
_range = msgspec.json.Decoder(_Range)
_tickers = msgspec.json.Decoder(_Tickers)
_splits = msgspec.json.Decoder(_Splits)
_details = msgspec.json.Decoder(_Details)
_floats = msgspec.json.Decoder(_Floats)
_shorts = msgspec.json.Decoder(_Shorts)
_holidays: msgspec.json.Decoder[list[_Holiday]] = msgspec.json.Decoder(list[_Holiday])


def decode(decoder: msgspec.json.Decoder[T], body: bytes, endpoint: str) -> T:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedResponse(endpoint, f"{error} ({len(body)} bytes, beginning with {body[:40]!r})") from error


def counted_rows(rows: list[T] | None, head: Envelope, endpoint: str) -> list[T]:
    """The rows, held against the answer's own count. No rows are fine only where it counts zero."""
    count = head.resultsCount if head.resultsCount is not None else head.count
    if rows is None and count != 0:
        said = head.error or head.message or f"status {head.status}, count {count}"
        raise MalformedResponse(endpoint, f"it holds no rows ({said})")
    if count is not None and count != len(rows or ()):
        raise MalformedResponse(endpoint, f"it counts {count} rows but holds {len(rows or ())}")
    return rows or []


@lru_cache(maxsize=32_768)  # every stream message asks
def symbol_of(text: str) -> str | None:
    """The symbol as we use it everywhere, or None where ``text`` is none."""
    symbol = text.strip()
    return symbol if _is_symbol(symbol) else None


def _symbols(texts: Sequence[str], endpoint: str, place: str) -> list[str]:
    symbols = [symbol_of(text) for text in texts]
    if None in symbols:
        row = symbols.index(None)
        raise MalformedResponse(endpoint, f"{texts[row]!r} is no symbol - at `{place.format(row)}`")
    return symbols  # type: ignore[return-value]


def whole(number: float | None) -> int | None:
    return None if number is None else int(number)


def decode_grouped_daily(body: bytes, session: date) -> list[DailyBar]:
    """One session of the whole market, in the vendor's (arbitrary) order.

    {"queryCount":2,"resultsCount":2,"adjusted":false,"results":[
      {"T":"DNN","v":16789079,"vw":2.0883,"o":2.13,"c":2.09,"h":2.135,"l":2.06,"t":1718913600000,"n":13668},
      {"T":"ZBZX","v":0,"o":25.0,"c":25.0,"h":25.0,"l":25.0,"t":1718913600000}],"status":"OK","count":2}
    """
    endpoint = f"grouped daily {session}"
    answer = decode(_grouped, body, endpoint)
    rows = counted_rows(answer.results, answer, endpoint)
    symbols = _symbols([row.T for row in rows], endpoint, "$.results[{}].T")
    return [
        DailyBar(symbol, session, row.o, row.h, row.l, row.c, row.v, row.vw or None, whole(row.n))
        for symbol, row in zip(symbols, rows, strict=True)
    ]


def decode_intraday(body: bytes, symbol: str) -> tuple[list[IntradayBar], str | None]:
    """One page of a symbol's bars, and the address of the next page.

    {"ticker":"AAPL","queryCount":2,"resultsCount":1,"adjusted":false,"results":[
      {"v":642646.0,"vw":75.1,"o":75.2,"c":75.0,"h":75.3,"l":74.9,"t":1577941200000,"n":821}],
      "status":"OK","next_url":"https://api.massive.com/v2/aggs/ticker/AAPL/range/5/minute/1578.../2020-01-10?cursor=bG"}
    """
    endpoint = f"intraday bars {symbol}"
    answer = decode(_range, body, endpoint)
    rows = counted_rows(answer.results, answer, endpoint)
    bars = [IntradayBar(symbol, row.t, row.o, row.h, row.l, row.c, row.v, row.vw or None, whole(row.n)) for row in rows]
    return bars, answer.next_url


def decode_tickers(body: bytes) -> tuple[list[Ticker], str | None]:
    """One page of what is listed. ``count`` is the page's.

    {"results":[{"ticker":"A","name":"Agilent Technologies Inc.","market":"stocks","primary_exchange":"XNYS","type":"CS",
      "active":true,"cik":"0001090872","composite_figi":"BBG000C2V3D6"}],"status":"OK","count":1,
      "next_url":"https://api.massive.com/v3/reference/tickers?cursor=YW"}
    """
    answer = decode(_tickers, body, "tickers")
    rows = counted_rows(answer.results, answer, "tickers")
    symbols = _symbols([row.ticker for row in rows], "tickers", "$.results[{}].ticker")
    tickers = [
        Ticker(symbol, row.name, row.type, row.primary_exchange, row.cik or None, row.list_date, row.composite_figi or None)
        for symbol, row in zip(symbols, rows, strict=True)
    ]
    return tickers, answer.next_url


def decode_delisted(body: bytes) -> tuple[list[Tenure], str | None]:
    """One page of what is no longer listed. A row without its last date says nothing; long gone ones may be called anything.

    {"results":[{"ticker":"LEH","name":"LEHMAN BROTHERS HOLDINGS","market":"stocks","primary_exchange":"XNYS","type":"CS",
      "active":false,"cik":"0000806085","delisted_utc":"2008-09-17T04:00:00Z"}],"status":"OK","count":1}
    """
    answer = decode(_tickers, body, "delisted")
    found = []
    for number, row in enumerate(counted_rows(answer.results, answer, "delisted")):
        symbol = symbol_of(row.ticker)
        if symbol is None or row.delisted_utc is None:
            continue
        try:  # midnight, of New York or of Greenwich: the date is the same
            until = date.fromisoformat(row.delisted_utc[:10])
        except ValueError as error:
            raise MalformedResponse("delisted", f"{row.delisted_utc!r} is no instant - at `$.results[{number}].delisted_utc`") from error
        cik, figi = row.cik or None, row.composite_figi or None
        tenure = Tenure(symbol=symbol, name=row.name, kind=row.type, exchange=row.primary_exchange, cik=cik, figi=figi, until=until)
        found.append(tenure)
    return found, answer.next_url


def decode_splits(body: bytes) -> tuple[list[Split], str | None]:
    """One page of splits.

    {"results":[{"execution_date":"2022-07-18","split_from":1,"split_to":20,"ticker":"GOOGL"}],"status":"OK"}
    """
    answer = decode(_splits, body, "splits")
    rows = counted_rows(answer.results, answer, "splits")
    symbols = _symbols([row.ticker for row in rows], "splits", "$.results[{}].ticker")
    splits = [Split(symbol, row.execution_date, row.split_from, row.split_to) for symbol, row in zip(symbols, rows, strict=True)]
    return splits, answer.next_url


def decode_details(body: bytes, symbol: str) -> TickerDetails:
    """One ticker's shares and industry.

    {"results":{"ticker":"AAPL","market_cap":2488795282370,"share_class_shares_outstanding":16406400000,"sic_code":"3571",
      "sic_description":"ELECTRONIC COMPUTERS","weighted_shares_outstanding":16319441000},"status":"OK"}
    """
    endpoint = f"details {symbol}"
    answer = decode(_details, body, endpoint)
    row = answer.results
    if row is None:
        raise MalformedResponse(endpoint, f"it holds nothing ({answer.error or answer.message or f'status {answer.status}'})")
    if symbol_of(row.ticker) != symbol:
        raise MalformedResponse(endpoint, f"it tells of {row.ticker!r} - at `$.results.ticker`")
    # The company's, else its own class's: the price is of one share of either.
    shares = row.weighted_shares_outstanding or row.share_class_shares_outstanding or None
    return TickerDetails(symbol, shares, row.sic_code or None, row.sic_description or None, row.list_date)


def decode_floats(body: bytes) -> tuple[list[FreeFloat], str | None]:
    """One page of free floats.

    {"results":[{"ticker":"AAPL","effective_date":"2026-03-01","free_float":14900000000,"free_float_percent":99.8}],"status":"OK"}
    """
    answer = decode(_floats, body, "free float")
    rows = counted_rows(answer.results, answer, "free float")
    symbols = _symbols([row.ticker for row in rows], "free float", "$.results[{}].ticker")
    floats = [FreeFloat(symbol, row.free_float, row.effective_date) for symbol, row in zip(symbols, rows, strict=True) if row.free_float]
    return floats, answer.next_url


def decode_short_interest(body: bytes) -> tuple[list[ShortInterest], str | None]:
    """One page of short interest.

    {"results":[{"ticker":"A","settlement_date":"2025-03-14","short_interest":3906231,"avg_daily_volume":2340158,"days_to_cover":1.67}],
      "status":"OK"}
    """
    answer = decode(_shorts, body, "short interest")
    rows = counted_rows(answer.results, answer, "short interest")
    symbols = _symbols([row.ticker for row in rows], "short interest", "$.results[{}].ticker")
    shorts = [
        ShortInterest(symbol, row.short_interest, row.settlement_date)
        for symbol, row in zip(symbols, rows, strict=True)
        if row.short_interest is not None
    ]
    return shorts, answer.next_url


def decode_closures(body: bytes) -> list[Closure]:
    """Announced closures of the stock exchanges, one per date.

    [{"exchange":"NYSE","name":"Thanksgiving","date":"2022-11-25","status":"early-close",
      "open":"2022-11-25T14:30:00.000Z","close":"2022-11-25T18:00:00.000Z"}]
    """
    found: dict[date, Closure] = {}
    holidays: list[_Holiday] = decode(_holidays, body, "closures")
    for row, holiday in enumerate(holidays):
        if holiday.exchange not in ("NYSE", "NASDAQ"):
            continue
        if holiday.status not in ("closed", "early-close"):
            raise MalformedResponse("closures", f"unknown status {holiday.status!r} - at `$[{row}].status`")
        early = holiday.status == "early-close"
        if early and (holiday.close is None or holiday.close.tzinfo is None):
            raise MalformedResponse("closures", f"an early close without its instant - at `$[{row}].close`")
        close_at_ms = int(holiday.close.timestamp() * 1000) if early and holiday.close else None
        found[holiday.date] = Closure(holiday.date, not early, close_at_ms)
    return sorted(found.values(), key=lambda closure: closure.session)


def epoch_ms(instant: int | None) -> int | None:
    """Milliseconds. The vendor means nanoseconds; its published samples hold microseconds, its prose says milliseconds."""
    if not instant:
        return None
    return instant // 1_000_000 if instant >= 10**17 else instant // 1000 if instant >= 10**14 else instant
