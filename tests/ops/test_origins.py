import pytest

from tradeul.errors import SettingsError
from tradeul.ops.origins import page_origins, refusal, require_loopback


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "LOCALHOST", "[::1]:8000", "127.0.0.1"])
def test_our_own_names_are_taken(host):
    assert refusal(host, None) is None


@pytest.mark.parametrize(
    "host", [None, "", "evil.example", "localhost.evil.example", "127.0.0.1.nip.example:8000", "127.0.0.1@evil.example", "[", "0.0.0.0"]
)
def test_other_names_are_refused(host):
    assert "none of this service's names" in refusal(host, None)


def test_a_page_of_this_service_or_of_an_allowed_address_may_call():
    assert refusal("localhost:8000", "http://localhost:8000") is None
    assert refusal("localhost:9000", "http://localhost:8000", page_origins(8000)) is None
    assert refusal("[::1]:9000", "http://[::1]:8000", page_origins(8000)) is None


@pytest.mark.parametrize("origin", ["null", "", "https://localhost:8000", "http://localhost:8001", "http://localhost:8000.evil.example"])
def test_a_foreign_page_may_not(origin):
    assert "foreign" in refusal("localhost:9000", origin, page_origins(8000))


def test_another_address_than_loopback_needs_a_token_that_does_not_exist_yet():
    require_loopback("127.0.0.1")
    with pytest.raises(SettingsError, match=r"TRADEUL_HOST=0\.0\.0\.0"):
        require_loopback("0.0.0.0")
