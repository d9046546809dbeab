"""Idempotency keys: a request that is repeated under its key gets the answer of the first time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, and_, delete, insert, select

from esper.contracts.errors import SubmissionError
from esper.services.urza.change import Changes
from esper.services.urza.library_tables import ANSWERS
from esper.storage.database import Database


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
