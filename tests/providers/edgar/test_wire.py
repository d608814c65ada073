"""EDGAR's recorded bodies, and bodies that are none."""

import gzip
from collections import Counter
from datetime import UTC, date, datetime

import pytest

from tradeul.errors import MalformedResponse
from tradeul.providers.edgar.wire import accepted_instants, decode_companies, decode_current, decode_submissions, symbol_of
from tradeul.records.filings import Company, Filer, FilingEntry

PAGE = b"""<?xml version="1.0" encoding="ISO-8859-1" ?>
<feed xmlns="http://www.w3.org/2005/Atom"><title>Latest Filings</title>
<entry><title>8-K/A - A - B (C) &amp; S\xf6hne (0001935979) (Filed by)</title>
<link rel="alternate" type="text/html" href="https://www.sec.gov/x-index.htm"/>
<summary type="html"> &lt;b&gt;Filed:&lt;/b&gt; 2026-01-13 &lt;b&gt;AccNo:&lt;/b&gt; 0001935979-26-000005 &lt;b&gt;Size:&lt;/b&gt; 14 MB
&lt;br&gt;Item 7.01: Regulation FD Disclosure
&lt;br&gt;Item 9.01: Financial Statements</summary>
<updated>2026-01-12T19:19:08-05:00</updated><category scheme="https://www.sec.gov/" label="form type" term="8-K/A"/>
<id>urn:tag:sec.gov,2008:accession-number=0001935979-26-000005</id></entry></feed>"""


def body(shared_data, name):
    return gzip.decompress((shared_data / "universe" / "sec" / name).read_bytes())


def recorded_pages(shared_data):
    return sorted(path.name for path in (shared_data / "universe" / "sec").glob("getcurrent_*.atom.xml.gz"))


def submissions(shared_data, cik, day):
    return decode_submissions(body(shared_data, f"submissions_CIK{cik}_asof_{day}.json.gz"), cik)


def test_an_entry_is_read_whole():
    assert decode_current(PAGE) == [
        FilingEntry(
            "0001935979-26-000005",
            "8-K/A",
            date(2026, 1, 13),
            datetime(2026, 1, 13, 0, 19, 8, tzinfo=UTC),
            (Filer("0001935979", "A - B (C) & Söhne", "Filed by"),),
            ("7.01", "9.01"),
            "https://www.sec.gov/x-index.htm",
        )
    ]


def test_all_recorded_pages_are_read(shared_data):
    pages = recorded_pages(shared_data)
    entries = [entry for name in pages for entry in decode_current(body(shared_data, name))]
    assert (len(pages), len(entries), len({entry.accession for entry in entries})) == (6, 600, 424)
    assert Counter(entry.filers[0].role for entry in entries).most_common(3) == [("Filer", 449), ("Reporting", 68), ("Issuer", 55)]
    forms = Counter(entry.form for entry in entries)
    assert (forms["8-K"], forms["424B5"], forms["S-3ASR"], forms["4/A"]) == (82, 5, 1, 4)
    assert max(entry.accepted_at for entry in entries) == datetime(2026, 1, 12, 16, 27, 39, tzinfo=UTC)
    assert [entry.accepted_at for entry in entries] == sorted((entry.accepted_at for entry in entries), reverse=True)


def test_the_two_snapshots_of_one_company_differ_by_exactly_the_filings_between_them(shared_data):
    earlier, later = (submissions(shared_data, "0001677077", day) for day in ("2026-03-06", "2026-04-17"))
    known = {entry.accession: entry for entry in earlier}
    between = [(entry.form, entry.accession, entry.items) for entry in later if entry.accession not in known]
    assert between == [
        ("8-K", "0001214659-26-004806", ("5.07", "9.01")),
        ("4", "0001214659-26-004742", ()),
        ("8-K", "0001214659-26-003620", ("3.01", "9.01")),
        ("10-Q", "0001214659-26-003166", ()),
    ]
    assert len(known) == 370
    assert [known[entry.accession] for entry in later if entry.accession in known] == later[4:], (
        "their hours too, although written differently"
    )


@pytest.mark.parametrize(
    ("cik", "day", "count", "first"),
    [
        ("0000320193", "2026-02-26", 1005, "2026-02-26T23:34:19"),  # written as Eastern
        ("0000789019", "2026-01-28", 1006, "2026-01-28T21:11:41"),
        ("0001318605", "2026-01-29", 1000, "2026-01-29T01:55:03"),
        ("0001881551", "2026-03-24", 211, "2026-03-24T21:01:22"),
    ],
)
def test_all_recorded_submissions_are_read(shared_data, cik, day, count, first):
    entries = submissions(shared_data, cik, day)
    assert len(entries) == count
    assert f"{entries[0].accepted_at:%Y-%m-%dT%H:%M:%S}" == first


def test_without_evidence_acceptance_times_are_what_they_say():
    noon = [datetime(2026, 3, 9, 16, tzinfo=UTC)]
    assert accepted_instants(noon) == noon
    assert accepted_instants([]) == []


def test_the_secs_tickers_are_spelled_as_the_vendor_spells_them(shared_data):
    companies = decode_companies(body(shared_data, "company_tickers.json.gz"))
    assert (len(companies), len({company.cik for company in companies})) == (9610, 7919)
    assert companies[0] == Company("0000789019", "MSFT", "MICROSOFT CORP")
    berkshire = {company.symbol for company in companies if company.cik == "0001067983"}
    assert berkshire == {"BRK.A", "BRK.B"}
    spelled = {
        "BAC-PE": "BACpE",
        "ETI-P": "ETIp",
        "ABC-WT": "ABC.WS",
        "ABC-WTA": "ABC.WS.A",
        "GRP-UN": "GRP.U",
        "AAPL": "AAPL",
        "BRK-B": "BRK.B",
    }
    assert {text: symbol_of(text) for text in spelled} == spelled


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        PAGE[:-30],
        PAGE.replace(b"0001935979-26-000005</id>", b"</id>"),
        PAGE.replace(b"0001935979) (Filed", b"19359) (Filed"),
        PAGE.replace(b"2026-01-13", b"2026-13-13"),
        PAGE.replace(b"-05:00", b""),
        PAGE.replace(b'term="8-K/A"', b""),
        PAGE.replace(b"<feed", b'<!DOCTYPE f [<!ENTITY a "aa">]><feed'),
        b"<html xmlns='http://www.w3.org/2005/Atom'></html>",
    ],
)
def test_what_is_no_feed_is_an_error(wrong):
    with pytest.raises(MalformedResponse, match="current filings"):
        decode_current(wrong)


def test_the_recorded_page_of_a_503_is_no_feed(shared_data):
    with pytest.raises(MalformedResponse):
        decode_current(body(shared_data, "getcurrent_http503_body.html.gz"))


@pytest.mark.parametrize("change", [('"0001677077"', '"0001"'), ('["4"]', '["4","5"]'), ('"0001214659-26-004806"', '"1"'), ("}}}", "}}")])
def test_submissions_that_do_not_fit_are_an_error(change):
    good = (
        '{"cik":"0001677077","name":"A","filings":{"recent":{"accessionNumber":["0001214659-26-004806"],"filingDate":["2026-04-17"],'
        '"acceptanceDateTime":["2026-04-17T20:30:26.000Z"],"form":["4"],"items":[""],"primaryDocument":[""]}}}'
    )
    (entry,) = decode_submissions(good.encode(), "0001677077")
    assert entry.url == "https://www.sec.gov/Archives/edgar/data/1677077/000121465926004806/0001214659-26-004806-index.htm"
    with pytest.raises(MalformedResponse):
        decode_submissions(good.replace(*change).encode(), "0001677077")


@pytest.mark.parametrize("wrong", [b"{}", b"[]", b'{"0":{"cik_str":0,"ticker":"A","title":"A"}}', b'{"0":{"ticker":"A"}}'])
def test_a_list_of_tickers_that_is_none_is_an_error(wrong):
    with pytest.raises(MalformedResponse, match="tickers"):
        decode_companies(wrong)
