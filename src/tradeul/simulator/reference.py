"""What is listed, its details, splits, news, and whether the market is open, as the vendor answers. No HTTP, no bars."""

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
import orjson

from tradeul.market_calendar import NEW_YORK, Phase
from tradeul.simulator.hashing import word
from tradeul.simulator.market import Market
from tradeul.simulator.universe import Issue
from tradeul.simulator.wire_out import Answer, NotFound, envelope, listing

NEWS_SESSIONS = 5  # how far back news goes
HOLIDAYS_AHEAD = timedelta(days=365)
COMPARED = {"gte": "__ge__", "gt": "__gt__", "lte": "__le__", "lt": "__lt__"}
_SHORT, _PEOPLE = 51, 52  # streams of random words
Query = Mapping[str, str]


def matching(query: Query, name: str) -> Callable[[str], bool]:
    """The test that ``name``, ``name.gte``, ``name.any_of`` ... put on a value. ISO dates and instants compare as text."""
    exact, several = query.get(name), query.get(f"{name}.any_of")
    bounds = [(method, query[f"{name}.{suffix}"]) for suffix, method in COMPARED.items() if f"{name}.{suffix}" in query]
    among = several.split(",") if several is not None else None

    def holds(value: str) -> bool:
        return (
            (exact is None or value == exact)
            and (among is None or value in among)
            and all(getattr(value, method)(bound) for method, bound in bounds)
        )

    return holds


def _ordered(found: list[Any], query: Query, key: Callable[[Any], Any], *, descending: bool = False) -> list[Any]:
    wanted = query.get("order", query.get("sort", "").rpartition(".")[2])
    return sorted(found, key=key, reverse=wanted == "desc" if wanted in ("asc", "desc") else descending)


def _listed(market: Market, now: datetime) -> list[Issue]:
    session = market.calendar.current_session(now)
    return [_as_of(issue, session) for issue in market.source.issues if issue.is_listed(session)]


def _as_of(issue: Issue, session: date) -> Issue:
    return issue if issue.former is None else msgspec.structs.replace(issue, symbol=issue.symbol_on(session))


def _delisted(market: Market, now: datetime) -> list[Issue]:
    """Who has gone by now, and who has another symbol, under the one that it had."""
    session, previous = market.calendar.current_session(now), market.calendar.previous
    gone = [issue for issue in market.source.issues if issue.last_date is not None and issue.last_date < session]
    renamed = [(issue, issue.former) for issue in market.source.issues if issue.former is not None and issue.former[1] <= session]
    changed = msgspec.structs.replace
    return gone + [changed(issue, symbol=symbol, last_date=previous(changed_on)) for issue, (symbol, changed_on) in renamed]


def tickers(market: Market, url: str, query: Query, now: datetime) -> Answer:
    holds = matching(query, "ticker")
    wanted = {name: query[name] for name in ("type", "exchange", "cik") if name in query}
    is_active = query.get("active", "true") != "false"
    found = [
        issue
        for issue in (_listed(market, now) if is_active else _delisted(market, now))
        if holds(issue.symbol)
        and wanted.get("type", issue.kind) == issue.kind
        and wanted.get("exchange", issue.exchange) == issue.exchange
        and wanted.get("cik", issue.cik) == issue.cik
    ]
    if query.get("market", "stocks") != "stocks":
        found = []
    if "search" in query:
        text = query["search"].lower()
        found = [issue for issue in found if text in issue.name.lower() or text in issue.symbol.lower()]
    updated = market.hours(market.calendar.current_session(now)).new_day_at.strftime("%Y-%m-%dT00:00:00Z")
    by_end = query.get("sort") == "delisted_utc"
    pages = _ordered(found, query, lambda issue: (issue.last_date, issue.symbol) if by_end else issue.symbol)
    return listing(url, query, [_ticker(issue, updated, is_active=is_active) for issue in pages])


def _ticker(issue: Issue, updated: str, *, is_active: bool = True) -> dict[str, Any]:
    row = {
        "ticker": issue.symbol,
        "name": issue.name,
        "market": "stocks",
        "locale": "us",
        "primary_exchange": issue.exchange,
        "type": issue.kind,
        "active": is_active,
        "currency_name": "usd",
        "last_updated_utc": updated,
    }
    if not is_active:
        row["delisted_utc"] = f"{issue.last_date}T05:00:00Z"
    return row | {name: value for name, value in (("cik", issue.cik), ("composite_figi", issue.figi)) if value is not None}


def _issue(market: Market, symbol: str, now: datetime) -> Issue:
    session = market.calendar.current_session(now)
    number = market.number_of(symbol, session)
    if number is None:
        raise NotFound("Ticker not found.")
    return _as_of(market.source.issues[number], session)


def details(market: Market, symbol: str, now: datetime) -> Answer:
    issue = _issue(market, symbol, now)
    result: dict[str, Any] = _ticker(issue, "") | {
        "ticker_root": symbol.partition(".")[0],
        "list_date": issue.list_date.isoformat(),
        "share_class_shares_outstanding": issue.shares,
        "weighted_shares_outstanding": issue.shares,
        "round_lot": 100,
    }
    del result["last_updated_utc"]
    if issue.sic_code is not None:
        people = 40 + word(_PEOPLE, issue.number) % 9_000
        result |= {"sic_code": issue.sic_code, "sic_description": issue.sic_description, "total_employees": people}
    previous = market.calendar.before(market.calendar.current_session(now), 10)
    sessions = [session for session in previous if market.begun(session, now)]
    daily = market.daily_of(issue.number, sessions, now) if sessions else None
    if daily is not None and len(daily.key):
        result["market_cap"] = round(float(daily.close[-1]) * issue.shares, 2)
    return Answer(envelope({}, "results", orjson.dumps(result)))


def floats(market: Market, url: str, query: Query, now: datetime) -> Answer:
    holds, effective = matching(query, "ticker"), _month_start(now).isoformat()
    found = [
        {
            "ticker": issue.symbol,
            "effective_date": effective,
            "free_float": int(issue.shares * issue.float_share),
            "free_float_percent": round(100.0 * issue.float_share, 2),
        }
        for issue in _listed(market, now)
        if holds(issue.symbol) and issue.cik is not None
    ]
    return listing(url, query, found, most=5000)


def short_interest(market: Market, url: str, query: Query, now: datetime) -> Answer:
    """The last twelve settlements of one ticker, or the last of all."""
    holds, dated = matching(query, "ticker"), matching(query, "settlement_date")
    one = "ticker" in query or "ticker.any_of" in query
    settlements = [day for day in _settlements(now, 12 if one or any("settlement_date" in name for name in query) else 1) if dated(day)]
    found = []
    for issue in _listed(market, now):
        if holds(issue.symbol) and issue.cik is not None:
            for day in settlements:
                share = 0.002 + 0.12 * (word(_SHORT, issue.number, date.fromisoformat(day).toordinal()) % 1000 / 1000) ** 2
                short, usual = int(issue.shares * share), max(issue.shares // 250, 1)
                found.append(
                    {
                        "ticker": issue.symbol,
                        "settlement_date": day,
                        "short_interest": short,
                        "avg_daily_volume": usual,
                        "days_to_cover": round(max(short / usual, 1.0), 2),
                    }
                )
    return listing(url, query, found, default=10, most=50_000)


def _month_start(now: datetime) -> date:
    return now.astimezone(NEW_YORK).date().replace(day=1)


def _settlements(now: datetime, count: int) -> list[str]:
    """The 15th and the last of each month, published some nine days later; oldest first."""
    days: list[str] = []
    day = now.astimezone(NEW_YORK).date() - timedelta(days=13)
    while len(days) < count:
        if day.day == 15 or (day + timedelta(days=1)).day == 1:
            days.append(day.isoformat())
        day -= timedelta(days=1)
    return days[::-1]


def splits(market: Market, url: str, query: Query, now: datetime) -> Answer:
    """Newest first; announced a week ahead."""
    known = market.calendar.current_session(now) + timedelta(days=7)
    holds, dated, kind = matching(query, "ticker"), matching(query, "execution_date"), matching(query, "adjustment_type")
    found = []
    for split in market.source.splits:
        adjustment = "reverse_split" if split.split_from > split.split_to else "forward_split"
        day = split.session.isoformat()
        if split.session <= known and holds(split.symbol) and dated(day) and kind(adjustment):
            found.append(
                {
                    "id": f"E{word(split.session.toordinal(), *split.symbol.encode()):016x}",
                    "ticker": split.symbol,
                    "execution_date": day,
                    "split_from": int(split.split_from),
                    "split_to": int(split.split_to),
                    "adjustment_type": adjustment,
                }
            )
    return listing(url, query, _ordered(found, query, lambda row: (row["execution_date"], row["ticker"]), descending=True), 10, 5000)


def news(market: Market, url: str, query: Query, now: datetime) -> Answer:
    current = market.calendar.current_session(now)
    sessions = [*market.calendar.before(current, NEWS_SESSIONS), current]
    published = matching(query, "published_utc")
    found = []
    for session in sessions:
        for item in market.source.news(session) if market.source.covers(session) else ():
            symbol, stamp = market.source.issues[item.number].symbol_on(session), item.published_at.strftime("%Y-%m-%dT%H:%M:%SZ")
            if item.published_at <= now and query.get("ticker", symbol) == symbol and published(stamp):
                found.append(
                    {
                        "id": f"{word(session.toordinal(), item.number):016x}",
                        "publisher": {"name": "Simulated Newswire", "homepage_url": "https://example.com/"},
                        "title": item.title,
                        "author": "Simulated Newswire",
                        "published_utc": stamp,
                        "article_url": f"https://example.com/news/{word(session.toordinal(), item.number):016x}",
                        "tickers": [symbol],
                        "description": item.description,
                    }
                )
    return listing(url, query, _ordered(found, query, lambda row: (row["published_utc"], row["id"]), descending=True), 10, 1000)


def status_now(market: Market, now: datetime) -> Answer:
    session = market.calendar.current_session(now)
    phase = market.hours(session).phase(now)
    word_of = {Phase.MARKET_OPEN: "open", Phase.CLOSED: "closed"}
    word_now = word_of.get(phase, "extended-hours")
    body = {
        "market": word_now,
        "earlyHours": phase is Phase.PRE_MARKET,
        "afterHours": phase is Phase.POST_MARKET,
        "serverTime": now.astimezone(NEW_YORK).isoformat(timespec="seconds"),
        "exchanges": {"nyse": word_now, "nasdaq": word_now, "otc": word_now},
        "currencies": {"fx": "open", "crypto": "open"},
    }
    return Answer(orjson.dumps(body))


def status_upcoming(market: Market, now: datetime) -> Answer:
    """A bare array: weekdays on which the exchange is closed, and early closes."""
    day, rows = now.astimezone(NEW_YORK).date(), list[dict[str, str]]()
    end = min(day + HOLIDAYS_AHEAD, market.calendar.sessions[-1])
    while (day := day + timedelta(days=1)) <= end:
        row: dict[str, str] = {}
        if not market.calendar.is_session(day):
            row = {"status": "closed"} if day.weekday() < 5 else {}
        elif not market.hours(day).is_full_length:
            close, open_ = market.hours(day).close_at, market.hours(day).open_at
            row = {"status": "early-close"} | {name: f"{t:%Y-%m-%dT%H:%M:%S}.000Z" for name, t in (("open", open_), ("close", close))}
        for exchange in ("NYSE", "NASDAQ") if row else ():
            rows.append({"exchange": exchange, "name": _holiday(day), "date": day.isoformat(), **row})
    return Answer(orjson.dumps(rows), len(rows))


def _holiday(day: date) -> str:
    """Its name, which the calendar does not know: there is about one a month."""
    if day.month == 1:
        return "New Years Day" if day.day < 5 else "Martin Luther King, Jr. Day"
    names = {2: "Washington's Birthday", 3: "Good Friday", 4: "Good Friday", 5: "Memorial Day", 6: "Juneteenth", 7: "Independence Day"}
    names |= {9: "Labor Day", 11: "Thanksgiving", 12: "Christmas"}
    return names.get(day.month, "Closure")
