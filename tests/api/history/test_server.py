"""Port 8004 as programs ask it; what it says, beside DuckDB's own reading of the lake's files."""

import asyncio
import csv
import io
import json
import math
from contextlib import asynccontextmanager
from datetime import date, timedelta

import aiohttp
import duckdb
import numpy as np
import pytest
import talib

from tests.api.history import small_lake
from tests.api.history.small_lake import CALENDAR, DAYS, HOLE, LATE, RVOL_DAYS, SESSION, SLOT_DAYS, SPLIT, UNFINISHED, factor, instant
from tests.maintenance.conftest import make_house  # noqa: F401
from tests.schema_fuzz import found_nothing
from tradeul.api.client import MaintenanceClient
from tradeul.api.history import routes
from tradeul.api.history.routes import HistoryRoutes
from tradeul.api.history.server import HistoryServer
from tradeul.api.server import ApiServer
from tradeul.clock import SteppedClock
from tradeul.errors import BusUnavailable, CorruptPartition, NoAnswer, NotKept
from tradeul.maintenance.datasets import Windows
from tradeul.maintenance.server import MaintenanceServer
from tradeul.ops.callers import Callers
from tradeul.providers.http import HttpClient
from tradeul.records.bars import IntradayBar, SessionMinutes
from tradeul.records.runs import RunOptions

TOLD = ["T000", "T003", "T005", LATE]
PRICES = ("open", "high", "low", "close")
EARLY_CLOSE = date(2025, 11, 28)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("history")
    small_lake.write(root)
    return root


class Stand:
    def __init__(self, root, client, url):
        self.root, self.client, self.url = root, client, url

    async def get(self, path, status=200, **headers):
        async with self.client.get(self.url + path, headers=headers) as response:
            body = await response.read()
            assert response.status == status, body
            return response, body

    async def json(self, path, status=200, **headers):
        response, _ = await self.get(path, status, **headers)
        assert response.content_type == ("application/json" if status == 200 else "application/problem+json")
        return await response.json()

    async def csv(self, path):
        response, body = await self.get(f"{path}?format=csv")
        assert (response.content_type, response.charset) == ("text/csv", "utf-8")
        return list(csv.DictReader(io.StringIO(body.decode(), newline="")))

    def query(self, dataset, columns, symbol):
        """Asked of the files themselves, without a line of ours."""
        files = f"{self.root}/lake/{dataset}/*/part.parquet"
        sql = f"SELECT {columns} FROM read_parquet('{files}', hive_partitioning = true) WHERE symbol = ? ORDER BY ALL"
        return duckdb.execute(sql, [symbol]).fetchall()


@pytest.fixture
async def stand(root):
    past, catalog = small_lake.past_of(root)
    async with serving(past, root) as stand:
        yield stand
    catalog.close()


@asynccontextmanager
async def serving(past, root):
    maintenance = []  # where it answers
    ask = MaintenanceClient(lambda: next(iter(maintenance), None))
    live = []  # what it answers of a symbol, once it does

    async def minutes_of(symbol):
        if not live:
            raise NoAnswer("No live feed listens: wait.")
        return live[0](symbol)

    routes = HistoryRoutes(past, minutes_of)
    server = HistoryServer(routes, ask, "SIMULATED", Callers(), 0)
    running = asyncio.create_task(server.run())
    async with asyncio.timeout(60), aiohttp.ClientSession() as client:
        await server.started.wait()
        stand = Stand(root, client, f"http://127.0.0.1:{server.port}")
        stand.maintenance, stand.live, stand.routes, stand.server = maintenance, live, routes, server
        yield stand
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize("adjusted", ["true", "false"])
async def test_daily_bars_are_the_files_adjusted_for_splits(stand, adjusted):
    for symbol in TOLD:
        expected = stand.query("ohlc_daily", "session, open, high, low, close, volume, vwap, trades", symbol)
        told = await stand.json(f"/api/bars/daily/{symbol}?adjusted={adjusted}")
        assert (told["adjusted_for"], told["next"]) == (str(SESSION) if adjusted == "true" else None, None)
        assert (told["lacking"], told["unfinished"]) == ([str(HOLE)], [str(UNFINISHED)])
        for (session, *prices, volume, vwap, trades), bar in zip(expected, told["bars"], strict=True):
            f = factor(symbol, session) if adjusted == "true" else 1.0
            assert bar["session"] == str(session)
            assert [bar[name] for name in (*PRICES, "vwap")] == pytest.approx([price * f for price in (*prices, vwap)], rel=1e-12)
            assert (bar["volume"], bar["trades"]) == (pytest.approx(volume / f, rel=1e-12), trades)


async def test_what_is_unknown_is_null(stand):
    bar = (await stand.json("/api/bars/daily/T007?limit=1"))["bars"][0]
    assert (bar["vwap"], bar["trades"]) == (None, None)


async def test_an_earlier_session_sees_no_later_split(stand):
    before = CALENDAR.previous(SPLIT[1])
    told = await stand.json(f"/api/bars/daily/{SPLIT[0]}?as_of={before}")
    raw = await stand.json(f"/api/bars/daily/{SPLIT[0]}?adjusted=false&end={before}")
    assert told["bars"] == raw["bars"] and told["end"] == str(before)


@pytest.mark.parametrize("adjusted", ["true", "false"])
async def test_slots_are_the_files(stand, adjusted):
    for symbol in TOLD:
        expected = stand.query("volume_slots", "session, slot, volume, trades, vwap", symbol)
        told = await stand.json(f"/api/slots/{symbol}?adjusted={adjusted}")
        shares = {}
        for (session, slot, volume, trades, vwap), row in zip(expected, told["slots"], strict=True):
            volume /= factor(symbol, session) if adjusted == "true" else 1.0
            shares[session] = shares.get(session, 0) + volume
            assert (row["session"], row["slot"], row["trades"], row["vwap"]) == (str(session), slot, trades, vwap)
            assert (row["volume"], row["cumulative"]) == pytest.approx((volume, shares[session]), rel=1e-12)
            assert instant(row["slot_at"]) == CALENDAR.hours(session).pre_open_at + timedelta(minutes=5 * slot)


async def test_minute_bars_are_the_files(stand):
    symbol = SPLIT[0]
    expected = stand.query("minute_bars", "session, epoch_ms(start_at), open, high, low, close, volume, vwap, trades", symbol)
    told = await stand.json(f"/api/bars/minute/{symbol}")
    for (session, start_ms, *prices, volume, vwap, trades), bar in zip(expected, told["bars"], strict=True):
        f = factor(symbol, session)
        assert (bar["session"], instant(bar["start_at"]).timestamp() * 1000) == (str(session), start_ms)
        assert [bar[name] for name in PRICES] == pytest.approx([price * f for price in prices], rel=1e-12)
        assert (bar["volume"], bar["vwap"], bar["trades"]) == (pytest.approx(volume / f), vwap, trades)
    rows = await stand.csv(f"/api/bars/minute/{symbol}")
    assert [row["start_at"] for row in rows] == [bar["start_at"] for bar in told["bars"]]
    assert (await stand.json(f"/api/bars/minute/{symbol}?start=2025-11-27&end=2025-11-27"))["bars"] == []


def running(symbol, session=SESSION, bars=3):
    """What live says at noon."""
    starts = [int(CALENDAR.hours(session).pre_open_at.timestamp() * 1000) + 60_000 * minute for minute in range(bars)]
    made = tuple(IntradayBar(symbol, start, 10.0, 12.0, 9.0, 11.0, 100.0, 10.5, 7) for start in starts)
    return SessionMinutes(symbol, session, small_lake.NOW, False, made)


def gone(_):
    raise BusUnavailable("The bus does not answer: is the server up?")


async def test_the_running_sessions_minutes_are_lives(stand):
    before = await stand.json("/api/bars/minute/T003?start=2025-11-28")
    assert before["running"] is None and {bar["session"] for bar in before["bars"]} == {"2025-11-28", "2025-12-01"}
    stand.live.append(running)
    told = await stand.json("/api/bars/minute/T003?start=2025-11-28")
    assert told["running"] == {"session": str(SESSION), "as_of": "2025-12-02T17:00:00Z", "partial": False}
    assert (told["end"], told["unfinished"], told["lacking"]) == (str(SESSION), [str(SESSION)], [])
    assert told["early_closes"] == before["early_closes"] == [{"session": "2025-11-28", "close_at": "2025-11-28T18:00:00Z"}]
    assert told["bars"][:-3] == before["bars"]
    assert told["bars"][-1] == {
        "session": str(SESSION),
        "start_at": "2025-12-02T09:02:00Z",
        "open": 10.0,
        "high": 12.0,
        "low": 9.0,
        "close": 11.0,
        "volume": 100.0,
        "vwap": 10.5,
        "trades": 7,
    }
    rows = (await stand.csv("/api/bars/minute/T003"))[-3:]
    assert [(row["session"], float(row["close"])) for row in rows] == [(str(SESSION), 11.0)] * 3
    response, _ = await stand.get("/api/bars/minute/T003")
    await stand.get("/api/bars/minute/T003", 304, **{"If-None-Match": response.headers["ETag"]})
    stand.live[:] = [lambda symbol: running(symbol, bars=4)]
    await stand.get("/api/bars/minute/T003", **{"If-None-Match": response.headers["ETag"]})


async def test_live_is_asked_for_the_running_session_only(stand):
    asked = []
    stand.live.append(lambda symbol: asked.append(symbol) or running(symbol))
    for query in ("end=2025-12-01", "as_of=2025-12-01", "start=2025-11-28&end=2025-11-28&adjusted=false"):
        assert (await stand.json(f"/api/bars/minute/T001?{query}"))["running"] is None
    assert asked == []
    only = await stand.json(f"/api/bars/minute/T001?start={SESSION}")
    assert (len(only["bars"]), asked) == (3, ["T001"])
    stand.live[:] = [gone]  # what history holds is told all the same
    assert (await stand.json("/api/bars/minute/T001"))["bars"]
    assert "is the server up?" in (await stand.json(f"/api/bars/minute/T001?start={SESSION}", 503))["detail"]
    stand.live[:] = [lambda symbol: running(symbol, date(2025, 12, 3))]  # it turned a moment before us
    assert (await stand.json("/api/bars/minute/T001"))["running"] is None
    stand.live[:] = [lambda symbol: running(symbol, bars=0)]
    assert "No ticker 'NONE'" in (await stand.json("/api/bars/minute/NONE", 404))["detail"]
    assert (await stand.json(f"/api/bars/minute/T001?start={SESSION}"))["bars"] == []


async def test_where_no_minutes_are_kept_live_alone_tells(tmp_path):
    past, catalog = small_lake.past_of(tmp_path)
    asked = past.range("minute_bars", None, None, None, SESSION, None, SESSION)
    assert (asked.start, asked.end, asked.sessions, asked.running) == (SESSION, SESSION, (), SESSION)
    with pytest.raises(NotKept, match="TRADEUL_KEEP_MINUTE_BARS"):
        past.range("minute_bars", None, None, None, SESSION, None)
    catalog.close()


def usual_volume(stand, symbol, session):
    """C(s) and its sessions, by CONTRACT.md's words: full-length complete sessions, from the ticker's first on."""
    own = {}
    for day, slot, volume in stand.query("volume_slots", "session, slot, volume", symbol):
        own.setdefault(day, np.zeros(192))[slot] += volume / factor(symbol, day, session)
    window = [day for day in CALENDAR.before(session, SLOT_DAYS) if CALENDAR.hours(day).is_full_length and day != UNFINISHED][-RVOL_DAYS:]
    days = [own.get(day, np.zeros(192)) for day in window]
    first = next((place for place, volumes in enumerate(days) if volumes.any()), len(days))
    return np.cumsum(np.mean(days[first:], axis=0)) if days[first:] else np.full(192, np.nan), len(days[first:]), own


@pytest.mark.parametrize("session", [SESSION, date(2025, 12, 1), EARLY_CLOSE, date(2025, 11, 26), date(2025, 11, 25), date(2025, 11, 13)])
async def test_rvol_is_its_definition_and_of_the_running_session_what_is_usual(stand, session):
    for symbol in TOLD:
        expected, sessions, own = usual_volume(stand, symbol, session)
        told = await stand.json(f"/api/rvol/{symbol}?session={session}")
        volume = np.cumsum(own.get(session, np.zeros(192)) * factor(symbol, session, session))
        assert (told["sessions"], len(told["slots"])) == (sessions, CALENDAR.hours(session).slots)
        for row in told["slots"]:
            slot = row["slot"]
            usual = None if math.isnan(expected[slot]) else expected[slot]
            assert row["volume"] == (None if session == SESSION else pytest.approx(volume[slot]))
            assert row["expected"] == (None if usual is None else pytest.approx(usual, rel=1e-9))
            assert row["rvol"] == (pytest.approx(volume[slot] / usual, rel=1e-9) if usual and session != SESSION else None)
            good = "none" if usual is None else "ready" if sessions >= 5 and usual >= 1000 else "thin"
            assert row["baseline"] == good
        (one,) = (await stand.json(f"/api/rvol/{symbol}?session={session}&slot=77"))["slots"]
        assert one == told["slots"][77]


@pytest.mark.parametrize("session", [SESSION, date(2025, 11, 24), date(2025, 11, 3)])
async def test_the_atr_is_ta_libs(stand, session):
    window = CALENDAR.before(session, DAYS)
    for symbol in TOLD:
        rows = stand.query("ohlc_daily", "session, high, low, close", symbol)
        rows = [row for row in rows if row[0] in window and row[0] != UNFINISHED]
        bars = [np.array([row[place] * factor(symbol, row[0], session) for row in rows]) for place in (1, 2, 3)]
        told = await stand.json(f"/api/atr/{symbol}?session={session}")
        assert told["bars"] == len(rows)
        assert told["atr"] == (pytest.approx(talib.ATR(*bars)[-1], rel=1e-12) if len(rows) > 14 else None)
        if rows:
            assert (told["newest_bar"], told["close"]) == (str(rows[-1][0]), pytest.approx(bars[2][-1]))


async def test_the_universe_is_that_of_its_session(stand):
    told = await stand.json("/api/universe?session=2025-11-21")
    assert (told["listed_on"], told["count"], told["next"]) == ("2025-11-20", 12, None)
    assert LATE not in [each["symbol"] for each in told["tickers"]]
    now = await stand.json("/api/universe")
    assert (now["session"], now["listed_on"], LATE in [each["symbol"] for each in now["tickers"]]) == (str(SESSION), str(SESSION), True)
    assert "it holds from 2025-11-20" in (await stand.json("/api/universe?session=2025-11-19", 404))["detail"]
    assert "=EVIL" in [each["symbol"] for each in now["tickers"]]
    assert (await stand.csv("/api/universe"))[0] == {
        "symbol": "'=EVIL",
        "name": "'=cmd()",
        "kind": "WARRANT",
        "exchange": "",
        "cik": "0001",
        "list_date": "2020-01-02",
        **dict.fromkeys(("figi", "since", "until", "renamed_from", "renamed_to"), ""),
    }


async def test_metadata_is_what_was_known_then(stand):
    told = await stand.json("/api/metadata/T001?session=2025-11-21")
    assert (told["listed_on"], told["details_on"], told["shares"]) == ("2025-11-20", "2025-11-20", 1e6)
    assert (told["sector"], told["industry"], told["short_interest"]) == ("Manufacturing", "ELECTRONIC COMPUTERS", None)
    assert (await stand.json("/api/metadata/T011"))["shares"] is None
    assert "not on the list of 2025-11-20" in (await stand.json(f"/api/metadata/{LATE}?session=2025-11-21", 404))["detail"]


@pytest.mark.parametrize(
    ("path", "rows"), [("/api/bars/daily/T001?limit=7", "bars"), ("/api/slots/T001?limit=2", "slots"), ("/api/universe?limit=5", "tickers")]
)
async def test_pages_are_the_whole_cut_up(stand, path, rows):
    whole, found, onward = await stand.json(path.split("?")[0]), [], path
    while onward:
        response, body = await stand.get(onward)
        page = json.loads(body)
        found += page[rows]
        onward = page["next"]
        assert response.headers.get("Link") == (f'<{onward}>; rel="next"' if onward else None)
    assert found == whole[rows]


async def test_csv_has_the_same_numbers(stand):
    told = await stand.json("/api/bars/daily/T001")
    rows = await stand.csv("/api/bars/daily/T001")
    assert [(row["session"], float(row["close"])) for row in rows] == [(bar["session"], bar["close"]) for bar in told["bars"]]
    response, _ = await stand.get("/api/slots/T001?format=csv")
    assert response.headers["Content-Disposition"] == 'attachment; filename="T001-slots.csv"'


@pytest.mark.parametrize("path", ["/api/bars/daily/T001", "/api/bars/minute/T001", "/api/rvol/T001", "/api/universe"])
async def test_what_the_asker_holds_is_not_sent_again(stand, path):
    response, body = await stand.get(path)
    etag = response.headers["ETag"]
    _, nothing = await stand.get(path, 304, **{"If-None-Match": f'"other", {etag}'})
    assert nothing == b""
    _, again = await stand.get(path, **{"If-None-Match": '"other"'})
    assert again == body


async def test_answers_are_packed_for_who_unpacks(stand):
    for path in ("/api/bars/daily/T001", "/api/bars/minute/T001"):
        packed, body = await stand.get(path, **{"Accept-Encoding": "gzip"})
        plain, same = await stand.get(path, **{"Accept-Encoding": "identity"})
        assert (packed.headers["Content-Encoding"], "Content-Encoding" in plain.headers) == ("gzip", False)
        assert body == same


BAD_QUESTIONS = [
    ("bars/daily/NONE", 404, "No ticker 'NONE' is known"),
    ("bars/minute/NONE", 404, "No ticker 'NONE' is known"),
    ("slots/NONE", 404, "No ticker 'NONE' is known"),
    ("rvol/NONE", 404, "No ticker 'NONE' is known"),
    ("atr/NONE", 404, "No ticker 'NONE' is known"),
    ("bars/daily/T001?start=2025-11-28&end=2025-11-21", 409, "start=2025-11-28 is after end=2025-11-21"),
    ("bars/daily/T001?start=1764547200", 422, "a date is written as 2026-03-06"),
    ("bars/daily/T001?start=2025-02-30", 422, "a date is written as 2026-03-06"),
    ("bars/daily/T001?start=2025-01-02", 409, "Splits before 2025-10-20 are not kept: ask with adjusted=false"),
    ("bars/daily/T001?as_of=2025-11-21&end=2025-11-24", 409, "end=2025-11-24 is after as_of=2025-11-21"),
    ("bars/daily/T001?limit=0", 422, "greater than or equal to 1"),
    ("bars/daily/T001?adjusted=yes", 422, "'true' or 'false'"),
    ("bars/daily/T001?format=xml", 422, "'json' or 'csv'"),
    ("rvol/T001?session=2025-11-27", 404, "2025-11-27 is no session of the exchange; the one before is 2025-11-26."),
    ("rvol/T001?session=2025-11-28&slot=156", 409, "slots 0 to 155"),
    ("rvol/T001?session=2025-10-21", 404, "it holds from 2025-11-12 to 2025-12-01"),
    ("atr/T001?session=2025-10-20", 404, "it holds from 2025-10-20 to 2025-12-01"),
    ("atr/T001?session=1980-01-02", 404, "1980-01-02 is outside the calendar"),
]


async def test_bad_questions_are_answered_with_what_to_do(stand):
    for path, status, sentence in BAD_QUESTIONS:
        assert sentence in (await stand.json(f"/api/{path}", status))["detail"]


async def test_a_foreign_page_and_a_foreign_name_are_refused(stand):
    for headers in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Host": "evil.example"}):
        await stand.json("/api/bars/daily/T001", 403, **headers)
        async with stand.client.post(f"{stand.url}/api/warmup", headers=headers) as response:
            assert response.status == 403


async def test_too_many_questions_are_refused_and_not_queued(stand, monkeypatch):
    monkeypatch.setattr(routes, "MOST_WAITING", 0)
    assert "questions wait already: ask again" in (await stand.json("/api/universe", 503))["detail"]


async def test_a_partition_that_cannot_be_read_is_said(tmp_path):
    small_lake.write(tmp_path)
    past, catalog = small_lake.past_of(tmp_path)
    asked = past.range("minute_bars", None, None, None, None, None)
    sessions = past.minutes("T001", asked)
    damaged = tmp_path / "lake" / "minute_bars" / f"session={asked.sessions[1]}" / "part.parquet"
    assert len(next(sessions)) == 30
    damaged.write_bytes(b"PAR1")  # after the first was told: one session is read at a time
    with pytest.raises(CorruptPartition, match=str(asked.sessions[1])):
        next(sessions)
    catalog.close()


@asynccontextmanager
async def maintained(stand, make_house, token=None):  # noqa: F811
    """With maintenance, of a market that is quickly loaded, to be asked."""
    house = await make_house(windows=Windows(3, 2, 1), tickers=3)
    http = HttpClient(house.clock, 6000, 10)
    server = MaintenanceServer(house.service, house.bus, http, house.clock, "SIMULATED", Callers(token=token), 0)
    running = asyncio.create_task(server.run())
    async with house.service.on_demand():
        await server.started.wait()
        stand.maintenance.append(f"http://127.0.0.1:{server.port}")
        yield house
        await house.clock.settle()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_loading_is_asked_of_maintenance(stand, make_house):  # noqa: F811
    async def warm_up(status, body=None):
        async with stand.client.post(f"{stand.url}/api/warmup", data=body) as response:
            assert response.status == status, await response.text()
            return response.headers.get("Location"), await response.json()

    assert "does not answer yet" in (await warm_up(503))[1]["detail"]
    async with maintained(stand, make_house) as house:
        address, said = await warm_up(202, '{"since":"2026-03-05","target_date":"2026-03-06"}')
        assert said == {"run": address, "joined": False}
        assert (await warm_up(202))[1] == {"run": address, "joined": True}
        await house.clock.settle()
        async with stand.client.get(address) as response:
            run = await response.json()
        assert run["options"] == {"since": "2026-03-05", "target_date": "2026-03-06"} and run["finished_at"]
        assert "is no session" in (await warm_up(409, '{"target_date":"2026-03-07"}'))[1]["detail"]
        assert "unknown field" in (await warm_up(422, '{"only":"tickers"}'))[1]["detail"]
    stand.maintenance[:] = ["http://127.0.0.1:9"]
    assert "did not take it" in (await warm_up(503))[1]["detail"]


async def test_maintenance_is_shown_the_token(stand, make_house):  # noqa: F811
    async with maintained(stand, make_house, token="secret"):
        (address,) = stand.maintenance
        status, begun, run = await MaintenanceClient(lambda: address, Callers(token="secret").credentials()).begin(RunOptions())
        assert (status, begun.joined, run) == (202, False, f"{address}/runs/{begun.run.id}")
        with pytest.raises(NoAnswer, match="status 401: This call needs"):
            await MaintenanceClient(lambda: address).begin(RunOptions())


@pytest.mark.long
async def test_schemathesis_finds_nothing(stand, make_house):  # noqa: F811
    stand.live.append(running)
    async with maintained(stand, make_house):
        await found_nothing(stand.url)


@pytest.mark.long
async def test_schemathesis_finds_nothing_on_the_pages_port(stand):
    stand.live.append(running)
    page = ApiServer(None, SteppedClock(small_lake.NOW), CALENDAR, "SIMULATED", Callers(), 0, 9000, beside=(stand.routes,))
    serving = asyncio.create_task(page.run())
    await page.started.wait()
    await found_nothing(f"http://127.0.0.1:{page.port}", only="^/api/(bars|slots|rvol|atr|metadata|universe)")
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
