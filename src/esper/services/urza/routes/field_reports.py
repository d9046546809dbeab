"""Field reports over HTTP: trainers say what a kernel did."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

from esper.contracts.library import KernelOutcome
from esper.services.urza.answers import PREFIX, also, answer, router
from esper.services.urza.parameters import IdempotencyKey
from esper.services.urza.urza_state import ActorDep, LibraryDep
from esper.web.problems import documented

FIELD_REPORTS: Final[APIRouter] = router(f"{PREFIX}/field-reports", "field reports")


@FIELD_REPORTS.post(
    "/",
    status_code=201,
    response_model=KernelOutcome,
    responses=documented(404, 409, 422) | also(200, "It was there already.", KernelOutcome),
)
async def add_field_report(
    library: LibraryDep,
    actor: ActorDep,
    outcome: KernelOutcome,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Keep a report; sending it again changes nothing."""
    new = await library.outcomes.add(actor, outcome)
    return answer(outcome, 201 if new else 200)
