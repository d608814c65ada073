from datetime import time
from pathlib import Path

import pytest

from tradeul import assemble
from tradeul.assemble import borders, state
from tradeul.errors import StartError
from tradeul.providers.polygon.vendor import simulated_vendor
from tradeul.settings import Settings

PORTS = ("api_port", "filings_port", "gateway_port", "maintenance_port", "historical_port", "scanner_port", "simulator_port")
SETTINGS = dict.fromkeys(PORTS, 0) | {"simulator_tickers": 50}


class Started(Exception):
    """The borders stand; no more is wanted."""


@pytest.fixture
def keyless(tmp_path, monkeypatch):
    for name in ("MASSIVE_API_KEY", "POLYGON_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    return Settings(state=tmp_path, **SETTINGS)


async def test_without_a_key_no_real_vendor_is_ever_made(keyless, monkeypatch):
    places = []

    async def stop(settings, place, *_):
        places.append(place)
        raise Started

    def never(*_):
        raise AssertionError("a real vendor was made without a key")

    monkeypatch.setattr(borders, "real_vendor", never)
    monkeypatch.setattr(assemble, "run_services", stop)
    for simulate in (False, True):
        with pytest.raises(Started):
            await assemble.up(keyless, simulate=simulate, fresh=True, ready=never)
    for place in places:
        port = int(place.vendor.rest.rpartition(":")[2])
        assert place.simulated and place.vendor == simulated_vendor("127.0.0.1", port)


def test_what_a_person_sets_reaches_the_schedule(tmp_path):
    times = {"maintenance_at": "16:30", "final_at": "20:05", "new_day_at": "03:10"}
    settings = Settings(state=tmp_path, slot_sessions=9, reference_tickers="SPY,QQQ", **times)
    windows = borders.windows_of(settings)
    assert (windows.daily_sessions, windows.slot_sessions, windows.rvol_sessions) == (260, 9, 20)
    assert (windows.maintenance_at, windows.final_at, windows.new_day_at) == (time(16, 30), time(20, 5), time(3, 10))
    assert windows.reference_tickers == ("SPY", "QQQ")


def test_a_folder_of_real_data_without_a_key_is_refused(keyless):
    (Path(keyless.state) / state.REAL_DATA).touch()
    with pytest.raises(StartError, match="MASSIVE_API_KEY"):
        state.is_simulated(keyless)
