"""Idempotency keys: a request that is repeated under its key gets the answer of the first time.

A success is kept with the digest of its request; a refusal is not, so that what was repaired can
be sent again with its key.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Final
from weakref import WeakValueDictionary

from sqlalchemy import delete, insert, select
from starlette.requests import Request
from starlette.responses import Response

from esper.contracts.errors import SubmissionError
from esper.services.urza.change import Store
from esper.services.urza.library_tables import ANSWERS
from esper.web.problems import LIBRARY_CODES, problem_response

KEY_HEADER: Final = "idempotency-key"
REPLAYED_HEADER: Final = "idempotency-replayed"
"""Set on an answer that was given before."""
_LONGEST_KEY: Final = 255
_SECRET_ROUTES: Final = frozenset({"issue_token"})
_KEPT_HEADERS: Final = ("etag", "cache-control", "content-type")


class Idempotency:
    """Answers by key, route and actor, for a day or so.

    Args:
        store: Of the database where they are kept.
        seconds: How long an answer is kept.
    """

    def __init__(self, store: Store, seconds: float) -> None:
        self._store = store
        self._seconds = seconds
        # Whoever repeats while the first is under way waits; a lock that nobody holds is gone.
        self._turns: WeakValueDictionary[tuple[str, ...], asyncio.Lock] = WeakValueDictionary()

    async def once(
        self,
        request: Request,
        handler: Callable[[Request], Awaitable[Response]],
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
        turn = self._turns.setdefault((key, route, actor), asyncio.Lock())
        async with turn:
            stored = await self.recall(key, route, actor, digest)
            if stored is not None:
                stored.headers[REPLAYED_HEADER] = "true"
                return stored
            response = await handler(request)
            if response.status_code < 300:
                shown = _without_secret() if route in _SECRET_ROUTES else response
                await self.remember(key, route, actor, digest, shown)
            return response

    async def recall(
        self, key: str, route: str, actor: str, request_digest: str
    ) -> Response | None:
        """Return the answer to the same request; None if there was none.

        Raises:
            SubmissionError: The key was used for another request.
        """
        oldest = self._store.now - self._seconds
        async with self._store.reading() as connection:
            statement = select(ANSWERS).filter_by(key=key, route=route, actor=actor)
            row = (await connection.execute(statement)).one_or_none()
        if row is None or row.stored_at < oldest:
            return None
        if row.request_digest != request_digest:
            raise SubmissionError(
                f"the Idempotency-Key {key!r:.80} was used for another request; take a new one"
            )
        return Response(row.body, row.status, json.loads(row.headers))

    async def remember(
        self, key: str, route: str, actor: str, request_digest: str, answer: Response
    ) -> None:
        """Keep an answer for the repetition of its request."""
        kept = {name: answer.headers[name] for name in _KEPT_HEADERS if name in answer.headers}
        async with self._store.begin(actor, "idempotency") as change:
            await change.connection.execute(
                delete(ANSWERS).filter_by(key=key, route=route, actor=actor)
            )
            await change.connection.execute(
                insert(ANSWERS).values(
                    key=key,
                    route=route,
                    actor=actor,
                    request_digest=request_digest,
                    status=answer.status_code,
                    headers=json.dumps(kept),
                    body=bytes(answer.body),
                    stored_at=change.now,
                )
            )

    async def forget_expired(self, actor: str) -> None:
        """Remove the answers that are too old to be given."""
        async with self._store.begin(actor, "idempotency") as change:
            old = ANSWERS.c.stored_at < change.now - self._seconds
            await change.connection.execute(delete(ANSWERS).where(old))


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


def _without_secret() -> Response:
    return problem_response(
        409,
        "a token was issued for this Idempotency-Key, and its secret was shown once and is not "
        "kept; if the answer was lost, revoke that token and issue another with a new key",
        codes=LIBRARY_CODES,
    )
