"""The page's layouts, by name: which panels stand where. Kept for the page, which alone knows what is in them."""

import asyncio
import re
from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from fastapi import FastAPI, Path, Request, Response
from starlette.exceptions import HTTPException

from tradeul.errors import TooMany
from tradeul.ops.http_service import JSON, answers, json_answer, read_body
from tradeul.store.layouts import LayoutStore

NAME = re.compile(r"\w(?:[\w .()-]{0,38}[\w)])?")
MOST_BYTES = 256 * 1024
Name = Annotated[str, Path(json_schema_extra={"pattern": f"^{NAME.pattern}$"})]
EXAMPLE = '{"grid":{},"panels":{}}'


class LayoutNames(msgspec.Struct, frozen=True):
    layouts: list[str]


class LayoutRoutes:
    records = (LayoutNames,)

    def __init__(self, store: LayoutStore) -> None:
        self._store = store

    def add(self, app: FastAPI) -> None:
        wrong, missing, unavailable = HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE
        kept = answers(None, wrong, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.CONFLICT, unavailable, ok=HTTPStatus.NO_CONTENT)
        gone = answers(None, wrong, missing, unavailable, ok=HTTPStatus.NO_CONTENT)
        app.get("/api/layouts", summary="The names of the layouts", responses=answers(LayoutNames, unavailable))(self._names)
        path = "/api/layouts/{name}"
        app.get(path, summary="A layout", responses=answers(dict[str, Any], wrong, missing))(self._get)
        body = {"requestBody": {"required": True, "content": {JSON: {"schema": {"type": "object", "minProperties": 1}}}}}
        app.put(path, summary="Keep a layout, or replace it", responses=kept, status_code=204, openapi_extra=body)(self._put)
        app.delete(path, summary="Forget a layout", responses=gone, status_code=204)(self._delete)

    async def _names(self) -> Response:
        return json_answer(LayoutNames(await asyncio.to_thread(self._store.names)))

    async def _get(self, name: Name) -> Response:
        document = await asyncio.to_thread(self._store.get, _checked(name))
        if document is None:
            raise _absent(name)
        return json_answer(msgspec.Raw(document))

    async def _put(self, request: Request, name: Name) -> Response:
        _checked(name)
        layout = await read_body(request, dict[str, Any], {}, EXAMPLE, MOST_BYTES)
        if not layout:
            raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, f"There is nothing in this layout. Send something like {EXAMPLE}.")
        try:
            await asyncio.to_thread(self._store.put, name, msgspec.json.encode(layout))
        except TooMany as error:
            raise HTTPException(HTTPStatus.CONFLICT, str(error)) from error
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def _delete(self, name: Name) -> Response:
        if not await asyncio.to_thread(self._store.delete, _checked(name)):
            raise _absent(name)
        return Response(status_code=HTTPStatus.NO_CONTENT)


def _checked(name: str) -> str:
    if NAME.fullmatch(name) is None:
        detail = f"{name[:40]!r} is no layout's name: 1 to 40 letters, digits, spaces and . - _ ( ), a letter or digit first."
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, detail)
    return name


def _absent(name: str) -> HTTPException:
    return HTTPException(HTTPStatus.NOT_FOUND, f"There is no layout {name!r}: GET /api/layouts names those that are kept.")
