"""Changes: transactions that alter the library, each with its entries in the audit log.

A change begins by taking the audit log's head, which makes it the only one under way, and ends by
committing what it did and what it logged together.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import JsonValue
from sqlalchemy import Table, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from esper.contracts.ports import Clock
from esper.services.urza.library_tables import AUDIT, AUDIT_HEAD
from esper.storage.database import Database
from esper.utils.failpoint import declare, failpoint

PARTS: Final = (
    "aliases",
    "blobs",
    "blueprints",
    "garbage",
    "idempotency",
    "kernels",
    "leases",
    "outcomes",
    "tokens",
)
for _part in PARTS:
    for _moment in ("before-write", "before-commit", "after-commit"):
        declare(f"urza.{_part}.{_moment}")


@dataclass(kw_only=True)
class Change:
    """A transaction that is alone, and the log's head within it."""

    connection: AsyncConnection
    actor: str
    now: float
    sequence: int
    digest: str

    @property
    def at(self) -> datetime:
        """The time of the change."""
        return moment(self.now)

    @property
    def next_sequence(self) -> int:
        """The number that the next entry will have."""
        return self.sequence + 1

    async def put(self, table: Table, key: str, **values: Any) -> None:
        """Write a row under its key, whether there is one or not."""
        (column,) = table.primary_key.columns
        known = await self.connection.execute(update(table).where(column == key).values(values))
        if not known.rowcount:
            new = insert(table).values({column.name: key, **values})
            await self.connection.execute(new)

    async def record(self, action: str, subject: str, **detail: JsonValue) -> None:
        """Log what was done, in this transaction."""
        fields: dict[str, JsonValue] = {
            "sequence": self.next_sequence,
            # As the API shows it, so that a reader of the API can check the digest.
            "at": self.at.isoformat().replace("+00:00", "Z"),
            "actor": self.actor,
            "action": action,
            "subject": subject,
            "detail": detail,
            "previous": self.digest,
        }
        document = json.dumps(fields, sort_keys=True, separators=(",", ":"), allow_nan=False)
        self.sequence += 1
        self.digest = digest_of(document)
        await self.connection.execute(
            insert(AUDIT).values(sequence=self.sequence, document=document, digest=self.digest)
        )
        await self.connection.execute(
            update(AUDIT_HEAD).values(sequence=self.sequence, digest=self.digest)
        )


class Store:
    """The library's tables: read as of one moment, altered by one change at a time.

    Args:
        database: Where they are.
        clock: Tells when.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self._clock = clock

    @property
    def now(self) -> float:
        """Seconds since the epoch."""
        return self._clock.now()

    def reading(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """Return a connection whose statements all see the same state."""
        return self.database.reading()

    @contextlib.asynccontextmanager
    async def begin(self, actor: str, part: str) -> AsyncIterator[Change]:
        """Yield a change, committed at the end of the block; an error in the block undoes it.

        Raises:
            LibraryUnavailableError: The database cannot be reached or is too busy.
        """
        async with self.database.writing() as connection:
            # Before anything else is read: whoever holds this row sees the newest state.
            head = (await connection.execute(select(AUDIT_HEAD).with_for_update())).one()
            failpoint(f"urza.{part}.before-write")
            yield Change(
                connection=connection,
                actor=actor,
                now=self._clock.now(),
                sequence=head.sequence,
                digest=head.digest,
            )
            failpoint(f"urza.{part}.before-commit")
            await connection.commit()
        failpoint(f"urza.{part}.after-commit")


def moment(seconds: float) -> datetime:
    """Return seconds since the epoch as a date and time."""
    return datetime.fromtimestamp(seconds, tz=UTC)


def digest_of(document: str) -> str:
    """Return the SHA-256 of a text in UTF-8."""
    return hashlib.sha256(document.encode()).hexdigest()
