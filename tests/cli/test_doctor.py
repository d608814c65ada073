"""Each thing that can be wrong is found, and what to do is said."""

import shutil
import socket
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import msgspec
import pytest
import redis
from aiohttp import web
from sqlalchemy.engine import make_url

from tests.product import PORTS
from tests.s3_server import settings_of
from tradeul.bus.claim import Holder
from tradeul.bus.topics import claim_key
from tradeul.cli.doctor import Grade, examine, show
from tradeul.settings import Settings
from tradeul.store.catalog import Catalog
from tradeul.store.databases import form_of, in_schema


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch):
    for name in ("MASSIVE_API_KEY", "POLYGON_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def settings(state, **more):
    return Settings(state=state, **(dict.fromkeys(PORTS, 0) | more))


def with_key(state, monkeypatch, address):
    monkeypatch.setenv("MASSIVE_API_KEY", "k")
    return settings(state, vendor_rest=address)


async def found(about, *arguments, **more):
    (finding,) = [each for each in await examine(settings(*arguments, **more)) if each.about == about]
    return finding


@asynccontextmanager
async def vendor(status, body, **headers):
    """A vendor whose plan includes the market's hours and nothing else."""

    async def answer(request):
        included = request.path.startswith("/v1/marketstatus")
        return web.json_response(body, status=status if included else 403, headers=headers)

    application = web.Application()
    application.add_routes([web.get("/{path:.*}", answer)])
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@contextmanager
def taken_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


async def test_a_fresh_machine_is_well_and_nobody_is_asked(tmp_path):
    findings = await examine(settings(tmp_path))
    assert {each.grade for each in findings} == {Grade.ok}, findings
    assert "SIMULATED" in next(each.says for each in findings if each.about == "mode")
    show(findings)


async def test_a_taken_port_is_named_with_its_setting(tmp_path):
    with taken_port() as port:
        finding = await found(f"gateway port {port}", tmp_path, gateway_port=port)
    assert finding.grade is Grade.failure
    assert finding.remedy == "end what uses it, or set TRADEUL_GATEWAY_PORT"


async def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    assert (await found("state folder", tmp_path / "file")).grade is Grade.failure


async def test_real_data_without_a_key(tmp_path):
    (tmp_path / "vendor-data").touch()
    assert (await found("mode", tmp_path)).grade is Grade.failure


@pytest.mark.parametrize(("free", "grade"), [(10 << 30, Grade.ok), (2 << 30, Grade.warning), (1 << 20, Grade.failure)])
async def test_little_disk(tmp_path, monkeypatch, free, grade):
    usage = type("Usage", (), {"free": free})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    finding = await found("disk", tmp_path)
    assert (finding.grade, bool(finding.remedy)) == (grade, grade is not Grade.ok)


async def test_a_catalog_that_cannot_be_read(tmp_path):
    (tmp_path / "simulated").mkdir()
    (tmp_path / "simulated" / "catalog.db").write_bytes(b"no database" * 100)
    assert (await found("catalog", tmp_path)).grade is Grade.failure


async def test_a_catalog_on_a_server(tmp_path, postgres):
    url = postgres.new_database()
    finding = await found("catalog", tmp_path, database_url=url)
    assert (finding.grade, finding.says) == (Grade.ok, "the server of TRADEUL_DATABASE_URL, to be made at the first start")
    assert not postgres.execute("SELECT 1 FROM pg_namespace WHERE nspname = 'simulated'", make_url(url).database)
    Catalog(in_schema(url, "simulated")).close()
    finding = await found("catalog", tmp_path, database_url=url)
    assert (finding.grade, finding.says) == (Grade.ok, "the server of TRADEUL_DATABASE_URL: 0 partitions in the ledger")
    assert (await found("catalog", tmp_path, database_url=postgres.url("nowhere"))).grade is Grade.failure


async def test_an_earlier_catalog_is_said_to_be_changed_by_a_start_and_is_not_changed_here(tmp_path):
    earlier = tmp_path / "simulated" / "catalog.db"
    earlier.parent.mkdir()
    shutil.copy(Path(__file__).parent.parent / "store" / "catalog-0001.db", earlier)
    finding = await found("catalog", tmp_path)
    assert (finding.grade, "of an earlier version (form 0001), to be changed at the first start" in finding.says) == (Grade.ok, True)
    assert form_of(f"sqlite:///{earlier}")[0] == "0001" and not list(earlier.parent.glob("catalog-*"))


async def test_a_bus_that_does_not_answer(tmp_path):
    assert (await found("bus", tmp_path, redis_url=f"unix://{tmp_path}/nothing.sock")).grade is Grade.failure


async def test_a_bus_on_which_the_other_market_is_written(tmp_path, server):
    server.empty()
    with redis.Redis.from_url(server.url) as client:
        client.set(claim_key("scanner"), msgspec.json.encode(Holder("another's", "real", "elsewhere:/state")))
    finding = await found("bus", tmp_path, redis_url=server.url)
    assert (finding.grade, "elsewhere:/state writes the real market there" in finding.says) == (Grade.failure, True)


async def test_a_key_that_the_vendor_does_not_know(tmp_path, monkeypatch):
    async with vendor(401, {"status": "ERROR", "error": "Unknown API Key"}) as address:
        findings = await examine(with_key(tmp_path, monkeypatch, address))
    (mode,) = [each for each in findings if each.about == "mode"]
    assert (mode.grade, mode.remedy) == (Grade.failure, "correct MASSIVE_API_KEY")


async def test_a_clock_that_is_wrong_is_held_against_the_vendors(tmp_path, monkeypatch):
    async with vendor(200, [], Date="Fri, 02 Jan 2026 12:00:00 GMT") as address:
        findings = await examine(with_key(tmp_path, monkeypatch, address))
    grades = {each.about: each.grade for each in findings}
    assert (grades["mode"], grades["clock"]) == (Grade.ok, Grade.warning)
    async with vendor(200, []) as address:
        findings = await examine(with_key(tmp_path, monkeypatch, address))
    assert {each.about: each.grade for each in findings}["clock"] is Grade.ok


async def test_a_bucket_is_tried_and_a_wrong_setting_of_it_named(tmp_path, s3):
    bucket = s3.bucket()
    fine = await found("lake", tmp_path, **settings_of(bucket))
    assert (fine.grade, fine.says) == (Grade.ok, f"{bucket.url}/simulated can be read and written")
    assert list(bucket.store().list()) == []
    for wrong, names in (
        ({"lake_secret": "no"}, "TRADEUL_LAKE_SECRET"),
        ({"lake_endpoint": "http://127.0.0.1:1"}, "TRADEUL_LAKE_ENDPOINT"),
    ):
        bad = await found("lake", tmp_path, **settings_of(bucket) | wrong)
        assert bad.grade is Grade.failure and names in bad.says
