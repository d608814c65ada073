import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradeul.scanner.definitions import ListFolder, built_in_lists, parse
from tradeul.scanner.preview import ROWS, preview
from tradeul.scanner.scan import scan_rows

MINE = """[lists.mine]
title = "Mine"
where = "change_pct >= 5 AND rvol > 1"
order = [["change_pct", "desc"]]
columns = ["price", "change_pct"]
"""
LIVE = {"price": 110, "dollar_volume": 2e6, "trades": 500, "volume": 200_000}
USUAL = {"prev_close": 100, "avg_volume_20d": 1e6}


def market_of(make, usual, **tickers):
    fresh = {"updated_at": make.eastern("10:30").timestamp()}
    return make.market(make.frame("10:30", **{symbol: fresh | LIVE | row for symbol, row in tickers.items()}), make.baselines(**usual))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "two.toml").write_text(MINE.replace("lists.mine", "lists.taken") + MINE.replace("lists.mine", "lists.other"))
    folder = ListFolder(tmp_path, built_in_lists())
    assert folder.look() == []
    return folder


def test_a_preview_shows_what_the_list_would_and_how_many_are_asked(make, folder):
    market = market_of(make, dict.fromkeys("ABC", USUAL), A={}, B={"price": 106}, C={"price": 101}, D={"trades": 3})
    told = preview(MINE, folder, market, {})
    assert told.reason is None and told.definition.title == "Mine"
    assert (told.candidates, told.matches, told.undecided) == (3, 2, 0)
    (found,) = parse(MINE, source="mine.toml", floors=built_in_lists()[0].floors)
    assert list(told.rows) == scan_rows(market, [found], {})["mine"]
    assert told.as_of == market.frame.as_of


def test_who_falls_out_for_an_unknown_input_is_counted_once_under_the_first_of_the_question(make, folder):
    usual = {"A": USUAL, "B": {"prev_close": 100}, "C": {}}
    market = market_of(make, usual, A={}, B={"volume": float("nan")}, C={}, N={})
    told = preview(MINE, folder, market, {})
    assert (told.candidates, told.matches, told.undecided) == (4, 1, 3)
    assert [(each.column, each.tickers, each.example) for each in told.unknown] == [("change_pct", 2, "C"), ("rvol", 1, "B")]
    assert told.unknown[0].why == "change_pct is null: prev_close is null: the baselines do not have it for this ticker"


def test_a_part_without_a_value_is_said_too(make, folder):
    told = preview(MINE.replace("rvol > 1", "1 / (price - 110) > 1"), folder, market_of(make, {"A": USUAL}, A={}), {})
    assert (told.undecided, told.unknown[0].column) == (1, "where")


def test_rows_are_few_and_matches_are_all(make, folder):
    names = [f"T{number:03d}" for number in range(130)]
    market = market_of(make, dict.fromkeys(names, USUAL), **{name: {} for name in names})
    told = preview(MINE, folder, market, {})
    assert (told.matches, len(told.rows)) == (130, ROWS)
    assert len(preview(MINE + "limit = 3\n", folder, market, {}).rows) == 3


def test_before_the_first_frame_only_the_definition_is_told(folder):
    told = preview(MINE, folder, None, {})
    assert told.definition is not None and (told.reason, told.matches, told.undecided) == (None, None, None)


REFUSED = {
    "lists": (None, "Expected '=' after a key"),
    "": (None, "Object missing required field `lists`"),
    MINE + MINE.replace("mine", "more"): (None, "2 lists; write one"),
    MINE.replace("rvol >", "rvoll >"): ("where", "unknown column 'rvoll'; did you mean 'rvol'?"),
    MINE.replace('"desc"', '"down"'): ("order", "'down' is no direction"),
    MINE.replace('"price",', '"age_s",'): ("columns", "'age_s' is for where and order only"),
    MINE.replace('"Mine"', "7"): ("title", 'write title = "Winners"'),
    MINE + "limit = 0": ("limit", "a list has 1 to 100 rows"),
    MINE + 'class = "bonds"': ("class", "'bonds' is none of"),
    MINE + "colour = 1": (None, "unknown field `colour`"),
    MINE.replace("mine", "Mine"): ("name", "it has 1 to 40 small letters"),
    MINE.replace("mine", "winners"): ("name", "it belongs to a built-in list; choose another"),
    MINE.replace("mine", "taken"): ("name", "it belongs to two.toml; choose another"),
    MINE + "phases.NIGHT = {}": ("phases", "'NIGHT' is none of"),
    MINE + "phases.CLOSED = { where = 'x > 1' }": ("phases", "unknown column 'x'"),
}


@pytest.mark.parametrize("text", REFUSED, ids=lambda text: text[-30:])
def test_what_cannot_be_a_list_is_refused_with_its_place(folder, text):
    told = preview(text, folder, None, {})
    field, reason = REFUSED[text]
    assert told.field == field and reason in told.reason and "mine.toml" not in told.reason
    assert (told.definition, told.rows) == (None, ())


def test_a_list_may_be_written_again_in_its_own_file(tmp_path):
    (tmp_path / "mine.toml").write_text(MINE)
    folder = ListFolder(tmp_path, built_in_lists())
    folder.look()
    assert preview(MINE, folder, None, {}).reason is None


@settings(max_examples=60)
@given(text=st.text(max_size=60) | st.text(max_size=40).map(lambda text: MINE.replace("rvol > 1", text)))
def test_no_text_is_too_strange(text):
    told = preview(text, ListFolder(None, built_in_lists()), None, {})
    assert (told.reason is None) == (told.definition is not None)
