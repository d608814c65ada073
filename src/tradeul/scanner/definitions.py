"""Lists as people write them: TOML text to checked definitions, and the folder of a person's files.

    builtin.toml, STATE/lists/*.toml -> parse -> ScanList (definition, floors, compiled) -> scan.py

A file is taken whole or not at all: while one is broken its last good version
stays. Names are unique over all files, and a built-in name is not given away.
It does not evaluate (`scan.py`) nor publish (`service.py`).
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from tradeul.errors import ListError
from tradeul.market_calendar import Phase
from tradeul.records.lists import CLASSES, Floor, ListDefinition, PhaseVariant
from tradeul.scanner.columns import COLUMNS, KINDS
from tradeul.scanner.floors import MOMENT
from tradeul.scanner.sql import Expression, compile_condition, compile_order, unknown_column

# What a row carries whatever its list shows: what is special about its ticker.
BADGES = ("halted", "ssr", "leverage", "corp_action", "filing_form", "news_at", "partial", "ipo")
MAX_COLUMNS = 30  # 85 would cost 20 ms a cycle
MAX_ROWS = 100
NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
DIRECTIONS = ("asc", "desc")


class Question(NamedTuple):
    """What a list asks in one phase."""

    where: Expression
    order: tuple[tuple[Expression, bool], ...]  # the second: descending
    members_of_last: Phase | None = None


class ScanList(NamedTuple):
    """A definition, ready to be asked."""

    definition: ListDefinition
    floors: tuple[Floor, ...]
    questions: Mapping[Phase, Question]
    cells: tuple[str, ...]  # the columns of a row on the wire

    @property
    def name(self) -> str:
        return self.definition.name

    def is_same(self, other: "ScanList") -> bool:
        """Whether both ask and show the same; compiled expressions cannot be compared."""
        return self.definition == other.definition and self.floors == other.floors


class _Variant(msgspec.Struct, forbid_unknown_fields=True):
    where: str | None = None
    order: list[tuple[str, str]] | None = None
    members_of_last: str | None = None


class _List(msgspec.Struct, forbid_unknown_fields=True, rename={"issue_class": "class"}):
    title: str
    where: str
    order: list[tuple[str, str]]
    columns: list[str]
    issue_class: str = "stocks"
    floors: bool = True
    limit: int = MAX_ROWS
    phases: dict[str, _Variant] = {}


class _Floor(msgspec.Struct, forbid_unknown_fields=True, rename={"from_": "from"}):
    from_: str
    age_s: float
    dollar_volume: float | None = None
    trades: float | None = None
    post_dollar_volume: float | None = None
    post_trades: float | None = None


class _File(msgspec.Struct, forbid_unknown_fields=True):
    lists: dict[str, dict[str, Any]]
    floors: list[_Floor] = []


def parse(text: str, *, source: str, floors: Sequence[Floor] = (), built_in: bool = False) -> list[ScanList]:
    """The lists of one file. Its own ``[[floors]]``, if any, stand in for ``floors`` for its lists.

    Raises:
        ListError: names ``source``, the list and the place.
    """
    try:
        file = msgspec.convert(tomllib.loads(text), _File)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ListError(f"{source}: {error}.") from error
    own = tuple(Floor(**msgspec.structs.asdict(floor)) for floor in file.floors)
    for floor in own:
        if MOMENT.fullmatch(floor.from_) is None:
            raise ListError(f"{source}, floors: from = {floor.from_!r}; write HH:MM (Eastern), open, open+5m or close.")
    return [
        _scan_list(name, _fields(body, place), own or tuple(floors), built_in, place)
        for name, body in file.lists.items()
        for place in (f"{source}, list {name!r}",)
    ]


# What a field looks like, for who wrote it otherwise.
EXAMPLES = {
    "title": 'title = "Winners"',
    "where": 'where = "change_pct >= 5"',
    "order": 'order = [["change_pct", "desc"]]',
    "columns": 'columns = ["price", "change_pct"]',
    "class": 'class = "stocks"',
    "floors": "floors = false",
    "limit": "limit = 50",
    "phases": 'phases.POST_MARKET = { where = "post_change_pct >= 3" }',
}


def _fields(body: dict[str, Any], place: str) -> _List:
    try:
        return msgspec.convert(body, _List)
    except msgspec.ValidationError as error:
        # A field of a wrong type is named by its path, one that is missing or unknown in the sentence.
        said, _, path = str(error).partition(" - at `$.")
        field = re.match(r"\w*", path) if path else re.search(r"(?<=`)\w+(?=`)", said)
        name = field[0] if field else ""
        remedy = f"write {EXAMPLES[name]}" if name in EXAMPLES else f"the fields are {', '.join(EXAMPLES)}"
        raise ListError(f"{place}{f', {name}' if path else ''}: {said}; {remedy}.") from error


def _scan_list(name: str, found: _List, floors: tuple[Floor, ...], built_in: bool, place: str) -> ScanList:
    if NAME.fullmatch(name) is None:
        raise ListError(f"{place}, name: it has 1 to 40 small letters, digits and underscores, a letter first.")
    if found.issue_class not in CLASSES:
        raise ListError(f"{place}, class: {found.issue_class!r} is none of {', '.join(CLASSES)}.")
    if not 1 <= found.limit <= MAX_ROWS:
        raise ListError(f"{place}, limit: {found.limit}; a list has 1 to {MAX_ROWS} rows.")
    columns = _checked_columns(found.columns, f"{place}, columns")
    usual = Question(compile_condition(found.where, KINDS, f"{place}, where"), _order(found.order, f"{place}, order"))
    questions = dict.fromkeys(Phase, usual)
    for phase, variant in found.phases.items():
        if phase not in Phase.__members__:
            raise ListError(f"{place}, phases: {phase!r} is none of {', '.join(Phase)}.")
        questions[Phase(phase)] = _variant(variant, usual, f"{place}, phases.{phase}")
    definition = ListDefinition(
        name=name,
        title=found.title,
        where=" ".join(found.where.split()),
        order=tuple(found.order),
        columns=columns,
        issue_class=found.issue_class,
        floors=found.floors,
        limit=found.limit,
        phases={phase: _record(variant) for phase, variant in found.phases.items()},
        built_in=built_in,
    )
    return ScanList(definition, floors, questions, _cells(columns, questions))


def _record(variant: _Variant) -> PhaseVariant:
    order = None if variant.order is None else tuple(variant.order)
    return PhaseVariant(variant.where, order, variant.members_of_last)


def _variant(variant: _Variant, usual: Question, place: str) -> Question:
    where = usual.where if variant.where is None else compile_condition(variant.where, KINDS, f"{place}, where")
    order = usual.order if variant.order is None else _order(variant.order, f"{place}, order")
    if variant.members_of_last is None:
        return Question(where, order)
    if variant.where is not None:
        raise ListError(f"{place}: where and members_of_last contradict each other; keep one.")
    if variant.members_of_last not in Phase.__members__:
        raise ListError(f"{place}, members_of_last: {variant.members_of_last!r} is none of {', '.join(Phase)}.")
    return Question(where, order, Phase(variant.members_of_last))


def _order(order: Sequence[tuple[str, str]], place: str) -> tuple[tuple[Expression, bool], ...]:
    if not order:
        raise ListError(f'{place}: empty; write [["change_pct", "desc"]].')
    for _, direction in order:
        if direction not in DIRECTIONS:
            raise ListError(f'{place}: {direction!r} is no direction; write "asc" or "desc".')
    return tuple((compile_order(text, KINDS, place), direction == "desc") for text, direction in order)


def _checked_columns(columns: Sequence[str], place: str) -> tuple[str, ...]:
    for name in columns:
        if name not in COLUMNS:
            raise ListError(f"{place}: {unknown_column(name, COLUMNS)}")
        if not COLUMNS[name].on_wire:
            raise ListError(f"{place}: {name!r} is for where and order only; it is not sent.")
    unique = tuple(name for name in dict.fromkeys(columns) if name != "symbol")  # every row carries it anyway
    if not 1 <= len(unique) <= MAX_COLUMNS:
        raise ListError(f"{place}: {len(unique)}; a list has 1 to {MAX_COLUMNS}.")
    return unique


def _cells(columns: Sequence[str], questions: Mapping[Phase, Question]) -> tuple[str, ...]:
    """The list's columns, then those of its where and order: a row shows why it is there; and what is special about its ticker."""
    inputs: set[str] = set(BADGES)
    for question in questions.values():
        inputs |= question.where.inputs.union(*(expression.inputs for expression, _ in question.order))
    return (*columns, *sorted(name for name in inputs - set(columns) - {"symbol"} if COLUMNS[name].on_wire))


@cache
def built_in_lists() -> tuple[ScanList, ...]:
    text = resources.files("tradeul.scanner").joinpath("builtin.toml").read_text()
    return tuple(parse(text, source="builtin.toml", built_in=True))


class ListFolder:
    """The files of a folder, read again when they change; broken ones keep their last good version."""

    def __init__(self, folder: Path | None, built_in: Sequence[ScanList]) -> None:
        self._folder = folder
        self._built_in = built_in
        self._seen: dict[str, tuple[int, int]] = {}
        self._good: dict[str, list[ScanList]] = {}
        self._refused: dict[str, str] = {}

    @property
    def lists(self) -> list[ScanList]:
        """Built-in ones first, then by file name."""
        return [*self._built_in, *(found for name in sorted(self._good) for found in self._good[name])]

    def look(self) -> list[ListError]:
        """Take what changed since the last look; returns what could not be taken, each refusal once."""
        stamps = self._stamps()
        changed = [name for name in stamps if self._seen.get(name) != stamps[name]]
        gone = self._seen.keys() - stamps.keys()
        for name in gone:
            self._good.pop(name, None)
            self._refused.pop(name, None)
        self._seen = stamps
        if not changed and not gone:
            return []
        # A name may have become free by a file that comes later, or by one that went: the refused try again.
        errors: dict[str, ListError] = {}
        for name in [*changed, *(set(self._refused) - set(changed)), *changed]:
            try:
                self._good[name] = self._read(name)
                errors.pop(name, None)
            except ListError as error:
                errors[name] = error
        news = [error for name, error in errors.items() if self._refused.get(name) != str(error)]
        self._refused = {name: str(error) for name, error in errors.items()}
        return news

    def _stamps(self) -> dict[str, tuple[int, int]]:
        stamps = {}
        for path in sorted(self._folder.glob("*.toml")) if self._folder else ():
            try:
                status = path.stat()
            except OSError:
                continue  # gone between the two calls
            stamps[path.name] = status.st_mtime_ns, status.st_size
        return stamps

    def _read(self, name: str) -> list[ScanList]:
        assert self._folder is not None  # noqa: S101 it has files
        try:
            text = (self._folder / name).read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise ListError(f"{name}: cannot be read ({error}).") from error
        found = parse(text, source=name, floors=self._floors)
        self._refuse_taken(found, name)
        return found

    def check(self, text: str) -> ScanList:
        """The one list of ``text``, as it would be in a file of its own name.

        Raises:
            ListError: it holds another number of lists, or the folder would refuse it.
        """
        found = parse(text, source="the text", floors=self._floors)
        if len(found) != 1:
            raise ListError(f"the text: {len(found)} lists; write one, as [lists.mine].")
        self._refuse_taken(found, f"{found[0].name}.toml")
        return found[0]

    @property
    def _floors(self) -> tuple[Floor, ...]:
        return self._built_in[0].floors if self._built_in else ()

    def _refuse_taken(self, found: Sequence[ScanList], name: str) -> None:
        taken = {other.name: "a built-in list" for other in self._built_in}
        taken |= {other.name: file for file, others in self._good.items() if file != name for other in others}
        for scan_list in found:
            if scan_list.name in taken:
                raise ListError(f"{name}, list {scan_list.name!r}, name: it belongs to {taken[scan_list.name]}; choose another.")
