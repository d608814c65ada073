"""The whole market's snapshot into our records. Pure; beside `wire.py`, whose words it uses.

The answer is read as a whole; only when that fails row by row: one bad row of
12,400 is told of in its place (`TickerSnapshot.unreadable`) and costs no other.
More than one in a hundred is no snapshot as we know it.
"""

import msgspec

from tradeul.errors import MalformedResponse
from tradeul.providers.polygon.wire import Amount, Envelope, Instant, Text, counted_rows, decode, epoch_ms, symbol_of, whole
from tradeul.records.bars import TickerSnapshot

ENDPOINT = "market snapshot"
READABLE_PER_UNREADABLE = 100


class _Day(msgspec.Struct, gc=False):
    o: Amount | None = None
    h: Amount | None = None
    l: Amount | None = None  # noqa: E741
    c: Amount | None = None
    v: Amount | None = None
    vw: Amount | None = None


class _Minute(_Day, gc=False):
    t: Instant | None = None
    av: Amount | None = None
    n: Amount | None = None


class _Trade(msgspec.Struct, gc=False):
    p: Amount | None = None
    t: Instant | None = None


class _Quote(msgspec.Struct, gc=False):
    p: Amount | None = None
    P: Amount | None = None


class _SnapshotRow(msgspec.Struct, gc=False):
    ticker: Text
    updated: Instant | None = None
    day: _Day | None = None
    min: _Minute | None = None
    lastTrade: _Trade | None = None  # noqa: N815
    lastQuote: _Quote | None = None  # noqa: N815
    prevDay: _Day | None = None  # noqa: N815


class _Snapshot(Envelope):
    tickers: list[_SnapshotRow] | None = None


class _Unread(Envelope):
    tickers: list[msgspec.Raw] | None = None


class _Named(msgspec.Struct):
    ticker: object = None


_snapshot = msgspec.json.Decoder(_Snapshot)
_unread = msgspec.json.Decoder(_Unread)
_row = msgspec.json.Decoder(_SnapshotRow)
_named = msgspec.json.Decoder(_Named)
_NO_DAY, _NO_MINUTE, _NO_TRADE, _NO_QUOTE = _Day(), _Minute(), _Trade(), _Quote()


def decode_snapshot(body: bytes) -> list[TickerSnapshot]:
    """The whole market now. A ticker that did not trade yet has zeros in ``day`` and ``min``: None here.

    {"count":1,"status":"OK","tickers":[{"ticker":"BCAT","todaysChange":-0.124,"todaysChangePerc":-0.601,"updated":1605192894630916600,
      "day":{"c":20.506,"h":20.64,"l":20.506,"o":20.64,"v":37216,"vw":20.616},"prevDay":{"c":20.63,"h":21,"l":20.5,"o":20.79,"v":292738},
      "lastQuote":{"P":20.6,"S":22,"p":20.5,"s":13,"t":1605192959994246100},"lastTrade":{"p":20.506,"s":2416,"t":1605192894630916600},
      "min":{"av":37216,"c":20.506,"h":20.506,"l":20.506,"o":20.506,"v":5000,"vw":20.5105,"t":1684428600000,"n":5}}]}
    """
    try:
        answer = _snapshot.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _one_by_one(body)
    rows = counted_rows(answer.tickers, answer, ENDPOINT)
    symbols = [symbol_of(row.ticker) for row in rows]
    if None in symbols:
        return _one_by_one(body)
    return [_ticker_snapshot(symbol, row) for symbol, row in zip(symbols, rows, strict=True)]  # type: ignore[arg-type]


def _one_by_one(body: bytes) -> list[TickerSnapshot]:
    answer = decode(_unread, body, ENDPOINT)
    found = [_told(raw) for raw in counted_rows(answer.tickers, answer, ENDPOINT)]
    bad = [place for place, row in enumerate(found) if row.unreadable is not None]
    if READABLE_PER_UNREADABLE * len(bad) > len(found):
        raise MalformedResponse(ENDPOINT, f"{len(bad)} of {len(found)} rows: {found[bad[0]].unreadable} (`$.tickers[{bad[0]}]`)")
    return found


def _told(raw: msgspec.Raw) -> TickerSnapshot:
    try:
        row = _row.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return TickerSnapshot(_name_of(raw), unreadable=str(error))
    symbol = symbol_of(row.ticker)
    if symbol is None:
        return TickerSnapshot("", unreadable=f"{row.ticker!r} is no symbol")
    return _ticker_snapshot(symbol, row)


def _name_of(raw: msgspec.Raw) -> str:
    """Whose row it is, as far as that can be read; else ""."""
    try:
        ticker = _named.decode(raw).ticker
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return (symbol_of(ticker) if isinstance(ticker, str) else None) or ""


def _ticker_snapshot(symbol: str, row: _SnapshotRow) -> TickerSnapshot:
    day, minute = row.day or _NO_DAY, row.min or _NO_MINUTE
    trade, quote = row.lastTrade or _NO_TRADE, row.lastQuote or _NO_QUOTE
    return TickerSnapshot(
        symbol,
        epoch_ms(row.updated),
        day.o or None,
        day.h or None,
        day.l or None,
        day.c or None,
        # A volume of zero is only news where there is a bar.
        day.v if day.c else None,
        day.vw or None,
        minute.t or None,
        minute.o or None,
        minute.h or None,
        minute.l or None,
        minute.c or None,
        minute.v if minute.c else None,
        minute.vw or None,
        whole(minute.n) or None,
        minute.av or None,
        trade.p or None,
        epoch_ms(trade.t),
        quote.p or None,
        quote.P or None,
        (row.prevDay or _NO_DAY).c or None,
    )
