"""The gateway's copy of one list: the last snapshot with every delta since applied.

    frame or snapshot -> `ListCopy.of` -> `apply` each delta -> `snapshot` for whoever comes late

So a late viewer gets the state at exactly the sequence from which everybody
else's deltas go on. No viewers here (`fan_out.py`).
"""

from datetime import date

from tradeul.errors import SequenceGap
from tradeul.records.lists import ListFrame
from tradeul.records.messages import Add, Delta, Remove, Rerank, Row, Snapshot, Update


class ListCopy:
    def __init__(self, name: str, session: date, mode: str, epoch: int, sequence: int, rows: list[Row], timestamp: int) -> None:
        self.name = name
        self.session = session
        self.mode = mode
        self.epoch = epoch
        self.sequence = sequence
        self.timestamp = timestamp
        self.lacking: tuple[str, ...] = ()
        self._rows = {row["symbol"]: row for row in rows}

    @classmethod
    def of(cls, name: str, source: ListFrame | Snapshot) -> "ListCopy":
        rows = [dict(row) for row in source.rows]
        copy = cls(name, source.session, source.mode, source.epoch, source.sequence, rows, source.timestamp)
        copy.lacking = source.lacking
        return copy

    @property
    def place(self) -> tuple[int, int]:
        """Epochs come from one durable counter, so places of one list are ordered."""
        return self.epoch, self.sequence

    def apply(self, delta: Delta) -> None:
        """Go from ``delta.base`` to ``delta.sequence``. After an error this copy is worthless.

        Raises:
            SequenceGap: the delta follows another state than this one, or contradicts its rows.
        """
        if (delta.epoch, delta.base, delta.session) != (self.epoch, self.sequence, self.session):
            raise SequenceGap(
                f"{self.name}: a delta from epoch {delta.epoch}, sequence {delta.base} ({delta.session}) does not follow "
                f"epoch {self.epoch}, sequence {self.sequence} ({self.session}): take a snapshot."
            )
        try:
            for step in delta.deltas:
                self._take(step)
        except KeyError as error:
            raise SequenceGap(f"{self.name}: sequence {delta.sequence} changes {error}, which is not on the list.") from error
        self._rows = dict(sorted(self._rows.items(), key=lambda item: int(item[1]["rank"])))
        if [row["rank"] for row in self._rows.values()] != list(range(len(self._rows))):
            raise SequenceGap(f"{self.name}: after sequence {delta.sequence} the ranks are not 0 to {len(self._rows) - 1}.")
        self.sequence, self.mode, self.timestamp, self.lacking = delta.sequence, delta.mode, delta.timestamp, delta.lacking

    def _take(self, step: Remove | Add | Rerank | Update) -> None:
        match step:
            case Remove(symbol):
                del self._rows[symbol]
            case Add(symbol, rank, data):
                self._rows[symbol] = {"symbol": symbol, **data, "rank": rank}
            case Rerank(symbol, rank):
                self._rows[symbol]["rank"] = rank
            case Update(symbol, data):
                self._rows[symbol].update(data)

    def snapshot(self) -> Snapshot:
        rows = list(self._rows.values())
        return Snapshot(self.name, self.session, self.mode, self.epoch, self.sequence, len(rows), rows, self.timestamp, self.lacking)
