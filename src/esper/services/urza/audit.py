"""The audit log: who changed what, each entry sealing the one before."""

from __future__ import annotations

import json
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from esper.contracts.errors import LibraryError
from esper.contracts.library import AuditEntry, Page
from esper.services.urza.change import digest_of, entry_of
from esper.services.urza.cursor import decode, page
from esper.services.urza.library_tables import AUDIT, AUDIT_HEAD
from esper.storage.database import Database

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
        (after,) = decode(cursor, int) or (0,)
        statement = select(AUDIT).where(AUDIT.c.sequence > after).order_by(AUDIT.c.sequence)
        async with self._database.reading() as connection:
            rows = (await connection.execute(statement.limit(limit + 1))).all()
        return page(rows, limit, lambda r: entry_of(r.document, r.digest), lambda r: [r.sequence])

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
