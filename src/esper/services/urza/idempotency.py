"""Idempotency keys: a request that is repeated under its key gets the answer of the first time.

A success is kept with the digest of its request; a refusal is not, so that what was repaired can
be sent again with its key.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import ColumnElement, and_, delete, insert, select
from starlette.requests import Request
from starlette.responses import Response

from esper.contracts.errors import SubmissionError
from esper.services.urza.change import Changes
from esper.services.urza.library_tables import ANSWERS
from esper.storage.database import Database
from esper.web.problems import LIBRARY_CODES, problem_response


@dataclass(frozen=True, kw_only=True)
class StoredAnswer:
    """An HTTP answer."""

    status: int
    """Its status code."""
    body: bytes
    """Its body."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Those of its headers that matter."""


class Idempotency:
    """Answers by key, actor and route, for a day or so.

    Args:
        database: Where they are kept.
        changes: Of the same database.
        seconds: How long an answer is kept.
    """

    def __init__(self, database: Database, changes: Changes, seconds: float) -> None:
        self._database = database
        self._changes = changes
        self._seconds = seconds

    async def recall(
        self, key: str, route: str, actor: str, request_digest: str
    ) -> StoredAnswer | None:
        """Return the answer to the same request; None if there was none.

        Raises:
            SubmissionError: The key was used for another request.
        """
        oldest = self._changes.now - self._seconds
        async with self._database.reading() as connection:
            statement = select(ANSWERS).where(_same(key, route, actor))
            row = (await connection.execute(statement)).one_or_none()
        if row is None or row.stored_at < oldest:
            return None
        if row.request_digest != request_digest:
            raise SubmissionError(
                f"the Idempotency-Key {key!r:.80} was used for another request; take a new one"
            )
        return StoredAnswer(status=row.status, body=row.body, headers=json.loads(row.headers))

    async def remember(
        self, key: str, route: str, actor: str, request_digest: str, answer: StoredAnswer
    ) -> None:
        """Keep an answer for the repetition of its request."""
        async with self._changes.begin(actor, "idempotency") as change:
            await change.connection.execute(delete(ANSWERS).where(_same(key, route, actor)))
            await change.connection.execute(
                insert(ANSWERS).values(
                    key=key,
                    route=route,
                    actor=actor,
                    request_digest=request_digest,
                    status=answer.status,
                    headers=json.dumps(dict(answer.headers)),
                    body=answer.body,
                    stored_at=change.now,
                )
            )

    async def forget_expired(self, actor: str) -> None:
        """Remove the answers that are too old to be given."""
        async with self._changes.begin(actor, "idempotency") as change:
            old = ANSWERS.c.stored_at < change.now - self._seconds
            await change.connection.execute(delete(ANSWERS).where(old))


def _same(key: str, route: str, actor: str) -> ColumnElement[bool]:
    return and_(ANSWERS.c.key == key, ANSWERS.c.route == route, ANSWERS.c.actor == actor)


KEY_HEADER: Final = "idempotency-key"
REPLAYED_HEADER: Final = "idempotency-replayed"
"""Set on an answer that was given before."""
_LONGEST_KEY: Final = 255
_SECRET_ROUTES: Final = frozenset({"issue_token"})
_KEPT_HEADERS: Final = frozenset({"etag", "cache-control", "content-type"})


class Turns:
    """One request with a key at a time: whoever repeats while the first is under way waits."""

    def __init__(self) -> None:
        """Start with nobody waiting."""
        self._locks: dict[tuple[str, ...], tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def turn(self, *key: str) -> AsyncIterator[None]:
        """Wait for the turn of `key`, and hold it."""
        lock, users = self._locks.get(key, (asyncio.Lock(), 0))
        self._locks[key] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            lock, users = self._locks.pop(key)
            if users > 1:
                self._locks[key] = (lock, users - 1)


async def once(
    request: Request,
    handler: Callable[[Request], Awaitable[Response]],
    kept: Idempotency,
    turns: Turns,
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
    async with turns.turn(key, route, actor):
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
