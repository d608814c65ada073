import gzip
from datetime import UTC, date, datetime

import pytest

from tradeul.filings.words import DILUTING, FORMS, ITEMS, described
from tradeul.providers.edgar.wire import decode_current
from tradeul.records.filings import Filer, FilingEntry, Item

AT = datetime(2026, 1, 12, 16, 27, tzinfo=UTC)
TICKERS = {"0000000001": ("A", "A.WS"), "0000000002": ("B",)}


def told(form, *roles, items=()):
    filers = tuple(Filer(f"{number:010}", "N", role) for number, role in enumerate(roles, 1))
    return described(FilingEntry("0000000001-26-000001", form, date(2026, 1, 12), AT, filers, items), AT, TICKERS)


@pytest.mark.parametrize("form", ["S-1", "S-3", "S-3ASR", "F-3", "424B5", "EFFECT", "S-1/A", "S-3/A", "F-3/A"])
def test_forms_that_bring_new_shares_are_marked_amended_or_not(form):
    assert told(form, "Filer").dilutes
    assert told(form, "Filer").amends == form.endswith("/A")


@pytest.mark.parametrize("form", ["8-K", "S-8", "S-11", "S-4", "424B2", "424B3", "4", "10-K/A", "DEF 14A"])
def test_other_forms_are_not(form):
    assert not told(form, "Filer").dilutes


def test_an_amendment_has_the_words_of_its_form():
    assert told("8-K/A", "Filer").words == told("8-K", "Filer").words == "Current report"
    assert told("XYZ", "Filer").words is None


def test_items_have_words_on_8_k_only():
    assert told("8-K", "Filer", items=("2.02", "9.99")).items == (Item("2.02", "Results of operations"), Item("9.99"))
    assert told("D", "Filer", items=("3C",)).items == (Item("3C"),)


def test_a_filing_is_of_all_tickers_of_its_company_and_of_none_of_who_only_reports():
    assert told("4", "Issuer", "Reporting").tickers == ("A", "A.WS")
    assert told("SC 13D", "Subject", "Filed by").tickers == ("A", "A.WS")
    assert told("425", "Subject", "Filer").tickers == ("A", "A.WS", "B")
    assert told("13F-HR").tickers == ()


def test_recorded_8_ks_and_most_other_recorded_forms_have_words(shared_data):
    pages = (shared_data / "universe" / "sec").glob("getcurrent_*.atom.xml.gz")
    entries = [entry for page in pages for entry in decode_current(gzip.decompress(page.read_bytes()))]
    filings = [described(entry, AT, {}) for entry in entries]
    assert all(item.words for filing in filings if filing.form.startswith("8-K") for item in filing.items)
    assert sum(filing.words is not None for filing in filings) > 0.97 * len(filings)
    assert sorted({filing.form for filing in filings if filing.dilutes}) == ["424B5", "S-1", "S-1/A", "S-3ASR"]


def test_words_are_sentences_without_a_full_stop():
    assert all(text and text[0].isupper() and not text.endswith(".") for text in (*FORMS.values(), *ITEMS.values()))
    assert set(FORMS) >= DILUTING
