"""Blueprints over HTTP: submit, look up, search, move; the leases under which they are built."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query
from starlette.responses import Response

from esper.contracts.assets import Blueprint
from esper.contracts.enums import BlueprintState
from esper.contracts.library import BlueprintRecord, KernelRecord, Lease, Page
from esper.services.urza.exchange import (
    PREFIX,
    BlueprintIdPath,
    BlueprintMove,
    Cursor,
    LeaseCompletion,
    LeaseFailure,
    LeaseRenewal,
    LeaseRequest,
    Limit,
    Revision,
    also,
    answer,
)
from esper.services.urza.guarded_route import ActorDep, LibraryDep, router

BLUEPRINTS: Final[APIRouter] = router(f"{PREFIX}/blueprints", "blueprints")

Filter = Annotated[str | None, Query(max_length=200)]


@BLUEPRINTS.post(
    "/",
    status_code=201,
    response_model=BlueprintRecord,
    responses=also(200, "It was there already.", BlueprintRecord),
)
async def submit_blueprint(library: LibraryDep, actor: ActorDep, blueprint: Blueprint) -> Response:
    """Store a blueprint; it waits for the forge unless it is only proposed."""
    record, new = await library.blueprints.submit(actor, blueprint)
    return answer(record, 201 if new else 200)


@BLUEPRINTS.get("/")
async def search_blueprints(
    library: LibraryDep,
    host: Filter = None,
    state: BlueprintState | None = None,
    family: Filter = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[BlueprintRecord]:
    """List blueprints, those that came last first."""
    return await library.blueprints.search(
        host=host, state=state, family=family, cursor=cursor, limit=limit
    )


@BLUEPRINTS.get("/{blueprint_id}")
async def get_blueprint(library: LibraryDep, blueprint_id: BlueprintIdPath) -> BlueprintRecord:
    """Return one blueprint."""
    return await library.blueprints.get(blueprint_id)


@BLUEPRINTS.post("/{blueprint_id}/transitions")
async def move_blueprint(
    library: LibraryDep,
    actor: ActorDep,
    blueprint_id: BlueprintIdPath,
    move: BlueprintMove,
    revision: Revision,
) -> BlueprintRecord:
    """Move a blueprint along its table; what the forge does to it goes through leases."""
    return await library.blueprints.move(actor, blueprint_id, move.event, revision, move.reason)


WORK: Final[APIRouter] = router(f"{PREFIX}/internal", "work")


@WORK.get("/unvalidated-blueprints")
async def list_unvalidated_blueprints(
    library: LibraryDep, limit: Limit = 50
) -> Page[BlueprintRecord]:
    """List what waits for a worker, longest waiting first. Looking takes nothing; leases do."""
    return await library.leases.waiting(limit)


@WORK.post(
    "/leases",
    status_code=201,
    response_model=Lease,
    responses={204: {"description": "Nothing waits."}},
)
async def grant_lease(library: LibraryDep, actor: ActorDep, wanted: LeaseRequest) -> Lease | None:
    """Lease the blueprint that has waited longest."""
    return await library.leases.grant(actor, wanted.worker, wanted.seconds)


@WORK.post("/leases/{blueprint_id}/renew")
async def renew_lease(
    library: LibraryDep, actor: ActorDep, blueprint_id: BlueprintIdPath, renewal: LeaseRenewal
) -> Lease:
    """Keep a lease for so many seconds from now."""
    return await library.leases.renew(actor, blueprint_id, renewal.token, renewal.seconds)


@WORK.post("/leases/{blueprint_id}/complete")
async def complete_lease(
    library: LibraryDep, actor: ActorDep, blueprint_id: BlueprintIdPath, done: LeaseCompletion
) -> KernelRecord:
    """End a lease with a proven kernel, whose blob must be stored already: all of it or nothing."""
    return await library.leases.complete(
        actor, blueprint_id, done.token, done.registration, done.report
    )


@WORK.post("/leases/{blueprint_id}/fail")
async def fail_lease(
    library: LibraryDep, actor: ActorDep, blueprint_id: BlueprintIdPath, failure: LeaseFailure
) -> BlueprintRecord:
    """End a lease without a kernel; the blueprint waits again, or is set aside."""
    return await library.leases.fail(
        actor, blueprint_id, failure.token, failure.reason, failure.report, failure.retry
    )
