"""The class switch: a list asked of another class of issues, for as long as somebody watches it.

    gateways say which variants are watched -> Watched -> variants_of(lists) -> scanned like any list

A variant has its list's question and limit, so its rows are the top of ITS
class: leaving out rows in the browser would show what is left of another top.
Its name is `{list}~{class}`; it is no list of its own, and none of its enters
and leaves are logged.
"""

from collections.abc import Iterable, Sequence

import msgspec

from tradeul.records.lists import CLASSES, split_name, variant_name
from tradeul.scanner.definitions import ScanList

# Gateways repeat what is watched every 5 s; so long a variant outlives the last one who said so.
KEPT_SECONDS = 15.0


class Watched:
    """Which variants were named lately; bounded by what can be named: each list in each class."""

    def __init__(self) -> None:
        self._heard: dict[str, float] = {}

    def hear(self, names: Iterable[str], now_seconds: float) -> None:
        self._heard |= dict.fromkeys(names, now_seconds)

    def variants(self, lists: Sequence[ScanList], now_seconds: float) -> list[ScanList]:
        """Those of ``lists``; what was named long ago, or is no variant of them, is forgotten."""
        by_name = {found.name: found for found in lists}
        found: list[ScanList] = []
        for name, heard_seconds in sorted(self._heard.items()):
            base, issue_class = split_name(name)
            if base in by_name and issue_class in CLASSES and now_seconds - heard_seconds < KEPT_SECONDS:
                found.append(variant(by_name[base], issue_class))
            else:
                del self._heard[name]
        return found


def variant(found: ScanList, issue_class: str) -> ScanList:
    """Not `built_in`: the people's keys are those of the lists themselves."""
    name = variant_name(found.name, issue_class)
    return found._replace(definition=msgspec.structs.replace(found.definition, name=name, issue_class=issue_class, built_in=False))
