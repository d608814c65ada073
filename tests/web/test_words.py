import re

import pytest

from tradeul.api.page import page_folder
from tradeul.scanner.columns import COLUMNS
from tradeul.scanner.definitions import built_in_lists

KEY = re.compile(r'^  (?:"([^"]+)"|(\w+)):', re.MULTILINE)
USED = re.compile(r'\bt\("([^"]+)"|data-t(?:-title|-label)?="([^"]+)"|titleKey: "([^"]+)"')


def keys(language):
    return {quoted or plain for quoted, plain in KEY.findall((page_folder() / "words" / f"{language}.mjs").read_text())}


def sources():
    folder = page_folder()
    return [
        path for path in [*folder.rglob("*.mjs"), folder / "index.html"] if not {"vendor", "words"} & set(path.relative_to(folder).parts)
    ]


def test_spanish_says_all_that_english_says():
    assert keys("es") == keys("en")


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.name)
def test_every_word_that_is_used_is_there(path):
    used = {next(filter(None, found)) for found in USED.findall(path.read_text())}
    assert used <= keys("en")


def test_every_column_that_a_row_may_carry_has_its_words_in_both_languages():
    text = (page_folder() / "words" / "columns.mjs").read_text()
    wanted = {name for name, column in COLUMNS.items() if column.on_wire} - {"symbol"}
    assert {plain for _, plain in KEY.findall(text)} == wanted
    assert len(re.findall(r'\{ en: \["[^"]+", "[^"]+"\], es: \["[^"]+", "[^"]+"\] \},', text)) == len(wanted)


def test_every_sentence_with_which_the_scanner_explains_is_known_to_the_page():
    page = (page_folder() / "words" / "told.mjs").read_text()
    forms = [re.compile(form.replace("(?<", "(?P<")) for form in re.findall(r"^  \[/(.+)/, ", page, re.MULTILINE)]
    scanner = "".join((page_folder().parent / "scanner" / name).read_text() for name in ("explain.py", "floors.py"))
    begins = "a row of|class is|corp_action is|a member|exactly|the floors|who stood|the vendor tells|from {|not applied"
    said = [text for text in re.findall(r'"([^"\n]*)"', scanner) if re.match(begins, text)]
    pieces = {piece for text in said for piece in re.sub(r"{.+?}", "X", text).split("; ")}
    known = {piece: [form for form in forms if form.search(piece)] for piece in pieces}
    assert not [piece for piece, found in known.items() if len(found) != 1]
    assert len({form for found in known.values() for form in found}) == len(forms)


def test_the_built_in_lists_are_called_in_english_as_the_scanner_calls_them():
    english = (page_folder() / "words" / "en.mjs").read_text()
    assert all(f'"list.title.{each.name}": "{each.definition.title}",' in english for each in built_in_lists())
