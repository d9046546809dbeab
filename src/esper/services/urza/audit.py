"""Audit: reads the log of all changes, and finds out whether somebody altered it."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Row, select

from esper.contracts.errors import LibraryError
from esper.contracts.library import AuditEntry, Page
from esper.services.urza.change import Store, digest_of
from esper.services.urza.library_tables import AUDIT, AUDIT_HEAD
from esper.services.urza.rows import listed


class Audit:
    """Reads the log; `Change.record` is what writes it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def entries(self, cursor: str | None = None, limit: int = 100) -> Page[AuditEntry]:
        """Return entries, oldest first.

        Raises:
            SubmissionError: The cursor is not one of ours.
        """
        async with self._store.reading() as connection:
            return await listed(
                connection, select(AUDIT), _entry, AUDIT.c.sequence, cursor=cursor, limit=limit
            )

    async def verify(self) -> int:
        """Check every entry against its digest and the one before; return how many there are.

        Raises:
            LibraryError: The log was tampered with; names the first entry that does not fit.
        """
        sequence, previous = 0, "0" * 64
        async with self._store.reading() as connection:
            ordered = select(AUDIT).order_by(AUDIT.c.sequence)
            async for row in await connection.stream(ordered):
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


def _entry(row: Row[Any]) -> AuditEntry:
    return AuditEntry.model_validate({**json.loads(row.document), "digest": row.digest})
