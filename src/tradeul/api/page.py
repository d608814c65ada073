"""The page's files, as packaged, and the headers that keep it to itself.

No script, style, font or connection of another host: a hostile name in the
data finds nothing to call. Everything is revalidated by ETag on every load, so
a new version is never mixed with an old one. Text is sent packed to whoever
takes it; each file is packed once, at its first load.
"""

import asyncio
import base64
import gzip
import hashlib
import re
from functools import lru_cache
from importlib import resources
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import FileResponse, Response
from starlette.routing import Match, Mount
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

# Python's own table differs by version and by the machine's mime.types; a browser runs a module of no other type.
CONTENT_TYPES = {".mjs": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
PACKED = (".mjs", ".css", ".html", ".svg")
PACKED_FROM_BYTES = 1000


def page_folder() -> Path:
    """Wheels are installed unzipped, so the package's files are a folder."""
    return Path(str(resources.files("tradeul") / "web"))


class PageFiles(StaticFiles):
    def __init__(self) -> None:
        super().__init__(directory=page_folder(), html=True)

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(HEADERS)
        if content_type := CONTENT_TYPES.get(Path(path).suffix):
            response.headers["Content-Type"] = content_type
        if isinstance(response, FileResponse) and "gzip" in Headers(scope=scope).get("accept-encoding", ""):
            return await _packed(response)
        return response


async def _packed(response: FileResponse) -> Response:
    """The same file, smaller, where it is text. Its ETag becomes a weak one: the bytes are others, what they say is not."""
    headers = response.headers
    if Path(response.path).suffix not in PACKED or int(headers["content-length"]) < PACKED_FROM_BYTES:
        return response
    content = await asyncio.to_thread(_pack, str(response.path), headers["etag"])
    kept = {name: value for name, value in headers.items() if name not in ("content-length", "accept-ranges")}
    return Response(content, headers=kept | {"content-encoding": "gzip", "etag": f"W/{headers['etag']}"})


@lru_cache(maxsize=200)
def _pack(path: str, etag: str) -> bytes:
    """``etag``: a file that changes is packed again."""
    del etag
    return gzip.compress(Path(path).read_bytes(), compresslevel=9, mtime=0)


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
