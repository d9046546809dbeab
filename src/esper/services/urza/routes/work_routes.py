"""Work for the forge over HTTP: what waits, and the leases under which it is built."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

from esper.contracts.library import BlueprintRecord, KernelRecord, Lease, Page
from esper.services.urza.answers import PREFIX, answer, router
from esper.services.urza.bodies import (
    BlueprintIdPath,
    IdempotencyKey,
    LeaseCompletion,
    LeaseFailure,
    LeaseRenewal,
    LeaseRequest,
    Limit,
)
from esper.services.urza.urza_state import ActorDep, LibraryDep
from esper.web.problems import documented

WORK: Final[APIRouter] = router(f"{PREFIX}/internal", "work")


@WORK.get(
    "/unvalidated-blueprints", response_model=Page[BlueprintRecord], responses=documented(422)
)
async def list_unvalidated_blueprints(library: LibraryDep, limit: Limit = 50) -> Response:
    """List what waits for a worker, longest waiting first. Looking takes nothing; leases do."""
    return answer(await library.leases.waiting(limit))


@WORK.post(
    "/leases",
    status_code=201,
    response_model=Lease,
    responses=documented(422) | {204: {"description": "Nothing waits."}},
)
async def grant_lease(
    library: LibraryDep,
    actor: ActorDep,
    wanted: LeaseRequest,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Lease the blueprint that has waited longest."""
    lease = await library.leases.grant(actor, wanted.worker, wanted.seconds)
    return Response(status_code=204) if lease is None else answer(lease, 201)


@WORK.post(
    "/leases/{blueprint_id}/renew", response_model=Lease, responses=documented(404, 409, 422)
)
async def renew_lease(
    library: LibraryDep,
    actor: ActorDep,
    blueprint_id: BlueprintIdPath,
    renewal: LeaseRenewal,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Keep a lease for so many seconds from now."""
    lease = await library.leases.renew(actor, blueprint_id, renewal.token, renewal.seconds)
    return answer(lease)


@WORK.post(
    "/leases/{blueprint_id}/complete",
    response_model=KernelRecord,
    responses=documented(404, 409, 422),
)
async def complete_lease(
    library: LibraryDep,
    actor: ActorDep,
    blueprint_id: BlueprintIdPath,
    done: LeaseCompletion,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """End a lease with a proven kernel, whose blob must be stored already: all of it or nothing."""
    record = await library.leases.complete(
        actor, blueprint_id, done.token, done.registration, done.report
    )
    return answer(record, revision=record.revision)


@WORK.post(
    "/leases/{blueprint_id}/fail",
    response_model=BlueprintRecord,
    responses=documented(404, 409, 422),
)
async def fail_lease(
    library: LibraryDep,
    actor: ActorDep,
    blueprint_id: BlueprintIdPath,
    failure: LeaseFailure,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """End a lease without a kernel; the blueprint waits again, or is set aside."""
    record = await library.leases.fail(
        actor, blueprint_id, failure.token, failure.reason, failure.report, failure.retry
    )
    return answer(record, revision=record.revision)
