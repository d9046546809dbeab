"""Tokens over HTTP: issue, list, revoke. A secret is shown once, in the answer that issues it."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from esper.contracts.library import IssuedToken, Page, TokenRecord, TokenRequest
from esper.services.urza.answers import PREFIX, answer, router
from esper.services.urza.parameters import Cursor, IdempotencyKey, Limit, TokenIdPath
from esper.services.urza.urza_state import ActorDep, LibraryDep, state_of
from esper.web.problems import documented

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
