"""Who may call us on loopback without a token: pages of our own, and programs that are no page.

A browser names the page that calls (`Origin`) and the name it used for us
(`Host`): a foreign origin is another site's script, a foreign host is DNS
rebinding. Tokens, for other machines, are not here yet.
"""

from collections.abc import Collection
from urllib.parse import urlsplit

from tradeul.errors import SettingsError

LOOPBACK = ("127.0.0.1", "localhost", "::1")


def require_loopback(host: str) -> None:
    """Raises SettingsError: serving other machines needs a token, which is a later issue's."""
    if host not in LOOPBACK:
        raise SettingsError(f"TRADEUL_HOST={host}: only this machine is served without a token; use 127.0.0.1, localhost or ::1.")


def page_origins(port: int) -> set[str]:
    """The addresses under which a browser on this machine knows a page of ours."""
    return {f"http://{_bracketed(name)}:{port}" for name in LOOPBACK}


def refusal(host: str | None, origin: str | None, allowed_origins: Collection[str] = ()) -> str | None:
    """Why a call is refused, or None: it is taken.

    Args:
        host, origin: the headers, None when absent.
        allowed_origins: beside the origin that ``host`` itself makes.
    """
    if hostname(host) not in LOOPBACK:
        return f"Host {_shown(host)} is none of this service's names: call it as {', '.join(LOOPBACK)}."
    if origin is None or origin == f"http://{host}" or origin in allowed_origins:
        return None
    return f"Origin {_shown(origin)} is foreign: only Tradeul's own page may call from a browser."


def hostname(host: str | None) -> str | None:
    """The name in a Host header, without port and brackets; None when it is no such thing."""
    try:
        return urlsplit(f"//{host}").hostname if host else None
    except ValueError:
        return None


def _bracketed(name: str) -> str:
    return f"[{name}]" if ":" in name else name


def _shown(header: str | None) -> str:
    return "(none)" if header is None else repr(header[:80])
