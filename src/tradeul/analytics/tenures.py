"""Who bore a ticker when, so that no history mixes two issuers.

    the last list's tenures + today's list + the vendor's delisted -> today's tenures

An issue is known by its FIGI, which a new ticker or a new exchange does not
change; where a FIGI is unknown by the issuer's CIK, and where that is unknown
too by its name. (A company's two classes have one CIK and swap tickers, as
GOOG and GOOGL did; so the FIGI comes first.) What follows itself on a ticker
after a pause is one tenure. Dates that nobody can give to either of two
bearers are nobody's.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, timedelta

import msgspec

from tradeul.records.tickers import Tenure, Ticker

DAY = timedelta(days=1)


def is_same_issue(one: Tenure, other: Tenure) -> bool:
    if one.figi and other.figi:
        return one.figi == other.figi
    if one.cik and other.cik:
        return one.cik == other.cik
    return one.name == other.name


def tenures(
    before: Iterable[Tenure], listed_before: date | None, listed: Iterable[Ticker], delisted: Iterable[Tenure], session: date
) -> list[Tenure]:
    """Of each ticker those that have ended, oldest first, and that of ``session``, if it is listed.

    Args:
        before: what this returned for the last list; listed_before: the session of that list; None: there is none.
        delisted: as the vendor tells them, with their last dates; what ends at ``session`` or later is still listed.
    """
    own: dict[str, list[Tenure]] = {}
    told: dict[str, list[Tenure]] = {}
    for tenure in before:
        # Who is on this list too is joined to itself again.
        own.setdefault(tenure.symbol, []).append(tenure if tenure.until else msgspec.structs.replace(tenure, until=listed_before))
    for tenure in delisted:
        if tenure.until is not None and tenure.until < session:
            told.setdefault(tenure.symbol, []).append(tenure)
    current = {ticker.symbol: Tenure(**msgspec.structs.asdict(ticker)) for ticker in listed}
    found: list[Tenure] = []
    for symbol in {**own, **told, **current}:
        ended = _with_told(sorted(own.get(symbol, ()), key=_end), told.get(symbol, ()))
        ends = {tenure.until for tenure in told.get(symbol, ())}
        found += _with_current(ended, current.get(symbol), ends, listed_before, session)
    return found


def _with_told(found: list[Tenure], told: Sequence[Tenure]) -> list[Tenure]:
    """One ticker's ended tenures, with what the vendor tells of their ends, and with those that no list showed."""
    ends = {tenure.until for tenure in told}
    for tenure in sorted(told, key=_end):
        end = _end(tenure)
        place = sum(_end(each) < end for each in found)
        before = found[place - 1] if place else None
        after = found[place] if place < len(found) else None
        is_within = after is not None and (after.since is None or after.since <= end)
        if after is not None and is_within and (is_same_issue(after, tenure) or after.until == end):
            continue
        if before is not None and is_same_issue(before, tenure):
            found[place - 1] = before if is_within else msgspec.structs.replace(before, until=end)
            continue
        # It begins where the one before is told to end; else only its last date is surely its own.
        since = None if before is None else _end(before) + DAY if before.until in ends else end
        if after is not None and is_within:
            since = end if after.since is not None else since
            found[place] = msgspec.structs.replace(after, since=end + DAY)
        found.insert(place, msgspec.structs.replace(tenure, since=since))
    return found


def _with_current(
    ended: list[Tenure], current: Tenure | None, ends: Collection[date | None], listed_before: date | None, session: date
) -> list[Tenure]:
    if current is None:
        return ended
    last = ended[-1] if ended else None
    since = None if listed_before is None else listed_before + DAY
    if last is not None and is_same_issue(last, current):
        return [*ended[:-1], _joined(last, current)]
    if last is not None and (since is None or _end(last) + DAY >= since):
        # Without the vendor's word nobody knows whose the dates between two lists are.
        since = _end(last) + DAY if last.until in ends else session
    return [*ended, msgspec.structs.replace(current, since=since)]


def _end(tenure: Tenure) -> date:
    return tenure.until or date.max


def _joined(earlier: Tenure, later: Tenure) -> Tenure:
    """One issue's: what the later one does not tell of it is known from the earlier."""
    cik, figi = later.cik or earlier.cik, later.figi or earlier.figi
    return msgspec.structs.replace(later, since=earlier.since, cik=cik, figi=figi)


def bearer_at(of_a_ticker: Sequence[Tenure], day: date) -> Tenure | None:
    """Whose the ticker is at ``day``; in a pause, and after the end, whose it was last. None: of nobody is anything known.

    ``of_a_ticker``: oldest first, as `tenures` has them.
    """
    before: Tenure | None = None
    for tenure in of_a_ticker:
        if before is not None and tenure.since is not None and day < tenure.since:
            break
        before = tenure
        if tenure.until is None or day <= tenure.until:
            break
    return before


def bears(tenure: Tenure | None, day: date) -> bool:
    """Whether ``day`` is within it; of a ticker of which nothing is known every day is."""
    return tenure is None or ((tenure.since is None or tenure.since <= day) and (tenure.until is None or day <= tenure.until))


def other_names(known: Mapping[str | None, Sequence[Tenure]], tenure: Tenure) -> tuple[str | None, str | None]:
    """The ticker that the same issue bore before, and the one that it bore next."""
    own = sorted(known.get(tenure.figi, ()), key=lambda each: each.until or date.max) if tenure.figi else []
    places = [place for place, each in enumerate(own) if (each.symbol, each.until) == (tenure.symbol, tenure.until)]
    if not places:
        return None, None
    before = [each.symbol for each in own[: places[0]] if each.symbol != tenure.symbol]
    after = [each.symbol for each in own[places[0] + 1 :] if each.symbol != tenure.symbol]
    return before[-1] if before else None, after[0] if after else None
