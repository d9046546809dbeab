"""How the server is: is it alive, does it take work, what has it counted, what can it do."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from esper.services.urza.answers import answer, router
from esper.services.urza.bodies import Condition
from esper.services.urza.urza_state import LibraryDep, state_of
from esper.web.http_metrics import MEDIA_TYPE
from esper.web.problems import LIBRARY_CODES, documented, problem_response

CONDITION: Final[APIRouter] = router("", "condition")


@CONDITION.get("/livez", response_model=Condition)
async def livez() -> Response:
    """Answer: the process runs."""
    return answer(Condition(status="live"))


@CONDITION.get("/readyz", response_model=Condition, responses=documented())
async def readyz(request: Request, library: LibraryDep) -> Response:
    """Say whether requests will be answered: the database is there and nobody said stop."""
    if state_of(request).draining:
        return problem_response(503, "the server is stopping; use another", codes=LIBRARY_CODES)
    await library.check()
    return answer(Condition(status="ready"))


@CONDITION.get(
    "/metrics",
    response_class=Response,
    responses=documented() | {200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}}},
)
async def metrics(request: Request) -> Response:
    """Return the counters in Prometheus' text format."""
    return Response(state_of(request).metrics.text(), media_type=MEDIA_TYPE)


@CONDITION.get("/openapi.json", include_in_schema=False)
async def openapi(request: Request) -> Response:
    """Return the description of all routes, as OpenAPI."""
    return JSONResponse(request.app.openapi())
