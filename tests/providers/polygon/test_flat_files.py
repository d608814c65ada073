import asyncio
import gzip
from datetime import date

import msgspec
import pytest
from aiohttp import web

from tests.providers.conftest import finish, serving
from tradeul.errors import NotEntitled, SettingsError, Unauthorized, VendorUnavailable
from tradeul.providers.http import ATTEMPTS
from tradeul.providers.polygon.flat_files import PolygonFlatFiles, flat_files, path_of
from tradeul.providers.polygon.vendor import simulated_vendor
from tradeul.providers.ports import FlatFile

DAY = date(2025, 4, 16)
DATA = gzip.compress(b"ticker,volume\n" * 5000)
PATH = "/flatfiles/us_stocks_sip/minute_aggs_v1/2025/04/2025-04-16.csv.gz"


def s3_error(code):
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>no</Message></Error>"


async def fetch(clock, *answers, call=lambda files: files.minute_file(DAY)):
    asked, left = [], list(answers)

    async def handler(request):
        asked.append(request)
        answer = left.pop(0) if len(left) > 1 else left[0]
        return await answer(request) if callable(answer) else web.Response(**answer)

    async with serving(handler) as base:
        files = PolygonFlatFiles(clock, base, "flatfiles", "KEY", "SECRET")
        try:
            return await finish(clock, call(files)), asked
        except (Unauthorized, NotEntitled, VendorUnavailable) as error:
            return error, asked


WHOLE = {"body": DATA, "headers": {"ETag": '"5c3b-1"', "Last-Modified": "Thu, 17 Apr 2025 15:00:00 GMT"}}


async def test_the_file_comes_with_its_etag_by_a_signed_request(clock):
    found, asked = await fetch(clock, WHOLE)
    assert found == FlatFile(DAY, "5c3b-1", DATA)
    assert asked[0].path == PATH
    assert asked[0].headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=KEY/")
    assert "SECRET" not in str(asked[0].headers)


async def test_the_persons_own_cloud_credentials_stay_at_home(clock, monkeypatch):
    for name in ("AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "PRIVATE")
    found, asked = await fetch(clock, WHOLE)
    assert found.data == DATA
    assert "PRIVATE" not in str(asked[0].headers)


async def test_a_file_that_is_not_there_yet_is_none(clock):
    assert (await fetch(clock, {"status": 404, "text": s3_error("NoSuchKey")}))[0] is None


@pytest.mark.parametrize(("status", "kind"), [(401, Unauthorized), (403, NotEntitled)])
async def test_refused_keys_are_final(clock, status, kind):
    error, asked = await fetch(clock, {"status": status, "text": s3_error("AccessDenied")})
    assert type(error) is kind
    assert len(asked) == 1


async def test_a_failing_store_is_asked_again_and_again_but_not_for_ever(clock):
    found, asked = await fetch(clock, {"status": 503}, {"status": 500}, WHOLE)
    assert (found.data, len(asked)) == (DATA, 3)
    error, asked = await fetch(clock, {"status": 503, "text": s3_error("SlowDown")})
    assert isinstance(error, VendorUnavailable)
    assert len(asked) == ATTEMPTS


@pytest.mark.parametrize(
    ("answer", "held", "is_replaced"),
    [
        ({"status": 304}, "5c3b-1", False),
        (WHOLE, "5c3b-1", False),  # a store that does not know the question
        (WHOLE, "older", True),
        ({"body": DATA}, "5c3b-1", False),  # one that gives no mark says nothing
        ({"status": 404}, "5c3b-1", False),
    ],
)
async def test_whether_it_was_replaced_is_known_without_the_file(clock, answer, held, is_replaced):
    found, asked = await fetch(clock, {"status": 503}, answer, call=lambda files: files.is_replaced(DAY, held))
    assert found is is_replaced
    assert [(request.method, request.path, request.headers["If-None-Match"]) for request in asked] == [("HEAD", PATH, f'"{held}"')] * 2


async def test_a_refused_key_does_not_know_whether_it_was_replaced(clock):
    assert isinstance((await fetch(clock, {"status": 403}, call=lambda files: files.is_replaced(DAY, "5c3b-1")))[0], NotEntitled)


async def test_a_file_cut_on_its_way_is_asked_again(clock):
    async def cut(request):
        response = web.StreamResponse(headers=WHOLE["headers"] | {"Content-Length": str(len(DATA))})
        await response.prepare(request)
        await response.write(DATA[:20])
        await asyncio.sleep(0)
        request.transport.close()
        return response

    found, asked = await fetch(clock, cut, WHOLE)
    assert (found.data, len(asked)) == (DATA, 2)


def test_keys_are_never_sent_in_the_open(clock):
    with pytest.raises(SettingsError):
        PolygonFlatFiles(clock, "http://files.massive.com", "flatfiles", "KEY", "SECRET")


async def test_files_come_from_a_bucket_of_ones_own(clock, s3):
    bucket = s3.bucket()
    bucket.store().put(path_of(DAY), DATA)
    keys = {"files_key": bucket.key, "files_secret": bucket.secret}
    vendor = msgspec.structs.replace(simulated_vendor("127.0.0.1", 1), files=bucket.url.replace("s3:/", s3.url), **keys)
    files = flat_files(clock, vendor)
    found = await finish(clock, files.minute_file(DAY))
    assert (found.session, found.data) == (DAY, DATA)
    assert await finish(clock, files.is_replaced(DAY, found.etag)) is False
    assert await finish(clock, files.minute_file(date(2025, 4, 17))) is None


@pytest.mark.parametrize(("files", "path"), [("", "/flatfiles/"), ("/", "/flatfiles/"), ("/mine", "/mine/"), ("/mine/a/b/", "/mine/a/b/")])
async def test_the_vendors_bucket_is_asked_unless_the_address_names_another(clock, files, path):
    asked = []

    async def handler(request):
        asked.append(request.path)
        return web.Response(**WHOLE)

    async with serving(handler) as base:
        vendor = msgspec.structs.replace(simulated_vendor("127.0.0.1", 1), files=base + files)
        await finish(clock, flat_files(clock, vendor).minute_file(DAY))
    assert asked == [path + path_of(DAY)]
