"""Requests that carry an `Idempotency-Key`: the same one again gets the answer of the first.

A success is kept with the digest of its request; a refusal is not, so that what was repaired can
be sent again with its key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from esper.contracts.errors import SubmissionError
from esper.services.urza.idempotency import StoredAnswer
from esper.services.urza.urza_state import ServerState
from esper.web.problems import LIBRARY_CODES, problem_response

KEY_HEADER: Final = "idempotency-key"
REPLAYED_HEADER: Final = "idempotency-replayed"
"""Set on an answer that was given before."""
_LONGEST_KEY: Final = 255
_SECRET_ROUTES: Final = frozenset({"issue_token"})
_KEPT_HEADERS: Final = frozenset({"etag", "cache-control", "content-type"})


async def once(
    request: Request,
    handler: Callable[[Request], Awaitable[Response]],
    state: ServerState,
    route: str,
    actor: str,
) -> Response:
    """Carry a request with a key out, or answer as it was answered.

    Raises:
        SubmissionError: The key is empty or too long, or belongs to another request.
    """
    key = request.headers[KEY_HEADER]
    if not 0 < len(key) <= _LONGEST_KEY:
        raise SubmissionError(
            f"the Idempotency-Key has {len(key)} characters; 1 to {_LONGEST_KEY} are taken"
        )
    digest = await _digest(request)
    kept = state.library.idempotency
    async with state.turns.turn(key, route, actor):
        stored = await kept.recall(key, route, actor, digest)
        if stored is not None:
            headers = {**stored.headers, REPLAYED_HEADER: "true"}
            return Response(stored.body, stored.status, headers)
        response = await handler(request)
        if response.status_code < 300:
            shown = _without_secret() if route in _SECRET_ROUTES else response
            await kept.remember(key, route, actor, digest, _kept(shown))
        return response


async def _digest(request: Request) -> str:
    # What the answer depends on besides who asks: the path, the precondition, the body.
    seal = hashlib.sha256()
    for part in (
        request.scope["path"].encode(),
        request.scope["query_string"],
        request.headers.get("if-match", "").encode(),
        await request.body(),
    ):
        seal.update(len(part).to_bytes(8, "big"))
        seal.update(part)
    return seal.hexdigest()


def _kept(response: Response) -> StoredAnswer:
    headers = {
        name: value for name, value in response.headers.items() if name.lower() in _KEPT_HEADERS
    }
    return StoredAnswer(status=response.status_code, body=bytes(response.body), headers=headers)


def _without_secret() -> Response:
    return problem_response(
        409,
        "a token was issued for this Idempotency-Key, and its secret was shown once and is not "
        "kept; if the answer was lost, revoke that token and issue another with a new key",
        codes=LIBRARY_CODES,
    )
