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
    Limit,
    TokenIdPath,
    answer,
)
from esper.services.urza.guarded_route import ActorDep, LibraryDep, router, state_of
from esper.web.http_metrics import MEDIA_TYPE
from esper.web.problems import LIBRARY_CODES, documented, problem_response

AUDIT: Final[APIRouter] = router(f"{PREFIX}/audit", "audit")


@AUDIT.get("/")
async def list_audit(
    library: LibraryDep, cursor: Cursor = None, limit: Limit = 50
) -> Page[AuditEntry]:
    """List changes, oldest first."""
    return await library.audit.entries(cursor, limit)


@AUDIT.get("/verification")
async def verify_audit(library: LibraryDep) -> AuditVerification:
    """Check every entry against its digest and the one before; a broken chain is an error."""
    return AuditVerification(entries=await library.audit.verify())


GARBAGE: Final[APIRouter] = router(f"{PREFIX}/garbage-collections", "garbage collections")


@GARBAGE.post("/")
async def collect_garbage(
    request: Request, library: LibraryDep, actor: ActorDep, wanted: GarbageRequest
) -> GarbageReport:
    """Remove unreferenced blobs that are older than the grace period, or only count them."""
    grace = wanted.grace_seconds
    if grace is None:
        grace = state_of(request).config.gc_grace_seconds
    return await library.garbage.collect(actor, grace, wanted.dry_run)


TOKENS: Final[APIRouter] = router(f"{PREFIX}/tokens", "tokens")


@TOKENS.get("/")
async def list_tokens(
    library: LibraryDep, cursor: Cursor = None, limit: Limit = 50
) -> Page[TokenRecord]:
    """List tokens, without their secrets."""
    return await library.tokens.list(cursor, limit)


@TOKENS.post("/", status_code=201, response_model=IssuedToken)
async def issue_token(library: LibraryDep, actor: ActorDep, wanted: TokenRequest) -> Response:
    """Make a token. Whoever repeats the request with its key is refused: the secret is not kept."""
    issued = answer(await library.tokens.issue(actor, wanted), 201)
    issued.headers["Cache-Control"] = "no-store"
    return issued


@TOKENS.delete("/{token_id}", status_code=204)
async def revoke_token(
    request: Request, library: LibraryDep, actor: ActorDep, token_id: TokenIdPath
) -> None:
    """Take a token back, from the next request on; doing it again changes nothing."""
    await library.tokens.revoke(actor, token_id)
    state_of(request).authenticator.forget(token_id)


CONDITION: Final[APIRouter] = router("", "condition")


@CONDITION.get("/livez")
async def livez() -> Condition:
    """Answer: the process runs."""
    return Condition(status="live")


@CONDITION.get("/readyz", response_model=Condition, responses=documented())
async def readyz(request: Request, library: LibraryDep) -> Condition | Response:
    """Say whether requests will be answered: the database is there and nobody said stop."""
    if state_of(request).draining:
        return problem_response(503, "the server is stopping; use another", codes=LIBRARY_CODES)
    await library.check()
    return Condition(status="ready")


@CONDITION.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}}},
)
async def metrics(request: Request) -> Response:
    """Return the counters in Prometheus' text format."""
    return Response(state_of(request).metrics.text(), media_type=MEDIA_TYPE)


@CONDITION.get("/openapi.json", include_in_schema=False)
async def openapi(request: Request) -> Response:
    """Return the description of all routes, as OpenAPI."""
    return JSONResponse(request.app.openapi())
