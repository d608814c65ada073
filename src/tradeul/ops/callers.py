"""Who may call: our own page and programs that are no page; once a token is set, only who shows it.

    Host, Origin -> `refusal` (403)        token, login cookie -> `who` (401 when nobody)

A browser names the page that calls (`Origin`) and the name it used for us
(`Host`): a foreign origin is another site's script, a foreign host is DNS
rebinding. Without a token only this machine is served. With one, every call
must show it, those from this machine too: a proxy here brings everybody from
127.0.0.1. There may be several tokens, each with a name, so that the log tells
who changed what and one can be withdrawn alone. The login cookie holds a code
made of the token, not the token; a token withdrawn ends its logins. What our
own processes show each other is such a code, too. No sockets and no requests here.
"""

import hmac
import re
from collections.abc import Collection
from hashlib import sha256
from ipaddress import ip_address
from urllib.parse import urlsplit

from tradeul.errors import SettingsError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
OPEN_PATHS = ("/health", "/ready", "/metrics")  # whoever watches over the services has no token
COOKIE = "tradeul"
BEARER = "Bearer "
WRITES = ("POST", "PUT", "PATCH", "DELETE")
ANYBODY, HOLDER, OURSELVES = "anybody here", "token holder", "tradeul"  # no token is set; it has no name; our own processes
_LOGIN, _OWN = b"tradeul login", b"tradeul itself"
_PAIR = re.compile(r"([\w-]{1,40}):([^\s,:]+)")


def tokens_of(setting: str | None) -> dict[str, str]:
    """By name; without a colon the whole is one token without a name.

    Raises:
        SettingsError: a colon is in it, and it is no list of ``name:token``.
    """
    if setting is None or ":" not in setting:
        return {} if setting is None else {HOLDER: setting}
    pairs = [_PAIR.fullmatch(part) for part in setting.replace(",", " ").split()]
    tokens = {pair[1]: pair[2] for pair in pairs if pair is not None}
    if len(tokens) < len(pairs) or len(set(tokens.values())) < len(pairs) or {*tokens} & {ANYBODY, HOLDER, OURSELVES}:
        raise SettingsError(
            "TRADEUL_TOKEN=…: with a colon in it, it is a list of name:token, each name and each token once "
            f"(a name has letters, digits, _ and -, and is not {OURSELVES}). Correct it."
        )
    return tokens


class Callers:
    """One for all services of a process. ``page_ports``: where our page is served; known once it is."""

    def __init__(
        self, host: str = "127.0.0.1", token: str | None = None, hosts: Collection[str] = (), origins: Collection[str] = ()
    ) -> None:
        """
        Args:
            host: the address that the services listen on.
            token: what every call must show, or several with names: the setting's form; None: nothing.
            hosts, origins: names and page addresses beside our own, as behind a proxy.

        Raises:
            SettingsError: other machines would be served without a token, or the tokens have no right form.
        """
        self.tokens = tokens_of(token)
        if host not in LOOPBACK and not self.tokens:
            raise SettingsError(
                f"TRADEUL_HOST={host}: only this machine is served without a token; set TRADEUL_TOKEN, or use 127.0.0.1, localhost or ::1."
            )
        self.host = host
        self.page_ports: set[int] = set()
        self._hosts = {host, *LOOPBACK, *(name.lower() for name in hosts)}
        self._origins = {origin.lower().rstrip("/") for origin in origins}

    def refusal(self, host: str | None, origin: str | None) -> str | None:
        """Why a call with these headers is refused, or None: it is taken."""
        name = hostname(host)
        if not self._is_ours(name):
            names = ", ".join(LOOPBACK)
            return f"Host {_shown(host)} is none of this service's names: call it as {names}, or list it in TRADEUL_ALLOWED_HOSTS."
        if origin is None or self._is_own(origin, host, name):
            return None
        return f"Origin {_shown(origin)} is foreign: only Tradeul's own page may call from a browser, or one in TRADEUL_ALLOWED_ORIGINS."

    @property
    def token(self) -> str | None:
        """The first, which a program of ours shows to another machine; None: none is set."""
        return next(iter(self.tokens.values()), None)

    def who(self, authorization: str | None = None, cookie: str | None = None, query: str | None = None) -> str | None:
        """The name of who shows a right one: the header, the login cookie's value, ``?token=`` of a socket. None: nobody does."""
        if not self.tokens:
            return ANYBODY
        shown = authorization.removeprefix(BEARER) if authorization and authorization.startswith(BEARER) else None
        found = None
        for name, token in self.tokens.items():  # all of them, so that the time does not tell which was right
            is_right = [_same(shown, token), _same(query, token), _same(cookie, _code(token, _LOGIN))]
            found = name if any(is_right) else found
            found = OURSELVES if _same(shown, _code(token, _OWN)) else found
        return found

    def login_code(self, name: str) -> str:
        """The login cookie's value for who showed the token of this name."""
        return _code(self.tokens[name], _LOGIN)

    def credentials(self) -> dict[str, str]:
        """The headers with which our own processes call each other."""
        return {} if self.token is None else {"Authorization": BEARER + _code(self.token, _OWN)}

    def _is_ours(self, name: str | None) -> bool:
        """Rebinding needs a name that somebody else's DNS answers for; where a token is asked, bare addresses are taken."""
        return name is not None and (name in self._hosts or (bool(self.tokens) and _is_address(name)))

    def _is_own(self, origin: str, host: str | None, name: str | None) -> bool:
        return origin in (f"http://{host}", f"https://{host}") or origin.lower() in self._origins or self._is_page(origin, name)

    def _is_page(self, origin: str, host_name: str | None) -> bool:
        """Our page under the name that was used for us; on this machine its names are one."""
        try:
            parts = urlsplit(origin)
            name, port = parts.hostname, parts.port
        except ValueError:
            return False
        same = name == host_name or (name in LOOPBACK and host_name in LOOPBACK)
        return same and port in self.page_ports and origin == f"http://{_bracketed(name or '')}:{port}"


def hostname(host: str | None) -> str | None:
    """The name in a Host header, without port and brackets; None when it is no such thing."""
    try:
        return urlsplit(f"//{host}").hostname if host else None
    except ValueError:
        return None


def _code(token: str, purpose: bytes) -> str:
    return hmac.new(token.encode(), purpose, sha256).hexdigest()


def _same(shown: str | None, right: str) -> bool:
    """Compared in a time that tells nothing."""
    return shown is not None and hmac.compare_digest(shown.encode("utf-8", "replace"), right.encode())


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _bracketed(name: str) -> str:
    return f"[{name}]" if ":" in name else name


def _shown(header: str | None) -> str:
    return "(none)" if header is None else repr(header[:80])
