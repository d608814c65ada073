"""From the rows that were sent to the rows that are true now; the way back is `records/rows.py`.

    steps_between(old, new) -> remove ... add ... rerank ... update      (docs/protocol.md)
    follow(sent, rows)      -> the next Delta of a list, or None when nothing changed

Ranks are final and absolute, so a viewer sorts once, after the last step.
Knows no clock, no bus and no list's meaning.
"""

from tradeul.records.lists import ListFrame
from tradeul.records.messages import Add, Delta, Remove, Rerank, Rows, Snapshot, Steps, Update


def steps_between(old: Rows, new: Rows) -> Steps:
    """Both with ranks 0..n-1 in order and the same fields in every row."""
    before = {row["symbol"]: row for row in old}
    members = {row["symbol"] for row in new}
    removes: Steps = [Remove(row["symbol"]) for row in old if row["symbol"] not in members]
    adds: Steps = []
    reranks: Steps = []
    updates: Steps = []
    for row in new:
        symbol, rank = row["symbol"], row["rank"]
        was = before.get(symbol)
        if was is None:
            adds.append(Add(symbol, rank, row))
        elif was != row:
            if was["rank"] != rank:
                reranks.append(Rerank(symbol, rank))
            if changed := {name: value for name, value in row.items() if name != "rank" and was[name] != value}:
                updates.append(Update(symbol, changed))
    return [*removes, *adds, *reranks, *updates]


def follow(sent: Snapshot, rows: Rows, timestamp: int, mode: str, lacking: tuple[str, ...] = ()) -> Delta | None:
    """The message that brings whoever holds ``sent`` to ``rows``; a change of ``mode`` alone is not worth one, `status` says it."""
    steps = steps_between(sent.rows, rows)
    if not steps and lacking == sent.lacking:
        return None
    return Delta(sent.list, sent.session, mode, sent.epoch, sent.sequence + 1, sent.sequence, steps, timestamp, lacking)


def after(sent: Snapshot, delta: Delta, rows: Rows) -> Snapshot:
    """What every viewer holds once ``delta``, which `follow` made of ``rows``, has arrived."""
    return Snapshot(sent.list, sent.session, delta.mode, sent.epoch, delta.sequence, len(rows), rows, delta.timestamp, delta.lacking)


def frame_of(state: Snapshot) -> ListFrame:
    """The list's one published form."""
    return ListFrame(state.session, state.epoch, state.sequence, state.rows, state.mode, state.timestamp, state.lacking)
