"""The simulated market's switch on the page's port: its feed is cut for some seconds, so that a newcomer sees staleness and recovery.

There only while the market is simulated. Nothing is told to the product beforehand: what the page then shows is what a real cut would show.
"""

from http import HTTPStatus

from fastapi import FastAPI, Response
from starlette.exceptions import HTTPException

from tradeul.api.client import Cut, SimulatorClient
from tradeul.errors import NoAnswer
from tradeul.ops.http_service import answers, json_answer


class SimulatedRoutes:
    records = (Cut,)

    def __init__(self, client: SimulatorClient) -> None:
        self._client = client

    def add(self, app: FastAPI) -> None:
        cut = answers(Cut, HTTPStatus.SERVICE_UNAVAILABLE)
        app.post("/api/simulated/cut", summary="Cut the simulated feed for some seconds", responses=cut)(self._cut)

    async def _cut(self) -> Response:
        try:
            return json_answer(await self._client.cut())
        except NoAnswer as error:
            raise HTTPException(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from error
