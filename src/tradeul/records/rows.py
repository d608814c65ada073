"""What a delta's steps make of a list's rows: the one way, for the gateway's copies and for clients (docs/protocol.md). Pure."""

from collections.abc import Collection, Iterable

from tradeul.records.messages import Add, Remove, Rerank, Row, Rows, Step, Update


def in_order(rows: Collection[Row]) -> Rows:
    """By rank.

    Raises:
        ValueError: the ranks are not 0 to n-1, or a symbol stands twice.
    """
    try:
        by_rank = {row["rank"]: row for row in rows}
        ranked = [by_rank[rank] for rank in range(len(rows))]
        is_whole = len({row["symbol"] for row in ranked}) == len(rows)
    except (KeyError, TypeError):
        is_whole = False
    if not is_whole:
        raise ValueError(f"the ranks of its {len(rows)} rows are not 0 to n-1")
    return ranked


def after_steps(rows: Rows, steps: Iterable[Step]) -> Rows:
    """``rows`` after ``steps``, by rank; rows are replaced, never changed in place.

    Raises:
        ValueError: a step changes what is not there, or the ranks contradict each other in the end.
    """
    held = {row["symbol"]: row for row in rows}
    try:
        for step in steps:
            _take(held, step)
    except KeyError as error:
        raise ValueError(f"it changes {error}, which is not there") from error
    return in_order(held.values())


def _take(rows: dict[str, Row], step: Step) -> None:
    match step:
        case Remove(symbol):
            del rows[symbol]
        case Add(symbol, rank, data):
            rows[symbol] = {"symbol": symbol, **data, "rank": rank}
        case Rerank(symbol, rank):
            rows[symbol] = {**rows[symbol], "rank": rank}
        case Update(symbol, data):
            rows[symbol] = {**rows[symbol], **data}
