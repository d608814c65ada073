"""What a list would show now, before it is one; and for whom its question has no answer.

    text -> the folder's own check -> ScanList -> the market of the last cycle -> Preview

The check and the masks are those of lists that run. Pure: it scans a market
that is handed in, and writes nothing.
"""

import re

import numpy as np

from tradeul.errors import ListError
from tradeul.records.previews import Preview, UnknownInput
from tradeul.scanner.columns import Market
from tradeul.scanner.definitions import ListFolder, ScanList
from tradeul.scanner.explain import named_in, unlimited, why_unknown
from tradeul.scanner.ranking import Places, wire_rows
from tradeul.scanner.scan import Members, asked_places, scan_places

ROWS = 20
REASONS = 5
# The place that a refusal names, as `definitions.py` writes it: file, list 'name', key.
PLACE = re.compile(r"(?:[^:,]*, list '[^']*'(?:, (?P<key>\w+))?|[^:,]*)[^:]*: (?P<reason>.*)", re.DOTALL)


def preview(text: str, folder: ListFolder, market: Market | None, last: Members) -> Preview:
    """``market`` is None: there was no frame in this session yet."""
    try:
        found = folder.check(text)
    except ListError as error:
        place = PLACE.fullmatch(str(error))
        return Preview(reason=place["reason"] if place else str(error), field=place["key"] if place else None)
    if market is None:
        return Preview(definition=found.definition)
    matching = scan_places(market, [unlimited(found)], last)[found.name]
    asked = asked_places(market, found, last)
    unknown = _unknown(market, found, asked)
    return Preview(
        definition=found.definition,
        as_of=market.frame.as_of,
        candidates=len(asked),
        matches=len(matching),
        rows=tuple(wire_rows(market, matching[: min(ROWS, found.definition.limit)], found.cells)),
        undecided=sum(each.tickers for each in unknown),
        unknown=tuple(unknown[:REASONS]),
    )


def _unknown(market: Market, found: ScanList, asked: Places) -> list[UnknownInput]:
    where = found.questions[market.phase].where
    table = market.table(sorted(where.inputs), asked)
    left = table.select(where.expr.is_null()).to_series().to_numpy().copy()
    reasons: list[UnknownInput] = []
    # A part that is null by itself (a division by zero) has no unknown column: it is left to the last, and told as the question's.
    for column in named_in(where.text, where.inputs):
        missing = left & table[column].is_null().to_numpy()
        if missing.any():
            left &= ~missing
            place = int(asked[np.argmax(missing)])
            why = why_unknown(market, place, column) or f"{column} is null"
            reasons.append(UnknownInput(column, int(missing.sum()), market.join.symbols[place], why))
    if left.any():
        symbol = market.join.symbols[int(asked[np.argmax(left)])]
        reasons.append(UnknownInput("where", int(left.sum()), symbol, "a part of it has no value, as a division by zero"))
    return sorted(reasons, key=lambda each: -each.tickers)
