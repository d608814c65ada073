import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradeul.errors import SettingsError
from tradeul.ops.callers import ANYBODY, HOLDER, OURSELVES, Callers


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
    assert Callers().who() == ANYBODY
    assert Callers().credentials() == {}


def test_a_token_is_shown_as_a_header_in_the_query_or_by_the_login_cookie():
    ours = Callers(token="secret")
    for shown in ({"authorization": "Bearer secret"}, {"query": "secret"}, {"cookie": ours.login_code(HOLDER)}):
        assert ours.who(**shown) == HOLDER
    for wrong in ("Bearer", "Bearer ", "Bearer secret ", "bearer secret", "secret", "Basic secret"):
        assert ours.who(wrong) is None
    assert ours.who() is None and ours.who(cookie="secret") is None and ours.who(query=ours.login_code(HOLDER)) is None


def test_our_own_processes_are_told_from_people_and_do_not_show_their_token():
    ours = Callers(token="desk:secret,phone:other")
    shown = ours.credentials()["Authorization"]
    assert ours.who(shown) == OURSELVES and "secret" not in shown
    assert Callers(token="another").who(shown) is None


@pytest.mark.parametrize("setting", ["desk:one,phone:two", "desk:one phone:two", " desk:one,\n phone:two "])
def test_each_of_several_tokens_has_its_name(setting):
    ours = Callers("0.0.0.0", setting)
    assert [ours.who(query=token) for token in ("one", "two", "desk:one", setting)] == ["desk", "phone", None, None]
    assert ours.who(cookie=ours.login_code("phone")) == "phone"
    assert ours.token == "one"


@pytest.mark.parametrize(
    "setting", ["desk:", ":secret", "desk:one,phone", "desk:a:b", "desk:one,desk:two", "a:same,b:same", "tradeul:secret", ":"]
)
def test_a_list_of_tokens_that_is_none_is_one_sentence_without_them(setting):
    with pytest.raises(SettingsError, match=r"^TRADEUL_TOKEN=…: .*name:token") as refused:
        Callers(token=setting)
    assert "secret" not in str(refused.value) and "same" not in str(refused.value)


def test_a_token_without_a_colon_is_one_whatever_is_in_it():
    assert Callers(token="open sesame, please").who(query="open sesame, please") == HOLDER


def test_a_withdrawn_token_ends_its_logins_and_no_others_and_the_cookie_does_not_hold_it():
    before, after = Callers(token="desk:secret,phone:other"), Callers(token="phone:other")
    assert "secret" not in before.login_code("desk")
    assert after.who(cookie=before.login_code("desk")) is None
    assert after.who(cookie=before.login_code("phone")) == "phone"


@given(st.text(), st.text())
def test_whatever_is_shown_it_is_judged(host, shown):
    ours = callers(**SERVED)
    ours.refusal(host, shown)
    assert ours.who(f"Bearer {shown}", shown, shown) is None or shown == "secret"
