import gzip
import json
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradeul.errors import MalformedResponse
from tradeul.providers.polygon.wire import (
    decode_closures,
    decode_delisted,
    decode_details,
    decode_floats,
    decode_grouped_daily,
    decode_intraday,
    decode_short_interest,
    decode_splits,
    decode_tickers,
    symbol_of,
)
from tradeul.providers.polygon.wire_snapshot import decode_snapshot
from tradeul.records.bars import DailyBar, IntradayBar
from tradeul.records.tickers import FreeFloat, ShortInterest, Split, Tenure, Ticker, TickerDetails

SESSION = date(2024, 6, 20)
BAR = {"o": 2.13, "h": 2.135, "l": 2.06, "c": 2.09, "v": 16789079, "t": 1718913600000}
SNAPSHOT_ROW = {
    "ticker": "BCAT",
    "updated": 1605192894630916600,
    "day": {"o": 20.64, "h": 20.64, "l": 20.506, "c": 20.506, "v": 37216, "vw": 20.616},
    "min": {"o": 20.5, "h": 20.5, "l": 20.5, "c": 20.5, "v": 5000, "vw": 20.51, "av": 37216, "t": 1684428600000, "n": 5},
    "lastTrade": {"p": 20.506, "s": 2416, "t": 1605192894630916600},
    "lastQuote": {"P": 20.6, "S": 22, "p": 20.5, "s": 13, "t": 1605192959994246100},
    "prevDay": {"o": 20.79, "h": 21, "l": 20.5, "c": 20.63, "v": 292738, "vw": 20.6939},
}
BODIES = {
    "grouped": {"resultsCount": 2, "status": "OK", "results": [{"T": "DNN", "vw": 2.0883, "n": 13668, **BAR}, {"T": "ZBZX", **BAR}]},
    "intraday": {"resultsCount": 1, "status": "DELAYED", "results": [BAR]},
    "snapshot": {"count": 1, "status": "OK", "tickers": [SNAPSHOT_ROW]},
    "tickers": {"count": 1, "status": "OK", "results": [{"ticker": "BACpM", "type": "PFD"}]},
    "splits": {"status": "OK", "results": [{"ticker": "A", "execution_date": "2024-06-20", "split_from": 8, "split_to": 1}]},
    "floats": {"status": "OK", "results": [{"ticker": "A", "effective_date": "2026-03-01", "free_float": 7}]},
    "shorts": {"status": "OK", "results": [{"ticker": "A", "settlement_date": "2026-02-13", "short_interest": 9}]},
    "closures": [{"exchange": "NYSE", "date": "2024-06-19", "status": "closed"}],
}
DECODERS = {
    "grouped": lambda body: decode_grouped_daily(body, SESSION),
    "intraday": lambda body: decode_intraday(body, "AAPL"),
    "snapshot": decode_snapshot,
    "tickers": decode_tickers,
    "splits": decode_splits,
    "floats": decode_floats,
    "shorts": decode_short_interest,
    "closures": decode_closures,
}
every_endpoint = pytest.mark.parametrize("name", sorted(BODIES))


def body(name, **changed):
    content = BODIES[name]
    return json.dumps(content | changed if isinstance(content, dict) else content).encode()


def test_the_real_whole_market_decodes_and_rows_without_vwap_are_kept(shared_data):
    path = shared_data / "polygon" / "grouped_daily_2024-06-20.response.json.gz"
    raw = json.loads(gzip.decompress(path.read_bytes()))["results"]
    bars = decode_grouped_daily(gzip.decompress(path.read_bytes()), SESSION)
    assert len(bars) == 10_575
    assert sum(bar.vwap is None and bar.trades is None for bar in bars) == sum("vw" not in row for row in raw) == 63
    assert [(bar.symbol, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.vwap, bar.trades) for bar in bars] == [
        (row["T"], row["o"], row["h"], row["l"], row["c"], row["v"], row.get("vw"), row.get("n")) for row in raw
    ]


def test_the_official_mocks_decode(shared_data):
    mocks = shared_data / "polygon" / "official_mocks"
    grouped = mocks / "v2/aggs/grouped/locale/us/market/stocks/2005-04-04&adjusted=true.json"
    day = date(2005, 4, 4)
    assert decode_grouped_daily(grouped.read_bytes(), day) == [DailyBar("GIK", day, 9.99, 10.02, 9.9, 10.02, 895345, 9.9979, 96)]
    bars, next_url = decode_intraday((mocks / "v2/aggs/ticker/AAPL/range/1/day/2005-04-01/2005-04-04.json").read_bytes(), "AAPL")
    assert bars[0] == IntradayBar("AAPL", 1112331600000, 1.5032, 1.5064, 1.4489, 1.4604, 642646396, 1.469, 82132)
    assert (len(bars), next_url) == (2, None)
    stocks = mocks / "v2/snapshot/locale/us/markets/stocks"
    assert len(decode_snapshot((stocks / "gainers.json").read_bytes())) == 2
    row = decode_snapshot((stocks / "tickers/index.json").read_bytes())[0]
    assert (row.symbol, row.bid, row.ask, row.last_ms, row.previous_close) == ("BCAT", 20.5, 20.6, 1605192894630, 20.63)
    tickers, next_url = decode_tickers((mocks / "v3/reference/tickers.json").read_bytes())
    assert tickers[1] == Ticker("AA", "Alcoa Corporation", "CS", "XNYS", "0001675149", None, "BBG00B3T3HD3")
    assert next_url.startswith("https://api.massive.com/v3/reference/tickers?cursor=")
    details = decode_details((mocks / "v3/reference/tickers/AAPL.json").read_bytes(), "AAPL")
    assert details == TickerDetails("AAPL", 16185181000, "3571", "ELECTRONIC COMPUTERS", date(1980, 12, 12))
    splits, _ = decode_splits((mocks / "v3/reference/splits.json").read_bytes())
    assert splits[0] == Split("GOOGL", date(2022, 7, 18), 1, 20)
    closures = {closure.session: closure for closure in decode_closures((mocks / "v1/marketstatus/upcoming.json").read_bytes())}
    assert closures[date(2022, 5, 30)].closed
    early = closures[date(2022, 11, 25)]
    assert (early.closed, early.close_at_ms) == (False, int(datetime(2022, 11, 25, 18, tzinfo=UTC).timestamp() * 1000))


@given(st.data())
def test_a_body_cut_anywhere_is_malformed(data):
    name = data.draw(st.sampled_from(sorted(BODIES)))
    whole = body(name)
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(MalformedResponse):
        DECODERS[name](whole[:cut])


@given(
    st.sampled_from(sorted(BODIES)),
    st.binary(max_size=200) | st.sampled_from([b"null", b"[", b"[" * 5000, b'{"a":' * 5000, b'"\xff"', b"5"]),
)
def test_what_is_not_the_endpoints_json_is_malformed(name, content):
    with pytest.raises(MalformedResponse):
        DECODERS[name](content + b"<")


@every_endpoint
def test_html_is_malformed_and_its_beginning_is_told(name):
    with pytest.raises(MalformedResponse, match=r"byte 0.*<html>"):
        DECODERS[name](b"<html>Service Unavailable</html>")


@every_endpoint
def test_an_error_in_a_good_answers_clothes_is_malformed(name):
    with pytest.raises(MalformedResponse, match=r"Unknown API Key|Expected `array`"):
        DECODERS[name](b'{"status":"ERROR","error":"Unknown API Key"}')


@pytest.mark.parametrize("name", sorted(set(BODIES) - {"closures", "splits"}))
def test_rows_are_held_against_the_answers_own_count(name):
    counter = "resultsCount" if "resultsCount" in BODIES[name] else "count"
    with pytest.raises(MalformedResponse, match="counts 7 rows but holds"):
        DECODERS[name](body(name, **{counter: 7}))


@pytest.mark.parametrize("rows", [{}, {"results": None}, {"results": []}])
def test_no_rows_are_an_empty_list_only_where_the_answer_counts_zero(rows):
    assert decode_grouped_daily(json.dumps({"status": "OK", "resultsCount": 0, **rows}).encode(), SESSION) == []
    with pytest.raises(MalformedResponse):
        decode_grouped_daily(json.dumps({"status": "OK", "resultsCount": 3, **rows}).encode(), SESSION)


@pytest.mark.parametrize("field", "ohlcv")
@pytest.mark.parametrize("value", [None, "1.0", -1, True, []])
def test_a_wrong_number_is_malformed_and_its_place_is_named(field, value):
    rows = [{"T": "A", **BAR}, {"T": "B", **BAR, field: value}]
    with pytest.raises(MalformedResponse, match=rf"grouped daily 2024-06-20.*\$\.results\[1\]\.{field}"):
        decode_grouped_daily(json.dumps({"resultsCount": 2, "results": rows}).encode(), SESSION)


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"1e999", b"-0.5"])
def test_no_nan_and_no_infinity_come_in(number):
    with pytest.raises(MalformedResponse):
        decode_grouped_daily(body("grouped").replace(b"2.13,", number + b","), SESSION)


def test_numbers_may_be_floats():
    row = {"T": "A", **BAR, "v": 63896155.5, "n": 17.0, "vw": 2}
    bar = decode_grouped_daily(json.dumps({"resultsCount": 1, "results": [row]}).encode(), SESSION)[0]
    assert (bar.volume, bar.trades, bar.vwap) == (63896155.5, 17, 2.0)


@pytest.mark.parametrize("symbol", ["BACpM", "BRK.B", "A", "AAM.WS", "AGM.A", "ZVZZT", "GTXw", "BF.A", "TRUE", "NA", "ABR.PRD", "ACND U"])
def test_symbols_keep_the_vendors_spelling(symbol):
    assert symbol_of(f" {symbol}\n") == symbol


@pytest.mark.parametrize("symbol", ["", " ", "A  B", "A\nB", "<b>", "A" * 13, "É", "A..B", "../etc", "A'--", ".A", "A\n\n.B"])
def test_absurd_symbols_are_refused(symbol):
    assert symbol_of(symbol) is None
    with pytest.raises(MalformedResponse):
        decode_tickers(json.dumps({"results": [{"ticker": "A"}, {"ticker": symbol}], "count": 2}).encode())


def test_before_the_first_trade_zeros_mean_nothing():
    zero = dict.fromkeys(("o", "h", "l", "c", "v", "vw"), 0)
    row = {"ticker": "A", "updated": 0, "day": zero, "min": {**zero, "av": 0, "t": 0, "n": 0}, "prevDay": zero}
    found = decode_snapshot(
        json.dumps({"count": 1, "tickers": [row | {"lastTrade": {"p": 0, "t": 0}, "lastQuote": {"p": 0, "P": 0}}]}).encode()
    )[0]
    assert {field: getattr(found, field) for field in found.__struct_fields__ if field != "symbol"} == dict.fromkeys(
        found.__struct_fields__[1:]
    )


def test_before_the_open_the_minute_is_told_and_the_day_is_not():
    zero = dict.fromkeys(("o", "h", "l", "c", "v", "vw"), 0)
    found = decode_snapshot(json.dumps({"count": 1, "tickers": [SNAPSHOT_ROW | {"day": zero}]}).encode())[0]
    assert (found.day_open, found.day_volume, found.day_vwap) == (None, None, None)
    assert (found.minute_close, found.minute_volume, found.accumulated_volume, found.minute_start_ms) == (20.5, 5000, 37216, 1684428600000)


def test_a_plan_without_last_trade_and_quote_is_served():
    row = {key: value for key, value in SNAPSHOT_ROW.items() if not key.startswith("last")}
    found = decode_snapshot(json.dumps({"count": 1, "tickers": [row]}).encode())[0]
    assert (found.last_price, found.last_ms, found.bid, found.ask, found.day_close) == (None, None, None, None, 20.506)


@pytest.mark.parametrize(
    "holiday",
    [
        {"exchange": "NYSE", "date": "2024-07-03", "status": "early-close"},
        {"exchange": "NYSE", "date": "2024-07-03", "status": "early-close", "close": "2024-07-03T17:00:00"},
        {"exchange": "NYSE", "date": "2024-07-03", "status": "perhaps"},
    ],
)
def test_a_closure_is_never_guessed(holiday):
    with pytest.raises(MalformedResponse, match=r"closures.*\$\[0\]"):
        decode_closures(json.dumps([holiday]).encode())


def test_another_markets_holiday_is_none_of_ours():
    assert decode_closures(b'[{"exchange":"OTC","date":"2024-07-04","status":"closed"}]') == []


def test_what_is_not_told_is_unknown_and_never_zero():
    assert decode_details(b'{"results":{"ticker":"A","share_class_shares_outstanding":3}}', "A") == TickerDetails("A", 3)
    assert decode_details(b'{"results":{"ticker":"A","weighted_shares_outstanding":0}}', "A") == TickerDetails("A")
    assert decode_floats(body("floats")) == ([FreeFloat("A", 7, date(2026, 3, 1))], None)
    assert decode_floats(b'{"results":[{"ticker":"A","effective_date":"2026-03-01","free_float":0}]}') == ([], None)
    assert decode_short_interest(body("shorts")) == ([ShortInterest("A", 9, date(2026, 2, 13))], None)
    assert decode_short_interest(b'{"results":[{"ticker":"A","settlement_date":"2026-02-13"}]}') == ([], None)


@pytest.mark.parametrize(
    ("answer", "said"),
    [(b'{"results":{"ticker":"B"}}', "it tells of 'B'"), (b'{"error":"Unknown API Key"}', "Unknown API Key"), (b'{"results":{"ti', "read")],
)
def test_details_of_another_ticker_or_of_none_are_refused(answer, said):
    with pytest.raises(MalformedResponse, match=said):
        decode_details(answer, "A")


def test_the_delisted_decode_with_their_last_dates():
    rows = [
        {"ticker": "LEH", "name": "LEHMAN", "type": "CS", "primary_exchange": "XNYS", "cik": "1", "delisted_utc": "2008-09-17T04:00:00Z"},
        {"ticker": "ZYXI", "name": "ZYNEX", "composite_figi": "BBG1", "delisted_utc": "2025-12-24T00:00:00Z"},
        {"ticker": "no symbol at all", "delisted_utc": "2008-09-17T04:00:00Z"},
        {"ticker": "UNDATED"},
    ]
    found, next_url = decode_delisted(json.dumps({"results": rows, "status": "OK", "count": 4}).encode())
    assert found == [
        Tenure(symbol="LEH", name="LEHMAN", kind="CS", exchange="XNYS", cik="1", until=date(2008, 9, 17)),
        Tenure(symbol="ZYXI", name="ZYNEX", figi="BBG1", until=date(2025, 12, 24)),
    ]
    assert next_url is None
    with pytest.raises(MalformedResponse, match=r"results\[0\].delisted_utc"):
        decode_delisted(json.dumps({"results": [{"ticker": "X", "delisted_utc": "yesterday"}], "count": 1}).encode())
