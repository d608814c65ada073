"""The gateway's copy of one list: the last snapshot with every delta since applied.

    frame or snapshot -> `ListCopy.of` -> `apply` each delta -> `snapshot` for whoever comes late

So a late viewer gets the state at exactly the sequence from which everybody
else's deltas go on. No viewers here (`fan_out.py`).
"""

from datetime import date

from tradeul.errors import SequenceGap
from tradeul.records.lists import ListFrame
from tradeul.records.messages import Delta, Rows, Snapshot
from tradeul.records.rows import after_steps


class ListCopy:
    def __init__(self, name: str, session: date, mode: str, epoch: int, sequence: int, rows: Rows, timestamp: int) -> None:
        self.name = name
        self.session = session
        self.mode = mode
        self.epoch = epoch
        self.sequence = sequence
        self.timestamp = timestamp
        self.lacking: tuple[str, ...] = ()
        self._rows = rows

    @classmethod
    def of(cls, name: str, source: ListFrame | Snapshot) -> "ListCopy":
        copy = cls(name, source.session, source.mode, source.epoch, source.sequence, source.rows, source.timestamp)
        copy.lacking = source.lacking
        return copy

    @property
    def place(self) -> tuple[int, int]:
        """Epochs come from one durable counter, so places of one list are ordered."""
        return self.epoch, self.sequence

    def apply(self, delta: Delta) -> None:
        """Go from ``delta.base`` to ``delta.sequence``.

        Raises:
            SequenceGap: the delta follows another state than this one, or contradicts its rows.
        """
        if (delta.epoch, delta.base, delta.session) != (self.epoch, self.sequence, self.session):
            raise SequenceGap(
                f"{self.name}: a delta from epoch {delta.epoch}, sequence {delta.base} ({delta.session}) does not follow "
                f"epoch {self.epoch}, sequence {self.sequence} ({self.session}): take a snapshot."
            )
        try:
            self._rows = after_steps(self._rows, delta.deltas)
        except ValueError as error:
            raise SequenceGap(f"{self.name}: at sequence {delta.sequence} {error}.") from error
        self.sequence, self.mode, self.timestamp, self.lacking = delta.sequence, delta.mode, delta.timestamp, delta.lacking

    def snapshot(self) -> Snapshot:
        place, rows = (self.epoch, self.sequence), self._rows
        return Snapshot(self.name, self.session, self.mode, *place, len(rows), rows, self.timestamp, self.lacking)
