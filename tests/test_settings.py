import re
from pathlib import Path

import pytest

from tradeul.errors import SettingsError
from tradeul.settings import Settings, load_settings

README = Path(__file__).parent.parent / "README.md"


def test_the_readme_names_every_setting_with_its_default():
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \|.*\| ?(.*?) \|$", README.read_text(), re.MULTILINE))
    expected = {}
    for name, field in Settings.model_fields.items():
        if name == "vendor_key":
            expected |= {"MASSIVE_API_KEY": "", "POLYGON_API_KEY": ""}
        elif name == "state":
            expected["TRADEUL_STATE"] = "the user's data folder"
        else:
            default = field.get_default()
            shown = default.isoformat() if hasattr(default, "isoformat") else "" if default is None else str(default).lower()
            expected[f"TRADEUL_{name.upper()}"] = shown
    assert rows == expected


def test_a_wrong_setting_is_named_with_its_value(monkeypatch):
    monkeypatch.setenv("TRADEUL_API_PORT", "eighty")
    with pytest.raises(SettingsError, match="TRADEUL_API_PORT='eighty'"):
        load_settings()


def test_both_names_of_the_key_are_taken(monkeypatch):
    monkeypatch.delenv("MASSIVE_API_KEY", raising=False)
    monkeypatch.setenv("POLYGON_API_KEY", "k")
    assert load_settings().vendor_key == "k"


def test_an_empty_variable_is_unset(monkeypatch):
    monkeypatch.setenv("TRADEUL_API_PORT", "")
    assert load_settings().api_port == 8000
