import re
from datetime import datetime, time
from pathlib import Path

import pytest

from tradeul.errors import SettingsError
from tradeul.settings import Settings, load_settings

TABLE = Path(__file__).parent.parent / "docs" / "settings.md"


def test_the_table_names_every_setting_with_its_default():
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \|.*\| ?(.*?) \|$", TABLE.read_text(), re.MULTILINE))
    expected = {}
    for name, field in Settings.model_fields.items():
        if name == "vendor_key":
            expected |= {"MASSIVE_API_KEY": "", "POLYGON_API_KEY": ""}
        elif name == "state":
            expected["TRADEUL_STATE"] = "the user's data folder"
        else:
            default = field.get_default()
            expected[f"TRADEUL_{name.upper()}"] = shown(default)
    assert rows == expected


def shown(default):
    match default:
        case None:
            return ""
        case time():
            return f"{default:%H:%M}"
        case tuple():
            return ",".join(default)
        case datetime():
            return default.isoformat()
        case _:
            return str(default).lower()


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"NEW_DAY_AT": "02:59"}, "TRADEUL_NEW_DAY_AT=02:59 is before 03:00 ET, when the session turns"),
        ({"NEW_DAY_AT": "17:00"}, "TRADEUL_NEW_DAY_AT=17:00 is not before TRADEUL_MAINTENANCE_AT=17:00"),
        ({"MAINTENANCE_AT": "15:59"}, "TRADEUL_MAINTENANCE_AT=15:59 is before the close at 16:00 ET"),
        ({"MAINTENANCE_AT": "20:15"}, "TRADEUL_MAINTENANCE_AT=20:15 is not before TRADEUL_FINAL_AT=20:15"),
        ({"FINAL_AT": "19:59"}, "TRADEUL_FINAL_AT=19:59 is before the session's end at 20:00 ET"),
        ({"FINAL_AT": "20:30Z"}, "TRADEUL_FINAL_AT='20:30Z': an Eastern wall time is expected, as 17:00, without a zone"),
        ({"FINAL_AT": "2030"}, "TRADEUL_FINAL_AT='2030': an Eastern wall time is expected, as 17:00, without a zone"),
        ({"FINAL_AT": "25:00"}, "TRADEUL_FINAL_AT='25:00': an Eastern wall time is expected, as 17:00, without a zone"),
    ],
)
def test_wake_ups_that_cannot_be_are_refused_in_one_sentence(monkeypatch, wrong, why):
    for name, value in wrong.items():
        monkeypatch.setenv(f"TRADEUL_{name}", value)
    with pytest.raises(SettingsError) as refused:
        load_settings()
    assert str(refused.value) == f"{why}. Correct it, or unset it to use the default."


def test_wake_ups_are_eastern_wall_times(monkeypatch):
    for name, value in (("NEW_DAY_AT", "03:30"), ("MAINTENANCE_AT", "16:30"), ("FINAL_AT", "20:00")):
        monkeypatch.setenv(f"TRADEUL_{name}", value)
    settings = load_settings()
    assert (settings.new_day_at, settings.maintenance_at, settings.final_at) == (time(3, 30), time(16, 30), time(20))


def test_a_wrong_setting_is_named_with_its_value(monkeypatch):
    monkeypatch.setenv("TRADEUL_API_PORT", "eighty")
    with pytest.raises(SettingsError, match="TRADEUL_API_PORT='eighty'"):
        load_settings()


@pytest.mark.parametrize(
    "url", ["mysql://me:secret@host/db", "postgresql://me:secret@host:port/db", "postgresql://me:secret@host", "secret"]
)
def test_a_wrong_database_is_named_without_its_password(monkeypatch, url):
    monkeypatch.setenv("TRADEUL_DATABASE_URL", url)
    with pytest.raises(SettingsError, match=r"TRADEUL_DATABASE_URL=.*postgresql://user:password@host/database is expected") as refused:
        load_settings()
    assert "secret" not in str(refused.value)


def test_both_names_of_the_key_are_taken(monkeypatch):
    monkeypatch.delenv("MASSIVE_API_KEY", raising=False)
    monkeypatch.setenv("POLYGON_API_KEY", "k")
    assert load_settings().vendor_key == "k"


def test_tickers_are_given_by_commas(monkeypatch):
    monkeypatch.setenv("TRADEUL_REFERENCE_TICKERS", "SPY, BRK.B,BACpM")
    assert load_settings().reference_tickers == ("SPY", "BRK.B", "BACpM")


def test_an_empty_variable_is_unset(monkeypatch):
    monkeypatch.setenv("TRADEUL_API_PORT", "")
    assert load_settings().api_port == 8000


@pytest.mark.parametrize("url", ["https://bucket/lake", "s3://", "s3://key:secret@bucket/lake", "s3://bucket?secret", "secret"])
def test_a_wrong_lake_is_named_without_what_it_may_hold(monkeypatch, url):
    monkeypatch.setenv("TRADEUL_LAKE_URL", url)
    with pytest.raises(SettingsError, match=r"TRADEUL_LAKE_URL=.*s3://bucket/prefix is expected") as refused:
        load_settings()
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("address", ["ray://10.0.0.5:10001", "10.0.0.5", "10.0.0.5:port", ":6379", "me@10.0.0.5:6379", "10.0.0.5:6379/x"])
def test_a_wrong_address_of_ray_is_named(monkeypatch, address):
    monkeypatch.setenv("TRADEUL_RAY_ADDRESS", address)
    with pytest.raises(SettingsError, match=r"TRADEUL_RAY_ADDRESS=.*an address as 10\.0\.0\.5:6379 is expected"):
        load_settings()


@pytest.mark.parametrize(("given", "lacks"), [({}, "KEY"), ({"KEY": "k"}, "SECRET")])
def test_a_bucket_without_its_keys_is_refused(monkeypatch, given, lacks):
    for name, value in ({"URL": "s3://bucket/lake"} | given).items():
        monkeypatch.setenv(f"TRADEUL_LAKE_{name}", value)
    with pytest.raises(SettingsError, match=f"TRADEUL_LAKE_{lacks} is not set, and TRADEUL_LAKE_URL=s3://bucket/lake is asked with it"):
        load_settings()
