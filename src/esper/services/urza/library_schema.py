"""Schema: the library's database, and refusing one that this version does not fit."""

from __future__ import annotations

from typing import Final

from esper.contracts.errors import LibraryUnavailableError, SubmissionError
from esper.services.urza import migrations
from esper.services.urza.library_tables import METADATA
from esper.storage.database import Database, Keeping
from esper.storage.schema import Schema

KEEPING: Final = Keeping(
    name="the library's database", unavailable=LibraryUnavailableError, bad_value=SubmissionError
)
"""How Urza keeps its records."""

SCHEMA: Final = Schema(metadata=METADATA, migrations=migrations)
"""Its tables."""


async def require_latest(database: Database) -> None:
    """Refuse a database that this version does not fit; an empty SQLite file is filled first.

    Raises:
        LibraryUnavailableError: The database is at another revision, or cannot be reached.
    """
    revision = await SCHEMA.current(database)
    if database.is_sqlite and await SCHEMA.is_empty(database):
        await SCHEMA.upgrade(database)
        return
    if revision != SCHEMA.latest():
        raise LibraryUnavailableError(
            f"the library's database is at revision {revision or 'none'}, this version needs "
            f"{SCHEMA.latest()}; make a backup and run `esper urza migrate`"
        )
