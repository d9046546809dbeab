"""Blueprints over HTTP: submit, look up, search, move; the leases under which they are built."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from esper.contracts.assets import Blueprint
from esper.contracts.enums import BlueprintState
from esper.contracts.library import BlueprintRecord, KernelRecord, Lease, Page
from esper.services.urza.exchange import (
    NOT_MODIFIED,
    PREFIX,
    BlueprintIdPath,
    BlueprintMove,
    Cursor,
    IdempotencyKey,
    IfMatch,
    LeaseCompletion,
    LeaseFailure,
    LeaseRenewal,
    LeaseRequest,
    Limit,
    also,
    answer,
    is_there,
    read_answer,
    required_revision,
    router,
)
from esper.services.urza.guarded_route import ActorDep, LibraryDep
from esper.web.problems import documented

BLUEPRINTS: Final[APIRouter] = router(f"{PREFIX}/blueprints", "blueprints")

Filter = Annotated[str | None, Query(max_length=200)]


@BLUEPRINTS.post(
    "/",
    status_code=201,
    response_model=BlueprintRecord,
    responses=documented(409, 422) | also(200, "It was there already.", BlueprintRecord),
)
async def submit_blueprint(
    library: LibraryDep,
    actor: ActorDep,
    blueprint: Blueprint,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Store a blueprint; it waits for the forge unless it is only proposed."""
    # Looked up before, not within the change: two who submit the same at once may both read "new".
    known = await is_there(library.blueprints.get(blueprint.blueprint_id))
    record = await library.blueprints.submit(actor, blueprint)
    return answer(record, 200 if known else 201, revision=record.revision)


@BLUEPRINTS.get("/", response_model=Page[BlueprintRecord], responses=documented(422))
async def search_blueprints(
    library: LibraryDep,
    host: Filter = None,
    state: BlueprintState | None = None,
    family: Filter = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Response:
    """List blueprints, those that came last first."""
    page = await library.blueprints.search(
        host=host, state=state, family=family, cursor=cursor, limit=limit
    )
    return answer(page)


@BLUEPRINTS.get(
    "/{blueprint_id}",
    response_model=BlueprintRecord,
    responses=documented(404, 422) | NOT_MODIFIED,
)
async def get_blueprint(
    request: Request, library: LibraryDep, blueprint_id: BlueprintIdPath
) -> Response:
    """Return one blueprint."""
    record = await library.blueprints.get(blueprint_id)
    return read_answer(request, record, record.revision)


@BLUEPRINTS.post(
    "/{blueprint_id}/transitions",
    response_model=BlueprintRecord,
    responses=documented(404, 409, 412, 422, 428),
)
async def move_blueprint(
    library: LibraryDep,
    actor: ActorDep,
    blueprint_id: BlueprintIdPath,
    move: BlueprintMove,
    if_match: IfMatch = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Move a blueprint along its table; what the forge does to it goes through leases."""
    revision = required_revision(if_match)
    record = await library.blueprints.move(actor, blueprint_id, move.event, revision, move.reason)
    return answer(record, revision=record.revision)


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
