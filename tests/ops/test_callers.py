import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradeul.errors import SettingsError
from tradeul.ops.callers import Callers


def callers(**settings):
    ours = Callers(**settings)
    ours.page_ports.add(8000)
    return ours


SERVED = {"host": "0.0.0.0", "token": "secret", "hosts": ["scan.example.com"], "origins": ["https://desk.example.com"]}


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "LOCALHOST", "[::1]:8000", "127.0.0.1"])
def test_our_own_names_are_taken(host):
    assert callers().refusal(host, None) is None


@pytest.mark.parametrize(
    "host", [None, "", "evil.example", "localhost.evil.example", "127.0.0.1.nip.example:8000", "127.0.0.1@evil.example", "[", "192.0.2.1"]
)
def test_other_names_are_refused(host):
    assert "none of this service's names" in callers().refusal(host, None)


@pytest.mark.parametrize("host", ["192.0.2.1:9000", "[2001:db8::1]:9000", "scan.example.com", "0.0.0.0:9000"])
def test_where_a_token_is_asked_addresses_and_listed_names_are_taken(host):
    assert callers(**SERVED).refusal(host, None) is None
    assert callers(**SERVED).refusal("other.example.com", None) is not None


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("localhost:8000", "http://localhost:8000"),
        ("localhost:9000", "http://localhost:8000"),
        ("127.0.0.1:9000", "http://localhost:8000"),
        ("[::1]:9000", "http://[::1]:8000"),
    ],
)
def test_our_page_may_call_from_a_browser(host, origin):
    assert callers().refusal(host, origin) is None


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("192.0.2.1:9000", "http://192.0.2.1:8000"),
        ("scan.example.com", "https://scan.example.com"),
        ("scan.example.com", "https://desk.example.com"),
    ],
)
def test_our_page_may_call_under_the_name_that_was_used_and_so_may_listed_pages(host, origin):
    assert callers(**SERVED).refusal(host, origin) is None


@pytest.mark.parametrize(
    "origin",
    ["null", "", "https://localhost:8000", "http://localhost:8001", "http://localhost:8000.evil.example", "http://[", "http://x:99999"],
)
def test_a_foreign_page_may_not(origin):
    assert "foreign" in callers().refusal("localhost:9000", origin)


def test_the_page_of_another_machine_may_not():
    assert "foreign" in callers(**SERVED).refusal("192.0.2.1:9000", "http://192.0.2.2:8000")


def test_other_machines_are_served_with_a_token_only():
    with pytest.raises(SettingsError, match=r"TRADEUL_HOST=0\.0\.0\.0.*TRADEUL_TOKEN"):
        Callers("0.0.0.0")
    assert Callers("0.0.0.0", "secret").token == "secret"


def test_without_a_token_everybody_here_is_known():
    assert Callers().knows()
    assert Callers().credentials() == {}


def test_a_token_is_shown_as_a_header_in_the_query_or_by_the_login_cookie():
    ours = Callers(token="secret")
    assert ours.knows("Bearer secret") and ours.knows(query="secret") and ours.knows(cookie=ours.login_code())
    assert ours.knows(ours.credentials()["Authorization"])
    for wrong in ("Bearer", "Bearer ", "Bearer secret ", "bearer secret", "secret", "Basic secret"):
        assert not ours.knows(wrong)
    assert not ours.knows() and not ours.knows(cookie="secret") and not ours.knows(query=ours.login_code())


def test_another_token_ends_all_logins_and_the_cookie_does_not_hold_it():
    ours = Callers(token="secret")
    assert "secret" not in ours.login_code()
    assert not Callers(token="other").knows(cookie=ours.login_code())


@given(st.text(), st.text())
def test_whatever_is_shown_it_is_judged(host, shown):
    ours = callers(**SERVED)
    ours.refusal(host, shown)
    assert not ours.knows(f"Bearer {shown}", shown, shown) or shown == "secret"
