"""Every error that Tradeul raises on purpose, as one small tree.

    TradeulError
    +-- SettingsError          a setting is wrong, or settings contradict each other
    +-- StartError             the program cannot start here (port, folder)
    |   +-- FolderInUse        another process runs on it
    +-- CalendarError          a date that is no session, or outside the calendar's years
    +-- ProviderError          the vendor did not give what was asked; knows if asking again helps
    |   +-- MalformedResponse  a body of a wrong form: names endpoint and position
    |   +-- Unauthorized       401: final for the run
    |   +-- NotEntitled        403: final for that dataset
    |   +-- Blocked            403 of the SEC: it answers us nothing for some minutes
    |   +-- RateLimited        429: carries how long to wait, if the vendor said so
    |   +-- VendorUnavailable  5xx, time-outs, connections refused or cut
    +-- StoreError             the lake or the catalog
    |   +-- CorruptPartition   a lake file that cannot be read: names it
    |   +-- NotKept            history does not hold what is asked: says what it holds
    |   +-- LeadLost           another process may lead since: what was begun is not ours to end
    |   +-- TooMany            no more of these are kept
    +-- BusUnavailable         the Redis-protocol server does not answer
    +-- NoAnswer               a service that was asked over the bus did not answer
    +-- IncompleteData         what landed is less than what was expected: names what is missing
    +-- RunRefused             what is asked of a maintenance run cannot be done
    |   +-- UnknownTask        there is no such task
    +-- QuestionRefused        what is asked of history cannot be asked so
    +-- ListError              a list's definition is wrong: names the list and the place
    +-- SequenceGap            a delta does not follow what the client holds
    +-- GatewayRefused         the gateway does not take this client, now or later

A message tells a person what happened, with which input, and what to do.
Foreign errors become one of these at the border, chained with ``from``.
"""

import copyreg
from collections.abc import Sequence
from datetime import date


class TradeulError(Exception):
    """The root; its message is shown to people as it is."""

    def __reduce__(self) -> tuple[object, ...]:
        """As it stands, not by its arguments: an error of a worker comes over in a pickle."""
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


class SettingsError(TradeulError):
    """A setting is wrong, or two contradict each other."""


class StartError(TradeulError):
    """The program cannot start here."""


class FolderInUse(StartError):
    """Another process runs on the state folder."""


class CalendarError(TradeulError):
    """A date that is no session, or outside the calendar's years."""


class ProviderError(TradeulError):
    """The vendor did not give what was asked."""

    retryable = False


class MalformedResponse(ProviderError):
    """A body of a wrong form. Asking again may help: truncation is the usual cause."""

    retryable = True

    def __init__(self, endpoint: str, reason: str) -> None:
        super().__init__(f"{endpoint}: the answer could not be read: {reason}")
        self.endpoint = endpoint


class Unauthorized(ProviderError):
    """401: the key is wrong; final for the run."""


class NotEntitled(ProviderError):
    """403: the plan does not include this; final for that dataset."""


class Blocked(ProviderError):
    """403 of the SEC: too many requests, or no contact. Asking again at once makes it longer."""


class RateLimited(ProviderError):
    """429: too many requests."""

    retryable = True

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class VendorUnavailable(ProviderError):
    """5xx, a time-out, a connection refused or cut."""

    retryable = True


class StoreError(TradeulError):
    """The lake or the catalog could not do what was asked."""


class CorruptPartition(StoreError):
    """A lake file that cannot be read."""

    def __init__(self, message: str, dataset: str, session: date) -> None:
        super().__init__(message)
        self.dataset = dataset
        self.session = session


class NotKept(StoreError):
    """History does not hold what is asked."""


class TooMany(StoreError):
    """No more of these are kept: one must go first."""


class LeadLost(StoreError):
    """Another process may lead since."""


class BusUnavailable(TradeulError):
    """The Redis-protocol server does not answer, or not in time."""


class NoAnswer(TradeulError):
    """A service that was asked over the bus did not answer, or does not run."""


class IncompleteData(TradeulError):
    """What landed is less than what was expected."""

    def __init__(self, message: str, *, expected: int, got: int, missing: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.expected = expected
        self.got = got
        self.missing = tuple(missing)


class RunRefused(TradeulError):
    """What is asked of a maintenance run cannot be done."""


class UnknownTask(RunRefused):
    """There is no such task."""


class QuestionRefused(TradeulError):
    """What is asked of history cannot be asked so."""


class ListError(TradeulError):
    """A list's definition is wrong."""


class SequenceGap(TradeulError):
    """A delta does not follow what the client holds; it must ask for a snapshot."""


class GatewayRefused(TradeulError):
    """The gateway does not take this client: no token, a foreign name, or it is no gateway."""
