"""Against a real local receiver."""

import json
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from tradeul.errors import SettingsError
from tradeul.ops.alarms import Alarms, Changes, changes


class Receiver:
    def __init__(self):
        self.heard, self.beats, self.status = [], 0, 200

    async def hear(self, request):
        if self.status == 200:
            said = json.loads(await request.read())
            self.heard.append((said["type"], said["message"]))
        return web.Response(status=self.status)

    async def beat(self, _):
        self.beats += 1
        return web.Response(status=self.status)


@asynccontextmanager
async def receiving():
    receiver, app = Receiver(), web.Application()
    app.router.add_post("/hear", receiver.hear)
    app.router.add_get("/beat", receiver.beat)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.address = f"127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield receiver
    finally:
        await runner.cleanup()


def alarms_of(folder, receiver):
    return Alarms(folder / "alarms.json", f"json://{receiver.address}/hear", f"http://{receiver.address}/beat")


async def test_each_is_told_once_and_once_when_healed(tmp_path):
    async with receiving() as receiver:
        alarms = alarms_of(tmp_path, receiver)
        for standing in ({"disk": "1 GB free"}, {"disk": "0.9 GB free"}, {}, {}):
            await alarms.hold(standing)
        assert receiver.heard == [("failure", "1 GB free"), ("success", "Healed: 1 GB free")]


async def test_a_restart_repeats_nothing(tmp_path):
    async with receiving() as receiver:
        await alarms_of(tmp_path, receiver).hold({"key": "refused"})
        again = alarms_of(tmp_path, receiver)
        assert await again.hold({"key": "refused"}) == Changes()
        assert await again.hold({"disk": "full"}) == Changes(("disk",), ("key",))
        assert [kind for kind, _ in receiver.heard] == ["failure", "failure", "success"]


async def test_what_could_not_be_sent_is_sent_at_the_next_look(tmp_path):
    async with receiving() as receiver:
        alarms = alarms_of(tmp_path, receiver)
        receiver.status = 500
        assert await alarms.hold({"key": "refused"}) == Changes()
        receiver.status = 200
        assert await alarms.hold({"key": "refused"}) == Changes(("key",))
        receiver.status = 500
        assert await alarms.hold({}) == Changes()
        receiver.status = 200
        assert await alarms.hold({}) == Changes((), ("key",))


async def test_a_broken_file_tells_again_rather_than_never(tmp_path):
    async with receiving() as receiver:
        (tmp_path / "alarms.json").write_text("{")
        assert await alarms_of(tmp_path, receiver).hold({"key": "refused"}) == Changes(("key",))


async def test_the_heartbeat_is_asked_and_a_deaf_one_is_only_logged(tmp_path):
    async with receiving() as receiver:
        alarms = alarms_of(tmp_path, receiver)
        assert await alarms.beat() and receiver.beats == 1
        receiver.status = 500
        assert not await alarms.beat()
    assert not await alarms.beat()
    assert not await Alarms(tmp_path / "alarms.json").beat()
    assert not await Alarms(tmp_path / "alarms.json", heartbeat_url="nonsense").beat()


async def test_without_an_address_alarms_are_logged(tmp_path):
    with capture_logs() as lines:
        await Alarms(tmp_path / "alarms.json").hold({"key": "refused"})
    assert [(line["event"], line["alarm"], line["log_level"]) for line in lines] == [("alarm_raised", "key", "error")]


def test_an_address_that_apprise_does_not_know_is_refused_without_showing_it(tmp_path):
    with pytest.raises(SettingsError, match="TRADEUL_NOTIFY") as refused:
        Alarms(tmp_path / "alarms.json", "nosuch://secret")
    assert "secret" not in str(refused.value)


def test_another_wording_is_no_news():
    assert changes({"a": "1", "b": "1"}, {"b": "2", "c": "1"}) == Changes(("c",), ("a",))
