"""A change: one transaction that alters the library, with its entries in the audit log (`Audit`).

A change begins by taking the audit log's head, which makes it the only one under way, and ends by
committing what it did and what it logged together.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import JsonValue
from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from esper.contracts.errors import LibraryError
from esper.contracts.library import AuditEntry, Page
from esper.contracts.ports import Clock
from esper.services.urza.cursor import oldest_first
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


class Changes:
    """Begins changes.

    Args:
        database: What is changed.
        clock: Tells when.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    @property
    def now(self) -> float:
        """Seconds since the epoch."""
        return self._clock.now()

    @contextlib.asynccontextmanager
    async def begin(self, actor: str, part: str) -> AsyncIterator[Change]:
        """Yield a change, committed at the end of the block; an error in the block undoes it.

        Raises:
            LibraryUnavailableError: The database cannot be reached or is too busy.
        """
        async with self._database.writing() as connection:
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


_BATCH: Final = 1000


class Audit:
    """Reads the log; `Change.record` is what writes it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def entries(self, cursor: str | None = None, limit: int = 100) -> Page[AuditEntry]:
        """Return entries, oldest first.

        Raises:
            SubmissionError: The cursor is not one of ours.
        """
        async with self._database.reading() as connection:
            return await oldest_first(connection, AUDIT, cursor, limit, _entry_of)

    async def verify(self) -> int:
        """Check every entry against its digest and the one before; return how many there are.

        Raises:
            LibraryError: The log was tampered with; names the first entry that does not fit.
        """
        async with self._database.reading() as connection:
            return await _verify(connection)


async def _verify(connection: AsyncConnection) -> int:
    sequence, previous = 0, "0" * 64
    while True:
        statement = select(AUDIT).where(AUDIT.c.sequence > sequence).order_by(AUDIT.c.sequence)
        rows = (await connection.execute(statement.limit(_BATCH))).all()
        if not rows:
            break
        for row in rows:
            sequence += 1
            fields = json.loads(row.document)
            fits = (
                row.sequence == fields["sequence"] == sequence
                and fields["previous"] == previous
                and row.digest == digest_of(row.document)
            )
            if not fits:
                raise _tampered(sequence)
            previous = row.digest
    head = (await connection.execute(select(AUDIT_HEAD))).one()
    if (head.sequence, head.digest) != (sequence, previous):
        raise _tampered(sequence + 1)
    return sequence


def _tampered(sequence: int) -> LibraryError:
    return LibraryError(
        f"entry {sequence} of the audit log is missing, or does not fit its digest or the entry "
        "before it: the log was changed behind the library's back. Compare with a backup"
    )


def _entry_of(row: Row[Any]) -> AuditEntry:
    return AuditEntry.model_validate({**json.loads(row.document), "digest": row.digest})
