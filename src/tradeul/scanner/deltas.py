"""From the rows that were sent to the rows that are true now, and back.

    steps_between(old, new) -> remove ... add ... rerank ... update      (CONTRACT.md, "WebSocket")
    follow(sent, rows)      -> the next Delta of a list, or None when nothing changed
    apply(snapshot, delta)  -> what a viewer holds afterwards

Ranks are final and absolute, so a viewer sorts once, after the last step.
Knows no clock, no bus and no list's meaning.
"""

from tradeul.errors import SequenceGap
from tradeul.records.lists import ListFrame
from tradeul.records.messages import Add, Delta, Remove, Rerank, Row, Rows, Snapshot, Step, Steps, Update


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


def follow(sent: Snapshot, rows: Rows, timestamp: int, lacking: tuple[str, ...] = ()) -> Delta | None:
    """The message that brings whoever holds ``sent`` to ``rows``."""
    steps = steps_between(sent.rows, rows)
    if not steps and lacking == sent.lacking:
        return None
    return Delta(sent.list, sent.session, sent.mode, sent.epoch, sent.sequence + 1, sent.sequence, steps, timestamp, lacking)


def after(sent: Snapshot, delta: Delta, rows: Rows) -> Snapshot:
    """What every viewer holds once ``delta``, which `follow` made of ``rows``, has arrived."""
    return Snapshot(sent.list, sent.session, sent.mode, sent.epoch, delta.sequence, len(rows), rows, delta.timestamp, delta.lacking)


def frame_of(state: Snapshot) -> ListFrame:
    """The list's one published form."""
    return ListFrame(state.session, state.epoch, state.sequence, state.rows, state.mode, state.timestamp, state.lacking)


def apply(snapshot: Snapshot, delta: Delta) -> Snapshot:
    """What a viewer of ``snapshot`` holds after ``delta``.

    Raises:
        SequenceGap: the delta follows another state, or contradicts this one.
    """
    if (delta.list, delta.session, delta.epoch, delta.base) != (snapshot.list, snapshot.session, snapshot.epoch, snapshot.sequence):
        raise SequenceGap(
            f"{snapshot.list}: a delta of {delta.session}, epoch {delta.epoch}, from sequence {delta.base} does not follow "
            f"{snapshot.session}, epoch {snapshot.epoch}, sequence {snapshot.sequence}; ask for a snapshot."
        )
    held: dict[str, Row] = {row["symbol"]: row for row in snapshot.rows}
    try:
        for step in delta.deltas:
            _take(held, step)
    except KeyError as error:
        raise SequenceGap(f"{snapshot.list}: sequence {delta.sequence} changes {error}, which is not there; ask for a snapshot.") from error
    rows = sorted(held.values(), key=lambda row: int(row["rank"]))
    if [row["rank"] for row in rows] != list(range(len(rows))):
        raise SequenceGap(f"{snapshot.list}: after sequence {delta.sequence} the ranks are not 0 to {len(rows) - 1}; ask for a snapshot.")
    return after(snapshot, delta, rows)


def _take(held: dict[str, Row], step: Step) -> None:
    match step:
        case Remove(symbol):
            del held[symbol]
        case Add(symbol, rank, data):
            held[symbol] = {**data, "symbol": symbol, "rank": rank}
        case Rerank(symbol, rank):
            held[symbol] = {**held[symbol], "rank": rank}
        case Update(symbol, data):
            held[symbol] = {**held[symbol], **data}
