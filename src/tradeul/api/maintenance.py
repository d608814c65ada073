"""What the page asks of maintenance, passed on to its own port, so that the page has one origin; answers come back as they are.

Only what is named here is passed on: read calls, and the one that begins a run.
Who may call was asked already, by the rules of every port.
"""

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from tradeul.api.client import MaintenanceClient, Passed
from tradeul.errors import NoAnswer
from tradeul.ops.http_service import answers, body_of, read_body
from tradeul.records.runs import WHOLE, Run, RunOptions

HERE = "/api/maintenance"
TRIGGER_EXAMPLE = '{"target_date":"2026-03-06","only":"ohlc_daily","force":true}'


class MaintenanceRoutes:
    records = (Run, RunOptions)

    def __init__(self, client: MaintenanceClient) -> None:
        self._client = client

    def add(self, app: FastAPI) -> None:
        unavailable, missing = HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.NOT_FOUND
        wrong = HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        of_port = "(port 8008 describes it)"
        for path, summary, record in (
            ("status", f"How the data stands {of_port}", dict),
            ("health", f"What maintenance stands on {of_port}", dict),
            ("next-run", f"The next wake-up {of_port}", dict),
            ("runs", "The run under way and the last 100", list[Run]),
        ):
            app.get(f"{HERE}/{path}", summary=summary, responses=answers(record, unavailable))(self._reader(path))
        app.get(f"{HERE}/runs/{{run_id}}", summary="One run", responses=answers(Run, missing, unavailable))(self._run)
        begun = answers(dict, *wrong, unavailable) | answers(dict, ok=HTTPStatus.ACCEPTED)
        begin = app.post(
            f"{HERE}/trigger", summary="Begin a run, or join the running one", responses=begun, openapi_extra=body_of(RunOptions)
        )
        begin(self._trigger)

    def _reader(self, path: str) -> Callable[[], Awaitable[Response]]:
        async def read() -> Response:
            return await self._passed("GET", path)

        return read

    async def _run(self, run_id: str) -> Response:
        return await self._passed("GET", "runs", run_id)

    async def _trigger(self, request: Request) -> Response:
        return await self._passed("POST", "trigger", body=await read_body(request, RunOptions, WHOLE, TRIGGER_EXAMPLE))

    async def _passed(self, method: str, *path: str, body: RunOptions | None = None) -> Response:
        try:
            passed = await self._client.ask(method, path, body)
        except NoAnswer as error:
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from error
        return Response(passed.body, passed.status, _headers(passed), passed.content_type)


def _headers(passed: Passed) -> dict[str, str]:
    """An address that maintenance names is one of this port's here."""
    location = {"Location": HERE + passed.location} if passed.location else {}
    return {"Cache-Control": "no-store", **location}
