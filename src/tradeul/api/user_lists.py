"""A person's own lists: told of, tried out, written and deleted; the files of STATE/lists/, which the scanner reads again by itself.

    text -> the scanner's check, over the bus -> the file -> within a second the list

The page may change what stands alone in a file of its own name. Built-in lists,
and files with several lists or with floors of their own, are read only.
"""

import asyncio
import re
from http import HTTPStatus
from typing import Annotated

import msgspec
from fastapi import FastAPI, Path, Request, Response
from starlette.exceptions import HTTPException

from tradeul.bus.redis import Bus
from tradeul.errors import NoAnswer, TooMany
from tradeul.ops.http_service import answers, body_of, json_answer, read_body
from tradeul.records.lists import ListDefinition
from tradeul.records.previews import Preview
from tradeul.store.list_files import ListFile, ListFiles

NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")  # as the scanner takes it
MOST_BYTES = 16 * 1024
EXAMPLE = r'{"toml":"[lists.mine]\ntitle = \"Mine\"\nwhere = \"change_pct >= 5\"\norder = [[\"rvol\", \"desc\"]]\ncolumns = [\"price\"]"}'
Name = Annotated[str, Path(json_schema_extra={"pattern": f"^{NAME.pattern}$"})]


class ListText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One list as its file says it."""

    toml: str = ""


class UserListHead(msgspec.Struct, frozen=True):
    name: str = msgspec.field(name="list")
    title: str | None  # None: the file does not tell
    file: str
    editable: bool  # here; otherwise only by hand
    runs: bool  # the scanner has taken it; a preview of its text says what is wrong
    reason: str | None  # why the file cannot be read


class UserLists(msgspec.Struct, frozen=True):
    lists: list[UserListHead]


class UserList(msgspec.Struct, frozen=True):
    """``toml`` is None where the list shares its file, or is built in; ``definition``: as it runs now."""

    name: str = msgspec.field(name="list")
    editable: bool
    toml: str | None
    definition: ListDefinition | None


class UserListRoutes:
    records = (ListText, UserLists, UserList, Preview)

    def __init__(self, bus: Bus, files: ListFiles) -> None:
        self._bus = bus
        self._files = files
        self._turn = asyncio.Lock()  # between what a name is and what is written under it

    def add(self, app: FastAPI) -> None:
        wrong, large, taken = HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.CONFLICT
        missing, unavailable = HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE
        path, body = "/api/user-lists/{name}", body_of(ListText)
        app.get("/api/user-lists", summary="The lists in files of one's own", responses=answers(UserLists, unavailable))(self._heads)
        tried = answers(Preview, wrong, large, unavailable)
        app.post("/api/user-lists/preview", summary="What a list would show now", responses=tried, openapi_extra=body)(self._preview)
        app.get(path, summary="A list as it is written", responses=answers(UserList, wrong, missing, unavailable))(self._get)
        kept = answers(UserList, wrong, large, taken, unavailable)
        app.put(path, summary="Write a list of one's own", responses=kept, openapi_extra=body)(self._put)
        gone = answers(None, wrong, missing, taken, unavailable, ok=HTTPStatus.NO_CONTENT)
        app.delete(path, summary="Delete a list of one's own", responses=gone, status_code=204)(self._delete)

    async def _heads(self) -> Response:
        running, files = await self._running(), await self._read()
        heads = [
            UserListHead(name, title, file.name, file.owns == name and NAME.fullmatch(name) is not None, _runs(running, name), file.reason)
            for file in files
            for name, title in file.lists.items()
        ]
        return json_answer(UserLists(heads))

    async def _get(self, name: Name) -> Response:
        _check(name)
        definition, file = (await self._running()).get(name), _file_of(await self._read(), name)
        if definition is None and file is None:
            raise _absent(name)
        own = file is not None and file.owns == name
        return json_answer(UserList(name, own, file.text if file is not None and own else None, definition))

    async def _preview(self, request: Request) -> Response:
        return json_answer(await self._tried(await self._text(request)))

    async def _put(self, request: Request, name: Name) -> Response:
        _check(name)
        text = await self._text(request)
        async with self._turn:
            await self._refuse_what_is_not_ours(name)
            told = await self._tried(text)
            if told.definition is None:
                raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, f"{told.field}: {told.reason}" if told.field else str(told.reason))
            if told.definition.name != name:
                detail = f"The text is of list {told.definition.name!r}, the address of {name!r}: make them one."
                raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, detail)
            try:
                await asyncio.to_thread(self._files.put, name, text)
            except TooMany as error:
                raise HTTPException(HTTPStatus.CONFLICT, str(error)) from error
        return json_answer(UserList(name, editable=True, toml=text, definition=told.definition))

    async def _delete(self, name: Name) -> Response:
        _check(name)
        async with self._turn:
            if not await self._refuse_what_is_not_ours(name):
                raise _absent(name)
            await asyncio.to_thread(self._files.delete, name)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def _refuse_what_is_not_ours(self, name: str) -> bool:
        """Whether it is there to be changed; a name of nothing is free."""
        files = await self._read()
        file = _file_of(files, name) or next((file for file in files if file.name == f"{name}.toml"), None)
        if file is not None and file.owns == name:
            return True
        if file is not None:
            why = f"{file.name} holds more than this list alone: change it there, by hand"
        elif name in await self._running():
            why = "it is built in: save yours under another name"
        else:
            return False
        raise HTTPException(HTTPStatus.CONFLICT, f"List {name!r} cannot be changed here: {why}.")

    async def _tried(self, text: str) -> Preview:
        try:
            return await self._bus.ask_to_preview(text)
        except NoAnswer as error:
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from error

    async def _text(self, request: Request) -> str:
        return (await read_body(request, ListText, ListText(), EXAMPLE, MOST_BYTES)).toml

    async def _read(self) -> list[ListFile]:
        return await asyncio.to_thread(self._files.files)

    async def _running(self) -> dict[str, ListDefinition]:
        return {each.name: each for each in await self._bus.get_lists()}


def _file_of(files: list[ListFile], name: str) -> ListFile | None:
    return next((file for file in files if name in file.lists), None)


def _runs(running: dict[str, ListDefinition], name: str) -> bool:
    return name in running and not running[name].built_in


def _check(name: str) -> None:
    if NAME.fullmatch(name) is None:
        detail = f"{name[:40]!r} is no list's name: 1 to 40 small letters, digits and underscores, a letter first."
        raise HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, detail)


def _absent(name: str) -> HTTPException:
    return HTTPException(HTTPStatus.NOT_FOUND, f"There is no list {name!r}: GET /api/user-lists names yours, GET /api/lists all that run.")
