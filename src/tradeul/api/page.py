"""The page's files, as packaged, and the headers that keep it to itself.

No script, style, font or connection of another host: a hostile name in the
data finds nothing to call. Everything is revalidated by ETag on every load, so
a new version is never mixed with an old one; what is text is packed once and
kept packed.
"""

import asyncio
import base64
import gzip
import hashlib
import re
from functools import lru_cache
from http import HTTPStatus
from importlib import resources
from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import FileResponse, Response
from starlette.routing import Match, Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tradeul.ops.http_service import PROBLEM_JSON

# Python's own table differs by version and by the machine's mime.types; a browser runs a module of no other type.
CONTENT_TYPES = {".mjs": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
QUIET = "problem=ok"
PACKED = (".html", ".mjs", ".css", ".svg")
HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-cache"}


def page_folder() -> Path:
    """Wheels are installed unzipped, so the package's files are a folder."""
    return Path(str(resources.files("tradeul") / "web"))


class QuietProblems:
    """A problem as 200 to who says `Prefer: problem=ok`; its true status is in its body.

    A browser prints every answer from 400 on as an error of the page, whatever
    the page makes of it: that history has not loaded yet is none. Whoever does
    not ask for it gets the status as it is.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def quietly(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] >= HTTPStatus.BAD_REQUEST:
                headers = MutableHeaders(scope=message)
                if headers.get("content-type") == PROBLEM_JSON:
                    headers["preference-applied"] = QUIET
                    message["status"] = int(HTTPStatus.OK)
            await send(message)

        is_quiet = scope["type"] == "http" and Headers(scope=scope).get("prefer") == QUIET
        await self._app(scope, receive, quietly if is_quiet else send)


class PageFiles(StaticFiles):
    def __init__(self) -> None:
        super().__init__(directory=page_folder(), html=True)

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(HEADERS)
        if content_type := CONTENT_TYPES.get(Path(path).suffix):
            response.headers["Content-Type"] = content_type
        if not isinstance(response, FileResponse) or Path(response.path).suffix not in PACKED:
            return response
        response.headers["Vary"] = "Accept-Encoding"
        return await _packed(response) if "gzip" in Headers(scope=scope).get("Accept-Encoding", "") else response


async def _packed(response: FileResponse) -> Response:
    """The same file in another coding, so its ETag is weak."""
    headers = {name: value for name, value in response.headers.items() if name != "content-length"}
    headers |= {"content-encoding": "gzip", "etag": f"W/{response.headers['etag']}"}
    return Response(await asyncio.to_thread(_pack, str(response.path), response.headers["etag"]), headers=headers)


@lru_cache(maxsize=256)
def _pack(path: str, _etag: str) -> bytes:
    """Kept by the ETag, which changes with the file."""
    return gzip.compress(Path(path).read_bytes(), compresslevel=6, mtime=0)


class PageMount(Mount):
    """Whatever no call is. A call of another method than asked is not the page's: its own route says which it takes."""

    def __init__(self) -> None:
        super().__init__("/", PageFiles())

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return (Match.NONE, {}) if scope["path"].startswith("/api/") else super().matches(scope)


def content_security_policy(socket_origin: str) -> str:
    """What the page may load, and the one socket it may open.

    The import map must stand inside the page, so it is named by its hash. AG
    Grid makes style elements; styles of our own origin cannot do harm.
    """
    sources = {
        "default-src": "'none'",
        "script-src": f"'self' {_import_map_hash()}",
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' data:",
        "font-src": "'self' data:",
        "connect-src": f"'self' {socket_origin}",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in sources.items())


def _import_map_hash() -> str:
    scripts: list[str] = re.findall(r'<script type="importmap">(.*?)</script>', (page_folder() / "index.html").read_text(), re.DOTALL)
    return " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in scripts)
