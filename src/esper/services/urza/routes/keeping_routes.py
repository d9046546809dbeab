"""Keeping a library over HTTP: its condition, its audit log, its garbage and its tokens.

A token's secret is shown once, in the answer that issues it.
"""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from esper.contracts.library import (
    AuditEntry,
    AuditVerification,
    GarbageReport,
    IssuedToken,
    Page,
    TokenRecord,
    TokenRequest,
)
from esper.services.urza.exchange import (
    PREFIX,
    Condition,
    Cursor,
    GarbageRequest,
    IdempotencyKey,
    Limit,
    TokenIdPath,
    answer,
    router,
)
from esper.services.urza.guarded_route import ActorDep, LibraryDep, state_of
from esper.web.http_metrics import MEDIA_TYPE
from esper.web.problems import LIBRARY_CODES, documented, problem_response

AUDIT: Final[APIRouter] = router(f"{PREFIX}/audit", "audit")


@AUDIT.get("/", response_model=Page[AuditEntry], responses=documented(422))
async def list_audit(library: LibraryDep, cursor: Cursor = None, limit: Limit = 50) -> Response:
    """List changes, oldest first."""
    return answer(await library.audit.entries(cursor, limit))


@AUDIT.get("/verification", response_model=AuditVerification, responses=documented())
async def verify_audit(library: LibraryDep) -> Response:
    """Check every entry against its digest and the one before; a broken chain is an error."""
    return answer(AuditVerification(entries=await library.audit.verify()))


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


TOKENS: Final[APIRouter] = router(f"{PREFIX}/tokens", "tokens")


@TOKENS.get("/", response_model=Page[TokenRecord], responses=documented(422))
async def list_tokens(library: LibraryDep, cursor: Cursor = None, limit: Limit = 50) -> Response:
    """List tokens, without their secrets."""
    return answer(await library.tokens.list(cursor, limit))


@TOKENS.post("/", status_code=201, response_model=IssuedToken, responses=documented(409, 422))
async def issue_token(
    library: LibraryDep,
    actor: ActorDep,
    wanted: TokenRequest,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Make a token. Whoever repeats the request with its key is refused: the secret is not kept."""
    issued = await library.tokens.issue(actor, wanted)
    return answer(issued, 201, headers={"Cache-Control": "no-store"})


@TOKENS.delete(
    "/{token_id}", status_code=204, response_class=Response, responses=documented(404, 422)
)
async def revoke_token(
    request: Request, library: LibraryDep, actor: ActorDep, token_id: TokenIdPath
) -> Response:
    """Take a token back, from the next request on; doing it again changes nothing."""
    await library.tokens.revoke(actor, token_id)
    state_of(request).authenticator.forget(token_id)
    return Response(status_code=204)


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
