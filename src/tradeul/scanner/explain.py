"""Why one ticker is on a list or not: every condition, what it stands on, and the place.

    the market of a cycle + a list -> conditions one by one, each with its inputs -> Explanation

The masks and expressions are those that made the list (`floors.py`, `scan.py`),
so that an explanation cannot say otherwise than the list does. `where` is told
in its AND-parts. Pure: it scans a market that is handed in and asks nobody.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence

import msgspec
import numpy as np
import polars as pl

from tradeul.records.explanations import Condition, ExplainAnswer, Explanation, Input, OrderKey
from tradeul.records.lists import CLASSES, split_name
from tradeul.records.messages import Snapshot
from tradeul.scanner.columns import COLUMNS, KINDS, NUMBERS_OF_BASELINES, TEXTS_OF_BASELINES, Form, Market
from tradeul.scanner.definitions import Question, ScanList
from tradeul.scanner.floors import class_mask, floor_demands
from tradeul.scanner.ranking import wire_values
from tradeul.scanner.scan import Members, asked_as_of, kept_members, scan_places
from tradeul.scanner.sql import compile_condition
from tradeul.scanner.variants import variant

SESSION_COLUMNS = frozenset({"phase", "since_open_s", "since_close_s"})
# One word, quoted text, parenthesis or other sign of an SQL expression at a time.
TOKEN = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--|/\*|[A-Za-z_][A-Za-z0-9_.]*|.", re.DOTALL)
EVERY_ROW = 1 << 30


def and_parts(where: str) -> list[str]:
    """The conditions that ``where`` joins with AND, outermost only: each is a condition of its own.

    Polars says whether they mean the same together; where it does not, the whole is one part.
    """
    parts = [part.strip() for part in _split(where)]
    if len(parts) > 1 and _tree(" AND ".join(f"({part})" for part in parts)) == _tree(where):
        return parts
    return [where.strip()]


def _split(where: str) -> Iterator[str]:
    depth, between, begun = 0, 0, 0
    for found in TOKEN.finditer(where):
        word = found[0].upper()
        if word in ("(", "CASE"):
            depth += 1
        elif word in (")", "END"):
            depth -= 1
        elif word == "BETWEEN" and depth == 0:
            between += 1
        elif word == "AND" and depth == 0 and between:
            between -= 1
        elif word == "AND" and depth == 0:
            yield where[begun : found.start()]
            begun = found.end()
    yield where[begun:]


def _tree(text: str) -> object:
    try:
        return json.loads(pl.sql_expr(text).meta.serialize(format="json"))
    except pl.exceptions.PolarsError:
        return None


def answer(
    name: str, symbol: str, lists: Sequence[ScanList], sent: Mapping[str, Snapshot], market: Market | None, last: Members
) -> ExplainAnswer:
    """``market`` and ``last`` are those that ``sent`` was made from; None: there was none in this session."""
    base, issue_class = split_name(name)
    found = next((each for each in lists if each.name == base), None)
    if found is None or issue_class not in (None, *CLASSES):
        known = ", ".join(sorted(each.name for each in lists if split_name(each.name)[1] is None))
        return ExplainAnswer(unknown_list=f"No list {name[:40]!r}. The lists: {known or 'none yet'}.")
    if market is None:
        return ExplainAnswer(not_now=f"{base} has no frame for this session yet: ask again.")
    meant = symbol if symbol in market.join.place_of else symbol.upper()  # people write aapl; BACpM is one as it is
    asked = found if issue_class is None else variant(found, issue_class)
    state = sent.get(name) or sent[base]  # a variant that nobody watches has no frame: as of its list's
    return ExplainAnswer(explain(market, asked, meant, last, epoch=state.epoch, sequence=state.sequence))


def explain(market: Market, found: ScanList, symbol: str, last: Members, *, epoch: int, sequence: int) -> Explanation:
    """``market`` and ``last`` are those that the frame ``epoch``, ``sequence`` of the list was made from."""
    place = market.join.place_of.get(symbol)
    question = found.questions[market.phase]
    conditions = () if place is None else tuple(_conditions(market, found, question, place, last))
    ranked = [] if place is None else scan_places(market, [unlimited(found)], last)[found.name].tolist()
    rank = ranked.index(place) if place in ranked else None
    limit = found.definition.limit
    return Explanation(
        list=found.name,
        symbol=symbol,
        session=market.frame.session,
        phase=str(market.phase),
        epoch=epoch,
        sequence=sequence,
        as_of=market.frame.as_of,
        on_list=rank is not None and rank < limit,
        fulfils=bool(conditions) and all(condition.holds for condition in conditions),
        rank=rank,
        limit=limit,
        summary=_summary(symbol, found, conditions, rank, len(ranked)),
        conditions=conditions,
        order=() if place is None else tuple(_order(market, found, place)),
        columns={} if place is None else {name: wire_values(market, name, np.array([place]))[0] for name in COLUMNS},
    )


def unlimited(found: ScanList) -> ScanList:
    return found._replace(definition=msgspec.structs.replace(found.definition, limit=EVERY_ROW))


def _summary(symbol: str, found: ScanList, conditions: Sequence[Condition], rank: int | None, fulfilling: int) -> str:
    title, limit = found.definition.title, found.definition.limit
    if not conditions:
        return f"{symbol} is not in today's table: the vendor lists no such ticker, or none of its bars came yet."
    if rank is not None and rank < limit:
        return f"{symbol} is on {title}: place {rank + 1} of {fulfilling}."
    if rank is not None:
        return f"{symbol} fulfils every condition of {title}, but stands at place {rank + 1}; the list holds {limit}."
    missed = [condition for condition in conditions if not condition.holds]
    first = missed[0]
    why = f"{first.asks} is unknown, because {first.unknown_because}" if first.unknown_because else f"{first.asks} does not hold"
    more = f", and {len(missed) - 1} more" if len(missed) > 1 else ""
    return f"{symbol} is not on {title}: {why}{more}."


def _conditions(market: Market, found: ScanList, question: Question, place: int, last: Members) -> Iterator[Condition]:
    yield Condition("session", f"a row of the session of {market.frame.session}", holds=True)
    kept = kept_members(found, question, last)
    if kept is not None:
        asks = f"a member of the list's last frame in {question.members_of_last}"
        yield Condition("members", asks, market.join.symbols[place] in kept, note="exactly those, however little they trade now")
        return
    yield from _common(market, found, question, place)
    for text in and_parts(question.where.text):
        expression = compile_condition(text, KINDS, found.name)
        holds = market.table(sorted(expression.inputs), np.array([place])).select(expression.expr).item()
        yield _condition(market, place, "where", text, holds, named_in(text, expression.inputs))


def _common(market: Market, found: ScanList, question: Question, place: int) -> Iterator[Condition]:
    issue_class = found.definition.issue_class
    is_of_class = bool(class_mask(market, issue_class)[place])
    note = "" if market.texts("class", [place])[0] else "the vendor tells no class: the symbol's spelling decides"
    yield _condition(market, place, "class", f"class is one of {issue_class}", is_of_class, ("class", "name", "leverage"), note)
    verified = not market.is_unverified()[place]
    yield _condition(market, place, "corp_action", "corp_action is not unverified", verified, ("corp_action", "price", "prev_close"))
    if not found.definition.floors:
        return
    ended_at = asked_as_of(market, question)
    if ended_at is not None:
        yield Condition("members", f"the floors at the end of {question.members_of_last}", holds=True, note=NOT_KNOWN)
    for demand in floor_demands(market, found.floors, ended_at):
        holds = bool(demand.mask[place])
        yield _condition(market, place, demand.name, demand.asks, holds, demand.inputs, demand.note, applied=demand.is_applied)


NOT_KNOWN = "who stood there is not known (a start after that phase): asked is what its end would have asked"


def _condition(
    market: Market, place: int, name: str, asks: str, holds: bool | None, columns: Sequence[str], note: str = "", *, applied: bool = True
) -> Condition:
    inputs = tuple(_inputs(market, place, columns))
    # What a floor measures stands first; a part of `where` says itself that it has no value.
    asked = columns if name == "where" and holds is None else () if name in ("class", "corp_action", "where") or holds else columns[:1]
    because = next((why for column in asked if (why := why_unknown(market, place, column))), None)
    return Condition(name, asks, None if because else holds, applied, inputs, because, note)


def named_in(text: str, columns: frozenset[str]) -> list[str]:
    """In the order of the text."""
    words = [found[0].strip('"').lower() for found in TOKEN.finditer(text)]
    return sorted(columns, key=lambda name: words.index(name) if name in words else len(words))


def _inputs(market: Market, place: int, columns: Sequence[str]) -> Iterator[Input]:
    """The columns, each followed by what it is made from."""
    waiting, seen = list(columns), set()
    while waiting:
        name = waiting.pop(0)
        if name in seen:
            continue
        seen.add(name)
        made_from = market.inputs_of(name)
        source, age = _source(market, place, name, made_from)
        yield Input(name, _value(market, place, name), source, age, tuple(made_from))
        waiting = [*made_from, *waiting]


def _source(market: Market, place: int, name: str, made_from: Sequence[str]) -> tuple[str, float | None]:
    known_age = _finite(market, place, "age_s")
    if name in SESSION_COLUMNS:
        return "session", None
    if name in NUMBERS_OF_BASELINES or name in TEXTS_OF_BASELINES or name in ("expected_volume", "leverage", "ipo"):
        return "baselines", None
    if made_from:
        live = any(_source(market, place, each, market.inputs_of(each))[1] is not None for each in made_from)
        return "computed", known_age if live else None
    if name not in market.frame.columns and name != "symbol":
        return "none", None
    if COLUMNS.get(name) is not None and COLUMNS[name].form is Form.TIME:
        instant = _finite(market, place, name)
        return "live", None if instant is None else round(market.frame.as_of.timestamp() - instant, 3)
    return "live", known_age


def _finite(market: Market, place: int, name: str) -> float | None:
    value = float(market[name][place])
    return None if value != value else round(value, 3)


def _value(market: Market, place: int, name: str) -> object:
    if name in COLUMNS:
        return wire_values(market, name, np.array([place]))[0]
    return _finite(market, place, name)  # an input that is no column of its own, as `sessions`


def why_unknown(market: Market, place: int, name: str) -> str | None:
    """The first null behind a column, in words; None: it is known."""
    if _value(market, place, name) is not None:
        return None
    for inner in market.inputs_of(name):
        if (why := why_unknown(market, place, inner)) is not None:
            return f"{name} is null: {why}"
    if name in NUMBERS_OF_BASELINES or name in TEXTS_OF_BASELINES or name == "expected_volume":
        return f"{name} is null: {_lacking(market, place)}"
    if name not in DELIVERED_ELSEWHERE and name not in market.frame.columns and not market.inputs_of(name):
        return f"{name} is null: no source delivers it"
    return f"{name} is null"


DELIVERED_ELSEWHERE = SESSION_COLUMNS | {"symbol", "leverage"}


def _lacking(market: Market, place: int) -> str:
    if market.join.baselines is None:
        return "the session's baselines are not loaded yet"
    return "the ticker has no baselines" if market.join.absent[place] else "the baselines do not have it for this ticker"


def _order(market: Market, found: ScanList, place: int) -> Iterator[OrderKey]:
    question = found.questions[market.phase]
    for expression, descending in question.order:
        value = market.table(sorted(expression.inputs), np.array([place])).select(expression.expr).item()
        yield OrderKey(expression.text, "desc" if descending else "asc", round(value, 6) if isinstance(value, float) else value)
