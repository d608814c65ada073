from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest

from tradeul.errors import StoreError
from tradeul.records.filings import Article, Company, Filer, Filing
from tradeul.store.filings import FilingsStore

AT = datetime(2026, 3, 9, 14, 30, tzinfo=UTC)
LONG_AGO = AT - timedelta(days=9)


@pytest.fixture
def store(url, catalog_at):
    return FilingsStore(catalog_at(url))


def filing(number, *ciks, form="8-K", minutes=0, tickers=()):
    at = AT + timedelta(minutes=minutes)
    filers = tuple(Filer(cik, f"N{cik}", "Filer") for cik in ciks)
    return Filing(f"A-{number}", form, None, False, False, at.date(), at, AT, tickers, filers, (), None)


def article(number, *tickers, minutes=0):
    return Article(f"n{number}", AT + timedelta(minutes=minutes), f"headline {number}", tickers)


def read(found, kind=Filing):
    return [msgspec.json.decode(document, type=kind) for document in found.documents]


def test_a_filing_is_kept_once_and_survives_reopening(store, url, catalog_at):
    first, second = filing(1, "1"), filing(2, "1", "2")
    assert store.add_filings([first, second], LONG_AGO) == [first, second]
    assert store.add_filings([second, first], LONG_AGO) == []
    again = FilingsStore(catalog_at(url))
    assert read(again.find_filings()) == [second, first]
    assert msgspec.json.decode(again.filing("A-1"), type=Filing) == first
    assert again.filing("A-9") is None


def test_a_known_filing_gains_the_filers_and_tickers_that_it_lacked(store):
    store.add_filings([filing(1, "1", tickers=("A",))], LONG_AGO)
    assert store.add_filings([filing(1, "2", "1", tickers=("B", "A"))], LONG_AGO) == []
    (whole,) = read(store.find_filings(ciks=["2"]))
    assert ([filer.cik for filer in whole.filers], whole.tickers) == (["1", "2"], ("A", "B"))
    assert store.last_filing() == 1


def test_filings_are_found_by_company_form_and_date_newest_first_in_pages(store):
    filings = [filing(n, str(n % 2), form="8-K" if n % 3 else "4", minutes=1440 * n) for n in range(12)]
    store.add_filings(filings, LONG_AGO)

    def found(**asked):
        return [int(each.accession[2:]) for each in read(store.find_filings(**asked))]

    assert found(ciks=["1"]) == [11, 9, 7, 5, 3, 1]
    assert found(ciks=["1"], form="4") == [9, 3]
    assert found(ciks=[]) == []
    assert found(first=date(2026, 3, 12), last=date(2026, 3, 14)) == [5, 4, 3]
    assert found(skip=4, most=3) == [7, 6, 5]
    assert store.find_filings(skip=4, most=3).total == 12


def test_what_is_history_when_it_comes_is_found_but_not_for_the_bus(store):
    store.add_filings([filing(1, "1"), filing(2, "1", minutes=5), filing(3, "1", minutes=-5)], AT)
    assert [msgspec.json.decode(each.document, type=Filing).accession for each in store.filings_after(0, 10)] == ["A-1", "A-2"]
    assert store.last_filing() == 2
    store.add_news([article(1, minutes=-1), article(2)], AT)
    assert ([each.number for each in store.news_after(0, 10)], store.last_article()) == ([2], 2)


def test_the_bus_gets_the_last_of_what_it_lacks_in_order(store):
    store.add_filings([filing(n, "1") for n in range(1, 8)], LONG_AGO)
    assert [each.number for each in store.filings_after(2, 10)] == [3, 4, 5, 6, 7]
    assert [each.number for each in store.filings_after(2, 3)] == [5, 6, 7]
    assert store.filings_after(7, 3) == []


def test_news_is_kept_once_and_found_by_ticker_and_time(store):
    pieces = [article(1, "A", "B"), article(2, "B", "B", minutes=5), article(3, minutes=9)]
    assert store.add_news(pieces, LONG_AGO) == pieces
    assert store.add_news(pieces, LONG_AGO) == []
    assert [each.id for each in read(store.find_news("B", None, 10), Article)] == ["n2", "n1"]
    assert [each.id for each in read(store.find_news(None, AT + timedelta(minutes=5), 10), Article)] == ["n3", "n2"]
    assert (store.find_news(None, None, 1).total, len(store.find_news(None, None, 1).documents)) == (3, 1)


def test_marks_and_companies_are_replaced(store):
    assert store.mark("filings") is None
    for at in (AT, AT + timedelta(hours=1)):
        store.set_mark("filings", at)
        assert store.mark("filings") == at
    for companies in ([Company("1", "A", "A"), Company("1", "A.WS", "A")], [Company("2", "B", "B")]):
        store.put_companies(companies)
        assert store.companies() == companies


def test_what_is_too_old_is_forgotten_whole(store):
    store.add_filings([filing(1, "1", minutes=-10), filing(2, "1")], LONG_AGO)
    store.add_news([article(1, "A", minutes=-10), article(2, "A")], LONG_AGO)
    assert store.forget_before(AT) == 2
    assert [each.accession for each in read(store.find_filings(ciks=["1"]))] == ["A-2"]
    assert [each.id for each in read(store.find_news("A", None, 10), Article)] == ["n2"]
    assert store.add_filings([filing(1, "1", minutes=-10)], AT) != [], "forgotten, it would be as new"


def test_a_catalog_that_takes_nothing_is_one_sentence_and_keeps_none(store):
    with store._catalog.engine.begin() as connection:
        connection.exec_driver_sql("CREATE UNIQUE INDEX one_of_a_form ON filings (form)")
    with pytest.raises(StoreError, match="could not be kept"):
        store.add_filings([filing(1, "1"), filing(2, "1")], LONG_AGO)
    assert store.find_filings().total == 0
