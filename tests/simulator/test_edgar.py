"""EDGAR's stand-in: what it invents, and that recorded pages stay what they were."""

import gzip
from datetime import timedelta

import pytest

from tests.simulator.conftest import SESSION, instant
from tradeul.errors import StartError
from tradeul.providers.edgar.wire import decode_companies, decode_current, decode_submissions, symbol_of
from tradeul.simulator.edgar import InventedEdgar, RecordedEdgar, sec_symbol


@pytest.fixture
def invented(market):
    return InventedEdgar(market, 7)


def test_invented_filings_appear_at_their_acceptance_and_stay(invented):
    before, after = (decode_current(invented.current(instant(*at), 0, 1000)) for at in ((9, 45), (12, 0)))
    fresh = [entry for entry in after if entry not in before]
    assert fresh == after[: len(fresh)] and fresh
    assert all(instant(9, 45) < entry.accepted_at <= instant(12, 0) for entry in fresh)
    assert [entry.accepted_at for entry in after] == sorted((entry.accepted_at for entry in after), reverse=True)


def test_they_are_numbered_once_and_pages_of_one_list(invented):
    whole = decode_current(invented.current(instant(21, 59), 0, 10_000))
    pages = [decode_current(invented.current(instant(21, 59), start, 20)) for start in range(0, len(whole), 20)]
    assert [entry for page in pages for entry in page] == whole
    times = {entry.accession: entry.accepted_at for entry in whole}
    assert all(times[entry.accession] == entry.accepted_at for entry in whole)
    assert {"8-K", "4", "424B5"} <= {entry.form for entry in whole}


def test_each_headline_is_filed_soon_after_it(market, invented):
    entries = decode_current(invented.current(instant(21, 59), 0, 10_000))
    for item in market.source.news(SESSION):
        cik = market.source.issues[item.number].cik
        assert [entry for entry in entries if entry.filers[0].cik == cik and entry.accepted_at - item.published_at < timedelta(minutes=4)]


def test_submissions_agree_with_the_feed(invented):
    feed = decode_current(invented.current(instant(21, 59), 0, 10_000))
    cik = next(entry.filers[0].cik for entry in feed if entry.filers[0].role == "Filer")
    of_company = {entry.accession: entry.accepted_at for entry in decode_submissions(invented.submissions(cik, instant(21, 59)), cik)}
    assert of_company.items() >= {entry.accession: entry.accepted_at for entry in feed if entry.filers[0].cik == cik}.items()
    assert invented.submissions("0000000000", instant(12, 0)) is None


def test_tickers_are_spelled_as_the_sec_spells_them(market, invented):
    symbols = {company.symbol for company in decode_companies(invented.companies())}
    assert symbols == {issue.symbol for issue in market.source.issues if issue.cik is not None}
    assert sec_symbol("BRK.B") == "BRK-B"
    for symbol in ("BRK.B", "BACpE", "ETIp", "ABC.WS", "ABC.WS.A", "GRP.U", "AAPL"):
        assert symbol_of(sec_symbol(symbol)) == symbol


def test_recorded_entries_are_served_letter_by_letter(shared_data):
    folder = shared_data / "universe" / "sec"
    recorded = RecordedEdgar(folder)
    for start in range(0, 600, 100):
        page = gzip.decompress((folder / f"getcurrent_count100_start{start:04}.atom.xml.gz").read_bytes())
        served = recorded.current(instant(12, 0), start, 100)
        assert served[served.index(b"<entry>") :] == page[page.index(b"<entry>") :]
    assert b"File Unavailable" in recorded.unavailable


def test_a_folder_without_pages_is_refused(tmp_path):
    with pytest.raises(StartError, match="TRADEUL_SIMULATOR_EDGAR"):
        RecordedEdgar(tmp_path)
