import os
import re

import pytest

from tradeul.errors import ListError
from tradeul.market_calendar import Phase
from tradeul.scanner.columns import COLUMNS
from tradeul.scanner.definitions import ListFolder, built_in_lists, parse

GOOD = {"title": '"Mine"', "where": '"change_pct >= 5"', "order": '[["change_pct", "desc"]]', "columns": '["price", "change_pct"]'}


def text(name="mine", **changes):
    return f"[lists.{name}]\n" + "\n".join(f"{key} = {value}" for key, value in (GOOD | changes).items() if value is not None)


# The contract's own words; whitespace apart, the file must say the same.
CONTRACT = {
    "momentum_up": (
        "chg_5m >= greatest(1, 0.35*atr_pct) AND rvol_5m >= 2 AND dvol_5m >= CASE WHEN phase <> 'MARKET_OPEN' THEN 25000 "
        "WHEN since_open_s < 900 THEN 300000 ELSE 100000 END AND price > vwap AND COALESCE(price >= high - 0.15*atr, price >= 0.985*high)"
    ),
    "new_highs": "high_age_s <= 120 AND high_count >= 2 AND range_atr >= 0.3 AND rvol >= 1.5 AND change_pct > 0",
    "high_volume": (
        "(rvol >= 2 AND expected_volume >= 2000) OR (phase = 'PRE_MARKET' AND vol_pct_adv >= 5) "
        "OR (baseline = 'none' AND dollar_volume >= 5e6)"
    ),
    "anomalies": (
        "slot_lz >= 3 AND rvol_5m >= 4 AND trades_5m >= 25 AND dvol_5m >= 1e5 "
        "AND avg_dollar_volume_20d >= 2.5e5 AND abs(chg_5m) >= 0.2*atr_pct"
    ),
    "winners": "change_pct >= 5",
    "losers": "change_pct <= -5",
}
ORDER = [
    "winners",
    "losers",
    "gappers_up",
    "gappers_down",
    "momentum_up",
    "momentum_down",
    "new_highs",
    "new_lows",
    "high_volume",
    "anomalies",
    "reversals",
]


def test_the_eleven_lists_are_the_contracts():
    lists = {found.name: found.definition for found in built_in_lists()}
    assert list(lists) == ORDER
    assert {name: lists[name].where for name in CONTRACT} == CONTRACT
    assert all(found.built_in and found.floors and found.limit == 100 and found.issue_class == "stocks" for found in lists.values())


def test_every_list_shows_what_its_question_needs():
    for found in built_in_lists():
        assert 12 < len(found.definition.columns) <= 20  # the page shows the first twelve, the others wait in its chooser
        inputs = set().union(*(question.where.inputs for question in found.questions.values()))
        assert {name for name in inputs if COLUMNS[name].on_wire} <= set(found.cells)
        assert not {name for name in found.cells if not COLUMNS[name].on_wire}


def test_the_phase_variants_are_the_contracts():
    lists = {found.name: found for found in built_in_lists()}
    assert lists["gappers_up"].questions[Phase.POST_MARKET].members_of_last is Phase.MARKET_OPEN
    assert lists["winners"].definition.phases["POST_MARKET"].where == "post_change_pct >= 3"
    assert lists["winners"].questions[Phase.POST_MARKET].order[0][0].inputs == {"post_change_pct"}
    assert lists["winners"].questions[Phase.PRE_MARKET] is lists["winners"].questions[Phase.MARKET_OPEN]


def test_the_documented_example_is_taken(shared_data):
    formats = (shared_data.parent / "FORMATS.md").read_text()
    example = re.search(r"```toml\n(.*?)```", formats, re.DOTALL)[1].replace("; ", "\n")
    (found,) = parse(example, source="example.toml")
    assert found.name == "winners"
    assert found.floors[0].trades == 150


REFUSED = [
    ("not toml", "line 1"),
    ("", "lists"),
    (text(where=None), "where"),
    (text(where="5"), "where"),
    (text(colour='"red"'), "colour"),
    (text(where='"nosuch > 1"'), "list 'mine', where: unknown column 'nosuch'"),
    (text(where='"sum(volume) > 1"'), "aggregate"),
    (text(where='"halted IS TRUE"'), "TRUE or FALSE"),
    (text(order="[]"), "order: empty"),
    (text(order='[["change_pct desc", "desc"]]'), "order: a name after an expression"),
    (text(order='[["change_pct", "down"]]'), "'down' is no direction"),
    (text(order='[["change_pct"]]'), "order"),
    (text(order='[["change_pct > 1", "asc"]]'), "can be ordered by numbers"),
    (text(columns="[]"), "columns: 0"),
    (text(columns='["nosuch"]'), "columns: unknown column 'nosuch'"),
    (text(where='"prise > 5"'), "where: unknown column 'prise'; did you mean 'price'?"),
    (text(where='"price >"'), "where: 'price >' cannot be read: it is no whole SQL expression"),
    (text(where="\"name LIKE 'A%'\""), "a function of texts (LIKE, lower ...) is not allowed"),
    (text(where='"price % 2 = 0"'), "the operator % is not allowed"),
    (text(order='"price desc"'), "list 'mine', order: Expected `array`, got `str`; write order = [["),
    (text(floors='"no"'), "list 'mine', floors: Expected `bool`, got `str`; write floors = false."),
    (text(title=None), "list 'mine': Object missing required field `title`; write title ="),
    (text(color='"red"'), "list 'mine': Object contains unknown field `color`; the fields are title, where, order"),
    (text(columns='["age_s"]'), "where and order only"),
    (text(columns=str([name for name in COLUMNS if COLUMNS[name].on_wire][:32])), "columns: 31"),
    (text(limit="0"), "limit: 0"),
    (text(limit="101"), "limit: 101"),
    (text(**{"class": '"bonds"'}), "'bonds' is none of stocks, etf, leveraged, all"),
    (text(name="Mine"), "small letters"),
    (text(name='"a~b"'), "small letters"),
    (text(name='"a\\nb"'), "small letters"),
    (text(**{"phases.LUNCH": '{ where = "price > 1" }'}), "'LUNCH' is none of"),
    (text(**{"phases.POST_MARKET": '{ where = "nosuch > 1" }'}), "phases.POST_MARKET, where: unknown column"),
    (text(**{"phases.POST_MARKET": '{ members_of_last = "LUNCH" }'}), "members_of_last: 'LUNCH'"),
    (text(**{"phases.POST_MARKET": '{ where = "price > 1", members_of_last = "MARKET_OPEN" }'}), "contradict"),
    ('[[floors]]\nfrom = "9:30"\nage_s = 1\n' + text(), "write HH:MM"),
    ('[[floors]]\nfrom = "open"\nage_s = 1\nvolume = 3\n' + text(), "volume"),
]


@pytest.mark.parametrize(("written", "reason"), REFUSED, ids=[reason for _, reason in REFUSED])
def test_a_wrong_file_is_refused_with_its_name_and_the_place(written, reason):
    with pytest.raises(ListError) as refused:
        parse(written, source="mine.toml")
    assert "mine.toml" in str(refused.value)
    assert reason in str(refused.value)


class Folder:
    """A person's folder; each write is another moment."""

    def __init__(self, path):
        self.path = path
        self.moment = 1_000_000_000
        self.lists = ListFolder(path, built_in_lists())

    def write(self, file, content):
        self.moment += 1
        (self.path / file).write_text(content)
        os.utime(self.path / file, ns=(self.moment, self.moment))

    def look(self):
        """What is refused now, and a person's lists with the columns they show."""
        errors = [str(error) for error in self.lists.look()]
        return errors, {found.name: found.definition.columns for found in self.lists.lists[11:]}


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def test_files_are_taken_as_they_come_change_and_go(folder):
    assert folder.look() == ([], {})
    folder.write("b.toml", text("second"))
    folder.write("a.toml", text("first"))
    assert folder.look() == ([], dict.fromkeys(("first", "second"), ("price", "change_pct")))
    folder.write("a.toml", text("first", columns='["volume"]'))
    assert folder.look()[1] == {"first": ("volume",), "second": ("price", "change_pct")}
    (folder.path / "b.toml").unlink()
    assert folder.look() == ([], {"first": ("volume",)})


def test_a_broken_file_keeps_its_old_version_and_complains_once(folder):
    folder.write("a.toml", text("first") + "\n" + text("other"))
    folder.look()
    folder.write("a.toml", text("first", columns='["volume"]') + "\n" + text("other", where='"sum(price) > 1"'))
    errors, lists = folder.look()
    assert len(errors) == 1 and "a.toml, list 'other', where: an aggregate" in errors[0]
    assert lists == dict.fromkeys(("first", "other"), ("price", "change_pct"))
    assert folder.look() == ([], lists)


def test_a_name_is_given_once(folder):
    folder.write("a.toml", text("winners"))
    folder.write("b.toml", text("mine"))
    folder.write("c.toml", text("mine"))
    errors, lists = folder.look()
    assert ["a built-in list" in errors[0], "belongs to b.toml" in errors[1], len(errors)] == [True, True, 2]
    assert list(lists) == ["mine"]


def test_a_file_that_is_no_text_is_refused(folder):
    (folder.path / "a.toml").write_bytes(b"\xff\xfe\x00")
    assert "cannot be read" in folder.look()[0][0]


def test_a_folder_may_be_absent(tmp_path):
    for path in (None, tmp_path / "absent"):
        assert ListFolder(path, built_in_lists()).look() == []


def test_a_file_has_the_built_in_floors_or_its_own(folder):
    folder.write("a.toml", text("plain"))
    folder.write("b.toml", '[[floors]]\nfrom = "04:00"\nage_s = 5\n' + text("strict"))
    folder.look()
    plain, strict = folder.lists.lists[11:]
    assert plain.floors == built_in_lists()[0].floors
    assert [floor.age_s for floor in strict.floors] == [5]


def test_a_list_may_move_from_file_to_file(folder):
    folder.write("b.toml", text("mine"))
    folder.look()
    folder.write("a.toml", text("mine", columns='["volume"]'))
    folder.write("b.toml", text("other"))
    assert folder.look() == ([], {"mine": ("volume",), "other": ("price", "change_pct")})


def test_a_refused_file_is_taken_once_its_name_is_free(folder):
    folder.write("a.toml", text("mine"))
    folder.write("b.toml", text("mine", columns='["volume"]'))
    assert len(folder.look()[0]) == 1
    folder.write("c.toml", text("third"))
    assert folder.look()[0] == []
    (folder.path / "a.toml").unlink()
    assert folder.look() == ([], {"mine": ("volume",), "third": ("price", "change_pct")})
