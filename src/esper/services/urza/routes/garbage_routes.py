"""Garbage collections over HTTP: remove blobs that no kernel refers to."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from esper.contracts.library import GarbageReport
from esper.services.urza.answers import PREFIX, answer, router
from esper.services.urza.bodies import GarbageRequest
from esper.services.urza.parameters import IdempotencyKey
from esper.services.urza.urza_state import ActorDep, LibraryDep, state_of
from esper.web.problems import documented

GARBAGE: Final[APIRouter] = router(f"{PREFIX}/garbage-collections", "garbage collections")


@GARBAGE.post("/", response_model=GarbageReport, responses=documented(422))
async def collect_garbage(
    request: Request,
    library: LibraryDep,
    actor: ActorDep,
    wanted: GarbageRequest,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Remove unreferenced blobs that are older than the grace period, or only count them."""
    grace = wanted.grace_seconds
    if grace is None:
        grace = state_of(request).config.gc_grace_seconds
    return answer(await library.garbage.collect(actor, grace, wanted.dry_run))
