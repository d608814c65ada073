"""All lists over the whole market: who is a member, in which order.

    Market -> common conditions (`floors.py`) -> candidates
           -> the where and order of the lists that share them, one polars select -> `ranking.py`

Three-valued: where a condition is null the ticker is no member. Nothing is
cut before all tickers were asked. Pure: what was on a list in an earlier
phase is handed in.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np

from tradeul.analytics.baselines import Baselines
from tradeul.market_calendar import Phase, SessionHours
from tradeul.records.frame import FloatArray, MarketFrame
from tradeul.records.messages import Rows
from tradeul.scanner.columns import KINDS, Join, Market
from tradeul.scanner.definitions import Question, ScanList
from tradeul.scanner.floors import Mask, class_mask, floor_mask
from tradeul.scanner.ranking import Places, ranked, wire_rows
from tradeul.scanner.sql import Expression, Kind

# Phase -> list -> symbols of the list's last frame in that phase.
Members = Mapping[Phase, Mapping[str, Sequence[str]]]


def scan(frame: MarketFrame, baselines: Baselines | None, lists: Sequence[ScanList], hours: SessionHours, last: Members) -> dict[str, Rows]:
    """The rows of every list, as they are sent."""
    return scan_rows(Market(frame, Join(frame.symbols, baselines, frame.newcomers), hours), lists, last)


def scan_rows(market: Market, lists: Sequence[ScanList], last: Members) -> dict[str, Rows]:
    places = scan_places(market, lists, last)
    return {found.name: wire_rows(market, places[found.name], found.cells) for found in lists}


def lacking(market: Market, found: ScanList) -> tuple[str, ...]:
    """The numbers that the list's question names and that nobody delivers now: of a past close, before the open, just after a start."""
    numbers = [name for name in sorted(found.questions[market.phase].where.inputs) if KINDS[name] is Kind.NUMBER]
    for name in numbers:
        if name not in market.delivered:
            market.delivered[name] = market.is_delivered(name)
    return tuple(name for name in numbers if not market.delivered[name])


def scan_places(market: Market, lists: Sequence[ScanList], last: Members) -> dict[str, Places]:
    """Each list's rows of the market, in order, at most its limit.

    Lists with the same common conditions are asked together, and only the rows
    that fulfil those: of a whole market a tenth.
    """
    common = _Common(market)
    together: dict[object, tuple[Places, list[tuple[ScanList, Question]]]] = {}
    for found in lists:
        question = found.questions[market.phase]
        kept = kept_members(found, question, last)
        key = common.key(found, question) if kept is None else id(found)
        if key not in together:
            candidates = common.candidates(found, question) if kept is None else _places_of(market, kept)
            together[key] = candidates, []
        together[key][1].append((found, question))
    places = {}
    for candidates, asked in together.values():
        answers = _evaluate(market, [question for _, question in asked], candidates)
        for (found, question), (mask, keys) in zip(asked, answers, strict=True):
            if kept_members(found, question, last) is not None:
                mask = np.ones(len(candidates), dtype=np.bool_)  # exactly those who stood there, however little they trade now
            columns = [(key[mask], descending) for key, (_, descending) in zip(keys, question.order, strict=True)]
            places[found.name] = ranked(candidates[mask], columns, market.join.symbol_rank, found.definition.limit)
    return {found.name: places[found.name] for found in lists}


def asked_places(market: Market, found: ScanList, last: Members) -> Places:
    """Of whom the list's own condition is asked."""
    question = found.questions[market.phase]
    kept = kept_members(found, question, last)
    return _Common(market).candidates(found, question) if kept is None else _places_of(market, kept)


def _places_of(market: Market, symbols: Sequence[str]) -> Places:
    there = market.join.place_of
    return np.array(sorted(there[symbol] for symbol in symbols if symbol in there), dtype=np.intp)


def kept_members(found: ScanList, question: Question, last: Members) -> Sequence[str] | None:
    """Who stood on the list in the phase that it repeats; None: it repeats none, or they are not known."""
    return None if question.members_of_last is None else last.get(question.members_of_last, {}).get(found.name)


def _evaluate(market: Market, questions: Sequence[Question], places: Places) -> list[tuple[Mask, list[FloatArray]]]:
    """Condition and order keys of every question at ``places``, in one polars select; what several ask is computed once.

    One after the other: so few rows are not worth the way to other threads and back.
    """
    asked: dict[str, Expression] = {}
    for question in questions:
        for expression in (question.where, *(key for key, _ in question.order)):
            if not _is_column(expression):
                asked[expression.text] = expression
    inputs = sorted(set().union(*(expression.inputs for expression in asked.values())))
    table = market.table(inputs, places).select_seq(expression.ready for expression in asked.values())
    columns = {column.name: column.to_numpy() for column in table.get_columns()}

    def key(expression: Expression) -> FloatArray:
        return market[expression.text].take(places) if _is_column(expression) else columns[expression.text]

    return [(columns[question.where.text], [key(expression) for expression, _ in question.order]) for question in questions]


def _is_column(expression: Expression) -> bool:
    """A column of numbers as it stands, as most lists are ordered by."""
    return KINDS.get(expression.text) is Kind.NUMBER


class _Common:
    """The common conditions, each computed once a cycle."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._floors: dict[object, Mask] = {}
        self._unverified = market.is_unverified()

    def key(self, found: ScanList, question: Question) -> object:
        """Equal for lists whose `candidates` are the same."""
        floors = (id(found.floors), asked_as_of(self._market, question)) if found.definition.floors else None
        return found.definition.issue_class, floors

    def candidates(self, found: ScanList, question: Question) -> Places:
        mask = class_mask(self._market, found.definition.issue_class) & ~self._unverified
        if found.definition.floors:
            ended_at = asked_as_of(self._market, question)
            key = (id(found.floors), ended_at)
            if key not in self._floors:
                self._floors[key] = floor_mask(self._market, found.floors, ended_at)
            mask &= self._floors[key]
        return np.flatnonzero(mask)


def asked_as_of(market: Market, question: Question) -> datetime | None:
    """Where a list repeats an earlier phase's members and they are not known (a start after it): its end, whose floors are asked."""
    return None if question.members_of_last is None else _end(market.hours, question.members_of_last)


def _end(hours: SessionHours, phase: Phase) -> datetime:
    return {Phase.PRE_MARKET: hours.open_at, Phase.MARKET_OPEN: hours.close_at}.get(phase, hours.post_close_at)
